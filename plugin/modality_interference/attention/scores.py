"""Attention of chosen query positions (a few rows of the attention map): scores, shares on the modalities, outputs."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..errors import ModalityInterferenceError
from ..modality import Modality
from .interface import AttentionInputs, ScoreBias
from .row_attention import rows_of


@dataclass(frozen=True)
class Queries:
    """Positions whose attention is measured or changed.

    Attributes:
        rows: (chosen,) rows of the batch.
        positions: (chosen, queries) positions of their tokens, among those of the forward.
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
    query, key = _queried(inputs, queries), _of_rows(inputs, inputs.key, queries)
    precise = torch.promote_types(query.dtype, torch.float32)
    query, key = query.to(precise), key.to(precise)
    chosen, count, heads, width = query.shape
    key_heads, tokens = key.shape[1], key.shape[2]
    grouped = query.transpose(1, 2).reshape(chosen, key_heads, heads // key_heads * count, width)
    scores = (grouped @ key.transpose(2, 3)).view(chosen, heads, count, tokens) * inputs.scaling
    if inputs.softcap is not None:
        scores = torch.tanh(scores / inputs.softcap) * inputs.softcap

    if inputs.bias is not None:
        scores = scores + inputs.bias.constant * _biased(inputs, inputs.bias, queries).to(precise)

    return scores.masked_fill(~visible_keys(inputs, queries), float("-inf"))


def with_attention(output: Tensor, inputs: AttentionInputs, queries: Queries) -> Tensor:
    """A layer's output, in which the attention of the queries is computed from `attention_scores`.

    Args:
        output: (rows, tokens, heads, width) of the model's own function; (1, sequence, heads, width) for packed rows.
        inputs: of the layer.
        queries: the positions to compute anew.
    """
    attention = torch.softmax(attention_scores(inputs, queries), dim=-1)
    value = _of_rows(inputs, inputs.value, queries).to(attention.dtype)
    chosen, heads, count, tokens = attention.shape
    grouped = attention.reshape(chosen, value.shape[1], heads // value.shape[1] * count, tokens)
    found = (grouped @ value).view(chosen, heads, count, value.shape[-1]).transpose(1, 2).to(output.dtype)
    changed = output.clone()
    if inputs.packed is None:
        changed[queries.rows[:, None], queries.positions] = found
    else:  # rows that share a query agree on it
        changed[0, inputs.packed.keys[queries.rows].gather(1, queries.positions)] = found

    return changed


def _queried(inputs: AttentionInputs, queries: Queries) -> Tensor:
    """(chosen, queries, heads, width)."""
    if inputs.packed is None:
        return inputs.query[queries.rows[:, None], :, queries.positions]

    paths = inputs.packed.keys[queries.rows]  # (chosen, columns)
    return rows_of(inputs.query, paths.gather(1, queries.positions)).transpose(1, 2)


def _of_rows(inputs: AttentionInputs, states: Tensor, queries: Queries) -> Tensor:
    """(chosen, key heads, keys, width) keys or values of the chosen rows; of packed rows in the order of the batch's columns."""
    rows = queries.rows
    if inputs.packed is not None:
        return rows_of(states, inputs.packed.keys[rows])

    total, kept = inputs.past + inputs.query.shape[-2], states.shape[-2]
    if kept > total or (kept < total and inputs.window is None):
        raise ModalityInterferenceError(
            f"Attention cannot be measured or changed: the batch has {total} tokens, but the model has {kept} keys. Run it without "
            "prefix tuning and, in generation, with a cache that grows (no `cache_implementation` in generation_config.json)."
        )

    return states if len(rows) == len(states) and queries.in_order else states[rows]


def _columns(inputs: AttentionInputs) -> Tensor:
    """(keys,) the batch's columns of the keys: of a cache with a sliding window, the last ones."""
    if inputs.packed is not None:
        return torch.arange(inputs.packed.paths.shape[1], device=inputs.key.device)

    total = inputs.past + inputs.query.shape[-2]
    return torch.arange(total - inputs.key.shape[-2], total, device=inputs.key.device)


def _biased(inputs: AttentionInputs, bias: ScoreBias, queries: Queries) -> Tensor:
    """(chosen, 1, queries, keys) which scores get the constant."""
    columns, known = _columns(inputs), bias.keys.shape[1]
    keys = bias.keys[queries.rows[:, None], columns.clamp(max=known - 1)] & (columns < known)
    asked = inputs.past + queries.positions >= bias.start[queries.rows, None]
    return (keys[:, None] & asked[..., None])[:, None]


def visible_keys(inputs: AttentionInputs, queries: Queries) -> Tensor:
    """(chosen, 1 or heads, queries, keys) which keys a query sees."""
    if inputs.mask is not None and inputs.mask.dim() == 4:
        rows = queries.rows if len(inputs.mask) > 1 else torch.zeros_like(queries.rows)
        mask = inputs.mask[rows[:, None], :, queries.positions].transpose(1, 2)
        # an added mask is 0 or the lowest value of the type: no supported family has another bias there
        return mask if mask.dtype == torch.bool else mask >= 0

    distance = (inputs.past + queries.positions)[:, None, :, None] - _columns(inputs)
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
