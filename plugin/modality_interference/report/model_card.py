"""The part of a model's card about a diagnosis: a section in Markdown, and the metadata `model-index`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..errors import ModalityInterferenceError
from ..files import read_text, write_text
from ..modality import CLEAN
from ..results import Diagnosis, PerturbationResult, Rate, RateName
from .evidence import EVIDENCE_TITLES
from .table import RATE_TITLES
from .text import SPACE, counted, encodable, ends, figure, moment, tuned


_MAX_BYTES = 2_000_000
_BEGIN, _END = "<!-- modality-interference: begin -->", "<!-- modality-interference: end -->"
_SECTION = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}\n?", re.DOTALL)
# what transformers' `TrainingSummary.to_model_card` writes: every metric of the last evaluation, one a line
_BARE_LIST = re.compile(r"It achieves the following results on the evaluation set:\n(?:- [^\n]*\n?)+")
_DESCRIPTION = "\n## Model description\n"
_TASKS = {"text": "question-answering", "audio": "audio-text-to-text", "video": "video-text-to-text"}
_TASK = "visual-question-answering"
_METHOD = "https://arxiv.org/abs/2505.19616"  # the hub wants an address beside a source's name
_SCORED = {
    "likelihood": "The answer is the option with the highest likelihood; a free answer, the greedy tokens given the right ones.",
    "generate": "Answers are generated greedily and read.",
    "top_logprobs": "Answers come from a server: the most probable letter of an option where it gives probabilities, else read.",
}
_PACKAGES = ("llamafactory-modality-interference", "transformers")


def update_card(path: Path, diagnosis: Diagnosis) -> None:
    """Put the section and the rates' metadata into a card.

    What else the card holds stays; an earlier section and earlier rates of the same datasets and perturbations are replaced, and so
    is the bare list of metrics that a Trainer writes.

    Args:
        path: of the card, which need not exist.
        diagnosis: of the model.

    Raises:
        ModalityInterferenceError: the card or its metadata cannot be read, or the file cannot be written.
    """
    card = _read(path)
    data = cast(ModelCardData, card.data)
    own = eval_results(diagnosis)
    conditions = {(result.dataset_name, result.dataset_config) for result in own}
    kept = [item for item in data.eval_results or [] if (item.dataset_name, item.dataset_config) not in conditions]
    data.eval_results = [*kept, *own]
    data.model_name = data.model_name or _name(diagnosis)
    card.text = _with_section(card.text, section(diagnosis))
    write_text(path, str(card))


def _name(diagnosis: Diagnosis) -> str:
    """Of the model: the name of its folder, or what the hub calls it."""
    name = str(diagnosis.model.get("name_or_path") or "model")
    return encodable(Path(name).name or name)


def _read(path: Path) -> ModelCard:
    if not path.exists():
        return ModelCard("---\n{}\n---\n")

    try:
        return ModelCard(read_text(path.parent, path.name, _MAX_BYTES))
    except ModalityInterferenceError as error:
        raise ModalityInterferenceError(f"cannot read {path}: {error}.") from error
    except Exception as error:  # YAML's own errors, and what huggingface_hub raises for metadata that it does not know
        why = " ".join(str(error).split())[:200]
        raise ModalityInterferenceError(
            f"the metadata of {path} cannot be read ({why}). Correct the YAML at its beginning, or name another file."
        ) from error


def _with_section(text: str, new: str) -> str:
    """A card's text with the section: where it was, else in place of the bare list, before the description, or at the end."""
    if _SECTION.search(text):
        return _SECTION.sub(lambda _: new, text, count=1)

    without = _BARE_LIST.sub("", text)
    before, description, after = without.partition(_DESCRIPTION)
    if description:
        return f"{before.rstrip()}\n\n{new}{description}{after}"

    return f"{without.rstrip()}\n\n{new}".lstrip("\n")


def section(diagnosis: Diagnosis) -> str:
    """The section: what was measured and how, and every rate with its 95 % interval.

    Args:
        diagnosis: of the model.
    """
    questions = counted(sum(result.examples for result in diagnosis.datasets.values()), "question").replace(SPACE, " ")
    versions = [f"{name} {diagnosis.versions[name]}" for name in _PACKAGES if name in diagnosis.versions]
    origin = ", ".join([f"Seed {diagnosis.seed}", moment(diagnosis.created), *versions])
    measured = (
        f"Measured on {questions}, each as it is (`{CLEAN}`) and again with one input changed that should not matter for the "
        f"answer. A *flip* is an answer that changes all the same. {_SCORED[diagnosis.scoring]} In brackets: 95 % intervals over "
        "examples."
    )
    lines = [_BEGIN, "## Modality interference", "", measured, ""]
    if diagnosis.tuning is not None:
        lines += [f"The model was tuned {_escaped(tuned(diagnosis.tuning))}.", ""]

    if diagnosis.calibration is not None:
        lines += [f"Its attention was changed for these answers: {_escaped(str(diagnosis.calibration))}.", ""]

    lines += [*_table(_conditions(diagnosis), RATE_TITLES), ""]
    if gone := _counterfactuals(diagnosis):
        lines += [_GONE, "", *_table(gone, EVIDENCE_TITLES), ""]

    if diagnosis.notes:
        lines += [*(f"- {_escaped(note)}" for note in diagnosis.notes), ""]

    return "\n".join([*lines, f"{_escaped(origin)}.", _END, ""])


_GONE = (
    "And asked again after what their answers rest on was taken away. Answers should then change: the share that stays (unchanged) "
    "should be low, the accuracy at guessing."
)
Condition = tuple[str, str, PerturbationResult]  # of a dataset and a label


def _table(conditions: Sequence[Condition], titles: Mapping[RateName, str]) -> Iterator[str]:
    names = [name for name in titles if any(name in found.rates for _, _, found in conditions)]
    yield _line(["dataset", "perturbation", "rows", *(titles[name] for name in names)])
    yield "|".join(["", "---", "---", *["---:"] * (len(names) + 1), ""])
    for dataset, perturbation, found in conditions:
        yield _line(
            [dataset, perturbation, f"{found.rows:,}", *(_cell(found.rates.get(name), name) for name in names)]
        )


def _conditions(diagnosis: Diagnosis) -> list[Condition]:
    datasets = diagnosis.datasets.items()
    return [(dataset, label, found) for dataset, result in datasets for label, found in result.perturbations.items()]


def _counterfactuals(diagnosis: Diagnosis) -> list[Condition]:
    datasets = diagnosis.datasets.items()
    return [(dataset, label, found) for dataset, result in datasets for label, found in result.counterfactuals.items()]


def _cell(rate: Rate | None, name: RateName) -> str:
    return "" if rate is None else f"{figure(rate.value, name)} {ends(rate.low, rate.high, name)}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """Text that may come from data, with what Markdown and HTML would read as theirs escaped."""
    plain = " ".join(encodable(text).split(" ")).replace("\n", " ").replace("\r", " ")
    return re.sub(r"([\\`*\[\]|~$#])", r"\\\1", plain).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def eval_results(diagnosis: Diagnosis) -> list[EvalResult]:
    """The rates as huggingface_hub knows results, from which it writes `model-index`; intervals are arguments of the metric.

    Args:
        diagnosis: of the model.
    """
    return [
        EvalResult(
            task_type=_TASKS.get(diagnosis.datasets[dataset].kind, _TASK),
            dataset_type=encodable(dataset),
            dataset_name=encodable(dataset),
            dataset_config=encodable(perturbation),
            metric_type=name,
            metric_value=round(rate.value, 4),
            metric_name=RATE_TITLES[name],
            metric_args={"low": round(rate.low, 4), "high": round(rate.high, 4), "rows": found.rows},
            source_name="modality-interference",
            source_url=_METHOD,
        )
        for dataset, perturbation, found in _conditions(diagnosis)
        for name, rate in found.rates.items()
    ]
