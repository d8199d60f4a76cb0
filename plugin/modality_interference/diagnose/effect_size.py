"""Cohen's d between two groups of rows, with bootstrap intervals over examples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .metrics import CONFIDENCE, RESAMPLES
from .results import EffectSize


Array = NDArray[np.float64]
_TINY = 1e-12  # a spread below this is rounding
_CHUNK = 200  # resamples at a time


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
            cohens_d(one, other, one.draw(_CHUNK, generator), other.draw(_CHUNK, generator))
            for _ in range(RESAMPLES // _CHUNK)
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
