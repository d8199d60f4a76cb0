"""Collate examples into a device batch: every clean row followed by its twins, every picture once."""

import copy
import multiprocessing
import random
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import torch
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from torch import Tensor

from ..batch import CLEAN
from ..modality import perturbation_mask
from .sharing import SharedPictures
from .tokens import modality_tokens


@dataclass
class TwinCollator(SFTDataCollatorWith4DAttentionMask):
    """LLaMA-Factory's collator for examples that bring twins; see `TwinBatch` for what it makes.

    Args:
        seed: what the draws of `twins_limit` depend on, with the epoch and the row.
        twins_limit: how many twins of an example to take, None for all.
        twins: whether to take twins at all (generation looks at clean rows).
    """

    seed: int = 0
    twins_limit: int | None = None
    twins: bool = True
    # shared memory: dataloader workers that live for several epochs hold a copy of this collator
    _epoch: Any = field(default_factory=lambda: multiprocessing.get_context("spawn").Value("q", 0), repr=False)
    _shared: SharedPictures | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.modality_tokens = modality_tokens(self.tokenizer, self.processor, self.template)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose twins are drawn."""
        self._epoch.value = epoch

    def for_evaluation(self, twins: bool) -> "TwinCollator":
        """The same collator with all twins, or with none."""
        other = copy.copy(self)
        other.twins, other.twins_limit = twins, None
        return other

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        twin_of, examples = [], []
        for feature in features:
            first = len(rows)
            for variant in self._variants(feature):
                twin_of.append(first)
                rows.append(variant)
                examples.append(feature)

        # None: a dataset that was tokenized without the plugin
        self._shared = None if "image_references" not in features[0] else SharedPictures.of(rows, examples)
        batch = super().__call__([self._model_row(index, row, examples[index]) for index, row in enumerate(rows)])
        if not self.twins:
            return batch

        relevant = torch.tensor([example.get("relevant") or 0 for example in examples])
        batch["perturbation_mask"] = perturbation_mask(
            batch["input_ids"], batch["attention_mask"], batch["labels"], relevant, self.modality_tokens
        )
        batch["twin_of"] = torch.tensor(twin_of)
        batch["row_key"] = torch.tensor([row_key(example, row) for example, row in zip(examples, rows)])
        batch["image_index"] = None if self._sharing is None else self._sharing.token_index
        batch["datasets"] = [example.get("dataset") or "" for example in examples]
        batch["perturbations"] = [row.get("perturbation") or CLEAN for row in rows]
        return batch

    def _variants(self, feature: dict[str, Any]) -> list[dict[str, Any]]:
        variants = (feature.get("variants") or []) if self.twins else []
        if self.twins_limit is not None and self.twins_limit < len(variants):
            draw = random.Random(f"{self.seed}/{self._epoch.value}/{feature['key']}")
            variants = [variants[index] for index in sorted(draw.sample(range(len(variants)), self.twins_limit))]

        return [feature, *variants]

    def _model_row(self, index: int, row: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
        return {
            "input_ids": list(row["input_ids"]),
            "attention_mask": [1] * len(row["input_ids"]),
            "labels": list(row["labels"]),
            "images": self._shared.new[index] if self._shared is not None else example.get("images"),
            "videos": example.get("videos"),
            "audios": example.get("audios"),
        }

    def _compute_rope_position_ids(self, features: dict[str, Tensor], mm_inputs: dict[str, Any]) -> None:
        # positions are those of all rows' pictures, of which `mm_inputs` holds the distinct ones
        grid = mm_inputs.get("image_grid_thw")
        if self._sharing is not None and grid is not None:
            mm_inputs = {**mm_inputs, "image_grid_thw": grid[self._sharing.picture_index]}

        super()._compute_rope_position_ids(features, mm_inputs)

    @property
    def _sharing(self) -> SharedPictures | None:
        """The current batch's shared pictures, None where every picture stands in one place."""
        return None if self._shared is None or self._shared.nothing_shared else self._shared


def row_key(example: dict[str, Any], row: dict[str, Any]) -> int:
    """Identity of a row's content: the example's, and which of its twins it is."""
    text = f"{example.get('key', 0)}/{row.get('perturbation') or CLEAN}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
