"""Metrics of an evaluation: their names, LLaMA-Factory's own, and what a line of the log says of them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from transformers import EvalPrediction

from ..batching.answer_logits import Answers
from ..batching.batch import TwinBatch
from ..modality import CLEAN, IGNORE_LABEL, is_counterfactual
from ..results import ScoredRow
from .counterfactuals import counterfactual_means, parted
from .rates import means


Predicted: TypeAlias = tuple[tuple[str, int], list[int], list[int]]  # of an example: greedy tokens and labels


def metric_stem(prefix: str, dataset: str, perturbation: str, kind: str = "") -> str:
    """The name of a dataset's and perturbation's metrics, without `_accuracy` and the like.

    Args:
        prefix: the Trainer's; it already ends in the dataset's name where each dataset is evaluated by itself.
        dataset: its name.
        perturbation: its label.
        kind: of the only rows that are meant, where the dataset has several kinds.
    """
    stem = prefix if prefix.endswith(f"_{dataset}") else f"{prefix}_{dataset}"
    return "_".join(filter(None, [stem, kind, perturbation]))


def rates_in_words(metrics: Mapping[str, float], names: list[tuple[str, str]], prefix: str) -> str:
    """An evaluation in one line: of every dataset the clean accuracy and the lowest under a perturbation.

    Where other rows than all have that perturbation, it says what these have when they are clean. Of counterfactual rows it says how
    many answers stay, where the most do.

    Args:
        metrics: as `named_metrics` names them.
        names: (dataset, perturbation) of all that was scored.
        prefix: the Trainer's.
    """
    found: dict[str, dict[str, float]] = {}
    stay: dict[str, dict[str, float]] = {}
    for dataset, perturbation in names:
        if is_counterfactual(perturbation):
            unchanged = metrics.get(f"{metric_stem(prefix, dataset, perturbation)}_unchanged_rate")
            stay.setdefault(dataset, {}).update({} if unchanged is None else {perturbation: unchanged})
            continue

        accuracy = metrics.get(f"{metric_stem(prefix, dataset, perturbation)}_accuracy")
        if accuracy is not None:
            found.setdefault(dataset, {})[perturbation] = accuracy

    parts = []
    for dataset, accuracies in found.items():
        clean = accuracies.pop(CLEAN, None)
        parts.append(f"{dataset}:" if clean is None else f"{dataset}: clean {100 * clean:.1f} %")
        if accuracies:
            worst = min(accuracies, key=lambda name: accuracies[name])
            stem = metric_stem(prefix, dataset, worst)
            own, flips = metrics.get(f"{stem}_clean_accuracy"), metrics.get(f"{stem}_flip_rate")
            details = [f"of its rows clean {100 * own:.1f} %"] if own is not None and own != clean else []
            details += [] if flips is None else [f"flips {100 * flips:.1f} %"]
            parts[-1] += f", worst {worst} {100 * accuracies[worst]:.1f} %" + (
                f" ({', '.join(details)})" if details else ""
            )

        if own_stay := stay.get(dataset):
            blindest = max(own_stay, key=lambda name: own_stay[name])
            parts[-1] += f", {100 * own_stay[blindest]:.1f} % of answers stay under {blindest}"

    return "; ".join(parts)


def clean_predictions(batch: TwinBatch, answers: Answers) -> list[Predicted]:
    """The greedy tokens and the labels of every clean row.

    Args:
        batch: with its questions.
        answers: of its rows.
    """
    greedy = answers.logits.argmax(dim=-1)
    found: list[Predicted] = []
    for question in batch.questions or []:
        own = answers.row == question.batch_row
        if question.batch_row == question.clean and own.any():
            example = (question.dataset, question.row)
            found.append((example, greedy[own].tolist(), answers.targets[own].tolist()))

    return found


def stock_metrics(compute: Callable[[EvalPrediction], Any], predicted: list[Predicted]) -> dict[str, float]:
    """What LLaMA-Factory's own metric (`compute_accuracy`) makes of clean rows.

    Args:
        compute: the metric, of predictions (rows, tokens) that are compared with the labels one place further on.
        predicted: of every rank; several may have the same row.
    """
    # "": tokenized without the plugin
    by_example = {example if example[0] else index: row for index, (example, *row) in enumerate(predicted)}
    rows = list(by_example.values())
    width = 1 + max((len(right) for _, right in rows), default=0)
    predictions, labels = np.zeros((len(rows), width), dtype=int), np.full((len(rows), width), IGNORE_LABEL)
    for index, (greedy, right) in enumerate(rows):
        predictions[index, : len(greedy)], labels[index, 1 : len(right) + 1] = greedy, right

    return compute(EvalPrediction(predictions, labels)) if rows else {}


def named_metrics(rows: list[ScoredRow], prefix: str, generated: bool) -> dict[str, float]:
    """`<prefix>_<dataset>_<perturbation>_<rate>`, of `results.RATES` those that apply, and the twins' `_clean_accuracy`.

    Of counterfactual rows, which have labels of their own, those of `results.COUNTERFACTUAL_RATES`, and the same of their clean rows.

    Of a dataset whose rows are of several kinds, such as clips, also `<prefix>_<dataset>_<kind>_<perturbation>_<rate>`.
    """
    kept, gone = parted(rows)
    found = {
        f"{metric_stem(prefix, condition.dataset, condition.perturbation, condition.kind)}_{name}": value
        for condition, rates in means(kept, generated).items()
        for name, value in rates.items()
    }
    return found | {
        f"{metric_stem(prefix, dataset, label)}_{name}": value
        for (dataset, label), rates in counterfactual_means(kept, gone).items()
        for name, value in rates.items()
    }
