"""The rates of counterfactual rows against counts by hand."""

import numpy as np
import pytest
from helpers.diagnoses import scored
from scipy.stats import bootstrap

from modality_interference.evaluation.counterfactuals import counterfactual_means, parted, with_counterfactuals
from modality_interference.evaluation.flips import surest_unmoved
from modality_interference.evaluation.rates import dataset_results
from modality_interference.results import ScoredRow


LABEL = "counterfactual_black_image"
CLEAN = scored(
    correct=[True, True, True, False],
    answer=["a", "b", "c", "d"],
    confidence=[0.9, 0.8, 0.7, 0.6],
    options=[4, 4, 4, 4],
)
TWINS = scored(
    perturbation="unrelated_text", correct=[True] * 4, answer=["a", "b", "c", "x"], flipped=[False, False, False, True]
)
GONE = scored(
    perturbation=LABEL,
    correct=[True, True, False, False],
    answer=["a", "b", "x", None],
    flipped=[False, False, True, False],  # no answer twice is no unchanged answer
    confidence=[0.5, 0.4, 0.3, None],
    options=[4, 4, 4, 4],
)


def test_rates_beside_those_of_the_clean_rows():
    rows, gone = parted([*CLEAN, *GONE, *TWINS])
    assert (rows, gone) == ([*CLEAN, *TWINS], GONE)
    assert counterfactual_means(rows, gone) == {
        ("pictures", LABEL): pytest.approx(
            {
                "unchanged_rate": 0.5,
                "accuracy": 0.5,
                "confidence": 0.4,
                "clean_accuracy": 0.75,
                "clean_confidence": 0.75,
                "ece": (0.5 + 0.6 + 0.3) / 3,
                "clean_ece": (0.1 + 0.2 + 0.3 + 0.6) / 4,
            }
        )
    }


def test_results_and_both_axes():
    rows, gone = parted([*CLEAN, *GONE, *TWINS])
    without = dataset_results(rows, 0, generated=False)
    found = with_counterfactuals(without, rows, gone, seed=0)["pictures"]
    assert found.perturbations == without["pictures"].perturbations
    assert list(found.perturbations) == ["clean", "unrelated_text"] and list(found.counterfactuals) == [LABEL]
    result = found.counterfactuals[LABEL]
    same = dataset_results(scored(correct=[True, True, False, False]), 0, generated=False)["pictures"]
    assert result.rates["unchanged_rate"] == same.perturbations["clean"].rates["accuracy"]  # one statistic of shares
    assert (result.rows, result.chance) == (4, 0.25)
    assert result.rates["ece"].value == pytest.approx(1.4 / 3) and result.clean["ece"].value == pytest.approx(0.3)
    assert [(one.rows, one.accuracy) for one in result.reliability.bins] == [(1, 0), (1, 1), (1, 1)]
    assert (found.grounding.interference.value, found.grounding.blindness.value) == (0.25, 0.5)
    confidence = result.rates["confidence"]
    assert confidence.value == pytest.approx(0.4)
    assert 0.3 <= confidence.low < 0.4 < confidence.high <= 0.5
    assert with_counterfactuals(without, rows, [], seed=0) == without


def test_abstention_has_its_control():
    offers = {"abstention": ["none"] * 4, "right": ["a"] * 4}
    clean = scored(correct=[True] * 4, answer=["a", "a", "a", "none"], **offers)
    gone = scored(
        perturbation=LABEL, correct=[False] * 4, answer=["none"] * 3 + ["a"], flipped=[True] * 3 + [False], **offers
    )
    (rates,) = counterfactual_means(clean, gone).values()
    assert (rates["abstention_rate"], rates["clean_abstention_rate"]) == (0.75, 0.25)


def test_rows_of_one_clip_count_as_one_unit():
    rng = np.random.default_rng(0)
    answers = rng.random(60) < 0.5

    def of(copies: int) -> float:
        rows: list[list[ScoredRow]] = [[], []]
        for index, same in enumerate(np.repeat(answers, copies)):
            base = dict(dataset="d", row=index, key=index, kind="video", answer="a", clip=index // copies)
            rows[0].append(ScoredRow(**base, perturbation="clean", correct=True))
            rows[1].append(ScoredRow(**base, perturbation=LABEL, correct=True, flipped=not same))

        results = dataset_results(rows[0], 0, generated=False)
        rate = with_counterfactuals(results, *rows, seed=0)["d"].counterfactuals[LABEL].rates["unchanged_rate"]
        return rate.high - rate.low

    assert of(3) == pytest.approx(of(1), rel=0.05)


def test_shown_are_right_answers_that_stayed_the_surest_first():
    rows = scored(correct=[True, True, False, True], answer=["a", "b", "c", "d"])
    gone = scored(
        perturbation=LABEL,
        correct=[True, True, False, False],
        answer=["a", "b", "c", "x"],
        flipped=[False, False, False, True],
        confidence=[0.5, 0.9, 0.99, 0.7],
    )
    assert [row.row for row in surest_unmoved(gone, rows)] == [1, 0]


def test_margins_are_means_with_intervals_of_any_size():
    margins = [2.5, 4.0, 3.5, -1.0, 6.0]
    clean = scored(correct=[True] * 5)
    gone = scored(perturbation=LABEL, correct=[True] * 5, flipped=[False] * 5, evidence_margin=margins)
    (means,) = counterfactual_means(clean, gone).values()
    assert means["evidence_margin"] == pytest.approx(3.0)
    without = dataset_results(clean, 0, generated=False)
    rates = with_counterfactuals(without, clean, gone, seed=3)["pictures"].counterfactuals[LABEL].rates
    expected = bootstrap((margins,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(3))
    found = rates["evidence_margin"]
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval)

    same = [row.model_copy(update={"evidence_margin": 3.0}) for row in gone]
    found = with_counterfactuals(without, clean, same, 0)["pictures"].counterfactuals[LABEL].rates["evidence_margin"]
    assert 2 < found.low < found.value == 3 < found.high < 4  # it does not collapse
