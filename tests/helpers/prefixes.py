"""Batches whose rows have much in common, and the tokens that a step has to compute for them.

These are counted as plainly as possible: one for each distinct beginning of a row.
"""

from typing import Any

import torch
from hypothesis import strategies as st

from modality_interference.batching.batch import TwinBatch
from modality_interference.modality import IGNORE_LABEL, Modality


IMAGE_TOKEN = 9  # the id of image tokens


@st.composite
def batches(draw, left=False):
    """Rows of few different tokens, so that many share prefixes; the last tokens of a row are its answer."""
    rows = draw(
        st.lists(st.lists(st.sampled_from([1, 2, IMAGE_TOKEN]), min_size=3, max_size=8), min_size=1, max_size=6)
    )
    columns = max(map(len, rows)) + draw(st.integers(0, 2))
    ids, attended = torch.zeros(len(rows), columns, dtype=torch.long), torch.zeros(len(rows), columns).long()
    labels = torch.full((len(rows), columns), IGNORE_LABEL)
    mask = torch.zeros(len(rows), columns, dtype=torch.bool)
    for row, tokens in enumerate(rows):
        first = columns - len(tokens) if left else 0
        place = slice(first, first + len(tokens))
        ids[row, place], attended[row, place] = torch.tensor(tokens), 1
        answer = draw(st.integers(0, 2))
        if answer:
            labels[row, first + len(tokens) - answer : first + len(tokens)] = 1

        asked = len(tokens) - answer
        mask[row, first : first + asked] = torch.tensor(draw(st.lists(st.booleans(), min_size=asked, max_size=asked)))

    image_tokens = int((ids == IMAGE_TOKEN).sum())
    index = torch.tensor(
        draw(st.lists(st.integers(0, 1), min_size=image_tokens, max_size=image_tokens)), dtype=torch.long
    )
    return TwinBatch(
        inputs={"input_ids": ids, "attention_mask": attended},
        labels=labels,
        twin_of=torch.zeros(len(rows), dtype=torch.long),
        row_key=torch.arange(len(rows)),
        perturbation_mask=mask,
        media_index={Modality.IMAGE: index},
        questions=None,
        token_modality=torch.where(ids == IMAGE_TOKEN, Modality.IMAGE.bit, 0).to(torch.int8),
        relevant=torch.zeros(len(rows), dtype=torch.long),
    )


def signature(batch: TwinBatch, row: int) -> list[Any]:
    """What each of a row's tokens is, up to the last that predicts one of its answer's."""
    media: dict[tuple[int, int], int] = {}
    for modality in (Modality.IMAGE, Modality.VIDEO, Modality.AUDIO):
        places = (batch.token_modality == modality.bit).nonzero().tolist()
        index = (batch.media_index or {}).get(modality)
        for number, place in enumerate(places):
            media[tuple(place)] = number if index is None else int(index[number])

    answers = batch.answer_positions[row].nonzero().flatten().tolist()
    ids, attended = batch.inputs["input_ids"][row].tolist(), batch.inputs["attention_mask"][row].tolist()
    return [
        (ids[column], media.get((row, column)))
        for column in range(len(ids))
        if attended[column] and answers and column <= answers[-1]
    ]


def copy_signature(batch: TwinBatch, row: int) -> list[Any]:
    """The same of an adversarial copy, which is unlike any row from its first perturbed token on."""
    masked = batch.perturbation_mask[row].nonzero().flatten().tolist()
    first = sum(batch.inputs["attention_mask"][row][: masked[0]].tolist())
    tokens = signature(batch, row)
    return tokens[:first] + [("copy", row, token) for token in tokens[first:]]


def distinct(rows: list[list[Any]]) -> int:
    """How many different beginnings the rows have, of any length."""
    return len({tuple(row[: end + 1]) for row in rows for end in range(len(row))})


def attack_prefix(batch: TwinBatch, row: int) -> list[Any]:
    """What comes before the first token that an attack changes, and before the answer."""
    first = batch.inputs["attention_mask"][row].tolist().index(1)
    masked = batch.perturbation_mask[row].nonzero().flatten().tolist()
    answers = batch.answer_positions[row].nonzero().flatten().tolist()
    return signature(batch, row)[: min(masked[0], answers[0]) - first]


def batch_of(rows: list[list[int]]) -> TwinBatch:
    """Rows of token ids above 0, padded on the right; the last token of each is its answer."""
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    last = (ids > 0).sum(dim=1, keepdim=True) - 1
    return TwinBatch(
        inputs={"input_ids": ids, "attention_mask": (ids > 0).long()},
        labels=torch.where(torch.arange(ids.shape[1]) == last, ids, IGNORE_LABEL),
        twin_of=torch.zeros(len(rows)).long(),
        row_key=torch.arange(len(rows)),
        perturbation_mask=torch.zeros_like(ids, dtype=torch.bool),
        media_index=None,
        questions=None,
        token_modality=torch.zeros_like(ids),
        relevant=torch.zeros(len(rows)),
    )
