"""Rates of scored rows against hand-computed values, and against the published figures of a clip benchmark."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from statsmodels.stats.proportion import proportion_confint

from modality_interference.evaluation.rates import dataset_results, means, rate_table, unique_rows
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
    assert found["pets", "", "clean"] == {"accuracy": 0.75}
    assert found["pets", "", "misleading_text"] == pytest.approx(
        {"accuracy": 1 / 3, "flip_rate": 2 / 3, "causal_effect": 0.55, "misled_rate": 0.5, "clean_accuracy": 1}
    )


def test_a_free_answer_tells_itself_whether_the_clean_one_was_the_target():
    rows = [
        scored(0, answer="The 2.", correct=False), scored(1, answer="3"),
        scored(0, "misleading_text", False, answer="2!", misled=True, clean_misled=True, target="2"),
        scored(1, "misleading_text", False, answer="two", misled=True, clean_misled=False, target="2"),
    ]  # fmt: skip
    found = means(rows, generated=True)["pets", "", "misleading_text"]
    assert (found["misled_rate"], found["excess_misled_rate"]) == (1, 0.5)


def test_unparsable_answers_are_counted_where_answers_are_generated():
    rows = [scored(0), scored(1, correct=False, answer=None), scored(2), scored(3)]
    assert means(rows, generated=True)["pets", "", "clean"] == {"accuracy": 0.75, "unparsable_rate": 0.25}
    assert (
        means([scored(0, correct=False, answer=None)] * 3, generated=True)["pets", "", "clean"]["unparsable_rate"] == 1
    )
    assert "unparsable_rate" not in means(rows, generated=False)["pets", "", "clean"]


def test_a_repeated_row_counts_once():
    rows = four_examples()
    assert unique_rows([*rows, rows[4], rows[0]]) == unique_rows(rows[::-1])
    assert len(unique_rows(rows * 3)) == len(rows)


def test_summary_holds_the_same_rates_and_the_counts():
    summary = dataset_results(four_examples(), seed=0, generated=False)["pets"]
    assert (summary.examples, summary.kind, list(summary.perturbations)) == (4, "image", ["clean", "misleading_text"])
    twins = summary.perturbations["misleading_text"]
    assert twins.rows == 3
    found = means(four_examples(), generated=False)["pets", "", "misleading_text"]
    assert twins.clean["accuracy"].value == found.pop("clean_accuracy")
    assert {name: rate.value for name, rate in twins.rates.items()} == pytest.approx(found)
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
        for (_, _, name), rates in found.items()
    } == {
        "swapped_audio": ["other_modality_rate"],
        "swapped_video_2": ["other_modality_rate"],
        "misleading_caption": ["misled_rate"],
        "swapped_audio_tags": ["misled_rate"],
    }
    assert found["pets", "", "swapped_audio"]["other_modality_rate"] == 0.5


def test_abstention_is_right_or_false():
    fields = dict(abstention="Neither", right="Neither")
    rows = [scored(0, correct=True, answer="Neither", **fields), scored(1, correct=False, answer="dog", **fields)]
    whole = [
        scored(2 + index, answer=answer, abstention="Neither", right="dog")
        for index, answer in enumerate(["Neither", *["dog"] * 3])
    ]
    found = means([*rows, *whole, scored(9)], generated=False)["pets", "", "clean"]
    assert (found["abstention_rate"], found["false_abstention_rate"]) == (0.5, 0.25)
    without = means([scored(2)], generated=False)["pets", "", "clean"]
    assert not {"abstention_rate", "false_abstention_rate"} & set(without)


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


def test_twins_are_compared_with_their_own_clean_rows():
    """Audio questions fall from 46.6 to 25.2 %, and not from the 61.1 % of all clean rows.

    The figures of audio questions are those of Qwen2.5-Omni in arXiv 2511.22826.
    """
    rows = []
    for kind, offset, perturbation, clean, perturbed in (
        ("video", 0, "swapped_audio", 756, 600), ("audio", 1, "swapped_video", 466, 252),
    ):  # fmt: skip
        fields = {"dataset": "clips", "kind": kind}
        for clip in range(1000):
            rows.append(scored(2 * clip + offset, correct=clip < clean, clip=clip, **fields))
            rows.append(
                scored(
                    2 * clip + offset, perturbation, clip < perturbed, clip=clip, flipped=clip >= perturbed, **fields
                )
            )

    found = dataset_results(rows, seed=0, generated=False)["clips"]
    assert found.perturbations["clean"].rates["accuracy"].value == pytest.approx(0.611)
    for results in (found.perturbations, found.kinds["audio"]):
        heard = results["swapped_video"]
        assert (heard.clean["accuracy"].value, heard.rates["accuracy"].value) == pytest.approx((0.466, 0.252))

    metrics = means(rows, generated=False)
    assert metrics["clips", "", "swapped_video"]["clean_accuracy"] == pytest.approx(0.466)
    assert metrics["clips", "audio", "swapped_video"] == metrics["clips", "", "swapped_video"]
    assert metrics["clips", "audio", "clean"] == {"accuracy": pytest.approx(0.466)}


def test_the_excess_is_what_the_perturbation_adds():
    """Four rows with the target "dog": two are misled, of which one said so anyway; one no longer says it."""
    answers = [("cat", "dog"), ("dog", "dog"), ("dog", "cat"), ("cat", "cat")]
    rows = [scored(row, answer=clean, correct=clean == "cat", options=4) for row, (clean, _) in enumerate(answers)]
    rows += [
        scored(row, "misleading_text", after == "cat", answer=after, misled=after == "dog", target="dog", options=4)
        for row, (_, after) in enumerate(answers)
    ]
    twins = dataset_results(rows, seed=0, generated=False)["pets"].perturbations["misleading_text"]
    assert twins.rates["misled_rate"].value == 0.5
    assert twins.clean["misled_rate"].value == 0.5
    excess = twins.rates["excess_misled_rate"]
    assert (excess.value, excess.low) == (0, -excess.high)
    assert twins.clean["accuracy"].value == 0.5
    fewer = dataset_results(rows[1:4] + rows[5:], seed=0, generated=False)["pets"].perturbations["misleading_text"]
    assert fewer.rates["excess_misled_rate"].value == pytest.approx(-1 / 3)  # 1 of 3, and 2 of their clean rows


def test_the_other_modality_has_an_excess_too():
    rows = [scored(0, answer="rain"), scored(1, answer="dog")]
    rows += [scored(row, "swapped_audio", answer="dog", misled=True, target="dog") for row in range(2)]
    found = dataset_results(rows, seed=0, generated=False)["pets"].perturbations["swapped_audio"]
    assert found.rates["other_modality_rate"].value == 1
    assert (found.clean["other_modality_rate"].value, found.rates["excess_misled_rate"].value) == (0.5, 0.5)


def test_chance_is_the_mean_over_the_rows_options():
    rows = [scored(0, options=2), scored(1, options=4)]
    assert dataset_results(rows, seed=0, generated=False)["pets"].perturbations["clean"].chance == 0.375
    rows.append(scored(2))  # a free answer
    assert dataset_results(rows, seed=0, generated=False)["pets"].perturbations["clean"].chance is None


def test_intervals_of_rates():
    """Shares as statsmodels has them, causal effects as scipy has them; no other test of this file looks at them."""
    rng = np.random.default_rng(1)
    right, effects = rng.random(300) < 0.3, rng.random(300) ** 4
    rows = [scored(row, correct=bool(value)) for row, value in enumerate(right)]
    rows += [scored(row, "ocr_text", False, flipped=True, causal_effect=effect) for row, effect in enumerate(effects)]
    found = dataset_results(rows, seed=3, generated=False)["pets"].perturbations
    accuracy, effect = found["clean"].rates["accuracy"], found["ocr_text"].rates["causal_effect"]
    expected = proportion_confint(right.sum(), 300, method="agresti_coull")
    assert (accuracy.low, accuracy.high) == pytest.approx(expected)
    interval = bootstrap((effects,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(3))
    assert (effect.low, effect.high) == pytest.approx(tuple(interval.confidence_interval), abs=1e-9)
    flips = found["ocr_text"].rates["flip_rate"]
    assert flips.high == 1 and 0.98 < flips.low < 0.99


def test_the_two_questions_about_a_clip_are_no_two_examples():
    """Both questions right or both wrong: the interval is that of the clips."""
    right = (np.random.default_rng(2).random(200) < 0.6).tolist()
    rows = [
        scored(row, correct=right[row // 2], kind=("video", "audio")[row % 2], clip=row // 2) for row in range(400)
    ]
    found = dataset_results(rows, seed=0, generated=False)["pets"]
    expected = proportion_confint(sum(right), 200, method="agresti_coull")
    for results in (found.perturbations, found.kinds["video"]):
        rate = results["clean"].rates["accuracy"]
        assert (rate.low, rate.high) == pytest.approx(expected, abs=0.001)

    apart = dataset_results([row.model_copy(update={"clip": None}) for row in rows], 0, False)["pets"].perturbations
    assert apart["clean"].rates["accuracy"].low > expected[0] + 0.01


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_intervals_hold_the_rates_and_stay_in_their_range(examples):
    rows = [scored(row, correct=right, answer="ab"[right]) for row, (right, _, _) in enumerate(examples)]
    rows += [
        scored(row, "ocr_text", right, flipped=flipped, causal_effect=effect, misled=flipped, target="b")
        for row, (right, flipped, effect) in enumerate(examples)
        if row % 3 != 1
    ]
    for result in dataset_results(rows, seed=0, generated=False)["pets"].perturbations.values():
        for name, rate in result.rates.items():
            lowest = -1 if name == "excess_misled_rate" else 0
            assert lowest - 1e-9 <= rate.low <= rate.value <= rate.high <= 1 + 1e-9
            assert rate.low < rate.high  # no certainty from 30 examples


def test_many_rows_take_seconds():
    rows = []
    for row in range(5000):
        fields = {"flipped": row % 3 == 0, "causal_effect": (row % 7) / 7, "misled": row % 5 == 0, "target": "y"}
        rows += [scored(row, options=4), *(scored(row, f"p{index}", options=4, **fields) for index in range(10))]

    start = time.process_time()
    dataset_results(rows, seed=0, generated=False)
    assert time.process_time() - start < 8  # 1 to 2 where nothing else runs


def test_the_table_of_rows_matches_twins_by_dataset_and_row():
    rows = [scored(0), scored(0, dataset="cars", correct=False), scored(0, "ocr_text"), scored(1, "ocr_text")]
    table = rate_table(rows)
    assert table.clean_accuracy.tolist() == pytest.approx([np.nan, np.nan, 1, np.nan], nan_ok=True)
    assert table.unit.tolist() == [0, 1, 0, 2]
