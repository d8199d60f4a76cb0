"""Calibration: whether answers are right as often as the probabilities of the chosen options say.

The expected calibration error (ECE) of Guo et al. (2017, arXiv 1706.04599, eq. 3), with an interval, a test of two runs, and the
error that a calibrated model shows by chance: a mean of absolute values is never below 0, so that with few rows in a bin the ECE is
well above 0 for any model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ..results import Reliability, ReliabilityBin
from .statistics import ROUNDING, TAIL, Array, Interval, UnitSums, chunks, resample, share


BINS = 15  # of equal width, as in arXiv 1706.04599
_EDGES = np.linspace(0, 1, BINS + 1)
_SIMULATIONS = 500  # of a calibrated model's answers
_SIMULATED = 2_000_000  # answers at a time
_TOGETHER = 32  # samples that are resampled at a time: their sums by unit and bin take memory


@dataclass(frozen=True)
class SureAnswers:
    """Answers of which it is known how sure the model was.

    Attributes:
        confidences: (rows,) probabilities of the chosen options.
        right: (rows,) 1 where that option is the right one, else 0.
        units: (rows,) index of each row's unit.
        number: of all units; a unit without rows counts nowhere.
    """

    confidences: Array
    right: Array
    units: NDArray[np.intp]
    number: int

    @cached_property
    def bins(self) -> NDArray[np.intp]:
        """(rows,) the bin of each row: the m-th is for confidences above (m - 1) / 15 and at most m / 15."""
        return np.searchsorted(_EDGES[1:-1], self.confidences)

    def counts(self) -> Array:
        """(units,) rows of each unit."""
        return np.bincount(self.units, minlength=self.number).astype(np.float64)

    def gaps(self) -> Array:
        """(units, bins) sums of `right - confidence`; large, so that nobody keeps them."""
        places = self.units * BINS + self.bins
        sums = np.bincount(places, self.right - self.confidences, self.number * BINS)
        return sums.astype(np.float64).reshape(self.number, BINS)

    @property
    def error(self) -> float:
        """The ECE: the mean over rows of their bin's |accuracy - confidence|."""
        return float(np.abs(np.bincount(self.bins, self.right - self.confidences)).sum() / len(self.confidences))

    def errors_by_chance(self, rng: np.random.Generator) -> Array:
        """(simulations,) the ECEs of a calibrated model that is as sure: its answers are right as often as it says.

        As Bröcker and Smith (2007, doi:10.1175/WAF993.1) do for reliability diagrams. Rows count as independent.
        """
        ordered = np.sort(self.confidences)
        starts = np.unique(np.searchsorted(_EDGES[1:-1], ordered), return_index=True)[1]
        most = max(1, _SIMULATED // len(ordered))
        found = []
        for start in range(0, _SIMULATIONS, most):
            right = rng.random((min(most, _SIMULATIONS - start), len(ordered))) < ordered
            found.append(np.abs(np.add.reduceat(right - ordered, starts, axis=1)).sum(axis=1) / len(ordered))

        return np.concatenate(found)


def _errors(drawn: Array, counts: Array, gaps: Array) -> Array:
    """(resamples,) the ECE of each resample; nan where it holds no row.

    Args:
        drawn: (resamples, units) how often each unit counts.
        counts: of `SureAnswers`.
        gaps: likewise.
    """
    with np.errstate(invalid="ignore"):
        return np.abs(drawn @ gaps).sum(axis=1) / (drawn @ counts)


def calibration_errors(samples: Sequence[SureAnswers], seed: int) -> list[tuple[Interval, Reliability]]:
    """Expected calibration errors with their 95 % intervals, and what is behind them.

    The upper end is the quantile of a bootstrap over units, the lower one as far below the ECE, as resamples overstate it about as
    much as the sample does. Where all answers of a bin are right, or wrong, resamples hardly differ; an ECE is never below
    |accuracy - mean confidence|, so the interval reaches as far as that does within the interval of the accuracy. It is 0 where the ECE is one that a calibrated model shows by chance in 97.5 % of cases. In
    simulations of calibrated and overconfident models with 30, 100 and 500 rows it covers the model's own ECE in 90 % of cases or
    more; percentile intervals, which never reach 0, cover it in none where the model is calibrated.

    Args:
        samples: with the same units.
        seed: of resamples and simulations; one out of a file may be negative.
    """
    found = []
    for start in range(0, len(samples), _TOGETHER):
        part = samples[start : start + _TOGETHER]
        for one, resampled in zip(part, _resampled(part, seed)):
            by_chance = one.errors_by_chance(np.random.default_rng(abs(seed)))
            found.append((_interval(one, resampled, by_chance), _behind(one, float(by_chance.mean()))))

    return found


def _resampled(samples: Sequence[SureAnswers], seed: int) -> list[Array]:
    """The ECEs of each sample in all resamples."""
    units = samples[0].number
    sums = [(one.counts(), one.gaps()) for one in samples]
    rng = np.random.default_rng(abs(seed))
    parts = []
    for number in chunks(units):
        drawn = resample(rng, number, units)
        parts.append([_errors(drawn, *own) for own in sums])

    return [np.concatenate(columns) for columns in zip(*parts)]


def _interval(sample: SureAnswers, resampled: Array, by_chance: Array) -> Interval:
    value, confidence = sample.error, float(sample.confidences.mean())
    accuracy, *ends = share(UnitSums.of(sample.right, sample.units))
    high = float(np.quantile(resampled[np.isfinite(resampled)], 1 - TAIL))
    low = 0.0 if value <= np.quantile(by_chance, 1 - TAIL) else 2 * value - high
    if value - low < ROUNDING:  # resamples do not differ
        nearest = min(max(confidence, ends[0]), ends[1])
        low = value - (abs(accuracy - confidence) - abs(nearest - confidence))

    return value, max(0.0, min(low, value)), max(high, value, *(abs(end - confidence) for end in ends))


def _behind(sample: SureAnswers, by_chance: float) -> Reliability:
    bins = []
    for index in np.unique(sample.bins):
        own = sample.bins == index
        bins.append(
            ReliabilityBin(
                low=_EDGES[index],
                high=_EDGES[index + 1],
                rows=int(own.sum()),
                confidence=float(sample.confidences[own].mean()),
                accuracy=float(sample.right[own].mean()),
            )
        )

    return Reliability(by_chance=by_chance, bins=bins)


def calibration_difference(reference: SureAnswers, other: SureAnswers, seed: int) -> tuple[Interval, float]:
    """The ECE of one run less that of the reference, of the same rows: with its interval, and a p-value.

    The interval reaches as far to either side as the farther of both quantiles of a bootstrap over units: resamples may overstate
    the two ECEs by different amounts. The test is over units, too: without a difference between the runs, the answers of a unit
    may as well be swapped, whole. p is that of a normal distribution with the
    spread of the differences after random swaps. It is never below what all swaps could reach, 2 / 2^m with m units that differ.

    Args:
        reference: of the reference.
        other: of the other run, the same rows.
        seed: of resamples and swaps; one out of a file may be negative.
    """
    units, rows = reference.number, len(reference.confidences)
    counts, before, after = reference.counts(), reference.gaps(), other.gaps()
    ours, theirs, change = before.sum(axis=0), after.sum(axis=0), after - before
    rng = np.random.default_rng(abs(seed))
    resampled, swapped = [], []
    for number in chunks(units):
        drawn = resample(rng, number, units)
        resampled.append(_errors(drawn, counts, after) - _errors(drawn, counts, before))
        moved = rng.integers(2, size=(number, units)) @ change
        swapped.append(np.abs(theirs - moved).sum(axis=1) - np.abs(ours + moved).sum(axis=1))

    value, spread = other.error - reference.error, float(np.concatenate(swapped).std()) / rows
    differing = int((np.abs(change).max(axis=1) > ROUNDING).sum())
    p = 2 * float(ndtr(-abs(value) / spread)) if spread > ROUNDING else 1.0
    low, high = np.quantile(np.concatenate(resampled), [TAIL, 1 - TAIL])
    reach = float(max(value - low, high - value, 0))
    return (value, max(-1.0, value - reach), min(1.0, value + reach)), min(1.0, max(p, 2.0 ** (1 - differing)))
