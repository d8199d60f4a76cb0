"""Packing rows: every row finds its own tokens, and none is there twice."""

import pytest
import torch
from helpers.prefixes import IMAGE_TOKEN, attack_prefix, batches, copy_signature, distinct, signature
from hypothesis import given, settings
from hypothesis import strategies as st

from modality_interference.attention.prefix import CommonPrefixes
from modality_interference.batching.batch import TwinBatch
from modality_interference.modality import IGNORE_LABEL, Modality


def tokens_along(packed, batch, entry, source):
    """The batch's tokens that a row meets on its path: (id, image)."""
    columns = batch.inputs["input_ids"].shape[1]
    index = torch.zeros_like(batch.inputs["input_ids"]) - 1
    index[batch.inputs["input_ids"] == IMAGE_TOKEN] = batch.media_index[Modality.IMAGE]
    ids, media = batch.inputs["input_ids"].flatten(), index.flatten()
    found = []
    for column in range(packed.first[entry], packed.first[entry] + packed.ends[entry]):
        place = int(packed.flat_index[packed.paths[entry, column]])
        place = place % columns + source[place // columns] * columns
        found.append((int(ids[place]), int(media[place]) if media[place] >= 0 else None))

    return found


@settings(max_examples=300, deadline=None)
@given(st.booleans().flatmap(lambda left: batches(left)))
def test_rows_and_copies(batch):
    rows, copies = torch.arange(len(batch.labels)), batch.masked_rows
    packed = CommonPrefixes(batch).pack(rows, copies)
    wanted = [signature(batch, row) for row in rows.tolist()] + [copy_signature(batch, row) for row in copies.tolist()]
    if not any(wanted):
        assert packed.length == 1  # engines need a forward
        return

    assert packed.length == distinct(wanted)
    source = [*rows.tolist(), *copies.tolist()]
    for entry, row in enumerate(source):
        assert tokens_along(packed, batch, entry, source) == signature(batch, row)

    for number, row in enumerate(copies.tolist()):  # a copy's perturbed tokens are its own
        end = int(packed.first[row]) + int(packed.ends[row])
        masked = batch.perturbation_mask[row] & (torch.arange(batch.labels.shape[1]) < end)
        entry = len(rows) + number
        places = packed.flat_index[packed.keys[entry][masked]]
        assert (places // batch.labels.shape[1] == entry).all()


@settings(max_examples=200, deadline=None)
@given(st.booleans().flatmap(lambda left: batches(left)))
def test_the_attacks_prefixes_and_what_is_left(batch):
    rows = batch.masked_rows
    if not len(rows):
        return

    common = CommonPrefixes(batch)
    prefixes = common.pack_prefixes(rows)
    assert prefixes.length == distinct([attack_prefix(batch, row) for row in rows.tolist()])
    which = torch.arange(len(rows))[::2]
    rest = common.rest(prefixes, which, rows[which])
    assert rest.length == sum(
        len(signature(batch, row)) - len(attack_prefix(batch, row)) for row in rows[which].tolist()
    )
    assert rest.before == prefixes.length
    for entry, row in enumerate(rows[which].tolist()):
        along = rest.paths[entry, rest.first[entry] : rest.first[entry] + rest.ends[entry]]
        before = len(attack_prefix(batch, row))
        assert (along[:before] < rest.before).all() and (along[before:] >= rest.before).all()
        answers = batch.answer_positions[row]
        assert (rest.keys[entry][answers] >= rest.before).all()  # the head finds them among the sequence's


def test_prompts_to_generate_from_are_whole():
    ids = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    batch = TwinBatch(
        inputs={"input_ids": ids, "attention_mask": (ids > 0).long()},
        labels=torch.full_like(ids, IGNORE_LABEL),
        twin_of=torch.zeros(2).long(),
        row_key=torch.arange(2),
        perturbation_mask=torch.zeros_like(ids, dtype=torch.bool),
        media_index=None,
        questions=None,
        token_modality=torch.zeros_like(ids),
        relevant=torch.zeros(2),
    )
    rows = torch.arange(2)
    packed = CommonPrefixes(batch, all_tokens=True).pack(rows, rows[:0])
    assert packed.paths.tolist() == [[0, 0, 1, 2], [0, 1, 2, 3]]
    assert packed.flat_index.tolist() == [1, 2, 3, 7]
    assert packed.present.tolist() == [[False, True, True, True], [True] * 4]


def test_positions_tell_tokens_apart():
    ids = torch.tensor([[1, 2, 3], [1, 2, 3]])
    positions = torch.tensor([[[0, 1, 2], [0, 1, 3]]] * 3)
    batch = TwinBatch(
        inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids), "position_ids": positions},
        labels=torch.tensor([[IGNORE_LABEL, IGNORE_LABEL, 3]] * 2),
        twin_of=torch.zeros(2).long(),
        row_key=torch.arange(2),
        perturbation_mask=torch.zeros_like(ids, dtype=torch.bool),
        media_index=None,
        questions=None,
        token_modality=torch.zeros_like(ids),
        relevant=torch.zeros(2),
    )
    assert CommonPrefixes(batch).common[0, 1] == 2
    assert CommonPrefixes(batch).pack(torch.arange(2), torch.arange(0)).length == 2


@pytest.mark.parametrize("limit", [1, 3])
def test_nothing_to_share(limit):
    ids = torch.arange(limit * 4).view(limit, 4) + 1
    batch = TwinBatch(
        inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        labels=torch.where(torch.arange(4) == 3, ids, IGNORE_LABEL),
        twin_of=torch.arange(limit),
        row_key=torch.arange(limit),
        perturbation_mask=torch.zeros_like(ids, dtype=torch.bool),
        media_index=None,
        questions=None,
        token_modality=torch.zeros_like(ids),
        relevant=torch.zeros(limit),
    )
    assert CommonPrefixes(batch).pack(torch.arange(limit), torch.arange(0)).length == 3 * limit
