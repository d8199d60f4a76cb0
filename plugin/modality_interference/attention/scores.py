"""Attention scores of chosen query positions: a few rows of the attention map, never the whole of it."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import ModalityInterferenceError
from ..prefix.attention import rows_of
from .interface import AttentionInputs


@dataclass(frozen=True)
class Queries:
    """Positions whose attention is measured.

    Attributes:
        rows: (chosen,) rows of the batch.
        positions: (chosen, queries) positions of their tokens; a row with fewer than the others repeats its first.
        present: (chosen, queries) which of them are no repeats.
    """

    rows: Tensor
    positions: Tensor
    present: Tensor

    @cached_property
    def in_order(self) -> bool:
        """Whether the rows are the batch's first ones, in their order; asked once for all layers."""
        return bool((self.rows == torch.arange(len(self.rows), device=self.rows.device)).all())

    @classmethod
    def at(cls, rows: Tensor, where: Tensor) -> "Queries":
        """Gather them.

        Args:
            rows: (chosen,) rows of the batch, each with at least one position.
            where: (rows, tokens) booleans.
        """
        chosen = where[rows]
        counts = chosen.sum(dim=1)
        most = int(counts.max()) if len(rows) else 0
        present = torch.arange(most, device=rows.device) < counts[:, None]
        order = torch.argsort(~chosen, dim=1, stable=True)[:, :most]
        return cls(rows, torch.where(present, order, order[:, :1]), present)


def attention_scores(inputs: AttentionInputs, queries: Queries) -> Tensor:
    """Scores before the softmax, `-inf` where a query does not see a key.

    Memory: heads x queries x keys for every chosen row.

    Returns:
        (chosen, heads, queries, keys), at least float32.

    Raises:
        ModalityInterferenceError: the keys are not those of the batch's tokens.
    """
    query, key = _unpacked(inputs, queries) if inputs.packed is not None else _chosen(inputs, queries)
    precise = torch.promote_types(query.dtype, torch.float32)
    query, key = query.to(precise), key.to(precise)
    chosen, count, heads, width = query.shape
    key_heads, tokens = key.shape[1], key.shape[2]
    grouped = query.transpose(1, 2).reshape(chosen, key_heads, heads // key_heads * count, width)
    scores = (grouped @ key.transpose(2, 3)).view(chosen, heads, count, tokens) * inputs.scaling
    if inputs.softcap is not None:
        scores = torch.tanh(scores / inputs.softcap) * inputs.softcap

    return scores.masked_fill(~visible_keys(inputs, queries), float("-inf"))


def _chosen(inputs: AttentionInputs, queries: Queries) -> tuple[Tensor, Tensor]:
    """(chosen, queries, heads, width) and (chosen, key heads, tokens, width)."""
    rows = queries.rows
    if inputs.key.shape[-2] != inputs.query.shape[-2]:
        raise ModalityInterferenceError(
            f"Attention was to be measured over {inputs.query.shape[-2]} tokens, but the model has "
            f"{inputs.key.shape[-2]} keys: it must run without a cache and without prefix tuning."
        )

    key = inputs.key if len(rows) == len(inputs.key) and queries.in_order else inputs.key[rows]
    return inputs.query[rows[:, None], :, queries.positions], key


def _unpacked(inputs: AttentionInputs, queries: Queries) -> tuple[Tensor, Tensor]:
    """The same of rows in one sequence; their tokens are then the batch's columns."""
    assert inputs.packed is not None
    paths = inputs.packed.keys[queries.rows]  # (chosen, columns)
    query = rows_of(inputs.query, paths.gather(1, queries.positions))
    return query.transpose(1, 2), rows_of(inputs.key, paths)


def visible_keys(inputs: AttentionInputs, queries: Queries) -> Tensor:
    """(chosen, 1 or heads, queries, keys) which keys a query sees."""
    if inputs.mask is not None and inputs.mask.dim() == 4:
        rows = queries.rows if len(inputs.mask) > 1 else torch.zeros_like(queries.rows)
        mask = inputs.mask[rows[:, None], :, queries.positions].transpose(1, 2)
        # what is added to a score is 0 or as low as the type goes: no model of the supported families has a bias there
        return mask if mask.dtype == torch.bool else mask >= 0

    width = inputs.key.shape[-2] if inputs.packed is None else inputs.packed.paths.shape[1]
    keys = torch.arange(width, device=inputs.key.device)
    distance = queries.positions[:, None, :, None] - keys
    seen = distance >= 0 if inputs.causal else torch.ones_like(distance, dtype=torch.bool)
    if inputs.window is not None:
        seen = seen & (distance < inputs.window)

    attended = inputs.mask.bool() if inputs.packed is None and inputs.mask is not None else None
    attended = inputs.packed.present if inputs.packed is not None else attended
    return seen if attended is None else seen & attended[queries.rows][:, None, None]
