"""Figures of a diagnosis: rates per dataset and perturbation, effect sizes, and their bootstrap intervals over examples."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..modality import CLEAN, KINDS
from ..results import RATES, DatasetResult, EffectSize, PerturbationResult, Rate, RateName, ScoredRow


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


Array = NDArray[np.float64]
_TINY = 1e-12  # a spread below this is rounding
_CHUNK_OF_EFFECTS = 200  # resamples at a time


@dataclass(frozen=True)
class Group:
    """Rows to compare, added up by example: the twins of an example are not independent of each other.

    Attributes:
        counts: (examples,) rows of each example.
        sums: (examples, columns) of their values.
        squares: (examples, columns) of their squares.
    """

    counts: Array
    sums: Array
    squares: Array

    @classmethod
    def of(cls, values: Array, examples: list[tuple[str, int]], centre: Array) -> "Group":
        """Add rows up.

        Args:
            values: (rows, columns).
            examples: the example of each row.
            centre: (columns,) taken off the values, so that squares of small spreads are not lost in rounding.
        """
        places = {example: place for place, example in enumerate(dict.fromkeys(examples))}
        which = np.array([places[example] for example in examples])
        shifted = values.astype(np.float64) - centre
        found = [np.zeros((len(places), values.shape[1])) for _ in range(2)]
        np.add.at(found[0], which, shifted)
        np.add.at(found[1], which, shifted**2)
        return cls(np.bincount(which).astype(np.float64), *found)

    def moments(self, drawn: Array) -> tuple[Array, Array, Array]:
        """Number of rows (resamples, 1), means and sums of squared deviations (resamples, columns).

        Args:
            drawn: (resamples, examples) how often each example counts.
        """
        number = drawn @ self.counts[:, None]
        sums = drawn @ self.sums
        return number, sums / number, np.maximum(drawn @ self.squares - sums**2 / number, 0)

    def draw(self, resamples: int, generator: np.random.Generator) -> Array:
        """(resamples, examples) bootstrap counts."""
        examples = len(self.counts)
        return generator.multinomial(examples, np.full(examples, 1 / examples), size=resamples).astype(np.float64)


def cohens_d(one: Group, other: Group, drawn_one: Array, drawn_other: Array) -> Array:
    """(resamples, columns) difference of the means in pooled standard deviations; nan where these are 0 or unknown.

    The pooled variance is that of the two-sample t test: ((n1 - 1) s1² + (n2 - 1) s2²) / (n1 + n2 - 2) (Cohen, 1988).
    """
    (number, mean, deviation), (others, other_mean, other_deviation) = (
        one.moments(drawn_one),
        other.moments(drawn_other),
    )
    freedom = number + others - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt((deviation + other_deviation) / np.where(freedom > 0, freedom, np.nan))
        return np.where(spread > _TINY, (mean - other_mean) / spread, np.nan)


def effect_sizes(one: Group, other: Group, seed: int) -> list[EffectSize]:
    """Cohen's d of every column, with percentile intervals; examples are resampled within each group.

    Args:
        one: the rows whose mean is expected to be larger.
        other: the rows to compare with, centred alike.
        seed: of the resampling.
    """
    found = cohens_d(one, other, np.ones((1, len(one.counts))), np.ones((1, len(other.counts))))[0]
    generator = np.random.default_rng(seed)
    resampled = np.concatenate(
        [
            cohens_d(one, other, one.draw(_CHUNK_OF_EFFECTS, generator), other.draw(_CHUNK_OF_EFFECTS, generator))
            for _ in range(RESAMPLES // _CHUNK_OF_EFFECTS)
        ]
    )
    return [_with_interval(value, column) for value, column in zip(found.tolist(), resampled.T)]


def _with_interval(value: float, resampled: Array) -> EffectSize:
    finite = resampled[np.isfinite(resampled)]  # a resample may draw one example only
    if not np.isfinite(value) or not len(finite):
        return EffectSize(value=None, low=None, high=None)

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(finite, [tail, 1 - tail]).tolist()
    return EffectSize(value=round(value, 5), low=round(low, 5), high=round(high, 5))
