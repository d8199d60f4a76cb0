"""Rows that are asked several questions, one modality after the other: a row of the dataset for every question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..modality import Modality


if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset


ASKED = "_asked"  # the column that says which modality the row's question is about
CLIP = "_clip"  # the column with the index of the row that the dataset itself has


def ask_each(dataset: "Dataset | IterableDataset", senses: Sequence[Modality], **options: Any) -> Any:
    """Repeat every row, once for each modality that it is asked about.

    Args:
        dataset: the raw rows.
        senses: the modalities, in the order of the questions.
        options: further arguments of `dataset.map`.
    """
    from datasets import Features, Value  # here: formats are read without it

    known = dataset.features
    features = Features({**known, ASKED: Value("string"), CLIP: Value("int64")}) if known is not None else None
    question = _Questions(tuple(sense.value for sense in senses))
    return dataset.map(question, batched=True, with_indices=True, features=features, **options)


def clip_row(example: Mapping[str, Any]) -> dict[str, int]:
    """`{"clip": index}` of the row that a question is about, for `_twins`; nothing where rows are asked one question."""
    return {"clip": example[CLIP]} if CLIP in example else {}


@dataclass(frozen=True)
class _Questions:
    senses: tuple[str, ...]

    def __call__(self, rows: Mapping[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        repeated = {name: [value for value in values for _ in self.senses] for name, values in rows.items()}
        clips = [index for index in indices for _ in self.senses]
        return {**repeated, ASKED: list(self.senses) * len(indices), CLIP: clips}
