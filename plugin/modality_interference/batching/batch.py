"""What the collator gives to the trainer: LLaMA-Factory's model inputs, and what the plugin knows about the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..modality import IGNORE_LABEL, Modality


ROW_KEYS = (
    "twin_of", "row_key", "perturbation_mask", "media_index", "questions", "token_modality", "relevant", "thought",
    "beginning", "feature_index", "role", "counterfactuals",
)  # fmt: skip
_MEDIA_TOKENS = 24  # bits for the number of a media token in its batch; above them is its modality
_DEFAULTS: dict[str, Any] = {"thought": (), "beginning": 0, "counterfactuals": ()}


class Role(IntEnum):
    """What a row of a batch is there for."""

    CLEAN = 0
    TWIN = 1
    COUNTERFACTUAL = 2  # its evidence is gone: the answer in its labels is not to be kept
    OPTION = 3  # another row with a further option, or with the answer that a twin claims


@dataclass(frozen=True)
class OptionTokens:
    """Where the likelihood of tokens is read in a batch.

    Attributes:
        row: the batch's row whose answer positions predict the tokens.
        offset: the first of them among that row's answer positions.
        tokens: of one option those that the options do not all begin with; or those that they do.
    """

    row: int
    offset: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Question:
    """What the diagnosis knows about a clean row or twin in a batch.

    Attributes:
        dataset: the dataset's name.
        row: the example's index there.
        key: identity of the example's content.
        kind: what the answer depends on, one of `modality.KINDS`.
        perturbation: its label, `CLEAN` for the clean row.
        batch_row: the row's index in the batch.
        clean: the index of its clean row's question among the batch's questions.
        choices: the options, empty where there are none.
        answer: the index of the right option, None where there are no options.
        target: the index of the option that the perturbation claims to be right, None where it claims none.
        claimed: the wrong answer that it claims, where the answer is free; None where it claims none.
        claims: where the right answer and the claimed one are scored, of the row and then of its clean row; empty in
            generation, and where nothing is claimed.
        family: the family of texts that it took its words from; None where it has no families.
        options: for every option, where it is scored; empty in generation, and where the answer is free: without options, or
            with a response that is neither an option's text nor its letter.
        beginning: the tokens that all options begin with, behind a skipped thought. They change no probability of an
            option, but count where likelihoods are divided by lengths.
        option_lengths: for every option, the characters of the answer that is scored.
        response: the row's answer as a text, without a skipped thought.
        clip: the row of the data, where it is asked several questions; else None.
        abstention: the option that says that one cannot tell, where the row offers one.
        removed: whether a modality that the answer depends on was taken away.
        medium: the name of the row's first file; "" where it has none.
    """

    dataset: str
    row: int
    key: int
    kind: str
    perturbation: str
    batch_row: int
    clean: int
    choices: tuple[str, ...] = ()
    answer: int | None = None
    target: int | None = None
    claimed: str | None = None
    claims: tuple[OptionTokens, ...] = ()
    family: str | None = None
    options: tuple[OptionTokens, ...] = ()
    beginning: OptionTokens | None = None
    option_lengths: tuple[int, ...] = ()
    response: str = ""
    clip: int | None = None
    abstention: str | None = None
    removed: bool = False
    medium: str = ""


@dataclass(frozen=True)
class Counterfactual:
    """What the training knows about a counterfactual row in a batch.

    Attributes:
        row: its index in the batch.
        clean: the index of its clean row.
        choices: how many options there are; 0 where the answer is free.
        options: those whose likelihood the loss reads, and where it is read.
    """

    row: int
    clean: int
    choices: int = 0
    options: tuple[OptionTokens, ...] = ()


@dataclass
class TwinBatch:
    """A device batch of clean rows, each followed by its twins and its counterfactual rows.

    `answer_positions`, `content` and the like are of all rows. What trains and attacks takes clean rows and twins only:
    `trained`, `twins`, `masked_rows`, `rows_with_variants`.

    Attributes:
        inputs: the model's keyword arguments, without labels.
        labels: (rows, tokens), `IGNORE_LABEL` where there is none.
        twin_of: (rows,) index of each row's clean row, whatever the row's role; a clean row's own index.
        row_key: (rows,) identity of each row's content, the seed of its noise.
        perturbation_mask: (rows, tokens) tokens that an adversarial copy may change.
        media_index: by modality, for those with a medium that occurs several times in the rows: (its tokens in all rows,) the
            index of each token, in row-major order, among the tokens of the distinct media, which are those in `inputs`
            (except in generation, where `inputs` repeats each medium as often as the rows do). None where there is no such
            modality.
        questions: of the clean rows and twins that the diagnosis scores; None in training. These rows are then followed by
            rows that hold further options of a question.
        token_modality: (rows, tokens) int8, the modality bit of every token, 0 for template tokens and padding.
        relevant: (rows,) relevant sets as bits, 0 where nothing is known.
        thought: the tokens that the template writes for a skipped thought, where an answer has none.
        beginning: (rows,) how many of the last answer's tokens, behind a skipped thought, all options begin with.
        feature_index: `media_index` as the model encodes media: of modalities whose tokens have the same id, such as InternVL's
            images and videos, all tokens together, under the one whose method encodes them.
        role: (rows,) a `Role` each. Unset: every row is a clean row or a twin, as `twin_of` says.
        counterfactuals: the counterfactual rows, in training; empty in the diagnosis, whose `questions` have them.
    """

    inputs: dict[str, Any]
    labels: Tensor
    twin_of: Tensor
    row_key: Tensor
    perturbation_mask: Tensor
    media_index: Mapping[Modality, Tensor] | None
    questions: list[Question] | None
    token_modality: Tensor
    relevant: Tensor
    thought: Sequence[int] = ()
    beginning: Tensor | int = 0
    feature_index: Mapping[Modality, Tensor] | None = None
    role: Tensor | None = None
    counterfactuals: Sequence[Counterfactual] = ()

    @classmethod
    def split(cls, inputs: dict[str, Any]) -> "TwinBatch":
        """Split a collated batch; `inputs` is not changed."""
        row_values: dict[str, Any] = {key: inputs.get(key, _DEFAULTS.get(key)) for key in ROW_KEYS}
        rest = {key: value for key, value in inputs.items() if key not in ROW_KEYS and key != "labels"}
        return cls(rest, inputs["labels"], **row_values)

    @cached_property
    def roles(self) -> Tensor:
        """(rows,) a `Role` each."""
        if self.role is not None:
            return self.role

        own = torch.arange(len(self.twin_of), device=self.twin_of.device)
        return torch.where(self.twin_of == own, int(Role.CLEAN), int(Role.TWIN))

    @cached_property
    def clean_rows(self) -> Tensor:
        """(clean rows,) indices."""
        return torch.nonzero(self.roles == Role.CLEAN)[:, 0]

    @cached_property
    def twins(self) -> Tensor:
        """(twins,) indices of the twins that have an answer."""
        return torch.nonzero((self.roles == Role.TWIN) & self.answered)[:, 0]

    @cached_property
    def trained(self) -> Tensor:
        """(rows,) whether it is a clean row or a twin, whose answer is to be learned and kept."""
        return (self.roles == Role.CLEAN) | (self.roles == Role.TWIN)

    @cached_property
    def masked_rows(self) -> Tensor:
        """(masked rows,) indices of the clean rows and twins that an attack can change."""
        attacked = self.trained & self.answered
        return torch.nonzero((self.perturbation_mask & attacked[:, None]).any(dim=1))[:, 0]

    @cached_property
    def answered(self) -> Tensor:
        """(rows,) whether the row has an answer at all."""
        return self.answer_positions.any(dim=1)

    @cached_property
    def answer_positions(self) -> Tensor:
        """(rows, tokens) positions whose next token is a label."""
        return answer_positions(self.labels)

    @cached_property
    def content(self) -> Tensor:
        """(rows, tokens) answer positions, without those whose next token belongs to a skipped thought.

        A template for models that reason writes an empty thought before an answer that has none: the same tokens in every
        row, of which nothing can be learned about the answer.
        """
        predicted = torch.zeros_like(self.answer_positions)
        predicted[:, :-1] = skipped_thoughts(self.labels, self.thought)[:, 1:]
        return self.answer_positions & ~predicted

    @cached_property
    def last_answer(self) -> Tensor:
        """(rows, tokens) the positions of `content` that predict the last turn: the answer that is scored."""
        starts = self.answer_positions.clone()
        starts[:, 1:] &= ~self.answer_positions[:, :-1]
        return self.content & (self._columns >= _last(starts)[:, None])

    @cached_property
    def decision(self) -> Tensor:
        """(rows,) the position that decides the answer: it predicts the first token in which the options differ.

        Where the answer is free, it predicts the answer's first token; of a prompt alone, it is the last position.
        """
        first = self.last_answer.long().argmax(dim=1) + self.beginning
        return torch.where(self.last_answer.any(dim=1), first, _last(self.inputs["attention_mask"].bool()))

    @cached_property
    def identities(self) -> Tensor:
        """(rows, tokens) equal where tokens have the same id and are the same part of the same medium."""
        ids = self.inputs["input_ids"].long()
        medium = torch.zeros_like(ids)
        for modality in Modality:
            if modality is not Modality.TEXT:
                tokens = torch.nonzero((self.token_modality == modality.bit).flatten())[:, 0]
                index = (self.media_index or {}).get(modality)
                own = torch.arange(len(tokens), device=ids.device) if index is None else index
                medium.view(-1)[tokens] = own + 1 + (modality.bit << _MEDIA_TOKENS)

        return (medium << 32) | ids

    @cached_property
    def differs_from(self) -> Tensor:
        """(rows,) the column of the first token in which a row differs from its clean row; of clean rows, one too far."""
        attended = self.inputs["attention_mask"].bool()
        first = attended.long().argmax(dim=1)  # other than 0 where rows are padded on the left
        last = attended.shape[1] - 1
        aligned = self.identities.gather(1, (first[:, None] + self._columns).clamp(max=last))
        differs = aligned != aligned[self.twin_of]
        return torch.where(differs.any(dim=1), first + differs.long().argmax(dim=1), last + 1)

    def compared(self, copies_of: Tensor) -> Tensor:
        """The answer positions at which variants are compared with their clean rows.

        They are the positions of `content` from the first token on in which the variant differs from its clean row: what is
        before cannot differ, such as the answers of turns before the perturbed one.

        Args:
            copies_of: (copies,) the row that each adversarial copy is of.

        Returns:
            (rows + copies, tokens) booleans; none of a clean row.
        """
        mask, far = self.perturbation_mask, len(self._columns)
        masked_from = torch.where(mask.any(dim=1), mask.long().argmax(dim=1), far)
        starts = torch.cat([self.differs_from, torch.minimum(self.differs_from, masked_from)[copies_of]])
        return torch.cat([self.content, self.content[copies_of]]) & (self._columns >= starts[:, None])

    @property
    def _columns(self) -> Tensor:
        return torch.arange(self.labels.shape[1], device=self.labels.device)

    def rows_with_variants(self, adversarial: bool) -> Tensor:
        """(clean rows with a variant,) indices of clean rows that have a twin or, with `adversarial`, a copy."""
        sources = [self.twin_of[self.roles == Role.TWIN]]
        if adversarial:
            sources.append(self.twin_of[self.masked_rows])

        return torch.unique(torch.cat(sources))


def answer_positions(labels: Tensor) -> Tensor:
    """Positions whose next token is a label.

    Args:
        labels: (rows, tokens).

    Returns:
        (rows, tokens) booleans; the last column is False.
    """
    positions = torch.zeros_like(labels, dtype=torch.bool)
    positions[:, :-1] = labels[:, 1:] != IGNORE_LABEL
    return positions


def skipped_thoughts(labels: Tensor, thought: Sequence[int]) -> Tensor:
    """Labels that the template has written for a skipped thought, in every turn.

    Args:
        labels: (rows, tokens).
        thought: see `TwinBatch`.

    Returns:
        (rows, tokens) booleans.
    """
    found = torch.zeros_like(labels, dtype=torch.bool)
    width = len(thought)
    if not 0 < width <= labels.shape[1]:
        return found

    starts = labels != IGNORE_LABEL
    starts[:, 1:] &= labels[:, :-1] == IGNORE_LABEL
    windows = labels.unfold(1, width, 1)
    begins = starts[:, : windows.shape[1]] & (windows == torch.tensor(thought, device=labels.device)).all(dim=-1)
    for step in range(width):
        found[:, step : step + windows.shape[1]] |= begins

    return found


def _last(where: Tensor) -> Tensor:
    """(rows,) the last column in which (rows, tokens) booleans are True, 0 where none is."""
    return torch.where(where, torch.arange(where.shape[1], device=where.device), 0).amax(dim=1)
