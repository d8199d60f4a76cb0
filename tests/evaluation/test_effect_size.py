"""Cohen's d against a hand-computed case, scipy's t test and statistics of the bootstrap."""

import math
import statistics

import numpy as np
import pytest
from scipy.stats import ttest_ind

from modality_interference.evaluation.statistics import Group, effect_sizes


def group(columns, examples=None, centre=0.0):
    values = np.array(columns, dtype=float).T
    names = examples or [("clips", index) for index in range(len(values))]
    return Group.of(values, names, np.full(values.shape[1], centre))


def test_by_hand():
    """Means 4 and 2; variances 4 (of 2, 4, 6) and 2/3 (of 1, 2, 2, 3); pooled (2 * 4 + 3 * 2/3) / 5 = 2."""
    (found,) = effect_sizes(group([[2, 4, 6]]), group([[1, 2, 2, 3]]), seed=0)
    assert found.value == pytest.approx(2 / math.sqrt(2), abs=1e-5)
    assert found.low < found.value < found.high


def test_against_scipy():
    """Student's t = d / sqrt(1 / n1 + 1 / n2) in the t test with pooled variance."""
    draw = np.random.default_rng(0)
    one, other = draw.normal(0.9, 0.01, (3, 40)), draw.normal(0.89, 0.02, (3, 25))
    found = effect_sizes(group(one, centre=0.9), group(other, centre=0.9), seed=0)
    for values, others, size in zip(one, other, found):
        t = ttest_ind(values, others, equal_var=True).statistic
        assert size.value == pytest.approx(t * math.sqrt(1 / 40 + 1 / 25), abs=1e-5)


def test_the_interval_covers_the_truth():
    """95 % intervals of a d of 1 miss it in about 5 of 100 samples."""
    draw = np.random.default_rng(1)
    sizes = effect_sizes(group(draw.normal(1, 1, (100, 60))), group(draw.normal(0, 1, (100, 60))), seed=2)
    missed = sum(not size.low <= 1 <= size.high for size in sizes)
    assert 1 <= missed <= 12


def test_twins_of_an_example_are_drawn_together():
    """Every example five times says nothing new: the interval stays as wide as that of the examples alone."""
    draw = np.random.default_rng(3)
    one, other = draw.normal(1, 1, (1, 30)), draw.normal(0, 1, (1, 30))
    names = [("clips", index) for index in range(30)] * 5
    alone = effect_sizes(group(one), group(other), seed=4)[0]
    twins = effect_sizes(group(np.tile(one, 5), names), group(np.tile(other, 5), names), seed=4)[0]
    assert twins.high - twins.low == pytest.approx(alone.high - alone.low, rel=0.1)
    pooled = statistics.fmean([statistics.pvariance([*one[0]] * 5), statistics.pvariance([*other[0]] * 5)]) * 150 / 149
    assert twins.value == pytest.approx((one.mean() - other.mean()) / math.sqrt(pooled), abs=1e-5)


@pytest.mark.parametrize(("one", "other"), [([0.5], [0.7]), ([0.5, 0.5], [0.5, 0.5]), ([1.0, 1.0], [0.0])])
def test_not_defined_without_spread(one, other):
    (found,) = effect_sizes(group([one]), group([other]), seed=0)
    assert (found.value, found.low, found.high) == (None, None, None)


def test_the_same_seed_draws_the_same():
    draw = np.random.default_rng(5)
    one, other = group(draw.normal(1, 1, (2, 9))), group(draw.normal(0, 1, (2, 8)))
    assert effect_sizes(one, other, seed=1) == effect_sizes(one, other, seed=1) != effect_sizes(one, other, seed=2)
