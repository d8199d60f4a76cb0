"""Answer positions, and the pairing of variants with their clean rows."""

import pytest
import torch

from modality_interference.batching.batch import Answers, TwinBatch, answer_positions
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import IGNORE_LABEL as NO


def test_answer_positions_predict_multi_token_answers():
    labels = torch.tensor([[NO, NO, 5, 6, NO], [NO, 7, NO, NO, 8]])
    assert answer_positions(labels).tolist() == [[False, True, True, False, False], [True, False, False, True, False]]


def test_answers_pair_logits_with_the_tokens_that_they_predict():
    labels = torch.tensor([[NO, NO, 2, 1], [NO, 0, NO, NO]])
    full = torch.randn(2, 4, 3)
    answers = Answers.of(full[answer_positions(labels)], labels)
    assert answers.targets.tolist() == [2, 1, 0]
    assert answers.row.tolist() == [0, 0, 1]
    shifted = torch.nn.functional.cross_entropy(full[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(answers.cross_entropy.sum(), shifted)
    torch.testing.assert_close(answers.row_means(answers.cross_entropy)[1], answers.cross_entropy[2])


def test_flips_compare_whole_answers():
    greedy = torch.tensor([1, 2, 1, 2, 1, 0])  # rows 0, 1, 2 of two tokens; row 2 differs in its second
    answers = Answers(torch.nn.functional.one_hot(greedy, 3).float(), torch.ones(6).long(), torch.arange(6) // 2, 3)
    assert answers.flips(torch.tensor([1, 2]), torch.tensor([0, 0])).tolist() == [False, True]
    assert answers.correct.tolist() == [False, False, False]


def test_unequal_answers_are_refused():
    answers = Answers(torch.zeros(3, 2), torch.zeros(3).long(), torch.tensor([0, 0, 1]), 2)
    with pytest.raises(ModalityInterferenceError, match="as many tokens"):
        answers.partners(torch.tensor([1]), torch.tensor([0]))


def test_a_head_elsewhere_is_reported():
    with pytest.raises(ModalityInterferenceError, match="get_output_embeddings"):
        Answers.of(torch.zeros(5, 2), torch.tensor([[NO, 1]]))


def test_rows_with_variants():
    labels = torch.tensor([[NO, 1]] * 4)
    mask = torch.tensor([[False, False], [False, False], [False, False], [True, False]])
    nothing = torch.zeros(4, 2).to(torch.int8)
    batch = TwinBatch({}, labels, torch.tensor([0, 0, 2, 3]), torch.zeros(4), mask, None, None, nothing, nothing[:, 0])
    assert batch.clean_rows.tolist() == [0, 2, 3]
    assert batch.masked_rows.tolist() == [3]
    assert batch.rows_with_variants(adversarial=False).tolist() == [0]
    assert batch.rows_with_variants(adversarial=True).tolist() == [0, 3]
