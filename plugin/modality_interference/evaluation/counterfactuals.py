"""The rates of counterfactual rows: what is left of the answers once the evidence is gone. They are never mixed with those of twins."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from ..modality import is_counterfactual
from ..results import (
    COUNTERFACTUAL_RATES,
    CounterfactualRate,
    CounterfactualResult,
    DatasetResult,
    Estimate,
    Grounding,
    ScoredRow,
    Share,
)
from .statistics import UnitSums, mean_intervals, share


Pairs = list[tuple[ScoredRow, ScoredRow]]  # counterfactual rows with their clean rows


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
    found: dict[tuple[str, str], dict[str, float]] = {}
    for key, pairs in _conditions(rows, gone).items():
        own, clean = _values([row for row, _ in pairs]), _values([row for _, row in pairs])
        found[key] = {name: float(np.mean(values)) for name, (values, _) in own.items()}
        found[key] |= {f"clean_{name}": float(np.mean(values)) for name, (values, _) in clean.items()}

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
    by_dataset: dict[str, dict[str, Pairs]] = defaultdict(dict)
    for (dataset, label), pairs in _conditions(rows, gone).items():
        by_dataset[dataset][label] = pairs

    found = dict(results)
    for dataset, conditions in by_dataset.items():
        twins = [row for row in rows if row.dataset == dataset and row.flipped is not None]
        every = [row for pairs in conditions.values() for row, _ in pairs]
        grounding = Grounding(
            interference=_share([(float(bool(row.flipped)), row) for row in twins]) if twins else None,
            blindness=_share([(float(bool(row.unchanged)), row) for row in every]),
        )
        own = {label: _result(pairs, seed) for label, pairs in conditions.items()}
        found[dataset] = results[dataset].model_copy(update={"counterfactuals": own, "grounding": grounding})

    return found


def _conditions(rows: Sequence[ScoredRow], gone: Sequence[ScoredRow]) -> dict[tuple[str, str], Pairs]:
    """By dataset and label, in their order; a row whose clean row was not scored is left out."""
    clean = {(row.dataset, row.row): row for row in rows if row.flipped is None}
    found: dict[tuple[str, str], Pairs] = defaultdict(list)
    for row in gone:
        if (row.dataset, row.row) in clean:
            found[row.dataset, row.perturbation].append((row, clean[row.dataset, row.row]))

    return dict(sorted(found.items()))


def _values(rows: Sequence[ScoredRow]) -> dict[CounterfactualRate, tuple[list[float], list[ScoredRow]]]:
    """The shares of rows in each rate that applies, and the rows that have one."""
    found: dict[CounterfactualRate, tuple[list[float], list[ScoredRow]]] = {}
    for name in COUNTERFACTUAL_RATES:
        of_rows = [(_value(row, name), row) for row in rows]
        having = [(float(value), row) for value, row in of_rows if value is not None]
        if having:
            found[name] = ([value for value, _ in having], [row for _, row in having])

    return found


def _value(row: ScoredRow, name: CounterfactualRate) -> float | bool | None:
    values: dict[CounterfactualRate, float | bool | None] = {
        "unchanged_rate": row.unchanged,
        "accuracy": row.correct,
        "confidence": row.confidence,
        "abstention_rate": row.abstained,
    }
    return values[name]


def _result(pairs: Pairs, seed: int) -> CounterfactualResult:
    rows, clean = [row for row, _ in pairs], [row for _, row in pairs]
    options = [row.options for row in rows]
    return CounterfactualResult(
        rows=len(rows),
        rates=_estimates(rows, seed),
        clean=_estimates(clean, seed),
        chance=None if None in options else float(np.mean([1 / count for count in options if count])),
    )


def _estimates(rows: Sequence[ScoredRow], seed: int) -> dict[CounterfactualRate, Estimate[Share]]:
    found: dict[CounterfactualRate, Estimate[Share]] = {}
    for name, (values, having) in _values(rows).items():
        if name == "confidence":  # no share of rows, but a mean of probabilities
            value, low, high = mean_intervals([_sums(values, having)], seed)[0]
            found[name] = Estimate[Share](value=value, low=low, high=high)
        else:
            found[name] = _share(list(zip(values, having)))

    return found


def _share(values: list[tuple[float, ScoredRow]]) -> Estimate[Share]:
    value, low, high = share(_sums([number for number, _ in values], [row for _, row in values]))
    return Estimate[Share](value=value, low=low, high=high)


def _sums(values: Sequence[float], rows: Sequence[ScoredRow]) -> UnitSums:
    units: dict[tuple[str, int], int] = {}
    indices = [units.setdefault(row.unit, len(units)) for row in rows]
    return UnitSums.of(np.array(values), np.array(indices, dtype=np.intp))
