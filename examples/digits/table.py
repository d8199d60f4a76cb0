"""The demo's table: accuracy and flip rate of every kind of question and perturbation, and answers that stay without evidence."""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.families import HELD_OUT_LABELS  # noqa: E402


KINDS = {"image": "digit in the image", "text": "sum in the text", "both": "digit plus number"}
UNSEEN = (*HELD_OUT_LABELS, "ocr_text")  # held out of training
REMOVED = "counterfactual_"  # begins the labels of rows whose evidence is gone
MODELS = {"base": "base", "plain": "plain tuning", "plugin": "with the plugin"}


def print_table(results: dict[str, dict[str, float]], path: Path) -> None:
    """Print the table, and write it as Markdown.

    Args:
        results: each model's `eval_results.json`.
        path: of the Markdown file.
    """
    lines = [
        "| question | perturbation | " + " | ".join(f"{name}: accuracy (flips)" for name in MODELS.values()) + " |",
        "| --- | --- |" + " ---: |" * len(MODELS),
    ]
    for kind, title in KINDS.items():
        prefix = f"eval_digits_{kind}_test_"
        for perturbation in perturbations(results["base"], prefix):
            name = f"{perturbation} (never trained on)" if perturbation in UNSEEN else perturbation
            cells = [cell(results[model], prefix + perturbation) for model in MODELS]
            lines.append(f"| {title} | {name} | " + " | ".join(cells) + " |")

        for name in removed(results["base"], prefix):
            rates = [results[model][f"{prefix}{REMOVED}{name}_unchanged_rate"] for model in MODELS]
            cells = [f"{100 * rate:.1f} % unchanged" for rate in rates]
            lines.append(f"| {title} | {name} in its place | " + " | ".join(cells) + " |")

    text = "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    print("\n" + text)


def perturbations(metrics: dict[str, float], prefix: str) -> list[str]:
    """Names of the perturbations that were evaluated, `clean` first, the unseen last.

    Every row has every twin here, so what a perturbation's own clean rows score (`..._clean_accuracy`) is `clean` again.
    """
    names = [name[len(prefix) :].removesuffix("_accuracy") for name in metrics if name.startswith(prefix)]
    found = [name for name in dict.fromkeys(names) if f"{prefix}{name}_accuracy" in metrics]
    found = [name for name in found if not name.endswith("_clean") and not name.startswith(REMOVED)]
    return sorted(found, key=lambda name: (name != "clean", name in UNSEEN, name))


def removed(metrics: dict[str, float], prefix: str) -> list[str]:
    """Names of what took the evidence away."""
    begin, end = prefix + REMOVED, "_unchanged_rate"
    return [
        name.removeprefix(begin).removesuffix(end) for name in metrics if name.startswith(begin) and name.endswith(end)
    ]


def cell(metrics: dict[str, float], name: str) -> str:
    """Accuracy in per cent, and the flip rate where there is one."""
    flips = metrics.get(f"{name}_flip_rate")
    return f"{100 * metrics[f'{name}_accuracy']:.1f} %" + ("" if flips is None else f" ({100 * flips:.1f} %)")
