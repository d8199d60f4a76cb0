"""Whether answers go when their evidence goes: the table of counterfactual rows, and sentences about both axes."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..results import Diagnosis, PerturbationResult, RateName
from .text import ends, percent


TITLES: dict[str, str] = {
    "unchanged_rate": "Unchanged",
    "accuracy": "Accuracy",
    "clean_accuracy": "Clean accuracy",
    "confidence": "Confidence",
    "ece": "Calibration error",
    "evidence_margin": "Evidence margin",
    "abstention_rate": "Abstention",
}


@dataclass(frozen=True)
class Figure:
    """A rate as a page shows it.

    Attributes:
        value: of the rate.
        low: lower end of its 95 % interval.
        high: upper end.
        clean: the same rate of the same rows when clean; None where it has a column of its own.
        chance: the accuracy of guessing, of accuracies alone.
        by_chance: the calibration error of a calibrated model, of calibration errors alone.
    """

    value: float
    low: float
    high: float
    clean: float | None = None
    chance: float | None = None
    by_chance: float | None = None


@dataclass(frozen=True)
class WithoutEvidence:
    """A line of the table: a dataset's rows under one counterfactual perturbation.

    Attributes:
        dataset: its name.
        perturbation: its label.
        rows: how many were scored.
        figures: by a name of `TITLES`, those that there are.
    """

    dataset: str
    perturbation: str
    rows: int
    figures: dict[str, Figure]


def without_evidence(diagnosis: Diagnosis) -> list[WithoutEvidence]:
    """The lines of the table; none without counterfactual rows."""
    return [
        WithoutEvidence(dataset, label, found.rows, _figures(found))
        for dataset, result in diagnosis.datasets.items()
        for label, found in result.counterfactuals.items()
    ]


def grounding_sentences(diagnosis: Diagnosis) -> Iterator[str]:
    """Both axes of each dataset in words."""
    for dataset, result in diagnosis.datasets.items():
        if (found := result.grounding) is None:
            continue

        gone, kept = found.blindness, found.interference
        text = (
            f"{dataset}: {percent(gone.value)} {ends(gone.low, gone.high, 'unchanged_rate')} of answers stay although their "
            "evidence is gone"
        )
        yield text + (
            "."
            if kept is None
            else f"; {percent(kept.value)} {ends(kept.low, kept.high, 'flip_rate')} change although it is there."
        )


def _figures(result: PerturbationResult) -> dict[str, Figure]:
    found = {}
    for name, rate in result.rates.items():
        clean = None if name == "accuracy" else _clean(result, name)
        chance = result.chance if name == "accuracy" else None
        by_chance = result.reliability.by_chance if result.reliability and name == "ece" else None
        found[str(name)] = Figure(rate.value, rate.low, rate.high, clean, chance, by_chance)

    if (accuracy := result.clean.get("accuracy")) is not None:
        found["clean_accuracy"] = Figure(accuracy.value, accuracy.low, accuracy.high)

    return found


def _clean(result: PerturbationResult, name: RateName) -> float | None:
    rate = result.clean.get(name)
    return None if rate is None else rate.value
