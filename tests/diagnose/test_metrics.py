"""Rates and intervals against hand-computed values, scipy's bootstrap and a simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from modality_interference.diagnose.metrics import means, summarise, unique_rows
from modality_interference.diagnose.results import ScoredRow


def scored(row: int, perturbation: str = "clean", correct: bool = True, dataset: str = "pets", **values) -> ScoredRow:
    about = {"kind": "image", "key": row, "answer": "x", **values}
    return ScoredRow(dataset=dataset, row=row, perturbation=perturbation, correct=correct, **about)


def four_examples() -> list[ScoredRow]:
    """Four examples; the third has no twin, the fourth's twin plants nothing."""
    return [
        scored(0), scored(1), scored(2, correct=False), scored(3),
        scored(0, "misleading_text", False, flipped=True, causal_effect=1.0, misled=True),
        scored(1, "misleading_text", True, flipped=False, causal_effect=0.25, misled=False),
        scored(3, "misleading_text", False, flipped=True, causal_effect=0.4),
    ]  # fmt: skip


def test_rates_by_hand():
    found = means(four_examples(), generated=False)
    assert found["pets", "clean"] == {"accuracy": 0.75}
    assert found["pets", "misleading_text"] == pytest.approx(
        {"accuracy": 1 / 3, "flip_rate": 2 / 3, "causal_effect": 0.55, "misled_rate": 0.5}
    )


def test_unparsable_answers_are_counted_where_answers_are_generated():
    rows = [scored(0), scored(1, correct=False, answer=None), scored(2), scored(3)]
    assert means(rows, generated=True)["pets", "clean"] == {"accuracy": 0.75, "unparsable_rate": 0.25}
    assert means([scored(0, correct=False, answer=None)] * 3, generated=True)["pets", "clean"]["unparsable_rate"] == 1
    assert "unparsable_rate" not in means(rows, generated=False)["pets", "clean"]


def test_a_repeated_row_counts_once():
    rows = four_examples()
    assert unique_rows([*rows, rows[4], rows[0]]) == unique_rows(rows[::-1])
    assert len(unique_rows(rows * 3)) == len(rows)


def test_summary_holds_the_same_rates_and_the_counts():
    summary = summarise(four_examples(), seed=0, generated=False)["pets"]
    assert (summary.examples, summary.kind, list(summary.perturbations)) == (4, "image", ["clean", "misleading_text"])
    twins = summary.perturbations["misleading_text"]
    assert twins.rows == 3
    assert {name: rate.value for name, rate in twins.rates.items()} == pytest.approx(
        means(four_examples(), generated=False)["pets", "misleading_text"]
    )
    assert all(rate.low <= rate.value <= rate.high for rate in twins.rates.values())


def test_kinds_of_a_mixed_dataset():
    rows = [scored(0), scored(1, kind="text")]
    assert summarise(rows, seed=0, generated=False)["pets"].kind == "mixed"


def test_one_example_has_no_spread():
    rate = summarise([scored(0)], seed=0, generated=False)["pets"].perturbations["clean"].rates["accuracy"]
    assert (rate.value, rate.low, rate.high) == (1, 1, 1)


def test_intervals_agree_with_scipy():
    draw = np.random.default_rng(1)
    values = draw.random(300) < 0.3
    effects = draw.random(300)
    rows = [scored(row, correct=bool(value)) for row, value in enumerate(values)]
    rows += [
        scored(row, "ocr_text", bool(value), flipped=True, causal_effect=effect)
        for row, (value, effect) in enumerate(zip(values, effects))
    ]
    found = summarise(rows, seed=0, generated=False)["pets"].perturbations
    for column, rate in (
        (values.astype(float), found["clean"].rates["accuracy"]),
        (effects, found["ocr_text"].rates["causal_effect"]),
    ):
        expected = bootstrap((column,), np.mean, method="percentile", n_resamples=9999, rng=5).confidence_interval
        assert rate.low == pytest.approx(expected.low, abs=0.012)
        assert rate.high == pytest.approx(expected.high, abs=0.012)

    flips = found["ocr_text"].rates["flip_rate"]
    assert (flips.low, flips.high) == (1, 1)


def test_all_rates_are_of_the_same_resamples():
    """Accuracy and flip rate of complementary columns: their intervals mirror each other exactly."""
    values = np.random.default_rng(2).random(80) < 0.4
    rows = [scored(row) for row in range(80)]
    rows += [scored(row, "ocr_text", not value, flipped=bool(value)) for row, value in enumerate(values)]
    rates = summarise(rows, seed=3, generated=False)["pets"].perturbations["ocr_text"].rates
    assert rates["flip_rate"].low == pytest.approx(1 - rates["accuracy"].high)
    assert rates["flip_rate"].high == pytest.approx(1 - rates["accuracy"].low)


def test_coverage_of_a_simulated_rate():
    """Of 200 simulated experiments with a known rate, about 95 % of the intervals hold it."""
    draw = np.random.default_rng(4)
    hits = 0
    for seed in range(200):
        rows = [scored(row, correct=bool(value)) for row, value in enumerate(draw.random(150) < 0.7)]
        rate = summarise(rows, seed=seed, generated=False)["pets"].perturbations["clean"].rates["accuracy"]
        hits += rate.low <= 0.7 <= rate.high

    assert 0.89 <= hits / 200 <= 0.99


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_intervals_hold_the_rates_and_stay_between_0_and_1(examples):
    rows = [scored(row, correct=right) for row, (right, _, _) in enumerate(examples)]
    rows += [
        scored(row, "ocr_text", right, flipped=flipped, causal_effect=effect)
        for row, (right, flipped, effect) in enumerate(examples)
        if row % 3 != 1
    ]
    for result in summarise(rows, seed=0, generated=False)["pets"].perturbations.values():
        for rate in result.rates.values():
            assert -1e-9 <= rate.low <= rate.high <= 1 + 1e-9
            assert -1e-9 <= rate.value <= 1 + 1e-9
