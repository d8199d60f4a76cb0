"""The rates of a diagnosis, from its scored rows: per dataset and perturbation, twins beside their own clean rows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..modality import CLEAN, KINDS
from ..results import RATES, DatasetResult, PerturbationResult, Rate, RateName, Reliability, ScoredRow
from .calibration import SureAnswers, calibration_errors
from .statistics import Array, UnitSums, mean_intervals, share, share_difference


MIXED = "mixed"  # the kind of a dataset whose rows are of several kinds
CLEAN_RATES: tuple[RateName, ...] = (
    "accuracy",
    "accuracy_norm",
    "misled_rate",
    "other_modality_rate",
    "ece",
)  # of twins' clean rows

_UNBOUNDED = ("evidence_margin",)  # columns whose values may be any number


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
        (an index), `removed`, `chance` (NaN where the answer is free), `has_target`, every name of `RATES` but `ece` (NaN where the
        row has no share in it), `confidence`, `unchanged_rate`, `evidence_margin` and
        `abstained` likewise, and `clean_` with the clean row's
        accuracy, accuracy_norm, confidence, abstained, misled_rate and other_modality_rate (NaN for clean rows).
    """
    units: dict[tuple[str, int], int] = {}
    clean = {(row.dataset, row.row): row for row in rows if row.perturbation == CLEAN}
    partners = [None if row.perturbation == CLEAN else clean.get((row.dataset, row.row)) for row in rows]
    shares = [row.shares for row in rows]
    rates: dict[str, Any] = {
        name: _column([found[name] for found in shares]) for name in RATES if name not in ("excess_misled_rate", "ece")
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
        "confidence": _column([row.confidence for row in rows]),
        "unchanged_rate": _column([row.unchanged for row in rows]),
        "evidence_margin": _column([row.evidence_margin for row in rows]),
        "abstained": _column([row.abstained for row in rows]),
        **rates,
        "excess_misled_rate": misled - clean_misled,
        "clean_confidence": _column([partner and partner.confidence for partner in partners]),
        "clean_accuracy": _column([partner and partner.correct for partner in partners]),
        "clean_accuracy_norm": _column([partner and partner.correct_norm for partner in partners]),
        "clean_abstained": _column([partner and partner.abstained for partner in partners]),
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
    names = [name for name in _rate_names(generated) if name != "ece"] + ["clean_accuracy"]
    found = {}
    for condition, lines in _conditions(rate_table(rows)):
        sure = sure_answers(lines, pd.Index(lines.unit.unique()))
        errors = {} if sure is None else {"ece": sure.error}
        found[condition] = lines[names].mean().dropna().to_dict() | errors

    return found


def sure_answers(lines: pd.DataFrame, units: pd.Index, clean: str = "", run: str = "") -> SureAnswers | None:
    """The answers of which confidences are known; None where there are none.

    Args:
        lines: of `rate_table`, or of two such tables side by side.
        units: at least those of the lines.
        clean: `clean_` for the answers to the clean rows.
        run: what names of columns end in, where there are two tables.
    """
    confidences = lines[f"{clean}confidence{run}"].to_numpy()
    known = ~np.isnan(confidences)
    if not known.any():
        return None

    right = lines[f"{clean}accuracy{run}"].to_numpy()
    return SureAnswers(confidences[known], right[known], units.get_indexer(lines.unit[known]), len(units))


def dataset_results(rows: Sequence[ScoredRow], seed: int, generated: bool) -> dict[str, DatasetResult]:
    """The rates of every dataset and perturbation, with their intervals.

    Args:
        rows: unique ones.
        seed: of the bootstrap.
        generated: whether answers were generated, and may have been unparsable.
    """
    table = rate_table(rows)
    conditions = dict(_conditions(table))
    estimates = resampled(conditions, ["causal_effect"], seed)
    datasets: dict[str, dict[str, dict[str, PerturbationResult]]] = defaultdict(lambda: defaultdict(dict))
    for condition, lines in conditions.items():
        columns = {name: name for name in _rate_names(generated)}
        result = result_of(lines, columns, {name: f"clean_{name}" for name in CLEAN_RATES}, estimates[condition])
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


@dataclass(frozen=True)
class Resampled:
    """What is known of a condition by resampling its units.

    Attributes:
        rates: by column.
        reliability: behind the `ece`; None where confidences are not known.
    """

    rates: dict[str, Rate]
    reliability: Reliability | None


def resampled(
    conditions: Mapping[Condition, pd.DataFrame], columns: Sequence[str], seed: int
) -> dict[Condition, Resampled]:
    """Means of columns and, as `ece` and `clean_ece`, calibration errors; those of a dataset are of the same resamples.

    Args:
        conditions: lines of `rate_table`.
        columns: whose means are wanted, where any row has a value.
        seed: of the bootstrap.
    """
    found = {condition: Resampled({}, None) for condition in conditions}
    for dataset in dict.fromkeys(condition.dataset for condition in conditions):
        own = {condition: lines for condition, lines in conditions.items() if condition.dataset == dataset}
        _add_means(found, own, [column for column in columns if column not in _UNBOUNDED], seed, (0.0, 1.0))
        _add_means(found, own, [column for column in columns if column in _UNBOUNDED], seed, None)
        _add_calibration_errors(found, own, seed)

    return found


def _add_means(
    found: dict[Condition, Resampled],
    own: Mapping[Condition, pd.DataFrame],
    columns: Sequence[str],
    seed: int,
    bounds: tuple[float, float] | None,
) -> None:
    parts = {
        (condition, column): lines[lines[column].notna()]
        for condition, lines in own.items()
        for column in columns
        if lines[column].notna().any()
    }
    units = _units(parts.values())
    samples = [
        UnitSums.of(lines[column].to_numpy(), units.get_indexer(lines.unit), len(units))
        for (_, column), lines in parts.items()
    ]
    for (condition, column), (value, low, high) in zip(parts, mean_intervals(samples, seed, bounds)):
        found[condition].rates[column] = Rate(value=value, low=low, high=high)


def _add_calibration_errors(
    found: dict[Condition, Resampled], own: Mapping[Condition, pd.DataFrame], seed: int
) -> None:
    units = _units(own.values())
    samples = {
        (condition, clean): sure
        for condition, lines in own.items()
        for clean in ("", "clean_")
        if (sure := sure_answers(lines, units, clean)) is not None
    }
    for (condition, clean), ((value, low, high), behind) in zip(
        samples, calibration_errors(list(samples.values()), seed)
    ):
        rates = found[condition].rates | {f"{clean}ece": Rate(value=value, low=low, high=high)}
        found[condition] = Resampled(rates, found[condition].reliability if clean else behind)


def _units(parts: Iterable[pd.DataFrame]) -> pd.Index:
    units = [lines.unit for lines in parts]
    return pd.Index(np.unique(np.concatenate(units))) if units else pd.Index([])


def result_of(
    lines: pd.DataFrame, rates: Mapping[RateName, str], clean: Mapping[RateName, str], estimates: Resampled
) -> PerturbationResult:
    """The rates of one condition that apply.

    Args:
        lines: of `rate_table`.
        rates: the column of each rate.
        clean: that of each rate of the clean rows.
        estimates: of those columns that are no shares.
    """
    units = lines.unit.factorize()[0]

    def of(columns: Mapping[RateName, str]) -> dict[RateName, Rate]:
        every = {
            name: estimates.rates.get(column) or _rate(lines, column, units, name) for name, column in columns.items()
        }
        return {name: rate for name, rate in every.items() if rate is not None}

    return PerturbationResult(
        rows=len(lines),
        rates=of(rates),
        clean=of(clean),
        chance=None if lines.chance.isna().any() else lines.chance.mean(),
        reliability=estimates.reliability,
    )


def _rate(lines: pd.DataFrame, column: str, units: Any, name: RateName) -> Rate | None:
    """A rate of shares with its interval; None where no row has a share in it."""
    values = lines[column].to_numpy() if column in lines else np.array([])
    present = ~np.isnan(values)
    if not present.any():
        return None

    estimate = share_difference if name == "excess_misled_rate" else share
    value, low, high = estimate(UnitSums.of(values[present], units[present]))
    return Rate(value=value, low=low, high=high)
