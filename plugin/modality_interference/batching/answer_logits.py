"""Logits at the answer positions of a batch: paired with the tokens that they predict, and with those of other rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import ModalityInterferenceError
from .batch import OptionTokens, answer_positions


@dataclass
class Answers:
    """Logits at the answer positions of some rows, flattened in row-major order.

    Attributes:
        logits: (positions, vocabulary), as the model computed them.
        targets: (positions,) the answer tokens.
        row: (positions,) index of each position's row.
        rows: number of rows.
        compared: (positions,) at which of them rows are compared and judged; None at all.
    """

    logits: Tensor
    targets: Tensor
    row: Tensor
    rows: int
    compared: Tensor | None = None

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, compared: Tensor | None = None) -> "Answers":
        """Pair logits with the labels that they predict.

        Args:
            logits: (positions, vocabulary).
            labels: (rows, tokens).
            compared: (rows, tokens) `TwinBatch.compared` or `TwinBatch.last_answer`; None for all answer positions.

        Raises:
            ModalityInterferenceError: there are not as many logits as answer positions.
        """
        positions = answer_positions(labels)
        row = torch.nonzero(positions)[:, 0]
        if len(row) != len(logits):
            raise ModalityInterferenceError(
                f"The model returned logits for {len(logits)} positions, but the batch has {len(row)} answer tokens: "
                "`get_decoder()` or `get_output_embeddings()` of the model does not return the module that its forward uses."
            )

        kept = None if compared is None else compared[positions]
        return cls(logits, labels[:, 1:][positions[:, :-1]], row, len(labels), kept)

    @cached_property
    def lengths(self) -> Tensor:
        """(rows,) answer tokens of each row."""
        return torch.bincount(self.row, minlength=self.rows)

    @cached_property
    def starts(self) -> Tensor:
        """(rows,) first position of each row."""
        return self.lengths.cumsum(0) - self.lengths

    def row_sums(self, values: Tensor) -> Tensor:
        """Sum (positions,) values over each row's positions: (rows,)."""
        return torch.zeros(self.rows, dtype=values.dtype, device=values.device).index_add(0, self.row, values)

    def row_means(self, values: Tensor) -> Tensor:
        """Average (positions,) values over each row's positions: (rows,), 0 for rows without an answer."""
        return self.row_sums(values) / self.lengths.clamp(min=1)

    @cached_property
    def correct(self) -> Tensor:
        """(rows,) whether the greedy (teacher-forced) answer is the labelled one, where rows are judged."""
        wrong = self.logits.argmax(dim=-1) != self.targets
        return self.row_sums((wrong if self.compared is None else wrong & self.compared).long()) == 0

    def partners(self, variants: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Match the answer positions of variants at which they are compared with those of their clean rows.

        Args:
            variants: (variants,) row indices.
            sources: (variants,) the clean row of each.

        Returns:
            two (compared positions of the variants,) index tensors into the flat positions: of the variants, of the clean
            rows.

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
        if self.compared is None:
            return own, clean

        kept = self.compared[own]
        return own[kept], clean[kept]

    def reads(self, places: Sequence[OptionTokens]) -> tuple[Tensor, Tensor, Tensor]:
        """Where the log-probabilities of options' tokens are read.

        Args:
            places: options, in rows of the batch.

        Returns:
            three (tokens,) index tensors of the tokens of all places: the flat position that predicts each, its id, and the
            place that it belongs to.
        """
        if not places:  # which costs no wait for a GPU
            return self.row[:0], self.row[:0], self.row[:0]

        tokens = [token for place in places for token in place.tokens]
        starts = self.starts.tolist()
        positions = [starts[place.row] + place.offset + step for place in places for step in range(len(place.tokens))]
        owners = [index for index, place in enumerate(places) for _ in place.tokens]
        at, ids, owner = torch.tensor([positions, tokens, owners], dtype=torch.long, device=self.logits.device)
        return at, ids, owner

    def means_over(self, own: Tensor, values: Tensor) -> Tensor:
        """Average values of compared positions over each row's.

        Args:
            own: (compared,) their indices among the flat positions; see `partners`.
            values: (compared,).

        Returns:
            (rows,), 0 for rows without any of the positions.
        """
        sums = values.new_zeros(self.rows).index_add(0, self.row[own], values)
        return sums / torch.bincount(self.row[own], minlength=self.rows).clamp(min=1)

    def flips(self, variants: Tensor, sources: Tensor) -> Tensor:
        """(variants,) whether a variant's greedy answer differs from its clean row's where they are compared."""
        own, clean = self.partners(variants, sources)
        greedy = self.logits.argmax(dim=-1)
        differs = torch.zeros(self.rows, dtype=torch.long, device=own.device)
        differs = differs.index_add(0, self.row[own], (greedy[own] != greedy[clean]).long())
        return differs[variants] > 0
