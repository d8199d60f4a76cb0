"""Calibration errors against scikit-learn's bins, closed forms and the level of their intervals."""

from itertools import product

import numpy as np
import pytest
from helpers.diagnoses import scored
from scipy.stats import binom
from sklearn.calibration import calibration_curve
from statsmodels.stats.proportion import proportion_confint

from modality_interference.evaluation.calibration import SureAnswers, calibration_difference, calibration_errors
from modality_interference.evaluation.metrics import named_metrics
from modality_interference.evaluation.rates import dataset_results
from modality_interference.report.differences import differences, pair


def sure(confidences, right, units=None) -> SureAnswers:
    units = np.arange(len(confidences)) if units is None else np.asarray(units)
    return SureAnswers(np.asarray(confidences), np.asarray(right, dtype=float), units, int(units.max()) + 1)


def drawn(rng, rows: int, overconfidence: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    confidences = 0.25 + 0.75 * rng.beta(5, 2, rows)
    return confidences, rng.random(rows) < confidences - overconfidence


def test_error_is_that_of_bins_by_scikit_learn():
    confidences, right = drawn(np.random.default_rng(0), 400)
    confidences[:3] = [1.0, 1 / 15, 4 / 15]  # edges belong to the bin below
    accuracy, confidence = calibration_curve(right, confidences, n_bins=15)
    rows = np.histogram(confidences, np.nextafter(np.linspace(0, 1, 16), 2))[0]
    rows = rows[rows > 0]
    ((value, low, high), behind) = calibration_errors([sure(confidences, right)], 0)[0]
    assert value == pytest.approx((rows * np.abs(accuracy - confidence)).sum() / 400)
    assert 0 < low < value < high < 1
    assert [one.rows for one in behind.bins] == rows.tolist()
    assert [one.accuracy for one in behind.bins] == pytest.approx(accuracy)
    assert [one.confidence for one in behind.bins] == pytest.approx(confidence)


def test_error_by_chance_is_the_mean_deviation_of_binomials():
    """With one confidence in a bin, the number of right answers is binomial."""
    confidences = np.repeat([0.4, 0.9], [30, 70])
    expected = sum(binom(n, p).expect(lambda k, n=n, p=p: abs(k - n * p)) for n, p in ((30, 0.4), (70, 0.9))) / 100
    ((_, low, _), behind) = calibration_errors(
        [sure(confidences, np.repeat([0.0, 1.0, 0.0, 1.0], [18, 12, 7, 63]))], 0
    )[0]
    assert behind.by_chance == pytest.approx(expected, rel=0.05)
    assert low == 0  # it is calibrated


@pytest.mark.parametrize("overconfidence", [0.0, 0.15])
def test_intervals_hold_what_the_model_has(overconfidence):
    rng = np.random.default_rng(1)
    samples = [sure(*drawn(rng, 80, overconfidence)) for _ in range(100)]
    intervals = [interval for interval, _ in calibration_errors(samples, 0)]
    held = np.mean([low <= overconfidence <= high for _, low, high in intervals])
    assert held >= 0.91
    assert np.mean([value for value, _, _ in intervals]) > overconfidence + 0.015  # the bias that the docs speak of


def test_rows_of_one_unit_count_as_one():
    confidences, right = drawn(np.random.default_rng(2), 100)
    (value, low, high), _ = calibration_errors([sure(confidences, right)], 0)[0]
    units = np.repeat(np.arange(100), 3)
    (again, low_again, high_again), _ = calibration_errors([sure(confidences[units], right[units], units)], 0)[0]
    assert again == pytest.approx(value)
    assert (high_again, 2 * again - high_again) == pytest.approx((high, 2 * value - high))


def test_difference_is_tested_by_all_swaps():
    rng = np.random.default_rng(3)
    confidences = rng.uniform(0.3, 1, 14)
    ours, theirs = sure(confidences, confidences > 0.4), sure(confidences[::-1], rng.random(14) < 0.35)

    def error(gaps):
        return np.abs(gaps.sum(axis=0)).sum() / 14

    before, after = ours.gaps(), theirs.gaps()
    found = abs(error(after) - error(before))
    swaps = [np.array(swap)[:, None] for swap in product([0, 1], repeat=14)]
    change = after - before
    exact = np.mean(
        [abs(error(after - swap * change) - error(before + swap * change)) >= found - 1e-12 for swap in swaps]
    )
    (value, low, high), p = calibration_difference(ours, theirs, 0)
    assert value == pytest.approx(error(after) - error(before)) and low < value < high
    assert p == pytest.approx(exact, rel=0.5)
    assert calibration_difference(ours, ours, 0) == ((0, 0, 0), 1)


def test_two_units_that_differ_are_no_proof():
    ours, theirs = sure([0.9, 0.9, 0.5], [1, 1, 1]), sure([0.9, 0.9, 0.5], [0, 0, 1])
    assert calibration_difference(ours, theirs, 0)[1] >= 0.5


def test_every_condition_has_it_where_options_are_scored_by_likelihood():
    sureness = {"confidence": [0.9, 0.8, 0.7, 0.6]}
    clean = scored(correct=[True, True, False, False], **sureness)
    twins = scored(perturbation="black_image", correct=[False] * 4, flipped=[True] * 4, **sureness)
    metrics = named_metrics([*clean, *twins], "eval", generated=False)
    assert metrics["eval_pictures_clean_ece"] == pytest.approx((0.1 + 0.2 + 0.7 + 0.6) / 4)
    assert metrics["eval_pictures_black_image_ece"] == pytest.approx(0.75)
    found = dataset_results([*clean, *twins], 0, generated=False)["pictures"].perturbations
    assert found["black_image"].rates["ece"].value == pytest.approx(0.75)
    assert found["black_image"].clean["ece"].value == pytest.approx(0.4) == found["clean"].rates["ece"].value
    assert found["clean"].reliability.bins[0].rows == 1

    written = scored(correct=[True] * 4)
    assert "eval_pictures_clean_ece" not in named_metrics(written, "eval", generated=True)
    result = dataset_results(written, 0, generated=True)["pictures"].perturbations["clean"]
    assert "ece" not in result.rates and result.reliability is None


def test_runs_are_compared_on_the_rows_whose_confidences_both_have():
    rng = np.random.default_rng(4)
    confidences, right = drawn(rng, 60, 0.0)
    base = scored(correct=right.tolist(), confidence=[*confidences[:50], *[None] * 10])
    other = scored(correct=(rng.random(60) < 0.3).tolist(), confidence=confidences.tolist())
    difference = differences(pair(base, other), ["ece"], 0)["ece"]
    errors = [
        sure([row.confidence for row in rows[:50]], [row.correct for row in rows[:50]]).error for rows in (base, other)
    ]
    assert difference.examples == 50
    assert difference.value == pytest.approx(errors[1] - errors[0])
    assert difference.low > 0 and difference.p < 0.01
    assert differences(pair(scored(correct=[True]), scored(correct=[True])), ["ece"], 0) == {}


@pytest.mark.parametrize(
    ("rows", "confidence", "share"), [(30, 0.99, 0.95), (100, 0.999, 0.98), (30, 0.97, 0.9), (100, 0.8, 0.8)]
)
def test_intervals_of_models_that_are_equally_sure_of_all(rows, confidence, share):
    """Where most samples are right in all rows, and resamples do not differ."""
    rng = np.random.default_rng(3)
    samples = [sure(np.full(rows, confidence), rng.random(rows) < share) for _ in range(100)]
    intervals = [interval for interval, _ in calibration_errors(samples, 0)]
    held = np.mean(
        [
            low <= abs(confidence - share) + 1e-9 and high >= abs(confidence - share) - 1e-9
            for _, low, high in intervals
        ]
    )
    assert held >= 0.93


def test_few_answers_that_are_all_wrong_or_all_right_leave_much_open():
    """The interval of the accuracy is Agresti and Coull's."""
    for right in (0.0, 1.0):
        (value, low, high), _ = calibration_errors([sure([1.0] * 5, [right] * 5)], 0)[0]
        least, most = proportion_confint(5 * right, 5, method="agresti_coull")
        assert (value, low, high) == pytest.approx(
            (1 - right, max(0, 1 - min(1, most)) if right == 0 else 0, 1 - max(0, least))
        )
