"""Intervals, tests and effect sizes against scipy, statsmodels, hand-computed values, exact enumeration and simulations."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, bootstrap, permutation_test, ttest_ind, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from modality_interference.evaluation.statistics import (
    UnitSums,
    difference_p,
    effect_sizes,
    mean_difference_p,
    mean_intervals,
    share,
    share_difference,
)


SHARES = (0, 0.02, 0.5, 0.98, 1)
SIZES = (10, 50, 500)


def plain(values) -> UnitSums:
    """A row per unit."""
    values = np.asarray(values, dtype=float)
    return UnitSums.of(values, np.arange(len(values)))


def clustered(units) -> UnitSums:
    """A list of values per unit."""
    return UnitSums.of(np.concatenate(units).astype(float), np.repeat(np.arange(len(units)), [len(u) for u in units]))


def holds(interval, truth) -> bool:
    return interval[1] - 1e-9 <= truth <= interval[2] + 1e-9


# shares


@pytest.mark.parametrize(("right", "rows"), [(0, 5), (5, 5), (1, 10), (25, 50), (499, 500), (1, 1)])
def test_a_share_of_independent_rows_has_agresti_and_coulls_interval(right, rows):
    expected = proportion_confint(right, rows, method="agresti_coull")
    value, low, high = share(plain([1] * right + [0] * (rows - right)))
    assert value == right / rows
    assert (low, high) == pytest.approx(np.clip(expected, 0, 1))


def test_all_or_none_of_five_is_no_certainty():
    """By hand: (5 + 1.92) / (5 + 3.84) = 0.783, margin 1.96 * sqrt(0.783 * 0.217 / 8.84) = 0.272."""
    assert share(plain([1] * 5)) == pytest.approx((1, 0.511, 1), abs=0.001)
    assert share(plain([0] * 5)) == pytest.approx((0, 0, 0.489), abs=0.001)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("truth", SHARES)
def test_exact_coverage_of_independent_rows(rows, truth):
    """Summed over every possible count of right answers; Wilson's interval has 92.2 % at 2 % of 50 rows."""
    right = np.arange(rows + 1)
    hit = [holds(share(plain([1] * k + [0] * (rows - k))), truth) for k in right]
    coverage = binom.pmf(right, rows, truth)[hit].sum()
    assert coverage >= 0.93
    if rows * truth * (1 - truth) > 10:
        assert coverage <= 0.97


def test_wilsons_interval_would_not_do():
    low, high = proportion_confint(np.arange(51), 50, method="wilson")
    assert binom.pmf(np.arange(51), 50, 0.02)[(low <= 0.02) & (0.02 <= high)].sum() == pytest.approx(0.9216, abs=1e-4)


@pytest.mark.parametrize("likeness", [0, 0.3, 1])
@pytest.mark.parametrize("size", [2, 4])
def test_simulated_coverage_where_rows_share_units(size, likeness):
    """Units of two or four rows whose answers correlate by `likeness`; n is the number of units, and in pairs of rows, too."""
    rng = np.random.default_rng(0)
    trials = 500
    for units in [*SIZES, *([n // 2 for n in SIZES] if size == 2 else [])]:
        for truth in SHARES:
            if likeness in (0, 1) or truth in (0, 1):
                chance = np.full((trials, units), truth) if likeness < 1 else rng.random((trials, units)) < truth
            else:  # beta-binomial
                spread = (1 - likeness) / likeness
                chance = rng.beta(truth * spread, (1 - truth) * spread, (trials, units))
            right = rng.binomial(size, chance)
            samples = [UnitSums(np.full(units, float(size)), line, line.sum()) for line in right.astype(float)]
            coverage = np.mean([holds(share(sample), truth) for sample in samples])
            error = 2.5 * math.sqrt(0.05 * 0.95 / trials)
            assert coverage >= 0.93 - error, (units, truth)
            if units * truth * (1 - truth) > 10:
                assert coverage <= 0.97 + error, (units, truth)


def test_twice_the_same_rows_say_nothing_new():
    """Each of 200 answers given twice: the interval is that of 200 rows, not of 400."""
    values = (np.random.default_rng(1).random(200) < 0.3).tolist()
    _, low, high = share(plain(values))
    _, low_twice, high_twice = share(clustered([[value, value] for value in values]))
    assert (low_twice, high_twice) == pytest.approx((low, high), abs=0.002)


def test_the_effective_number_of_rows_by_hand():
    """Three units of two rows, 2, 1 and 0 right, are worth three rows.

    The variance of the mean is 3/2 * (1 + 0 + 1) / 36 = 1/12; of six independent rows it would be 0.25 / 6 = 1/24.
    """
    sample = clustered([[1, 1], [1, 0], [0, 0]])
    assert sample.effective_rows() == pytest.approx(3)
    assert clustered([[1, 0], [1, 0], [0, 1]]).effective_rows() == 6  # never more than there are
    assert clustered([[1, 1], [1, 1, 1, 1]]).effective_rows() == pytest.approx(36 / 20)  # a unit counts as one row


def test_one_unit_alone_says_nothing():
    assert share(clustered([[1, 1]])) == pytest.approx((1, 0, 1))


# paired differences


def test_a_paired_difference_by_hand():
    """Bonett and Price (2012): 8 gained and 3 lost of 40: (9 - 4) / 42, variance ((9 + 4) / 42 - 0.119²) / 42; Student's t."""
    changes = [1] * 8 + [-1] * 3 + [0] * 29
    centre, spread = 5 / 42, math.sqrt((13 / 42 - (5 / 42) ** 2) / 42)
    t = 2.0226909  # of 39 degrees of freedom, from a table
    assert share_difference(plain(changes)) == pytest.approx((5 / 40, centre - t * spread, centre + t * spread))


def test_no_difference_is_no_certainty():
    value, low, high = share_difference(plain([0] * 100))
    assert value == 0
    assert low == -high and 0.02 < high < 0.04
    assert share_difference(plain([1])) == (1, -1, 1)


@pytest.mark.parametrize("rows", [10, 50])
@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (0.02, 0), (0.02, 0.02), (0.1, 0.1), (0.3, 0.1), (0.5, 0.5), (0.98, 0)]
)
def test_exact_coverage_of_paired_differences(rows, gained, lost):
    """Summed over all numbers of gained and lost rows."""
    covered = 0.0
    for more in range(rows + 1):
        if (first := binom.pmf(more, rows, gained)) < 1e-6:
            continue
        for less in range(rows - more + 1):
            second = binom.pmf(less, rows - more, lost / (1 - gained)) if gained < 1 else float(less == 0)
            if first * second > 1e-6:
                found = share_difference(plain([1] * more + [-1] * less + [0] * (rows - more - less)))
                covered += first * second * holds(found, gained - lost)

    assert covered >= 0.93


@settings(deadline=None, max_examples=40)  # the first imports parts of scipy
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_of_independent_rows_the_test_is_mcnemars(gained, lost, same):
    changes = [1] * gained + [-1] * lost + [0] * (same + 1)
    expected = mcnemar([[same, gained], [lost, 1]], exact=True).pvalue
    assert difference_p(plain(changes)) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(-1, 1), min_size=1, max_size=4), min_size=1, max_size=9))
def test_where_rows_share_units_the_test_flips_units(units):
    """Against scipy, which goes through all signs."""
    sums = np.array([sum(unit) for unit in units], dtype=float)
    if not sums.any() or len(sums) < 2:
        assert difference_p(clustered(units)) == pytest.approx(1)
        return

    expected = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert difference_p(clustered(units)) == pytest.approx(expected)


def test_a_p_value_of_many_rows():
    changes = np.repeat([1, -1, 0], [30_500, 29_500, 40_000])
    assert difference_p(plain(changes)) == pytest.approx(binomtest(30_500, 60_000).pvalue, rel=1e-6)
    twice = UnitSums.of(np.repeat(changes, 2).astype(float), np.repeat(np.arange(100_000), 2))
    assert difference_p(twice) == pytest.approx(binomtest(30_500, 60_000).pvalue, rel=1e-6)


def test_a_difference_of_means_has_the_p_value_of_a_paired_t_test():
    before, after = np.random.default_rng(2).random((2, 40))
    assert mean_difference_p(plain(after - before)) == pytest.approx(ttest_rel(after, before).pvalue)
    assert mean_difference_p(plain([0.0] * 40)) == 1
    assert mean_difference_p(plain([0.25] * 2)) == 0.5  # two equal differences prove nothing
    assert mean_difference_p(plain([0.25])) == 1


# means


@pytest.mark.parametrize("units", [5, 50, 1001])
def test_means_have_scipys_bca_interval(units):
    values = np.random.default_rng(7).beta(0.3, 2, size=units)  # skewed
    expected = bootstrap((values,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(3))
    (found,) = mean_intervals([plain(values)], seed=3)
    assert found == pytest.approx((values.mean(), *expected.confidence_interval), abs=1e-9)
    assert mean_intervals([plain(values)], seed=-3) == [found]


def test_means_of_rows_that_share_units():
    """Against scipy's bootstrap of the ratio of the units' sums and numbers of rows."""
    rng = np.random.default_rng(8)
    units = [rng.random(size) ** 3 for size in rng.integers(1, 5, 60)]
    sums, counts = np.array([unit.sum() for unit in units]), np.array([len(unit) for unit in units], dtype=float)
    expected = bootstrap(
        (sums, counts), lambda s, c, axis=-1: s.sum(axis) / c.sum(axis), paired=True, n_resamples=2000, method="BCa",
        rng=np.random.default_rng(3),
    )  # fmt: skip
    (found,) = mean_intervals([clustered(units)], seed=3)
    assert found == pytest.approx((sums.sum() / counts.sum(), *expected.confidence_interval), abs=1e-9)


def test_equal_values_do_not_collapse_the_interval_of_a_mean():
    """With none of 10 that differs, at most 30.8 % do (Agresti and Coull: 0.139 + 0.182, both of 13.84), by 0.5 at most."""
    upper = proportion_confint(0, 10, method="agresti_coull")[1]
    assert mean_intervals([plain([0.5] * 10)], seed=0)[0] == pytest.approx((0.5, 0.5 - upper / 2, 0.5 + upper / 2))
    assert mean_intervals([plain([0.0] * 10)], seed=0, bounds=(-1, 1))[0] == pytest.approx((0, -upper, upper))


def test_a_mean_of_few_units_leaves_out_resamples_without_them():
    units = np.arange(2)
    few = UnitSums.of(np.array([0.25, 0.5]), units, 40)
    value, low, high = mean_intervals([few], seed=0)[0]
    assert value == 0.375
    assert 0.25 <= low <= value <= high <= 0.5


# effect sizes


def names(rows, prefix="clip"):
    return [(prefix, row) for row in range(rows)]


def sizes(one, other, units_one=None, units_other=None, seed=0):
    """Values by column, as rows of a list; groups share no unit unless it is said."""
    one, other = np.array(one, dtype=float).T, np.array(other, dtype=float).T
    return effect_sizes(
        one, units_one or names(len(one), "one"), other, units_other or names(len(other), "other"), seed
    )


def test_effect_size_by_hand():
    """Means 4 and 2; variances 4 (of 2, 4, 6) and 2/3 (of 1, 2, 2, 3); pooled (2 * 4 + 3 * 2/3) / 5 = 2."""
    (found,) = sizes([[2, 4, 6]], [[1, 2, 2, 3]])
    assert found.value == pytest.approx(2 / math.sqrt(2), abs=1e-5)
    assert found.low < found.value < found.high


def test_effect_sizes_against_scipys_t_test():
    """Student's t = d / sqrt(1 / n1 + 1 / n2) in the t test with pooled variance."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.9, 0.01, (3, 40)), rng.normal(0.89, 0.02, (3, 25))
    for values, others, size in zip(one, other, sizes(one, other)):
        t = ttest_ind(values, others, equal_var=True).statistic
        assert size.value == pytest.approx(t * math.sqrt(1 / 40 + 1 / 25), abs=1e-5)


def test_the_interval_of_an_effect_size_covers_the_truth():
    """95 % intervals of a d of 1 miss it in about 5 of 100 samples."""
    rng = np.random.default_rng(1)
    found = sizes(rng.normal(1, 1, (100, 60)), rng.normal(0, 1, (100, 60)), seed=2)
    missed = sum(not size.low <= 1 <= size.high for size in found)
    assert 1 <= missed <= 12


def test_rows_of_a_unit_are_drawn_together():
    """Every unit five times says nothing new: the interval stays as wide as that of the units alone."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(1, 1, (1, 30)), rng.normal(0, 1, (1, 30))
    alone = sizes(one, other, seed=4)[0]
    again = sizes(np.tile(one, 5), np.tile(other, 5), names(30, "one") * 5, names(30, "other") * 5, seed=4)[0]
    assert again.high - again.low == pytest.approx(alone.high - alone.low, rel=0.1)
    pooled = statistics.fmean([statistics.pvariance([*one[0]] * 5), statistics.pvariance([*other[0]] * 5)]) * 150 / 149
    assert again.value == pytest.approx((one.mean() - other.mean()) / math.sqrt(pooled), abs=1e-5)


def test_a_unit_of_both_groups_is_drawn_into_both():
    """The two questions about a clip see much of the same: their difference is known better than two groups' would be.

    Of a paired design, var(d) is about 2 (1 - r) / n + d² / (4 n) (Becker, 1988), of two groups of n 2 / n + d² / (4 n).
    """
    rng = np.random.default_rng(5)
    clips = rng.normal(0, 0.95, (40, 200))
    own = rng.normal(0, math.sqrt(1 - 0.95**2), (2, 40, 200))
    one, other = clips + own[0] + 0.2, clips + own[1]
    joint = sizes(one, other, names(200), names(200))
    apart = sizes(one, other)
    width = {
        name: np.mean([size.high - size.low for size in found]) for name, found in (("joint", joint), ("apart", apart))
    }
    assert width["joint"] == pytest.approx(2 * 1.96 * math.sqrt(2 * (1 - 0.95**2) / 200 + 0.04 / 800), rel=0.1)
    assert width["apart"] == pytest.approx(2 * 1.96 * math.sqrt(2 / 200 + 0.04 / 800), rel=0.1)
    assert 35 <= sum(size.low <= 0.2 <= size.high for size in joint) <= 40


@pytest.mark.parametrize(("one", "other"), [([0.5], [0.7]), ([0.5, 0.5], [0.5, 0.5]), ([1.0, 1.0], [0.0])])
def test_no_effect_size_without_spread(one, other):
    (found,) = sizes([one], [other])
    assert (found.value, found.low, found.high) == (None, None, None)


def test_the_same_seed_draws_the_same():
    rng = np.random.default_rng(5)
    one, other = rng.normal(1, 1, (2, 9)), rng.normal(0, 1, (2, 8))
    assert sizes(one, other, seed=1) == sizes(one, other, seed=1) != sizes(one, other, seed=2)
