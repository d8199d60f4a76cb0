"""The rates of a run's evaluations, out of a Trainer's log."""

import pytest
from helpers.diagnoses import scored
from scipy.stats import binomtest

from modality_interference.evaluation.curves import curves_of


LOG = [
    {"loss": 2.0, "step": 5},
    {"eval_my_set_clean_accuracy": 0.9, "eval_my_set_black_image_accuracy": 0.2, "step": 10},
    {"eval_my_set_black_image_flip_rate": 0.8, "eval_my_set_black_image_causal_effect": 0.7, "step": 10},
    {"eval_my_clean_accuracy": 0.5, "step": 10},
    {"eval_my_set_clean_accuracy": 0.8, "eval_my_set_black_image_accuracy": 0.6, "step": 20},
    {"eval_my_set_clean_accuracy": 1.0, "step": 20},
]
ROWS = [
    *scored("my_set", "clean", [True] * 10),
    *scored("my_set", "black_image", [True] * 10),
    *scored("my", "clean", [True] * 4),
]


def test_points_are_the_logged_values_with_wilson_intervals():
    """Names that hold underscores are told apart; of two evaluations after a step the last counts."""
    found = curves_of(LOG, ROWS)
    values = {
        (dataset, perturbation, rate): [(point.step, point.value) for point in points]
        for dataset, own in found.items()
        for perturbation, rates in own.items()
        for rate, points in rates.items()
    }
    assert values == {
        ("my_set", "clean", "accuracy"): [(10, 0.9), (20, 1.0)],
        ("my_set", "black_image", "accuracy"): [(10, 0.2), (20, 0.6)],
        ("my_set", "black_image", "flip_rate"): [(10, 0.8)],
        ("my", "clean", "accuracy"): [(10, 0.5)],
    }
    for right, point in zip((9, 10), found["my_set"]["clean"]["accuracy"], strict=True):
        expected = binomtest(right, 10).proportion_ci(method="wilson")
        assert (point.low, point.high) == pytest.approx(tuple(expected))


def test_two_questions_about_a_clip_count_as_one():
    rows = scored("my", "clean", [True] * 8, clip=[0, 0, 1, 1, 2, 2, 3, 3])
    (point,) = curves_of(LOG, rows)["my"]["clean"]["accuracy"]
    assert (point.low, point.high) == pytest.approx(tuple(binomtest(2, 4).proportion_ci(method="wilson")))


def test_another_prefix():
    assert curves_of(LOG, ROWS, prefix="test") == {}
    assert curves_of([{"loss": 1.0, "step": 1}], ROWS) == {}
