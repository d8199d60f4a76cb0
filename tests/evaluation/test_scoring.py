"""Scores by likelihood against values worked out by hand and by scipy, and of generated answers by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, softmax

from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import OptionTokens, Question
from modality_interference.evaluation.scoring import option_likelihoods, score_likelihood


VOCABULARY = 6
CHOICES = ("cat", "dog", "red cat")


def question(batch_row: int, clean: int = 0, options=(), **values) -> Question:
    """A question about two animals, at row `batch_row` of the batch."""
    options = tuple(options)
    fields = dict(
        option_lengths=(1,) * len(options),
        dataset="pets",
        row=3,
        key=9,
        kind="image",
        perturbation="clean" if batch_row == clean else "misleading_text",
    )
    return Question(**{**fields, "batch_row": batch_row, "clean": clean, "options": options, **values})


def answers(lengths: list[int], logits: np.ndarray, targets: list[int] | None = None) -> Answers:
    """Logits (positions, vocabulary) of rows with so many answer positions each."""
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    targets = torch.tensor(targets if targets is not None else [0] * len(row))
    return Answers(torch.tensor(logits, dtype=torch.float32), targets, row, len(lengths))


@pytest.fixture
def table() -> np.ndarray:
    """Two rows of two positions, and a third for an option of two tokens of each."""
    return np.random.default_rng(0).normal(size=(8, VOCABULARY)) * 3


def test_option_likelihoods_are_sums_of_token_log_probabilities(table):
    # cat = 1, dog = 2, red cat = 4 1, which takes a row of its own
    given = [
        question(0, options=[OptionTokens(0, 0, (1,)), OptionTokens(0, 0, (2,)), OptionTokens(2, 0, (4, 1))]),
        question(1, options=[OptionTokens(1, 0, (1,)), OptionTokens(1, 0, (2,)), OptionTokens(3, 0, (4, 1))]),
    ]
    found = option_likelihoods(given, answers([2, 2, 2, 2], table))
    log_p = log_softmax(table, axis=-1)
    for row, (own, extra) in enumerate(((0, 4), (2, 6))):
        expected = [log_p[own, 1], log_p[own, 2], log_p[extra, 4] + log_p[extra + 1, 1]]
        np.testing.assert_allclose(found[row].numpy(), expected, atol=1e-5)


def test_an_offset_skips_the_labels_of_earlier_turns(table):
    given = [question(0, options=[OptionTokens(0, 2, (1,)), OptionTokens(0, 2, (5,))])]
    found = option_likelihoods(given, answers([4], table[:4]))
    np.testing.assert_allclose(found[0].numpy(), log_softmax(table[2])[[1, 5]], atol=1e-5)


def acc_norm(likelihoods, choices, gold):
    """As lm_eval/api/task.py of lm-evaluation-harness writes it."""
    completion_len = np.array([float(len(i)) for i in choices])
    return 1.0 if np.argmax(likelihoods / completion_len) == gold else 0.0


@pytest.mark.parametrize("seed", range(8))
def test_accuracy_norm_is_acc_norm_of_lm_evaluation_harness(seed):
    """Options "a cat", "a dog" and "a red cat": 3 = a, 1 = cat, 2 = dog, 4 1 = red cat, which takes a row of its own."""
    logits = np.random.default_rng(seed).normal(size=(5, VOCABULARY)) * 2
    choices = ("a cat", "a dog", "a red cat")
    spans = [OptionTokens(0, 1, (1,)), OptionTokens(0, 1, (2,)), OptionTokens(1, 0, (4, 1))]
    (row,) = score_likelihood(
        [
            question(
                0,
                options=spans,
                beginning=OptionTokens(0, 0, (3,)),
                choices=choices,
                answer=2,
                option_lengths=(5, 5, 9),
            )
        ],
        answers([3, 2], logits),
        str,
    )
    log_p = log_softmax(logits, axis=-1)
    first = log_p[0, 3]
    likelihoods = np.array([first + log_p[1, 1], first + log_p[1, 2], first + log_p[3, 4] + log_p[4, 1]])
    assert row.answer == choices[np.argmax(likelihoods)]
    assert row.correct_norm == (acc_norm(likelihoods, choices, 2) == 1.0)


def test_accuracy_norm_differs_from_accuracy_and_takes_the_first_of_equal_options():
    """Log-probabilities -1 of one character and -1.5 of three; then -1 of one and -3 of three, which tie."""
    for second, correct_norm in ((-1.5, True), (-3.0, False)):
        rest = np.log((1 - np.exp(-1.0) - np.exp(second)) / 4)
        logits = np.array([[-1.0, second, *[rest] * 4]])
        spans = [OptionTokens(0, 0, (0,)), OptionTokens(0, 0, (1,))]
        asked = question(0, options=spans, choices=("x", "yes"), answer=1, option_lengths=(1, 3))
        (row,) = score_likelihood([asked], Answers(torch.tensor(logits), torch.tensor([0]), torch.tensor([0]), 1), str)
        assert (row.correct, row.correct_norm) == (False, correct_norm)


@pytest.mark.parametrize(
    ("abstention", "right", "abstained", "rates"),
    [
        (None, 0, None, {}),
        (None, 1, None, {}),
        ("Neither", 0, True, {"false_abstention_rate": 1}),
        ("Neither", 1, True, {"abstention_rate": 1}),
    ],
)
def test_abstention_is_the_option_that_the_row_says(abstention, right, abstained, rates):
    options = [OptionTokens(0, 0, (1,)), OptionTokens(0, 0, (2,))]
    given = [question(0, options=options, choices=("cat", "Neither"), answer=right, abstention=abstention)]
    logits = np.array([[0, 1.0, 4.0, 0, 0, 0]])
    (row,) = score_likelihood(given, answers([1], logits), decode=str)
    assert (row.answer, row.correct, row.abstained) == ("Neither", right == 1, abstained)
    assert {name: share for name, share in row.shares.items() if "abstention" in name and share is not None} == rates


@pytest.mark.parametrize("target", [None, 0, 1, 2])
def test_options_by_hand(target):
    """The clean row says dog (right), the twin says cat."""
    clean, twin = np.zeros((1, VOCABULARY)), np.zeros((1, VOCABULARY))
    clean[0, [1, 2, 4]] = [0.0, 2.0, 1.0]
    twin[0, [1, 2, 4]] = [3.0, 1.0, 0.0]
    of = [[OptionTokens(place, 0, (token,)) for token in (1, 2, 4)] for place in (0, 1)]
    fields = dict(choices=CHOICES, answer=1)
    given = [question(0, options=of[0], **fields), question(1, options=of[1], target=target, **fields)]
    first, second = score_likelihood(given, answers([1, 1], np.concatenate([clean, twin])), str)

    assert (first.answer, first.correct, first.flipped, first.causal_effect, first.misled) == (
        "dog",
        True,
        None,
        None,
        None,
    )
    assert (second.answer, second.correct, second.flipped) == ("cat", False, True)
    assert second.misled == (None if target is None else target == 0)
    expected = jensenshannon(softmax([0.0, 2.0, 1.0]), softmax([3.0, 1.0, 0.0]), base=2) ** 2
    assert second.causal_effect == pytest.approx(expected, abs=1e-6)
    assert (second.dataset, second.row, second.key, second.kind, second.perturbation) == (
        "pets", 3, 9, "image", "misleading_text",
    )  # fmt: skip


def test_equal_distributions_have_no_effect_and_opposite_ones_a_bit():
    logits = np.zeros((3, VOCABULARY))
    logits[:, 1], logits[2, 1], logits[2, 2] = 60, 0, 60
    options = [[OptionTokens(place, 0, (token,)) for token in (1, 2)] for place in range(3)]
    given = [question(place, options=options[place], choices=("a", "b"), answer=0) for place in range(3)]
    scored = score_likelihood(given, answers([1, 1, 1], logits), str)
    assert [row.causal_effect for row in scored] == [None, 0.0, pytest.approx(1.0, abs=1e-6)]
    assert [row.flipped for row in scored] == [None, False, True]


def test_free_answers(table):
    """Without options: greedy tokens, compared with the labels and with the clean row's."""
    logits = table[:6].copy()
    logits[2:4] = logits[:2]
    logits[3] += np.eye(VOCABULARY)[5] * 50  # the second token of the first twin changes
    greedy = logits.argmax(-1)
    targets = [*greedy[:2], *greedy[:2], *greedy[:2]]
    logits[4:6] = logits[:2]
    given = [question(place) for place in range(3)]
    clean, first, second = score_likelihood(
        given, answers([2, 2, 2], logits, targets), lambda ids: " ".join(map(str, ids))
    )
    assert clean.correct and clean.flipped is None and clean.answer == f"{greedy[0]} {greedy[1]}"
    assert not first.correct and first.flipped and first.answer == f"{greedy[0]} 5" and first.misled is None
    assert second.correct and second.flipped is False and second.causal_effect == pytest.approx(0, abs=1e-7)
    effects = [jensenshannon(softmax(logits[i]), softmax(logits[i + 2]), base=2) ** 2 for i in (0, 1)]
    assert first.causal_effect == pytest.approx(np.mean(effects), abs=1e-6)


def test_a_claimed_answer_is_compared_with_the_right_one(table):
    """Rows 0 and 1 hold the right answer (1 0), rows 2 and 3 the claimed one (4), of the twin and of the clean row."""
    places = [
        OptionTokens(1, 0, (1, 0)),
        OptionTokens(2, 0, (4,)),
        OptionTokens(0, 0, (1, 0)),
        OptionTokens(3, 0, (4,)),
    ]
    log_p = log_softmax(table, axis=-1)
    right = {row: log_p[start, 1] + log_p[start + 1, 0] for row, start in ((0, 0), (1, 2))}
    given = [question(0), question(1, claimed="2", claims=tuple(places))]
    clean, twin = score_likelihood(given, answers([2, 2, 1, 1], table[:6]), lambda ids: "")
    assert (clean.misled, clean.clean_misled, clean.target) == (None, None, None)
    assert (twin.misled, twin.clean_misled, twin.target) == (log_p[4, 4] > right[1], log_p[5, 4] > right[0], "2")
    nothing = score_likelihood([question(0), question(1, claimed="2")], answers([2, 2], table[:4]), lambda ids: "")
    assert [row.misled for row in nothing] == [None, None]


def test_free_answers_are_judged_where_the_last_turn_is(table):
    """Two turns of one token, a skipped thought, two tokens: of what differs, only the last two tokens count."""
    logits = np.concatenate([table[:5], table[:5]])
    logits[[5, 7]] = -logits[[0, 2]]  # the first turn and the thought of the twin
    greedy = logits.argmax(-1)
    targets = [0, 0, 0, *greedy[3:5]] * 2
    given = answers([5, 5], logits, targets)
    given.compared = torch.tensor([False, False, False, True, True] * 2)
    clean, twin = score_likelihood([question(0), question(1)], given, lambda ids: " ".join(map(str, ids)))
    assert clean.correct and twin.correct and twin.flipped is False
    assert clean.answer == twin.answer == f"{greedy[3]} {greedy[4]}"
    assert twin.causal_effect == pytest.approx(0, abs=1e-7) and clean.correct_norm is None

    logits[9] = -logits[9]
    given = Answers(torch.tensor(logits), given.targets, given.row, 2, given.compared)
    clean, twin = score_likelihood([question(0), question(1)], given, str)
    effect = jensenshannon(softmax(logits[4]), softmax(logits[9]), base=2) ** 2
    assert clean.correct and not twin.correct and twin.flipped
    assert twin.causal_effect == pytest.approx(effect / 2, abs=1e-6)


def test_rows_without_an_answer_are_left_out():
    filler = question(0)
    assert score_likelihood([filler], answers([0], np.zeros((0, VOCABULARY))), str) == []


def test_the_effect_of_a_free_answer_is_at_most_a_bit():
    logits = np.full((2, VOCABULARY), -100.0)
    logits[0, 0] = logits[1, 1] = 100
    scored = score_likelihood([question(0), question(1)], answers([1, 1], logits), str)
    assert scored[1].causal_effect == pytest.approx(1.0) and scored[1].causal_effect <= 1 + 1e-6
    assert math.isfinite(scored[1].causal_effect)


def test_logits_that_are_not_finite_have_no_effect(table):
    """A figure less, and no end of the run: an evaluation in training may meet a model that has gone wrong."""
    table[2] = float("nan")
    options = {"choices": ("cat", "dog"), "answer": 0}
    given = [
        question(0, options=[OptionTokens(0, 0, (1,)), OptionTokens(0, 0, (2,))], **options),
        question(1, options=[OptionTokens(1, 0, (1,)), OptionTokens(1, 0, (2,))], **options),
    ]
    for questions in (given, [question(0), question(1)]):
        found = score_likelihood(questions, answers([2, 2], table[:4]), decode=str)
        assert [row.causal_effect for row in found] == [None, None]


def test_options_beside_a_sentence_are_scored_as_a_free_answer(table):
    """The response is neither an option's text nor its letter, so that there is nothing to compare; the row says what is right."""
    fields = dict(choices=CHOICES, answer=1)
    given = [question(0, **fields), question(1, target=0, **fields)]
    clean, twin = score_likelihood(given, answers([2, 2], table[:4]), lambda ids: "a dog")
    assert (clean.answer, clean.right, clean.target, clean.options) == ("a dog", "dog", None, None)
    assert (twin.answer, twin.right, twin.target, twin.options, twin.misled) == ("a dog", "dog", "cat", None, None)


@pytest.mark.parametrize("free", [False, True])
def test_evidence_margin_is_the_fall_of_the_right_answers_mean_log_probability(table, free):
    """Of three answer positions, the first is of an earlier turn."""
    targets = [3, 1, 2, 3, 1, 2]
    options = [[OptionTokens(place, 1, (token,)) for token in (1, 4)] for place in (0, 1)]
    fields = [{} if free else dict(options=own, choices=("cat", "dog"), answer=0) for own in options]
    gone = {"perturbation": "counterfactual_black_image"}
    given = [question(0, **fields[0]), question(1, **fields[1], **gone)]
    found = answers([3, 3], table[:6], targets)
    found.compared = torch.tensor([False, True, True] * 2)
    clean, without = score_likelihood(given, found, str)
    log_p = log_softmax(table[:6], axis=-1)[range(6), targets]
    assert clean.evidence_margin is None
    assert without.evidence_margin == pytest.approx((log_p[1] + log_p[2] - log_p[4] - log_p[5]) / 2, abs=1e-5)
    twin = score_likelihood([given[0], question(1, **fields[1])], found, str)[1]
    assert twin.evidence_margin is None  # its evidence is there

    table[5, targets[5]] = -np.inf
    (_, cut) = score_likelihood(given, answers([3, 3], table[:6], targets), str)
    assert cut.evidence_margin is None
