"""The rates of a diagnosis, from its scored rows: per dataset and perturbation, twins beside their own clean rows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..modality import CLEAN, KINDS
from ..results import RATES, DatasetResult, PerturbationResult, Rate, RateName, ScoredRow
from .statistics import Array, UnitSums, mean_intervals, share, share_difference


MIXED = "mixed"  # the kind of a dataset whose rows are of several kinds
CLEAN_RATES: tuple[RateName, ...] = (
    "accuracy",
    "accuracy_norm",
    "misled_rate",
    "other_modality_rate",
)  # of twins' clean rows


def unique_rows(rows: Iterable[ScoredRow]) -> list[ScoredRow]:
    """Rows in the order of the datasets, each once: ranks repeat rows to even out their batches."""
    found = {row.identity: row for row in rows}
    return [found[identity] for identity in sorted(found, key=lambda key: (key[0], key[1], key[2] != CLEAN, key[2]))]


def rate_table(rows: Sequence[ScoredRow]) -> pd.DataFrame:
    """A line per row with its share in every rate, and that of its clean row.

    Args:
        rows: of whole examples, each once.

    Returns:
        a frame with the columns `dataset`, `row`, `key` (as text: keys need not fit 64 bits), `kind`, `perturbation`, `unit`
        (an index), `removed`, `chance` (NaN where the answer is free), `has_target`, every name of `RATES` (NaN where the row has no
        share in it), and `clean_` with every name of `CLEAN_RATES` (NaN for clean rows).
    """
    units: dict[tuple[str, int], int] = {}
    clean = {(row.dataset, row.row): row for row in rows if row.perturbation == CLEAN}
    partners = [None if row.perturbation == CLEAN else clean.get((row.dataset, row.row)) for row in rows]
    shares = [row.shares for row in rows]
    rates: dict[str, Any] = {
        name: _column([found[name] for found in shares]) for name in RATES if name != "excess_misled_rate"
    }
    misled = _column([row.misled for row in rows])
    clean_misled = _column([partner and _answers_target(partner, row) for row, partner in zip(rows, partners)])
    is_other = ~np.isnan(rates["other_modality_rate"])
    columns: dict[str, Any] = {
        "dataset": [row.dataset for row in rows],
        "row": [row.row for row in rows],
        "key": pd.Series([str(row.key) for row in rows], dtype=object),
        "kind": [row.kind for row in rows],
        "perturbation": [row.perturbation for row in rows],
        "unit": np.array([units.setdefault(row.unit, len(units)) for row in rows], dtype=np.intp),
        "removed": [bool(row.removed) for row in rows],
        "chance": 1 / _column([row.options for row in rows]),
        "has_target": ~np.isnan(misled),
        **rates,
        "excess_misled_rate": misled - clean_misled,
        "clean_accuracy": _column([partner and partner.correct for partner in partners]),
        "clean_accuracy_norm": _column([partner and partner.correct_norm for partner in partners]),
        "clean_misled_rate": np.where(is_other, np.nan, clean_misled),
        "clean_other_modality_rate": np.where(is_other, clean_misled, np.nan),
    }
    return pd.DataFrame(columns)


def _column(values: list[Any]) -> Array:
    return np.array(values, dtype=object).astype(np.float64)  # None becomes nan


def _answers_target(clean: ScoredRow, twin: ScoredRow) -> bool | None:
    """Whether a clean row is answered with its twin's target option; None where the twin has none."""
    if twin.misled is None or twin.target is None:
        return None

    return clean.answer == twin.target if twin.clean_misled is None else twin.clean_misled


def _rate_names(generated: bool) -> list[RateName]:
    return [name for name in RATES if generated or name != "unparsable_rate"]


class Condition(NamedTuple):
    """Rows that a rate is of: those under one perturbation of one dataset, `kind` where only those of one kind are meant."""

    dataset: str
    kind: str
    perturbation: str


def _conditions(table: pd.DataFrame) -> Iterator[tuple[Condition, pd.DataFrame]]:
    """All rows of each dataset and perturbation; then those of each kind, where a dataset has several."""
    for dataset, lines in table.groupby("dataset", sort=False):
        kinds = [lines[lines.kind == kind] for kind in sorted(lines.kind.unique(), key=KINDS.index)]
        for part in [lines, *(kinds if len(kinds) > 1 else [])]:
            kind = "" if part is lines else part.kind.iloc[0]
            for perturbation, members in part.groupby("perturbation"):
                yield Condition(dataset, kind, perturbation), members


def means(rows: Sequence[ScoredRow], generated: bool) -> dict[Condition, dict[str, float]]:
    """The rates of each condition that apply, without intervals; `clean_accuracy` is that of the twins' own clean rows.

    Args:
        rows: unique ones, of whole datasets.
        generated: whether answers were generated, and may have been unparsable.
    """
    names = [*_rate_names(generated), "clean_accuracy"]
    found = {condition: lines[names].mean() for condition, lines in _conditions(rate_table(rows))}
    return {condition: values.dropna().to_dict() for condition, values in found.items()}


def dataset_results(rows: Sequence[ScoredRow], seed: int, generated: bool) -> dict[str, DatasetResult]:
    """The rates of every dataset and perturbation, with their intervals.

    Args:
        rows: unique ones.
        seed: of the bootstrap.
        generated: whether answers were generated, and may have been unparsable.
    """
    table = rate_table(rows)
    conditions = dict(_conditions(table))
    effects = _effects(conditions, seed)
    datasets: dict[str, dict[str, dict[str, PerturbationResult]]] = defaultdict(lambda: defaultdict(dict))
    for condition, lines in conditions.items():
        result = _result(lines, effects.get(condition), _rate_names(generated))
        datasets[condition.dataset][condition.kind][condition.perturbation] = result

    examples = table.groupby("dataset").row.nunique()
    kinds = table.groupby("dataset").kind.unique()
    removed = table.groupby("dataset").removed.all()
    return {
        name: DatasetResult(
            examples=examples[name],
            kind=kinds[name][0] if len(kinds[name]) == 1 else MIXED,
            perturbations=_clean_first(found.pop("")),
            removed=bool(removed[name]),
            kinds={kind: _clean_first(results) for kind, results in found.items()},
        )
        for name, found in datasets.items()
    }


def _clean_first(results: dict[str, PerturbationResult]) -> dict[str, PerturbationResult]:
    return {name: results[name] for name in sorted(results, key=lambda name: (name != CLEAN, name))}


def _result(lines: pd.DataFrame, effect: Rate | None, names: list[RateName]) -> PerturbationResult:
    units = lines.unit.factorize()[0]
    rates = {name: effect if name == "causal_effect" else _rate(lines[name], units, name) for name in names}
    clean = {name: _rate(lines[f"clean_{name}"], units, name) for name in CLEAN_RATES}
    return PerturbationResult(
        rows=len(lines),
        rates={name: rate for name, rate in rates.items() if rate is not None},
        clean={name: rate for name, rate in clean.items() if rate is not None},
        chance=None if lines.chance.isna().any() else lines.chance.mean(),
    )


def _rate(column: pd.Series, units: Any, name: RateName) -> Rate | None:
    """A rate of shares with its interval; None where no row has a share in it."""
    values = column.to_numpy()
    present = ~np.isnan(values)
    if not present.any():
        return None

    estimate = share_difference if name == "excess_misled_rate" else share
    value, low, high = estimate(UnitSums.of(values[present], units[present]))
    return Rate(value=value, low=low, high=high)


def _effects(conditions: dict[Condition, pd.DataFrame], seed: int) -> dict[Condition, Rate]:
    """The mean causal effect of each condition; those of a dataset are of the same resamples."""
    found: dict[Condition, Rate] = {}
    for dataset in dict.fromkeys(condition.dataset for condition in conditions):
        parts = {
            condition: lines[lines.causal_effect.notna()]
            for condition, lines in conditions.items()
            if condition.dataset == dataset and lines.causal_effect.notna().any()
        }
        units = (
            pd.Index(np.unique(np.concatenate([lines.unit for lines in parts.values()]))) if parts else pd.Index([])
        )
        samples = [
            UnitSums.of(lines.causal_effect.to_numpy(), units.get_indexer(lines.unit), len(units))
            for lines in parts.values()
        ]
        intervals = mean_intervals(samples, seed)
        found |= {key: Rate(value=value, low=low, high=high) for key, (value, low, high) in zip(parts, intervals)}

    return found
