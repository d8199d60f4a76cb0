"""Figures of a diagnosis: rates per dataset and perturbation, with bootstrap intervals over examples."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..modality import CLEAN, KINDS
from .results import RATES, DatasetResult, PerturbationResult, Rate, RateName, ScoredRow


RESAMPLES = 2000
CONFIDENCE = 0.95
MIXED = "mixed"  # the kind of a dataset whose rows are of several kinds
_CHUNK = 5_000_000  # values that the bootstrap holds in memory at a time


def unique_rows(rows: Iterable[ScoredRow]) -> list[ScoredRow]:
    """Rows in the order of the datasets, each once: ranks repeat rows to even out their batches."""
    found = {row.identity: row for row in rows}
    return [found[identity] for identity in sorted(found, key=lambda key: (key[0], key[1], key[2] != CLEAN, key[2]))]


def means(rows: Iterable[ScoredRow], generated: bool) -> dict[tuple[str, str], dict[str, float]]:
    """The rates of each (dataset, perturbation), those that apply; see `summarise`."""
    groups: dict[tuple[str, str], list[ScoredRow]] = defaultdict(list)
    for row in rows:
        groups[row.dataset, row.perturbation].append(row)

    found: dict[tuple[str, str], dict[str, float]] = {}
    for key, members in groups.items():
        values = {name: [row.value(name) for row in members] for name in _names(generated)}
        present = {name: [value for value in column if value is not None] for name, column in values.items()}
        found[key] = {name: float(np.mean(column)) for name, column in present.items() if column}

    return found


def summarise(rows: list[ScoredRow], seed: int, generated: bool) -> dict[str, DatasetResult]:
    """All figures with their intervals.

    Every rate of a dataset is a column of one table with a line per example; the bootstrap (percentile method) resamples
    lines, so that all rates, flips and accuracies alike, are of the same resamples. So are those of a kind alone, where a
    dataset has rows of several.

    Args:
        rows: unique ones.
        seed: of the resampling.
        generated: whether answers were generated, and may have been unparsable.
    """
    datasets: dict[str, list[ScoredRow]] = defaultdict(list)
    for row in rows:
        datasets[row.dataset].append(row)

    return {name: _dataset(members, seed, generated) for name, members in datasets.items()}


def _names(generated: bool) -> list[RateName]:
    return [name for name in RATES if generated or name != "unparsable_rate"]


def _dataset(rows: list[ScoredRow], seed: int, generated: bool) -> DatasetResult:
    kinds = sorted({row.kind for row in rows}, key=KINDS.index)
    groups = {MIXED: rows}
    if len(kinds) > 1:
        groups |= {kind: [row for row in rows if row.kind == kind] for kind in kinds}

    rates = _rates(groups, seed, generated)
    results = {name: _perturbations(members, rates[name]) for name, members in groups.items()}
    return DatasetResult(
        examples=len({row.row for row in rows}),
        kind=kinds[0] if len(kinds) == 1 else MIXED,
        perturbations=results.pop(MIXED),
        kinds=results,
    )


def _rates(
    groups: dict[str, list[ScoredRow]], seed: int, generated: bool
) -> dict[str, dict[str, dict[RateName, Rate]]]:
    """The rates of each group of a dataset's rows, by perturbation."""
    rows = [row for members in groups.values() for row in members]
    examples = {row_index: line for line, row_index in enumerate(sorted({row.row for row in rows}))}
    columns: dict[tuple[str, str, RateName], NDArray[np.float64]] = {}
    for group, members in groups.items():
        for row in members:
            for rate_name in _names(generated):
                value = row.value(rate_name)
                if value is not None:
                    key = (group, row.perturbation, rate_name)
                    columns.setdefault(key, np.full(len(examples), np.nan))[examples[row.row]] = value

    table = np.stack(list(columns.values()))
    rates: dict[str, dict[str, dict[RateName, Rate]]] = {group: defaultdict(dict) for group in groups}
    for (group, perturbation, name), rate in zip(columns, _intervals(table, seed)):
        rates[group][perturbation][name] = rate

    return rates


def _perturbations(rows: list[ScoredRow], rates: dict[str, dict[RateName, Rate]]) -> dict[str, PerturbationResult]:
    counts = Counter(row.perturbation for row in rows)
    return {
        name: PerturbationResult(rows=counts[name], rates=rates[name])
        for name in sorted(counts, key=lambda name: (name != CLEAN, name))
    }


def _intervals(table: NDArray[np.float64], seed: int) -> list[Rate]:
    """The mean of each column and its interval.

    Args:
        table: (columns, examples), nan where an example has no value.
        seed: of the resampling.
    """
    present = ~np.isnan(table)
    filled = np.where(present, table, 0.0)
    values = filled.sum(axis=-1) / present.sum(axis=-1)
    resampled = np.concatenate(list(_resampled_means(filled, present, np.random.default_rng(seed))))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)  # nan: no example with a value was drawn
    return [
        Rate(value=value, low=lower, high=upper)
        for value, lower, upper in zip(values.tolist(), low.tolist(), high.tolist())
    ]


def _resampled_means(
    filled: NDArray[np.float64], present: NDArray[np.bool_], draw: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """(some resamples, columns) at a time. How often each example is drawn does for all columns, as a matrix product."""
    examples = filled.shape[1]
    chunk = max(1, _CHUNK // examples)
    for start in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - start)
        drawn = draw.integers(examples, size=(size, examples)) + np.arange(size)[:, None] * examples
        counts = np.bincount(drawn.ravel(), minlength=size * examples).reshape(size, examples).astype(np.float64)
        with np.errstate(invalid="ignore"):
            yield (counts @ filled.T) / (counts @ present.T)
