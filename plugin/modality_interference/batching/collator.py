"""Collate examples into a device batch: every clean row followed by its twins, every image, video and audio once."""

import copy
import multiprocessing
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import torch
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from torch import Tensor

from ..compat import get_logger
from ..errors import ModalityInterferenceError, Unusable
from ..media.image import load_image
from ..media.reference import find_medium
from ..modality import IGNORE_LABEL, MEDIA, Modality
from .batch import Counterfactual, Question, Role
from .example import TokenizedExample, TokenizedRow
from .media_reader import MediaReader
from .questions import answer_start, ask, ask_counterfactuals, beginning, options_read, prompt_of, question
from .rope_positions import compute_separately, interleaved, lines_of
from .shared_media import SharedMedia, encodes, feature_index, media_owner
from .tokens import modality_tokens, perturbation_mask


Loaded = dict[Modality, dict[str, Any]]  # an example's media by reference
CLIPS = (Modality.VIDEO, Modality.AUDIO)
ALL_CLIPS = 1 << 20  # the clips of a batch are read once and kept until the batch is made
logger = get_logger(__name__)


class Purpose(StrEnum):
    """What a batch is for."""

    TRAINING = "training"
    LIKELIHOOD = "likelihood"  # diagnosis: all twins and counterfactual rows, all options
    GENERATION = "generation"  # diagnosis: all twins and counterfactual rows, prompts only
    STOCK = "stock"  # LLaMA-Factory's own evaluation: clean rows only


@dataclass
class TwinCollator(SFTDataCollatorWith4DAttentionMask):
    """LLaMA-Factory's collator for examples with twins; see `TwinBatch` for what it makes.

    An example whose image, video or audio can no longer be read is left out of its batch with a warning.

    Args:
        seed: of the twins that `twins_limit` chooses, with the epoch and the row.
        twins_limit: how many twins of an example to train on, None for all; likewise of its counterfactual rows.
        counterfactual_method: the recipe's, where it trains on counterfactual rows; None to leave them out.
        purpose: what the batches are for.
    """

    seed: int = 0
    twins_limit: int | None = None
    counterfactual_method: str | None = None
    purpose: Purpose = Purpose.TRAINING
    # shared memory: dataloader workers that live for several epochs hold a copy of this collator
    _epoch: Any = field(default_factory=lambda: multiprocessing.get_context("spawn").Value("q", 0), repr=False)
    _shared: dict[Modality, SharedMedia] = field(default_factory=dict, init=False, repr=False)
    _media_counts: dict[Modality, Tensor] = field(default_factory=dict, init=False, repr=False)
    _reported: set[tuple[str, int]] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.modality_tokens = modality_tokens(self.tokenizer, self.processor, self.template)
        self.thought = tuple(self.template.get_thought_word_ids(self.tokenizer))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which decides the twins and the counterfactual rows that `twins_limit` chooses."""
        self._epoch.value = epoch

    def with_model(self, model: Any) -> "TwinCollator":
        """The same collator with a model, for which it then computes the positions of media tokens.

        LLaMA-Factory gives it none where the evaluation generates: the model would then compute positions from images that
        the plugin shares between rows.
        """
        return self if self.model is not None else replace(self, model=model)  # type: ignore[call-arg]

    def for_evaluation(self, purpose: Purpose) -> "TwinCollator":
        """The same collator for another purpose."""
        other = copy.copy(self)
        other.purpose = purpose
        return other

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        examples = [TokenizedExample.from_arrow(feature) for feature in features]
        with MediaReader(self.template.mm_plugin, ALL_CLIPS).installed():
            while True:
                try:
                    return self._make_batch(examples)
                except Unusable as bad:
                    examples = self._without(examples, bad)

    def _without(self, examples: list[TokenizedExample], bad: Unusable) -> list[TokenizedExample]:
        """The examples that do not need a medium that cannot be read."""
        kept = []
        for example in examples:
            clips = (media[modality] for media in (example.media, example.borrowed) for modality in CLIPS)
            if any(bad.source in items for items in clips):
                self._report(example, bad)
            else:
                kept.append(example)

        if len(kept) == len(examples):
            raise bad

        return kept

    def _make_batch(self, given: list[TokenizedExample]) -> dict[str, Any]:
        rows: list[TokenizedRow] = []
        examples: list[TokenizedExample] = []
        roles: list[Role] = []
        twin_of, media = [], {}
        for example in given:
            taken = self._rows_of(example)
            own = [row for _, row in taken]
            loaded = self._load_media(example, own)
            if loaded is None:
                continue

            media[id(example)] = loaded
            twin_of += [len(rows)] * len(own)
            rows += own
            roles += [role for role, _ in taken]
            examples += [example] * len(own)

        if not rows:  # no example of the batch can be read, and every rank needs a batch
            filler = TokenizedRow.empty([self.tokenizer.eos_token_id])
            rows, examples, twin_of, roles = [filler], [TokenizedExample(filler)], [0], [Role.CLEAN]

        return self._collate(rows, examples, twin_of, roles, media)

    def _collate(
        self,
        rows: list[TokenizedRow],
        examples: list[TokenizedExample],
        twin_of: list[int],
        roles: list[Role],
        media: dict[int, Loaded],
    ) -> dict[str, Any]:
        beginnings = [beginning(row, example, self.thought) for row, example in zip(rows, examples)]
        questions = self._questions(rows, examples, twin_of)
        counterfactuals: list[Counterfactual] = []
        if self._takes_counterfactuals:
            counterfactuals = ask_counterfactuals(rows, examples, twin_of, roles, str(self.counterfactual_method))

        beginnings += [0] * (len(rows) - len(beginnings))  # rows of further options start behind it
        roles = [*roles, *[Role.OPTION] * (len(rows) - len(roles))]
        nothing: Loaded = {modality: {} for modality in MEDIA}
        loaded = [media.get(id(example), nothing) for example in examples]
        shared = self._share(rows, loaded) if examples[0].clean.references is not None else {}
        self._shared = {} if self._generates or self.purpose is Purpose.STOCK else shared
        model_rows = [self._model_row(index, row, examples[index], loaded[index]) for index, row in enumerate(rows)]
        self._media_counts = {
            modality: torch.tensor([_count_media(row, example, modality) for row, example in zip(rows, examples)])
            for modality in MEDIA
        }
        with self._padding(), self._counting(rows):
            batch = super().__call__(model_rows)

        if (
            self._generates
            and getattr(self.processor, "use_audio_in_video", False)
            and interleaved(self._media_counts)
        ):
            batch["use_audio_in_video"] = True  # the model computes positions itself here, and needs to be told

        if self.purpose is Purpose.STOCK:
            return batch

        relevant = torch.tensor([example.relevant for example in examples])
        batch["relevant"] = relevant
        batch["token_modality"] = self.modality_tokens.bits(batch["input_ids"], batch["attention_mask"], rows)
        batch["perturbation_mask"] = perturbation_mask(
            batch["token_modality"],
            batch["attention_mask"],
            batch["labels"],
            relevant,
            torch.tensor([row.prompt_start for row in rows]),
        )
        batch["twin_of"] = torch.tensor(twin_of)
        batch["row_key"] = torch.tensor(
            [row_key(example.key, row.perturbation) for example, row in zip(examples, rows)]
        )
        batch["media_index"] = {modality: one.token_index for modality, one in shared.items()} or None
        # in generation, the model gets each medium as often as it occurs
        repeated = self.purpose is Purpose.GENERATION
        index = feature_index(batch, {} if repeated else batch["media_index"] or {}, self.modality_tokens)
        batch["feature_index"] = index or None
        if repeated and any((one != torch.arange(len(one))).any() for one in index.values()):
            raise ModalityInterferenceError(
                "A batch to generate from has a video before an image. For this model, LLaMA-Factory gives all images before all "
                "videos, and the two would be mixed up. Use `diagnosis_scoring: likelihood`, or evaluate the datasets in runs of "
                "their own."
            )

        batch["role"] = torch.tensor(roles, dtype=torch.int8)
        batch["questions"] = questions
        batch["counterfactuals"] = counterfactuals
        batch["thought"] = self.thought
        batch["beginning"] = torch.tensor(beginnings)
        return batch

    def _share(self, rows: list[TokenizedRow], loaded: list[Loaded]) -> dict[Modality, SharedMedia]:
        """The modalities with a medium that occurs several times in the rows.

        For a dataset that was tokenized without the plugin, nothing can be shared. In generation the model itself computes
        positions, for which it needs each medium as often as it occurs; and a model without a method that encodes a modality,
        or one that encodes it with the prompt, always needs it so.
        """
        if self._reads_prompts:
            return {}

        owner = media_owner(self.model)
        found = {
            modality: SharedMedia.of(rows, [media[modality] for media in loaded], modality)
            for modality in MEDIA
            if self.model is None or encodes(owner, modality)
        }
        return {modality: shared for modality, shared in found.items() if not shared.nothing_shared}

    @contextmanager
    def _padding(self) -> Iterator[None]:
        """Pad prompts on the left for generation; LLaMA-Factory does so after training only."""
        stock = self.tokenizer.padding_side
        if self.purpose is Purpose.GENERATION:
            self.tokenizer.padding_side = "left"

        try:
            yield
        finally:
            self.tokenizer.padding_side = stock

    @contextmanager
    def _counting(self, rows: list[TokenizedRow]) -> Iterator[None]:
        """Tell the mm_plugin how many media each row has; it gets each medium once only. PaliGemma's token types need it.

        One that reads prompts gets them in place of the rows' tokens: what is before the first answer.
        """
        mm_plugin, counts = self.template.mm_plugin, [count.tolist() for count in self._media_counts.values()]
        stock = mm_plugin.get_mm_inputs
        prompts = [row.input_ids[: _first_label(row)] for row in rows] if self._reads_prompts else None

        def get_mm_inputs(images: list, videos: list, audios: list, *more: Any) -> dict[str, Any]:
            *_, ids, processor = more
            return stock(images, videos, audios, *counts, prompts or ids, processor)

        mm_plugin.__dict__["get_mm_inputs"] = get_mm_inputs
        try:
            yield
        finally:
            del mm_plugin.__dict__["get_mm_inputs"]

    @property
    def _reads_prompts(self) -> bool:
        """Whether images are encoded together with the prompt (InstructBLIP)."""
        return getattr(self.template.mm_plugin, "reads_prompts", False)

    @property
    def _generates(self) -> bool:
        return self.purpose is Purpose.GENERATION or (self.purpose is Purpose.STOCK and self.model is None)

    def _questions(
        self, rows: list[TokenizedRow], examples: list[TokenizedExample], twin_of: list[int]
    ) -> list[Question] | None:
        if self.purpose not in (Purpose.LIKELIHOOD, Purpose.GENERATION):
            return None

        responses = [self._response(row) for row in rows]
        if self.purpose is Purpose.LIKELIHOOD:
            asked = ask(rows, examples, twin_of, self.thought)
            return [replace(one, response=text) for one, text in zip(asked, responses)]

        questions = [
            question(index, row, examples[index], twin_of[index], response)
            for index, (row, response) in enumerate(zip(rows, responses))
        ]
        rows[:] = [prompt_of(row) for row in rows]
        return questions

    def _response(self, row: TokenizedRow) -> str:
        answer = row.labels[answer_start(row.labels, self.thought) :]
        return self.tokenizer.decode(answer, skip_special_tokens=True).strip()

    def _load_media(self, example: TokenizedExample, variants: list[TokenizedRow]) -> Loaded | None:
        """The example's media by reference; None where an image cannot be read. Clips are read later."""
        loaded: Loaded = {}
        try:
            for modality in MEDIA:
                references = {name for row in variants for name in (row.references or {}).get(modality, ())}
                find: Any = load_image if modality is Modality.IMAGE else find_medium
                own, borrowed = example.media[modality], example.borrowed[modality]
                loaded[modality] = {name: find(name, own, borrowed) for name in sorted(references)}

            return loaded
        except ModalityInterferenceError as error:
            self._report(example, error)
            return None

    def _report(self, example: TokenizedExample, error: ModalityInterferenceError) -> None:
        where = (example.dataset, example.data_row)
        if where not in self._reported:
            self._reported.add(where)
            logger.warning(f"Dataset `{where[0]}`, row {where[1]} is left out of its batch: {error}")

    @property
    def _takes_counterfactuals(self) -> bool:
        """Whether the batches are for a training with counterfactual rows."""
        return self.purpose is Purpose.TRAINING and self.counterfactual_method is not None

    def _rows_of(self, example: TokenizedExample) -> list[tuple[Role, TokenizedRow]]:
        """The clean row, and the twins and the counterfactual rows that the batch takes."""
        twins: Sequence[TokenizedRow] = example.variants
        gone: Sequence[TokenizedRow] = example.counterfactuals
        if self.purpose is Purpose.STOCK:
            twins = gone = ()
        elif self.purpose is Purpose.TRAINING:
            # a draw of their own, so that the twins are the same with and without counterfactual rows
            twins, gone = self._drawn(twins, str(example.key)), self._drawn(gone, f"{example.key}/counterfactuals")
            method = self.counterfactual_method
            gone = () if method is None or options_read(example, method) is None else gone

        return [
            (Role.CLEAN, example.clean),
            *((Role.TWIN, row) for row in twins),
            *((Role.COUNTERFACTUAL, row) for row in gone),
        ]

    def _drawn(self, rows: Sequence[TokenizedRow], key: str) -> Sequence[TokenizedRow]:
        """As many of an example's rows as `twins_limit` allows, drawn again in each epoch."""
        if self.twins_limit is None or self.twins_limit >= len(rows):
            return rows

        rng = random.Random(f"{self.seed}/{self._epoch.value}/{key}")
        return [rows[index] for index in sorted(rng.sample(range(len(rows)), self.twins_limit))]

    def _model_row(self, index: int, row: TokenizedRow, example: TokenizedExample, loaded: Loaded) -> dict[str, Any]:
        return {
            "input_ids": list(row.input_ids),
            "attention_mask": [1] * len(row.input_ids),
            "labels": list(row.labels),
            **{column: self._media_of(index, row, example, loaded, modality) for modality, column in MEDIA.items()},
        }

    def _media_of(
        self, index: int, row: TokenizedRow, example: TokenizedExample, loaded: Loaded, modality: Modality
    ) -> list[Any]:
        """The media of a modality that the model gets with a row."""
        if modality in self._shared:
            return self._shared[modality].new[index]

        if row.references is not None:
            return [loaded[modality][name] for name in row.references[modality]]

        return list(example.media[modality])

    def _compute_rope_position_ids(self, features: dict[str, Tensor], mm_inputs: dict[str, Any]) -> None:
        # positions need the media of all rows, of which `mm_inputs` holds the distinct ones only
        mm_inputs = lines_of(mm_inputs, {modality: shared.medium_index for modality, shared in self._shared.items()})
        compute = super()._compute_rope_position_ids
        if getattr(self.processor, "use_audio_in_video", False):
            compute_separately(compute, features, mm_inputs, self._media_counts, self.processor)
        else:
            compute(features, mm_inputs)


def _first_label(row: TokenizedRow) -> int:
    """Where the first answer begins; the row's length where there is none."""
    return next((index for index, label in enumerate(row.labels) if label != IGNORE_LABEL), len(row.labels))


def _count_media(row: TokenizedRow, example: TokenizedExample, modality: Modality) -> int:
    """How many media of a modality a row has."""
    return len(row.references[modality] if row.references is not None else example.media[modality])


def row_key(key: int, perturbation: str) -> int:
    """Identity of a batch row's content, from its example's key and its perturbation."""
    text = f"{key}/{perturbation}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
