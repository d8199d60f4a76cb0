"""The rates of counterfactual rows: what is left of the answers once the evidence is gone. They are never mixed with those of twins."""

from collections.abc import Iterable, Sequence

import pandas as pd

from ..modality import is_counterfactual
from ..results import COUNTERFACTUAL_RATES, DatasetResult, Estimate, Grounding, RateName, ScoredRow, Share
from .rates import Condition, rate_table, resampled, result_of, sure_answers
from .statistics import UnitSums, share


_COLUMNS: dict[RateName, str] = {name: name for name in COUNTERFACTUAL_RATES} | {"abstention_rate": "abstained"}
_CLEAN = ("accuracy", "confidence", "ece", "abstention_rate")
_CLEAN_COLUMNS: dict[RateName, str] = {
    name: f"clean_{_COLUMNS[name]}" for name in COUNTERFACTUAL_RATES if name in _CLEAN
}
_MEANS = ("confidence", "clean_confidence", "evidence_margin")  # no shares of rows


def parted(rows: Iterable[ScoredRow]) -> tuple[list[ScoredRow], list[ScoredRow]]:
    """Clean rows and twins, and counterfactual rows."""
    kept: list[ScoredRow] = []
    gone: list[ScoredRow] = []
    for row in rows:
        (gone if is_counterfactual(row.perturbation) else kept).append(row)

    return kept, gone


def counterfactual_means(
    rows: Sequence[ScoredRow], gone: Sequence[ScoredRow]
) -> dict[tuple[str, str], dict[str, float]]:
    """The rates of counterfactual rows by dataset and label, without intervals; `clean_...` are those of their clean rows.

    Args:
        rows: clean rows and twins, each once.
        gone: the counterfactual rows, each once.
    """
    found = {}
    columns: dict[str, str] = dict(_COLUMNS) | {f"clean_{name}": column for name, column in _CLEAN_COLUMNS.items()}
    for condition, lines in _conditions(rows, gone).items():
        units = pd.Index(lines.unit.unique())
        values = {name: lines[column].mean() for name, column in columns.items() if column in lines}
        for clean in ("", "clean_"):
            if (sure := sure_answers(lines, units, clean)) is not None:
                values[f"{clean}ece"] = sure.error

        found[condition.dataset, condition.perturbation] = {
            name: float(value) for name, value in values.items() if not pd.isna(value)
        }

    return found


def with_counterfactuals(
    results: dict[str, DatasetResult], rows: Sequence[ScoredRow], gone: Sequence[ScoredRow], seed: int
) -> dict[str, DatasetResult]:
    """The results of datasets with those of their counterfactual rows.

    Args:
        results: of clean rows and twins.
        rows: these, each once.
        gone: the counterfactual rows, each once.
        seed: of the bootstrap.
    """
    conditions = _conditions(rows, gone)
    estimates = resampled(conditions, _MEANS, seed)
    twins = [row for row in rows if row.flipped is not None]
    found = dict(results)
    for dataset in dict.fromkeys(condition.dataset for condition in conditions):
        own = {condition: lines for condition, lines in conditions.items() if condition.dataset == dataset}
        flips = rate_table([row for row in twins if row.dataset == dataset])
        grounding = Grounding(
            interference=_share(flips, "flip_rate") if len(flips) else None,
            blindness=_share(pd.concat(own.values()), "unchanged_rate"),
        )
        by_label = {
            condition.perturbation: result_of(lines, _COLUMNS, _CLEAN_COLUMNS, estimates[condition])
            for condition, lines in own.items()
        }
        found[dataset] = results[dataset].model_copy(update={"counterfactuals": by_label, "grounding": grounding})

    return found


def _conditions(rows: Sequence[ScoredRow], gone: Sequence[ScoredRow]) -> dict[Condition, pd.DataFrame]:
    """By dataset and label, in their order; a row whose clean row was not scored is left out."""
    if not gone:
        return {}

    clean = {(row.dataset, row.row) for row in rows if row.flipped is None}
    scored = [row for row in gone if (row.dataset, row.row) in clean]
    table = rate_table([*(row for row in rows if row.flipped is None), *scored])
    lines = table[table.flip_rate.notna()]
    return {
        Condition(dataset, "", perturbation): own
        for (dataset, perturbation), own in lines.groupby(["dataset", "perturbation"])
    }


def _share(lines: pd.DataFrame, column: str) -> Estimate[Share]:
    value, low, high = share(UnitSums.of(lines[column].to_numpy(), lines.unit.factorize()[0]))
    return Estimate[Share](value=value, low=low, high=high)
