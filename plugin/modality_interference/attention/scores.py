"""Attention scores of chosen query positions (a few rows of the attention map), and their shares on the modalities."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..errors import ModalityInterferenceError
from ..modality import Modality
from .interface import AttentionInputs
from .row_attention import rows_of


@dataclass(frozen=True)
class Queries:
    """Positions whose attention is measured.

    Attributes:
        rows: (chosen,) rows of the batch.
        positions: (chosen, queries) positions of their tokens.
    """

    rows: Tensor
    positions: Tensor

    @cached_property
    def in_order(self) -> bool:
        """Whether the rows are the batch's first ones, in their order; computed once for all layers."""
        return bool((self.rows == torch.arange(len(self.rows), device=self.rows.device)).all())


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
            f"Attention cannot be measured: the batch has {inputs.query.shape[-2]} tokens, but the model has "
            f"{inputs.key.shape[-2]} keys. Run it without a cache and without prefix tuning."
        )

    key = inputs.key if len(rows) == len(inputs.key) and queries.in_order else inputs.key[rows]
    return inputs.query[rows[:, None], :, queries.positions], key


def _unpacked(inputs: AttentionInputs, queries: Queries) -> tuple[Tensor, Tensor]:
    """The same for packed rows; the keys are then in the order of the batch's columns."""
    assert inputs.packed is not None
    paths = inputs.packed.keys[queries.rows]  # (chosen, columns)
    query = rows_of(inputs.query, paths.gather(1, queries.positions))
    return query.transpose(1, 2), rows_of(inputs.key, paths)


def visible_keys(inputs: AttentionInputs, queries: Queries) -> Tensor:
    """(chosen, 1 or heads, queries, keys) which keys a query sees."""
    if inputs.mask is not None and inputs.mask.dim() == 4:
        rows = queries.rows if len(inputs.mask) > 1 else torch.zeros_like(queries.rows)
        mask = inputs.mask[rows[:, None], :, queries.positions].transpose(1, 2)
        # an added mask is 0 or the lowest value of the type: no supported family has another bias there
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


SPECIAL = "special"  # template tokens
GROUPS = (*(modality.value for modality in Modality), SPECIAL)


def group_weights(token_modality: Tensor) -> Tensor:
    """One-hot groups of tokens.

    Args:
        token_modality: (rows, tokens) modality bits, 0 for template tokens and padding.

    Returns:
        (rows, tokens, groups) float32, in the order of `GROUPS`.
    """
    bits = torch.tensor([*(modality.bit for modality in Modality), 0], device=token_modality.device)
    return (token_modality[..., None].long() == bits).float()


@dataclass
class ShareProbe:
    """A listener that measures the share of a position's attention on every group of tokens.

    Attributes:
        queries: one position of each chosen row.
        groups: (chosen, tokens, groups) see `group_weights`.
        layers: (chosen, heads, groups) of every layer observed so far, by the layer's index.
    """

    queries: Queries
    groups: Tensor
    layers: dict[int, Tensor] = field(default_factory=dict)

    def observe(self, inputs: AttentionInputs, output: Tensor) -> Tensor:
        """Reduce a layer's attention to sums at once."""
        with torch.no_grad():
            attention = torch.softmax(attention_scores(inputs, self.queries), dim=-1)[:, :, 0]
            # not a matrix product, which `tf32: true` would round
            groups = self.groups.to(attention.dtype)[:, None].unbind(-1)
            self.layers[inputs.layer] = torch.stack([(attention * group).sum(-1) for group in groups], dim=-1)

        return output

    def shares(self) -> Tensor:
        """(chosen, layers, heads, groups) of all layers; each adds up to 1."""
        return torch.stack([self.layers[layer] for layer in sorted(self.layers)], dim=1)
