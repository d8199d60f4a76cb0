"""Answer positions, and the pairing of variants with their clean rows."""

import pytest
import torch

from modality_interference.batching.batch import Answers, TwinBatch, answer_positions, skipped_thoughts
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import IGNORE_LABEL as NO
from modality_interference.modality import Modality


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


THOUGHT = (8, 9)
TURNS = [  # of two turns each, -n is a label: a clean row; a twin whose second turn has another word; one whose image differs
    [1, 7, 2, -8, -9, -5, 3, 3, -8, -9, -5, -6],
    [1, 7, 2, -8, -9, -5, 4, 3, 3, -8, -9, -5, -6],
    [1, 7, 2, -8, -9, -5, 3, 3, -8, -9, -5, -6],
]


def turns(left: bool) -> TwinBatch:
    """`TURNS` padded on one side; 7 is an image, which the clean row and the second share. An attack may change 2 and 3."""
    width = max(map(len, TURNS))
    padding = [(width - len(row)) for row in TURNS]
    rows = [[0] * count + row if left else row + [0] * count for row, count in zip(TURNS, padding)]
    signed = torch.tensor(rows)
    ids = signed.abs()
    return TwinBatch(
        inputs={"input_ids": ids, "attention_mask": (ids > 0).long()},
        labels=torch.where(signed < 0, ids, NO),
        twin_of=torch.zeros(3).long(),
        row_key=torch.arange(3),
        perturbation_mask=((signed == 2) | (signed == 3)) & (torch.arange(3) > 0)[:, None],
        media_index={Modality.IMAGE: torch.tensor([0, 0, 1])},
        questions=None,
        token_modality=torch.where(ids == 7, Modality.IMAGE.bit, Modality.TEXT.bit).to(torch.int8),
        relevant=torch.zeros(3),
        thought=THOUGHT,
        beginning=torch.tensor([0, 1, 0]),
    )


@pytest.mark.parametrize("left", [False, True])
def test_which_answer_positions_count(left):
    """Columns as of a row without padding: where labels without the thought are predicted, and behind what differs."""
    batch, first = turns(left), torch.tensor([1, 0, 1]) * left

    def columns(mask):
        return [(row.nonzero()[:, 0] - first[index % 3]).tolist() for index, row in enumerate(mask)]

    assert columns(batch.content) == [[4, 9, 10], [4, 10, 11], [4, 9, 10]]
    assert columns(batch.last_answer) == [[9, 10], [10, 11], [9, 10]]
    assert (batch.decision - first).tolist() == [9, 11, 9]
    assert (batch.differs_from - first)[1:].tolist() == [6, 1]
    # copies of the twins: the attack begins before the second turn of the first twin, and behind the image of the other
    copies_of = torch.tensor([1, 2])
    compared = batch.compared(copies_of)
    assert [(row.nonzero()[:, 0]).tolist() for row in compared[:1]] == [[]]
    expected = [[10, 11], [4, 9, 10], [4, 10, 11], [4, 9, 10]]
    found = [(row.nonzero()[:, 0] - first[index]).tolist() for row, index in zip(compared[1:], [1, 2, 1, 2])]
    assert found == expected


def test_the_end_of_a_prompt_decides():
    batch = turns(left=True)
    batch.labels[:] = NO
    assert batch.decision.tolist() == [12, 12, 12]


def test_a_thought_is_skipped_where_a_turn_begins_with_it_alone():
    labels = torch.tensor([[NO, 8, 9, 1, 8, 9], [8, 9, NO, 8, 1, 9], [NO, NO, NO, NO, 8, 9], [NO, NO, NO, NO, NO, 8]])
    assert skipped_thoughts(labels, THOUGHT).int().tolist() == [
        [0, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0],
    ]  # fmt: skip
    assert not skipped_thoughts(labels, ()).any() and not skipped_thoughts(labels, range(7)).any()


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
    assert answers.only(torch.tensor([True, False, True])).compared.tolist() == [False, True] * 2


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
