"""Collate examples into a device batch: every clean row followed by its twins, every picture once."""

import copy
import multiprocessing
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import torch
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from llamafactory.extras import logging
from torch import Tensor

from ..batch import Question
from ..errors import ModalityInterferenceError
from ..modality import CLEAN, IGNORE_LABEL, perturbation_mask
from .media import load_image
from .processor import last_turn_start
from .questions import ask, prompt_of, question
from .sharing import SharedPictures
from .tokens import modality_tokens


logger = logging.get_logger(f"llamafactory.{__name__}")  # below its root logger, which has the handlers


class Purpose(StrEnum):
    """What a batch is for."""

    TRAINING = "training"
    LIKELIHOOD = "likelihood"  # diagnosis: all twins, all options
    GENERATION = "generation"  # diagnosis: all twins, prompts only
    STOCK = "stock"  # LLaMA-Factory's own evaluation: clean rows only


@dataclass
class TwinCollator(SFTDataCollatorWith4DAttentionMask):
    """LLaMA-Factory's collator for examples that bring twins; see `TwinBatch` for what it makes.

    An example with a picture that cannot be read any more is left out of its batch with a warning.

    Args:
        seed: what the draws of `twins_limit` depend on, with the epoch and the row.
        twins_limit: how many twins of an example to train on, None for all.
        purpose: what the batches are for.
    """

    seed: int = 0
    twins_limit: int | None = None
    purpose: Purpose = Purpose.TRAINING
    # shared memory: dataloader workers that live for several epochs hold a copy of this collator
    _epoch: Any = field(default_factory=lambda: multiprocessing.get_context("spawn").Value("q", 0), repr=False)
    _shared: SharedPictures | None = field(default=None, init=False, repr=False)
    _reported: set[tuple[str, int]] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.modality_tokens = modality_tokens(self.tokenizer, self.processor, self.template)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose twins are drawn."""
        self._epoch.value = epoch

    def with_model(self, model: Any) -> "TwinCollator":
        """The same collator with a model, whose positions of media tokens it then computes.

        LLaMA-Factory gives it none where the evaluation generates; then the model would compute positions from pictures
        that the plugin shares between rows.
        """
        return self if self.model is not None else replace(self, model=model)  # type: ignore[call-arg]

    def for_evaluation(self, purpose: Purpose) -> "TwinCollator":
        """The same collator for another purpose."""
        other = copy.copy(self)
        other.purpose = purpose
        return other

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        twin_of, examples, pictures = [], [], {}
        for feature in features:
            variants = self._variants(feature)
            loaded = self._load_pictures(feature, variants)
            if loaded is None:
                continue

            pictures[id(feature)] = loaded
            twin_of += [len(rows)] * len(variants)
            rows += variants
            examples += [feature] * len(variants)

        if not rows:
            rows, examples, twin_of = [self._filler()], [self._filler()], [0]

        return self._collate(rows, examples, twin_of, pictures)

    def _collate(
        self, rows: list[dict[str, Any]], examples: list[dict[str, Any]], twin_of: list[int], pictures: dict[int, dict]
    ) -> dict[str, Any]:
        questions = self._questions(rows, examples, twin_of)
        loaded = [pictures.get(id(example), {}) for example in examples]
        # of a dataset that was tokenized without the plugin nothing can be shared, and in generation the model itself
        # computes positions, which takes every picture in its place
        sharing = "image_references" in examples[0] and not self._generates
        self._shared = SharedPictures.of(rows, loaded) if sharing else None
        model_rows = [self._model_row(index, row, examples[index], loaded[index]) for index, row in enumerate(rows)]
        with self._padding():
            batch = super().__call__(model_rows)

        if self.purpose is Purpose.STOCK:
            return batch

        relevant = torch.tensor([example.get("relevant") or 0 for example in examples])
        batch["perturbation_mask"] = perturbation_mask(
            batch["input_ids"], batch["attention_mask"], batch["labels"], relevant, self.modality_tokens
        )
        batch["twin_of"] = torch.tensor(twin_of)
        batch["row_key"] = torch.tensor([row_key(example, row) for example, row in zip(examples, rows)])
        batch["image_index"] = None if self._sharing is None else self._sharing.token_index
        batch["questions"] = questions
        return batch

    @contextmanager
    def _padding(self) -> Iterator[None]:
        """Prompts to generate from end where the answer starts; LLaMA-Factory sees to that after training only."""
        stock = self.tokenizer.padding_side
        if self.purpose is Purpose.GENERATION:
            self.tokenizer.padding_side = "left"

        try:
            yield
        finally:
            self.tokenizer.padding_side = stock

    @property
    def _generates(self) -> bool:
        return self.purpose is Purpose.GENERATION or (self.purpose is Purpose.STOCK and self.model is None)

    def _questions(
        self, rows: list[dict[str, Any]], examples: list[dict[str, Any]], twin_of: list[int]
    ) -> list[Question] | None:
        if self.purpose is Purpose.LIKELIHOOD:
            return ask(rows, examples, twin_of)

        if self.purpose is not Purpose.GENERATION:
            return None

        questions = [
            question(place, row, examples[place], twin_of[place], response=self._response(row))
            for place, row in enumerate(rows)
        ]
        rows[:] = [prompt_of(row) for row in rows]
        return questions

    def _response(self, row: dict[str, Any]) -> str:
        answer = row["labels"][last_turn_start(row["labels"]) :]
        return self.tokenizer.decode(answer, skip_special_tokens=True).strip()

    def _load_pictures(self, feature: dict[str, Any], variants: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The example's pictures by reference; None where one cannot be read."""
        images, extra = feature.get("images") or [], feature.get("twin_images") or []
        references = {reference for row in variants for reference in row.get("image_references") or []}
        try:
            return {reference: load_image(reference, images, extra) for reference in sorted(references)}
        except ModalityInterferenceError as error:
            self._report(feature, error)
            return None

    def _report(self, feature: dict[str, Any], error: ModalityInterferenceError) -> None:
        where = (feature.get("dataset") or "", feature.get("row", -1))
        if where not in self._reported:
            self._reported.add(where)
            logger.warning(f"Dataset `{where[0]}`, row {where[1]} is left out of its batch: {error}")

    def _filler(self) -> dict[str, Any]:
        """An example without an answer, where no example of a batch can be read: every rank needs a batch."""
        token = self.tokenizer.eos_token_id
        return {"input_ids": [token], "labels": [IGNORE_LABEL], "image_references": [], "image_tokens": []}

    def _variants(self, feature: dict[str, Any]) -> list[dict[str, Any]]:
        variants = (feature.get("variants") or []) if self.purpose is not Purpose.STOCK else []
        training = self.purpose is Purpose.TRAINING
        if training and self.twins_limit is not None and self.twins_limit < len(variants):
            draw = random.Random(f"{self.seed}/{self._epoch.value}/{feature['key']}")
            variants = [variants[index] for index in sorted(draw.sample(range(len(variants)), self.twins_limit))]

        return [feature, *variants]

    def _model_row(
        self, index: int, row: dict[str, Any], example: dict[str, Any], loaded: dict[str, Any]
    ) -> dict[str, Any]:
        if self._shared is not None:
            images = self._shared.new[index]
        elif "image_references" in row:
            images = [loaded[reference] for reference in row["image_references"]]
        else:
            images = example.get("images") or []

        return {
            "input_ids": list(row["input_ids"]),
            "attention_mask": [1] * len(row["input_ids"]),
            "labels": list(row["labels"]),
            "images": images,
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
