"""Rates per dataset and perturbation, effect sizes of attention, and the one bootstrap that gives their intervals."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..modality import CLEAN, KINDS
from ..results import RATES, DatasetResult, Estimate, PerturbationResult, Rate, RateName, ScoredRow


RESAMPLES = 2000
CONFIDENCE = 0.95
MIXED = "mixed"  # the kind of a dataset whose rows are of several kinds
Array = NDArray[np.float64]
_CHUNK_RESAMPLES = 200  # resamples at a time
_CHUNK_VALUES = 5_000_000  # fewer resamples at a time where their counts would be more values than this


# bootstrap


def resample(rng: np.random.Generator, resamples: int, examples: int) -> Array:
    """(resamples, examples) how often each example is drawn, with replacement; the draws of `scipy.stats.bootstrap`."""
    drawn = rng.integers(examples, size=(resamples, examples)) + np.arange(resamples)[:, None] * examples
    counts = np.bincount(drawn.ravel(), minlength=resamples * examples)
    return counts.reshape(resamples, examples).astype(np.float64)


def bootstrap(
    statistic: Callable[..., Array],
    sizes: Sequence[int],
    seed: int,
    draw: Callable[[np.random.Generator, int, int], Array] = resample,
) -> Array:
    """A statistic of one or several samples, with its percentile interval.

    It gives the numbers of `scipy.stats.bootstrap` in a sixth of the time: a statistic that needs only sums over the
    examples takes how often each example was drawn, and all its columns are one matrix product.

    Args:
        statistic: takes the counts of each sample, (resamples, examples), and returns (resamples, columns); nan where it
            is not defined.
        sizes: number of examples of each sample.
        seed: of the resampling; one out of a file may be negative.
        draw: draws the counts of one sample.

    Returns:
        (3, columns): the value, and the lower and upper end of its 95 % interval. Resamples in which the statistic is not
        defined are left out; all three are nan where the value itself, or every resample, is not defined.
    """
    values = statistic(*(np.ones((1, size)) for size in sizes))[0]
    rng = np.random.default_rng(abs(seed))
    chunk = min(_CHUNK_RESAMPLES, max(1, _CHUNK_VALUES // max(sizes)))
    chunks = [min(chunk, RESAMPLES - start) for start in range(0, RESAMPLES, chunk)]
    resampled = np.concatenate([statistic(*(draw(rng, count, size) for size in sizes)) for count in chunks])
    tail = (1 - CONFIDENCE) / 2
    found = np.full((3, len(values)), np.nan)
    for column, value in enumerate(values):
        defined = resampled[np.isfinite(resampled[:, column]), column]
        if np.isfinite(value) and len(defined):
            found[:, column] = value, *np.quantile(defined, [tail, 1 - tail])

    return found


def mean_intervals(table: Array, seed: int) -> Array:
    """(3, columns) the mean of each column with its interval, as `bootstrap` gives them.

    Args:
        table: (columns, examples), nan where an example has no value. All columns are of the same resamples.
        seed: of the resampling.
    """
    present = (~np.isnan(table)).astype(np.float64)
    filled = np.nan_to_num(table)

    def means_of(counts: Array) -> Array:
        with np.errstate(invalid="ignore"):  # a resample may hold no example that has a value
            return (counts @ filled.T) / (counts @ present.T)

    return bootstrap(means_of, [table.shape[1]], seed)


# rates


def unique_rows(rows: Iterable[ScoredRow]) -> list[ScoredRow]:
    """Rows in the order of the datasets, each once: ranks repeat rows to even out their batches."""
    found = {row.identity: row for row in rows}
    return [found[identity] for identity in sorted(found, key=lambda key: (key[0], key[1], key[2] != CLEAN, key[2]))]


def means(rows: Iterable[ScoredRow], generated: bool) -> dict[tuple[str, str], dict[str, float]]:
    """The rates of each (dataset, perturbation), those that apply; see `dataset_results`."""
    groups: dict[tuple[str, str], list[ScoredRow]] = defaultdict(list)
    for row in rows:
        groups[row.dataset, row.perturbation].append(row)

    found: dict[tuple[str, str], dict[str, float]] = {}
    for key, members in groups.items():
        values = {name: [row.value(name) for row in members] for name in _rate_names(generated)}
        present = {name: [value for value in column if value is not None] for name, column in values.items()}
        found[key] = {name: float(np.mean(column)) for name, column in present.items() if column}

    return found


def dataset_results(rows: list[ScoredRow], seed: int, generated: bool) -> dict[str, DatasetResult]:
    """The rates of every dataset and perturbation, with their intervals.

    Every rate of a dataset is a column of one table with a line per example; the bootstrap resamples lines, so that all
    rates, flips and accuracies alike, are of the same resamples. So are those of one kind of rows alone, where a dataset
    has rows of several kinds.

    Args:
        rows: unique ones.
        seed: of the resampling.
        generated: whether answers were generated, and may have been unparsable.
    """
    datasets: dict[str, list[ScoredRow]] = defaultdict(list)
    for row in rows:
        datasets[row.dataset].append(row)

    return {name: _dataset(members, seed, generated) for name, members in datasets.items()}


def _rate_names(generated: bool) -> list[RateName]:
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
        removed=all(row.removed for row in rows),
        kinds=results,
    )


def _rates(
    groups: dict[str, list[ScoredRow]], seed: int, generated: bool
) -> dict[str, dict[str, dict[RateName, Rate]]]:
    """The rates of each group of a dataset's rows, by perturbation."""
    rows = [row for members in groups.values() for row in members]
    examples = {row_index: line for line, row_index in enumerate(sorted({row.row for row in rows}))}
    columns: dict[tuple[str, str, RateName], Array] = {}
    for group, members in groups.items():
        for row in members:
            for rate_name in _rate_names(generated):
                value = row.value(rate_name)
                if value is not None:
                    key = (group, row.perturbation, rate_name)
                    columns.setdefault(key, np.full(len(examples), np.nan))[examples[row.row]] = value

    intervals = mean_intervals(np.stack(list(columns.values())), seed)
    rates: dict[str, dict[str, dict[RateName, Rate]]] = {group: defaultdict(dict) for group in groups}
    for (group, perturbation, name), (value, low, high) in zip(columns, intervals.T.tolist()):
        rates[group][perturbation][name] = Rate(value=value, low=low, high=high)

    return rates


def _perturbations(rows: list[ScoredRow], rates: dict[str, dict[RateName, Rate]]) -> dict[str, PerturbationResult]:
    counts = Counter(row.perturbation for row in rows)
    return {
        name: PerturbationResult(rows=counts[name], rates=rates[name])
        for name in sorted(counts, key=lambda name: (name != CLEAN, name))
    }


# effect sizes


_SMALLEST_SPREAD = 1e-12  # below it is rounding
_DIGITS = 5


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
        indices = {example: index for index, example in enumerate(dict.fromkeys(examples))}
        example_of_row = np.array([indices[example] for example in examples])
        shifted = values.astype(np.float64) - centre
        sums, squares = np.zeros((2, len(indices), values.shape[1]))
        np.add.at(sums, example_of_row, shifted)
        np.add.at(squares, example_of_row, shifted**2)
        return cls(np.bincount(example_of_row).astype(np.float64), sums, squares)

    def moments(self, drawn: Array) -> tuple[Array, Array, Array]:
        """Number of rows (resamples, 1), means and sums of squared deviations (resamples, columns).

        Args:
            drawn: (resamples, examples) how often each example counts.
        """
        number = drawn @ self.counts[:, None]
        sums = drawn @ self.sums
        return number, sums / number, np.maximum(drawn @ self.squares - sums**2 / number, 0)


def cohens_d(one: Group, other: Group, drawn_one: Array, drawn_other: Array) -> Array:
    """(resamples, columns) difference of the means in pooled standard deviations; nan where these are 0 or unknown.

    The pooled variance is that of the two-sample t test: ((n1 - 1) s1² + (n2 - 1) s2²) / (n1 + n2 - 2) (Cohen, 1988).
    """
    number_one, mean_one, deviation_one = one.moments(drawn_one)
    number_other, mean_other, deviation_other = other.moments(drawn_other)
    freedom = number_one + number_other - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt((deviation_one + deviation_other) / np.where(freedom > 0, freedom, np.nan))
        return np.where(spread > _SMALLEST_SPREAD, (mean_one - mean_other) / spread, np.nan)


def effect_sizes(one: Group, other: Group, seed: int) -> list[Estimate[float | None]]:
    """Cohen's d of every column; examples are resampled within each group. None where it is not defined.

    Args:
        one: the rows whose mean is expected to be larger.
        other: the rows to compare with, centred alike.
        seed: of the resampling.
    """

    def multinomial(rng: np.random.Generator, resamples: int, examples: int) -> Array:
        """The distribution of `resample` from other random numbers: those of all intervals of d published so far."""
        return rng.multinomial(examples, np.full(examples, 1 / examples), size=resamples).astype(np.float64)

    def statistic(*drawn: Array) -> Array:
        return cohens_d(one, other, *drawn)

    found = bootstrap(statistic, [len(one.counts), len(other.counts)], seed, multinomial)
    columns = [
        [round(number, _DIGITS) if np.isfinite(number) else None for number in column] for column in found.T.tolist()
    ]
    return [Estimate(value=value, low=low, high=high) for value, low, high in columns]
