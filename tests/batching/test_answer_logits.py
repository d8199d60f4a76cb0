"""Logits paired with the tokens that they predict, and variants with their clean rows."""

import pytest
import torch

from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import answer_positions
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import IGNORE_LABEL as NO


def test_answers_pair_logits_with_the_tokens_that_they_predict():
    labels = torch.tensor([[NO, NO, 2, 1], [NO, 0, NO, NO]])
    full = torch.randn(2, 4, 3)
    answers = Answers.of(full[answer_positions(labels)], labels)
    assert answers.targets.tolist() == [2, 1, 0]
    assert answers.row.tolist() == [0, 0, 1]
    torch.testing.assert_close(answers.logits, full[[0, 0, 1], [1, 2, 0]])
    assert answers.row_means(torch.tensor([1.0, 2.0, 5.0])).tolist() == [1.5, 5.0]


def test_flips_compare_whole_answers():
    greedy = torch.tensor([1, 2, 1, 2, 1, 0])  # rows 0, 1, 2 of two tokens; row 2 differs in its second
    answers = Answers(torch.nn.functional.one_hot(greedy, 3).float(), torch.ones(6).long(), torch.arange(6) // 2, 3)
    assert answers.flips(torch.tensor([1, 2]), torch.tensor([0, 0])).tolist() == [False, True]
    assert answers.correct.tolist() == [False, False, False]


def test_rows_are_compared_and_judged_at_some_positions_only():
    """Rows 0, 1, 2 of two tokens, judged at the second: row 1 differs in the first, row 2 in the second."""
    greedy = torch.tensor([1, 2, 0, 2, 1, 0])
    logits, kept = torch.nn.functional.one_hot(greedy, 3).float(), torch.tensor([False, True] * 3)
    answers = Answers(logits, torch.tensor([1, 2] * 3), torch.arange(6) // 2, 3, kept)
    assert answers.flips(torch.tensor([1, 2]), torch.tensor([0, 0])).tolist() == [False, True]
    assert answers.correct.tolist() == [True, True, False]
    own, clean = answers.partners(torch.tensor([1, 2]), torch.tensor([0, 0]))
    assert (own.tolist(), clean.tolist()) == ([3, 5], [1, 1])
    assert answers.means_over(own, torch.tensor([2.0, 4.0])).tolist() == [0, 2, 4]


def test_unequal_answers_are_refused():
    answers = Answers(torch.zeros(3, 2), torch.zeros(3).long(), torch.tensor([0, 0, 1]), 2)
    with pytest.raises(ModalityInterferenceError, match="as many tokens"):
        answers.partners(torch.tensor([1]), torch.tensor([0]))


def test_a_head_elsewhere_is_reported():
    with pytest.raises(ModalityInterferenceError, match="get_output_embeddings"):
        Answers.of(torch.zeros(5, 2), torch.tensor([[NO, 1]]))
