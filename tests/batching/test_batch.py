"""Which positions of a batch count, and where."""

import pytest
import torch

from modality_interference.batching.batch import Role, TwinBatch, answer_positions, skipped_thoughts
from modality_interference.modality import IGNORE_LABEL as NO
from modality_interference.modality import Modality


def test_answer_positions_predict_multi_token_answers():
    labels = torch.tensor([[NO, NO, 5, 6, NO], [NO, 7, NO, NO, 8]])
    assert answer_positions(labels).tolist() == [[False, True, True, False, False], [True, False, False, True, False]]


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


def test_rows_with_variants():
    labels = torch.tensor([[NO, 1]] * 4)
    mask = torch.tensor([[False, False], [False, False], [False, False], [True, False]])
    nothing = torch.zeros(4, 2).to(torch.int8)
    batch = TwinBatch({}, labels, torch.tensor([0, 0, 2, 3]), torch.zeros(4), mask, None, None, nothing, nothing[:, 0])
    assert batch.clean_rows.tolist() == [0, 2, 3]
    assert batch.masked_rows.tolist() == [3]
    assert batch.rows_with_variants(adversarial=False).tolist() == [0]
    assert batch.rows_with_variants(adversarial=True).tolist() == [0, 3]


def test_counterfactual_rows_and_options_are_neither_trained_nor_attacked():
    """A clean row with a twin, a counterfactual row and two further options; all could be attacked."""
    labels, nothing = torch.tensor([[NO, 1]] * 5), torch.zeros(5, 2).to(torch.int8)
    roles = torch.tensor([Role.CLEAN, Role.TWIN, Role.COUNTERFACTUAL, Role.OPTION, Role.OPTION])
    batch = TwinBatch(
        {}, labels, torch.zeros(5).long(), torch.zeros(5), nothing == 0, None, None, nothing, nothing[:, 0], role=roles
    )
    assert batch.trained.tolist() == [True, True, False, False, False] and batch.answered.all()
    assert (batch.clean_rows.tolist(), batch.twins.tolist(), batch.masked_rows.tolist()) == ([0], [1], [0, 1])
    assert batch.rows_with_variants(adversarial=True).tolist() == [0]
    batch = TwinBatch.split(vars(batch) | {"role": roles[[0, 2, 2, 3, 3]]})
    assert batch.rows_with_variants(adversarial=False).tolist() == [] and batch.twins.tolist() == []
