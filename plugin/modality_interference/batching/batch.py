"""What the collator gives to the trainer: LLaMA-Factory's model inputs, and what the plugin knows about the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalityInterferenceError
from ..modality import IGNORE_LABEL, Modality


ROW_KEYS = ("twin_of", "row_key", "perturbation_mask", "media_index", "questions", "token_modality", "relevant")


@dataclass(frozen=True)
class OptionTokens:
    """Where the likelihood of an option is read in a batch.

    Attributes:
        row: the batch's row whose answer positions predict the option's tokens.
        offset: the first of them among that row's answer positions.
        tokens: those in which this option differs from the others.
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
        choices: the options, empty where the answer is free.
        answer: the index of the right option, None where the answer is free.
        target: the index of the option that the perturbation claims to be right, None where it claims none.
        options: for every option, where it is scored; empty where the answer is free, and in generation.
        response: the right answer as a text, for generation.
        clip: the row of the data, where it is asked several questions; else None.
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
    options: tuple[OptionTokens, ...] = ()
    response: str = ""
    clip: int | None = None


@dataclass
class TwinBatch:
    """A device batch of clean rows, each followed by its twins.

    Attributes:
        inputs: the model's keyword arguments, without labels.
        labels: (rows, tokens), `IGNORE_LABEL` where there is none.
        twin_of: (rows,) index of each row's clean row; a clean row's own index.
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

    @classmethod
    def split(cls, inputs: dict[str, Any]) -> "TwinBatch":
        """Split a collated batch; `inputs` is not changed."""
        row_values: dict[str, Any] = {key: inputs.get(key) for key in ROW_KEYS}
        rest = {key: value for key, value in inputs.items() if key not in ROW_KEYS and key != "labels"}
        return cls(rest, inputs["labels"], **row_values)

    @cached_property
    def clean_rows(self) -> Tensor:
        """(clean rows,) indices."""
        return torch.nonzero(self.twin_of == torch.arange(len(self.twin_of), device=self.twin_of.device))[:, 0]

    @cached_property
    def masked_rows(self) -> Tensor:
        """(masked rows,) indices of the rows that an attack can change."""
        return torch.nonzero((self.perturbation_mask & self.answered[:, None]).any(dim=1))[:, 0]

    @cached_property
    def answered(self) -> Tensor:
        """(rows,) whether the row has an answer at all."""
        return self.answer_positions.any(dim=1)

    @cached_property
    def answer_positions(self) -> Tensor:
        """(rows, tokens) positions whose next token is a label."""
        return answer_positions(self.labels)

    def rows_with_variants(self, adversarial: bool) -> Tensor:
        """(clean rows with a variant,) indices of clean rows that have a twin or, with `adversarial`, a copy."""
        is_variant = self.twin_of != torch.arange(len(self.twin_of), device=self.twin_of.device)
        sources = [self.twin_of[is_variant]]
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


@dataclass
class Answers:
    """Logits at the answer positions of some rows, flattened in row-major order.

    Attributes:
        logits: (positions, vocabulary) float32.
        targets: (positions,) the answer tokens.
        row: (positions,) index of each position's row.
        rows: number of rows.
    """

    logits: Tensor
    targets: Tensor
    row: Tensor
    rows: int

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "Answers":
        """Pair (positions, vocabulary) logits with the labels (rows, tokens) that they predict."""
        positions = answer_positions(labels)
        row = torch.nonzero(positions)[:, 0]
        if len(row) != len(logits):
            raise ModalityInterferenceError(
                f"The model returned logits for {len(logits)} positions, but the batch has {len(row)} answer tokens: "
                "`get_decoder()` or `get_output_embeddings()` of the model does not return the module that its forward uses."
            )

        return cls(logits.float(), labels[:, 1:][positions[:, :-1]], row, len(labels))

    @cached_property
    def lengths(self) -> Tensor:
        """(rows,) answer tokens of each row."""
        return torch.bincount(self.row, minlength=self.rows)

    @cached_property
    def starts(self) -> Tensor:
        """(rows,) first position of each row."""
        return self.lengths.cumsum(0) - self.lengths

    @cached_property
    def cross_entropy(self) -> Tensor:
        """(positions,) nats."""
        return torch.nn.functional.cross_entropy(self.logits, self.targets, reduction="none")

    @cached_property
    def finite(self) -> Tensor:
        """(rows,) whether the cross-entropy of the row's answer is finite."""
        return torch.isfinite(self.row_sums(self.cross_entropy.detach()))

    def only(self, kept: Tensor) -> "Answers":
        """The answers of some rows, which get new indices.

        Args:
            kept: (rows,) booleans.
        """
        positions = kept[self.row]
        numbers = kept.cumsum(0) - 1
        return Answers(self.logits[positions], self.targets[positions], numbers[self.row[positions]], int(kept.sum()))

    def row_sums(self, values: Tensor) -> Tensor:
        """Sum (positions,) values over each row's positions: (rows,)."""
        return torch.zeros(self.rows, dtype=values.dtype, device=values.device).index_add(0, self.row, values)

    def row_means(self, values: Tensor) -> Tensor:
        """Average (positions,) values over each row's positions: (rows,), 0 for rows without an answer."""
        return self.row_sums(values) / self.lengths.clamp(min=1)

    @cached_property
    def correct(self) -> Tensor:
        """(rows,) whether the greedy (teacher-forced) answer is the labelled one."""
        return self.row_sums((self.logits.argmax(dim=-1) != self.targets).long()) == 0

    def partners(self, variants: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Match the answer positions of variants with those of their clean rows.

        Args:
            variants: (variants,) row indices.
            sources: (variants,) the clean row of each.

        Returns:
            two (positions of the variants,) index tensors into the flat positions: of the variants, of the clean rows.

        Raises:
            ModalityInterferenceError: where a variant's answer is not as long as its clean row's.
        """
        lengths = self.lengths[variants]
        if not torch.equal(lengths, self.lengths[sources]):
            raise ModalityInterferenceError(
                "A twin's answer does not have as many tokens as its clean row's. The tokenized dataset was not made by "
                "this plugin, or was edited: remove `tokenized_path` and run again."
            )

        within = torch.arange(int(lengths.sum()), device=lengths.device)
        within = within - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
        own = torch.repeat_interleave(self.starts[variants], lengths) + within
        clean = torch.repeat_interleave(self.starts[sources], lengths) + within
        return own, clean

    def flips(self, variants: Tensor, sources: Tensor) -> Tensor:
        """(variants,) whether a variant's greedy answer differs from its clean row's in any token."""
        own, clean = self.partners(variants, sources)
        greedy = self.logits.argmax(dim=-1)
        differs = torch.zeros(self.rows, dtype=torch.long, device=own.device)
        differs = differs.index_add(0, self.row[own], (greedy[own] != greedy[clean]).long())
        return differs[variants] > 0
