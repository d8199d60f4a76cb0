"""Rates, effect sizes and their intervals against hand-computed values, scipy and simulations."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, ttest_ind

from modality_interference.evaluation.statistics import (
    Group,
    dataset_results,
    effect_sizes,
    mean_intervals,
    means,
    unique_rows,
)
from modality_interference.results import ScoredRow


def scored(row: int, perturbation: str = "clean", correct: bool = True, dataset: str = "pets", **values) -> ScoredRow:
    fields = {"kind": "image", "key": row, "answer": "x", **values}
    return ScoredRow(dataset=dataset, row=row, perturbation=perturbation, correct=correct, **fields)


def four_examples() -> list[ScoredRow]:
    """Four examples; the third has no twin, the twin of the fourth has no target option."""
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
    summary = dataset_results(four_examples(), seed=0, generated=False)["pets"]
    assert (summary.examples, summary.kind, list(summary.perturbations)) == (4, "image", ["clean", "misleading_text"])
    twins = summary.perturbations["misleading_text"]
    assert twins.rows == 3
    assert {name: rate.value for name, rate in twins.rates.items()} == pytest.approx(
        means(four_examples(), generated=False)["pets", "misleading_text"]
    )
    assert all(rate.low <= rate.value <= rate.high for rate in twins.rates.values())


def test_kinds_of_a_mixed_dataset():
    rows = [scored(0), scored(1, kind="text")]
    assert dataset_results(rows, seed=0, generated=False)["pets"].kind == "mixed"


def test_the_target_of_another_clip_counts_as_the_other_modality():
    twins = {"flipped": True, "causal_effect": 0.5}
    rows = [
        scored(0, "swapped_audio", False, misled=True, **twins),
        scored(1, "swapped_audio", False, misled=False, **twins),
        scored(0, "swapped_video_2", False, misled=True, **twins),
        scored(0, "misleading_caption", False, misled=True, **twins),
        scored(0, "swapped_audio_tags", False, misled=True, **twins),  # another's perturbation
    ]
    found = means(rows, generated=False)
    assert {
        name: [rate for rate in rates if rate not in ("accuracy", "flip_rate", "causal_effect")]
        for (_, name), rates in found.items()
    } == {
        "swapped_audio": ["other_modality_rate"],
        "swapped_video_2": ["other_modality_rate"],
        "misleading_caption": ["misled_rate"],
        "swapped_audio_tags": ["misled_rate"],
    }
    assert found["pets", "swapped_audio"]["other_modality_rate"] == 0.5


def test_abstention_is_right_or_false():
    fields = dict(abstention="Neither", right="Neither")
    rows = [scored(0, correct=True, answer="Neither", **fields), scored(1, correct=False, answer="dog", **fields)]
    whole = [
        scored(2 + index, answer=answer, abstention="Neither", right="dog")
        for index, answer in enumerate(["Neither", *["dog"] * 3])
    ]
    found = means([*rows, *whole, scored(9)], generated=False)["pets", "clean"]
    assert (found["abstention_rate"], found["false_abstention_rate"]) == (0.5, 0.25)
    assert not {"abstention_rate", "false_abstention_rate"} & set(means([scored(2)], generated=False)["pets", "clean"])


def test_figures_of_each_kind_of_a_mixed_dataset():
    """Two clips, each with a visual and an audio question; the numbers are counted by hand."""
    rows = [scored(0, kind="video"), scored(2, kind="video", correct=False)]
    rows += [scored(1, kind="audio", correct=False), scored(3, kind="audio", correct=False)]
    rows += [scored(0, "swapped_audio", False, kind="video", flipped=True, misled=True)]
    found = dataset_results(rows, seed=0, generated=False)["pets"]
    accuracy = {
        kind: {name: (result.rows, result.rates["accuracy"].value) for name, result in results.items()}
        for kind, results in found.kinds.items()
    }
    assert accuracy == {"video": {"clean": (2, 0.5), "swapped_audio": (1, 0)}, "audio": {"clean": (2, 0)}}
    assert found.perturbations["clean"].rates["accuracy"].value == 0.25
    assert found.kinds["video"]["swapped_audio"].rates["other_modality_rate"].value == 1
    assert dataset_results(rows[:2], seed=0, generated=False)["pets"].kinds == {}


def test_intervals_of_a_kind_agree_with_scipy():
    values = np.random.default_rng(6).random(200) < 0.35
    rows = [scored(2 * row, kind="video", correct=bool(value)) for row, value in enumerate(values)]
    rows += [scored(2 * row + 1, kind="audio") for row in range(200)]
    rate = dataset_results(rows, seed=0, generated=False)["pets"].kinds["video"]["clean"].rates["accuracy"]
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=9999, rng=5).confidence_interval
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_one_example_has_no_spread():
    rate = dataset_results([scored(0)], seed=0, generated=False)["pets"].perturbations["clean"].rates["accuracy"]
    assert (rate.value, rate.low, rate.high) == (1, 1, 1)


def test_intervals_agree_with_scipy():
    rng = np.random.default_rng(1)
    values = rng.random(300) < 0.3
    effects = rng.random(300)
    rows = [scored(row, correct=bool(value)) for row, value in enumerate(values)]
    rows += [
        scored(row, "ocr_text", bool(value), flipped=True, causal_effect=effect)
        for row, (value, effect) in enumerate(zip(values, effects))
    ]
    found = dataset_results(rows, seed=0, generated=False)["pets"].perturbations
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
    rates = dataset_results(rows, seed=3, generated=False)["pets"].perturbations["ocr_text"].rates
    assert rates["flip_rate"].low == pytest.approx(1 - rates["accuracy"].high)
    assert rates["flip_rate"].high == pytest.approx(1 - rates["accuracy"].low)


def test_coverage_of_a_simulated_rate():
    """Of 200 simulated experiments with a known rate, about 95 % of the intervals hold it."""
    rng = np.random.default_rng(4)
    hits = 0
    for seed in range(200):
        rows = [scored(row, correct=bool(value)) for row, value in enumerate(rng.random(150) < 0.7)]
        rate = dataset_results(rows, seed=seed, generated=False)["pets"].perturbations["clean"].rates["accuracy"]
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
    for result in dataset_results(rows, seed=0, generated=False)["pets"].perturbations.values():
        for rate in result.rates.values():
            assert -1e-9 <= rate.low <= rate.high <= 1 + 1e-9
            assert -1e-9 <= rate.value <= 1 + 1e-9


@pytest.mark.parametrize("examples", [2, 50, 1001])
def test_the_bootstrap_draws_what_scipys_draws(examples):
    values = np.random.default_rng(7).normal(size=examples)
    expected = bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(3))
    value, low, high = mean_intervals(values[None], seed=3)[:, 0]
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval), abs=1e-12)


def test_a_mean_of_few_examples_leaves_out_resamples_without_them():
    table = np.full((2, 40), np.nan)
    table[0, 5], table[1] = 0.25, 1.0
    assert mean_intervals(table, seed=0).tolist() == [[0.25, 1.0]] * 3


# effect sizes


def group(columns, examples=None, centre=0.0):
    values = np.array(columns, dtype=float).T
    names = examples or [("clips", index) for index in range(len(values))]
    return Group.of(values, names, np.full(values.shape[1], centre))


def test_effect_size_by_hand():
    """Means 4 and 2; variances 4 (of 2, 4, 6) and 2/3 (of 1, 2, 2, 3); pooled (2 * 4 + 3 * 2/3) / 5 = 2."""
    (found,) = effect_sizes(group([[2, 4, 6]]), group([[1, 2, 2, 3]]), seed=0)
    assert found.value == pytest.approx(2 / math.sqrt(2), abs=1e-5)
    assert found.low < found.value < found.high


def test_effect_sizes_against_scipys_t_test():
    """Student's t = d / sqrt(1 / n1 + 1 / n2) in the t test with pooled variance."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.9, 0.01, (3, 40)), rng.normal(0.89, 0.02, (3, 25))
    found = effect_sizes(group(one, centre=0.9), group(other, centre=0.9), seed=0)
    for values, others, size in zip(one, other, found):
        t = ttest_ind(values, others, equal_var=True).statistic
        assert size.value == pytest.approx(t * math.sqrt(1 / 40 + 1 / 25), abs=1e-5)


def test_the_interval_of_an_effect_size_covers_the_truth():
    """95 % intervals of a d of 1 miss it in about 5 of 100 samples."""
    rng = np.random.default_rng(1)
    sizes = effect_sizes(group(rng.normal(1, 1, (100, 60))), group(rng.normal(0, 1, (100, 60))), seed=2)
    missed = sum(not size.low <= 1 <= size.high for size in sizes)
    assert 1 <= missed <= 12


def test_twins_of_an_example_are_drawn_together():
    """Every example five times says nothing new: the interval stays as wide as that of the examples alone."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(1, 1, (1, 30)), rng.normal(0, 1, (1, 30))
    names = [("clips", index) for index in range(30)] * 5
    alone = effect_sizes(group(one), group(other), seed=4)[0]
    twins = effect_sizes(group(np.tile(one, 5), names), group(np.tile(other, 5), names), seed=4)[0]
    assert twins.high - twins.low == pytest.approx(alone.high - alone.low, rel=0.1)
    pooled = statistics.fmean([statistics.pvariance([*one[0]] * 5), statistics.pvariance([*other[0]] * 5)]) * 150 / 149
    assert twins.value == pytest.approx((one.mean() - other.mean()) / math.sqrt(pooled), abs=1e-5)


@pytest.mark.parametrize(("one", "other"), [([0.5], [0.7]), ([0.5, 0.5], [0.5, 0.5]), ([1.0, 1.0], [0.0])])
def test_no_effect_size_without_spread(one, other):
    (found,) = effect_sizes(group([one]), group([other]), seed=0)
    assert (found.value, found.low, found.high) == (None, None, None)


def test_the_same_seed_draws_the_same():
    rng = np.random.default_rng(5)
    one, other = group(rng.normal(1, 1, (2, 9))), group(rng.normal(0, 1, (2, 8)))
    assert effect_sizes(one, other, seed=1) == effect_sizes(one, other, seed=1) != effect_sizes(one, other, seed=2)
