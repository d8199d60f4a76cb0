"""The demo's tables: accuracy by prompt and condition, and Cohen's d of the attention, for five models."""

from collections.abc import Mapping
from pathlib import Path

from modality_interference.results import Diagnosis


MODELS = {
    "base": "base",
    "plain": "plain tuning",
    "alignment": "alignment tuning",
    "twins": "twins and consistency",
    "everything": "and alignment loss",
}
DATASET = "clips_test"
PROMPTS = {"video": "what do you see?", "audio": "what do you hear?"}
CONDITIONS = {
    "clean": "aligned",
    "swapped_audio": "another clip's audio",
    "swapped_video": "another clip's video",
    "silence": "without audio",
    "black_frames": "without video",
    "misleading_caption": "misleading caption",
    "long_context": "long context (never trained on)",
}


def accuracy_table(diagnoses: Mapping[str, Diagnosis]) -> str:
    """Accuracy by prompt and condition as Markdown; where another clip's class was brought in, how often it was followed."""
    lines = [_line("question", "condition", *MODELS.values()), "| --- | --- |" + " ---: |" * len(MODELS)]
    for prompt, question in PROMPTS.items():
        for condition, title in CONDITIONS.items():
            found = [diagnoses[model].datasets[DATASET].kinds[prompt].get(condition) for model in MODELS]
            if all(found):
                lines.append(_line(question, title, *(_cell(result.rates) for result in found if result)))

    return "\n".join(lines) + "\n"


def attention_table(diagnoses: Mapping[str, Diagnosis]) -> str:
    """Cohen's d of the attention that questions about a modality draw to it, against the other questions, by layer."""
    lines = [_line("attention to", "layer", *MODELS.values()), "| --- | ---: |" + " ---: |" * len(MODELS)]
    for modality in PROMPTS:
        effects = [_effects(diagnoses[model], modality) for model in MODELS]
        for layer, values in enumerate(zip(*effects, strict=True)):
            lines.append(_line(modality, str(layer), *map(_effect, values)))

        largest = [max(values, key=abs) for values in effects]
        lines.append(_line(modality, "largest", *map(_effect, largest)))

    return "\n".join(lines) + "\n"


def write_tables(diagnoses: Mapping[str, Diagnosis], path: Path) -> None:
    """Print both tables, and write them as Markdown.

    Args:
        diagnoses: of every model of `MODELS`.
        path: of the Markdown file.
    """
    text = (
        f"Accuracy (in brackets: answers with the class that was brought in)\n\n{accuracy_table(diagnoses)}\n"
        f"Cohen's d of attention: questions about the modality against questions about the other\n\n{attention_table(diagnoses)}"
    )
    path.write_text(text, encoding="utf-8")
    print("\n" + text)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(rates: Mapping) -> str:
    followed = rates.get("other_modality_rate") or rates.get("misled_rate")
    return f"{100 * rates['accuracy'].value:.1f} %" + (f" ({100 * followed.value:.1f} %)" if followed else "")


def _effects(diagnosis: Diagnosis, modality: str) -> list[float]:
    """Cohen's d by layer."""
    assert diagnosis.attention is not None  # the recipe has `attention_probe: true`
    (contrast,) = [
        contrast
        for contrast in diagnosis.attention.contrasts
        if (contrast.modality, contrast.condition) == (modality, "clean")
    ]
    return [layer.value or 0.0 for layer in contrast.layers]


def _effect(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # no -0.00
