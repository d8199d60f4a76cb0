"""Rates and intervals against hand-computed values, scipy's bootstrap and a simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from modality_interference.evaluation.statistics import means, summarise, unique_rows
from modality_interference.results import ScoredRow


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


def test_what_another_clip_plants_is_called_following_the_other_sense():
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


def test_abstention_is_of_rows_whose_right_answer_is_cannot_tell():
    rows = [scored(0, correct=True, abstained=True), scored(1, correct=False, abstained=False), scored(2)]
    assert means(rows, generated=False)["pets", "clean"]["abstention_rate"] == 0.5
    assert "abstention_rate" not in means([scored(2)], generated=False)["pets", "clean"]


def test_figures_of_each_kind_of_a_mixed_dataset():
    """Two clips, each with a visual and an audio question; the numbers are counted by hand."""
    rows = [scored(0, kind="video"), scored(2, kind="video", correct=False)]
    rows += [scored(1, kind="audio", correct=False), scored(3, kind="audio", correct=False)]
    rows += [scored(0, "swapped_audio", False, kind="video", flipped=True, misled=True)]
    found = summarise(rows, seed=0, generated=False)["pets"]
    accuracy = {
        kind: {name: (result.rows, result.rates["accuracy"].value) for name, result in results.items()}
        for kind, results in found.kinds.items()
    }
    assert accuracy == {"video": {"clean": (2, 0.5), "swapped_audio": (1, 0)}, "audio": {"clean": (2, 0)}}
    assert found.perturbations["clean"].rates["accuracy"].value == 0.25
    assert found.kinds["video"]["swapped_audio"].rates["other_modality_rate"].value == 1
    assert summarise(rows[:2], seed=0, generated=False)["pets"].kinds == {}


def test_intervals_of_a_kind_agree_with_scipy():
    values = np.random.default_rng(6).random(200) < 0.35
    rows = [scored(2 * row, kind="video", correct=bool(value)) for row, value in enumerate(values)]
    rows += [scored(2 * row + 1, kind="audio") for row in range(200)]
    rate = summarise(rows, seed=0, generated=False)["pets"].kinds["video"]["clean"].rates["accuracy"]
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=9999, rng=5).confidence_interval
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=0.02)


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
