"""Counterfactual rows in tidy tables, as `table.tidy_table` makes them of clean rows and twins; and both axes of grounding."""

from typing import Any

import pandas as pd

from ..results import Diagnosis, PerturbationResult, Rate, RateName
from .table import COLUMNS, FIGURES


EVIDENCE_TITLES: dict[RateName, str] = {
    "unchanged_rate": "Unchanged",
    "accuracy": "Accuracy without evidence",
    "confidence": "Confidence",
    "ece": "Calibration error",
    "evidence_margin": "Evidence margin",
    "abstention_rate": "Abstention",
}
JUDGED: tuple[RateName, ...] = ("unchanged_rate", "ece", "evidence_margin")  # what two runs are compared by
AXES: tuple[RateName, ...] = ("flip_rate", "unchanged_rate")
ALL_TWINS = "all twins"  # in place of a perturbation
ALL_COUNTERFACTUALS = "all counterfactual rows"


def evidence_table(diagnosis: Diagnosis, run: str) -> pd.DataFrame:
    """The rates of counterfactual rows, a line per dataset, label and rate.

    Args:
        diagnosis: the figures.
        run: its name.
    """
    lines = [
        _line(run, dataset, result.kind, label, found.rows, rate, found.rates[rate]) | _beside(found, rate)
        for dataset, result in diagnosis.datasets.items()
        for label, found in result.counterfactuals.items()
        for rate in EVIDENCE_TITLES
        if rate in found.rates
    ]
    return _table(lines)


def _beside(found: PerturbationResult, rate: RateName) -> dict[str, float | None]:
    """What a rate is compared with: the accuracy with guessing, not with what there was evidence for."""
    clean = found.clean.get(rate) if rate != "accuracy" else None
    return {
        "clean": None if clean is None else clean.value,
        "clean_low": None if clean is None else clean.low,
        "chance": found.chance if rate == "accuracy" else None,
        "by_chance": found.reliability.by_chance if found.reliability and rate == "ece" else None,
    }


def axes_table(diagnosis: Diagnosis, run: str) -> pd.DataFrame:
    """Interference and blindness of the datasets with counterfactual rows: of all twins, and of all counterfactual rows, together.

    Args:
        diagnosis: the figures.
        run: its name.
    """
    lines = []
    for dataset, result in diagnosis.datasets.items():
        if (found := result.grounding) is None:
            continue

        rows = sum(one.rows for one in result.perturbations.values() if "flip_rate" in one.rates)
        if found.interference is not None:
            lines.append(_line(run, dataset, result.kind, ALL_TWINS, rows, "flip_rate", found.interference))

        rows = sum(one.rows for one in result.counterfactuals.values())
        lines.append(_line(run, dataset, result.kind, ALL_COUNTERFACTUALS, rows, "unchanged_rate", found.blindness))

    return _table(lines)


def _line(run: str, dataset: str, kind: str, label: str, rows: int, rate: RateName, figure: Rate) -> dict[str, Any]:
    names = {"run": run, "dataset": dataset, "kind": kind, "prompt": "", "perturbation": label, "condition": label}
    return {**names, "rows": rows, "abstention": False, "removed": False, "rate": rate, **figure.model_dump()}


def _table(lines: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=COLUMNS).astype(dict.fromkeys(FIGURES, float))
