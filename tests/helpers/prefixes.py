"""The tokens that a step has to compute, counted as plainly as possible: one for each distinct beginning of a row."""

from typing import Any

from modality_interference.batching.batch import TwinBatch
from modality_interference.modality import Modality


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
