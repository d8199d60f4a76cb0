"""Attention over packed rows: each row's own queries with the keys of its path.

There is no mask over the sequence, and no score is computed that no row needs. There are two ways, with one result:

- by parts (`parts.py`), where a kernel for it is at hand and a layer's attention is plain: transformers' SDPA on a CPU, without
  dropout, a window shorter than the longest row, or a mask of the family's own;
- by groups otherwise. Rows are grouped by how many tokens they add, and the keys of each are gathered, so that the model's own
  attention function (transformers' SDPA or eager attention) gets a few ordinary batches. The backward pass of the selection adds
  up the gradients of keys and values that several rows use.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from .parts import Part, attend_parts, kernel_takes, kernel_works, parts_of
from .prefix import PackedRows


@dataclass
class PrefixCache:
    """Keys and values of a prefix that was computed earlier.

    Attributes:
        layers: by the layer's index, its keys and values (1, key heads, tokens, width).
    """

    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)


class RowAttention:
    """Replaces the attention function during one forward.

    Args:
        rows: packed in the sequence.
        prefix: the keys and values that come before those of the sequence, None where there are none.
        keep: takes the keys and values of this forward, None where they are not needed.
    """

    def __init__(self, rows: PackedRows, prefix: PrefixCache | None = None, keep: PrefixCache | None = None) -> None:
        self.rows = rows
        self.prefix = prefix
        self.keep = keep
        self.layers: set[int] = set()
        if rows.device.type == "cpu":
            kernel_works()  # tried before the forward, which must be the same when gradient checkpointing repeats it

    @cached_property
    def parts(self) -> list[Part]:
        """For attention by parts."""
        return parts_of(self.rows)

    @cached_property
    def groups(self) -> list["_Group"]:
        """For attention by groups of rows."""
        return _groups(self.rows)

    @cached_property
    def order(self) -> Tensor:
        """(sequence,) the index of each token's output among those of all groups."""
        return _order(self.groups, self.rows)

    def attend(
        self,
        stock: Callable[..., Any],
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor,
        *args: Any,
        additive: bool = False,
        **kwargs: Any,
    ) -> Tensor:
        """Attention of one layer.

        Args:
            stock: the model's own attention function.
            module: the layer's attention.
            query: (1, heads, sequence, width).
            key: (1, key heads, sequence, width).
            value: likewise.
            attention_mask: the family's own for its rows, (rows or 1, 1, columns, columns); an empty one is ignored.
            args: for `stock`.
            additive: whether `stock` adds its mask to the scores.
            kwargs: for `stock`.

        Returns:
            (1, sequence, heads, width).
        """
        self.layers.add(module.layer_idx)
        if self.keep is not None:
            self.keep.layers[module.layer_idx] = (key.detach(), value.detach())

        if self.prefix is not None:
            past_key, past_value = self.prefix.layers[module.layer_idx]
            key, value = torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)

        family = attention_mask if attention_mask is not None and attention_mask.numel() else None
        if family is None and not args and self._by_parts(stock, kwargs) and kernel_takes(query, key, value):
            return attend_parts(query, key, value, self.parts, kwargs.get("scaling"))

        outputs = []
        for group in self.groups:
            mask = group.mask(family, kwargs.get("sliding_window"), additive, query.dtype)
            output, _ = stock(
                module,
                rows_of(query, group.queries),
                rows_of(key, group.keys),
                rows_of(value, group.keys),
                mask,
                *args,
                **kwargs,
            )
            outputs.append(output.flatten(0, 1))

        return torch.cat(outputs).index_select(0, self.order)[None]

    def _by_parts(self, stock: Callable[..., Any], kwargs: dict[str, Any]) -> bool:
        """Whether a layer's attention is plain causal attention: softmax of scaled scores, all keys up to the query's own."""
        window = kwargs.get("sliding_window")
        biased = kwargs.get("position_bias") is not None or kwargs.get("s_aux") is not None
        seen = window is None or window >= self.rows.ends.max()
        return stock is sdpa_attention_forward and seen and not biased and not kwargs.get("dropout")


@dataclass
class _Group:
    """Rows that add a similar number of tokens.

    Attributes:
        queries: (rows, most queries) indices in the sequence; rows with fewer repeat their last.
        cpu_queries: the same on the CPU.
        keys: (rows, most keys) indices among the keys.
        query_tokens: (rows, most queries) each query's index among its row's tokens, 0 where it is a repeat.
        first: (rows,) the column of each row's token 0.
        row: (rows,) their indices.
        present: (queries of all rows,) which are not repeats, flat.
        causal: whether every row adds all of its tokens.
    """

    queries: Tensor
    cpu_queries: np.ndarray
    keys: Tensor
    query_tokens: Tensor
    first: Tensor
    row: Tensor
    present: np.ndarray
    causal: bool
    _masks: dict[Any, Tensor | None] = field(default_factory=dict)

    def mask(self, family: Tensor | None, window: int | None, additive: bool, dtype: torch.dtype) -> Tensor | None:
        """(rows, 1 or heads, queries, keys) which keys a query sees; None for all up to itself."""
        key = (None if family is None else id(family), window, additive)
        if key not in self._masks:
            self._masks[key] = self._make_mask(family, window, additive, dtype)

        return self._masks[key]

    def _make_mask(
        self, family: Tensor | None, window: int | None, additive: bool, dtype: torch.dtype
    ) -> Tensor | None:
        if family is not None:
            return self._of_family(family)

        key_tokens = torch.arange(self.keys.shape[1], device=self.keys.device)
        if self.causal and not additive and (window is None or window >= len(key_tokens)):
            return None

        distance = self.query_tokens[:, :, None] - key_tokens
        seen = distance >= 0
        if window is not None:
            seen = seen & (distance < window)

        seen = seen[:, None]
        return torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min) if additive else seen

    def _of_family(self, family: Tensor) -> Tensor:
        row = self.row if len(family) > 1 else torch.zeros_like(self.row)
        columns = self.first[:, None] + torch.arange(self.keys.shape[1], device=self.keys.device)
        columns = columns.clamp(max=family.shape[3] - 1)
        queries = self.first[:, None] + self.query_tokens
        own = family[row[:, None], :, queries].transpose(1, 2)  # (rows, 1 or heads, queries, columns)
        return own.gather(3, columns[:, None, None].expand(*own.shape[:3], -1))


def _groups(rows: PackedRows) -> list[_Group]:
    own = rows.own
    sizes = np.where(own > 0, np.ceil(np.log2(np.maximum(own, 1))), -1).astype(int)
    kinds = sizes * 2 + (rows.starts == 0)
    return [_group(rows, np.flatnonzero((kinds == kind) & (own > 0))) for kind in np.unique(kinds[own > 0])]


def _group(rows: PackedRows, chosen: np.ndarray) -> _Group:
    own, ends, first = rows.own[chosen], rows.ends[chosen], rows.first[chosen]
    bases = rows.own.cumsum()[chosen] - own
    steps = np.arange(own.max())[None]
    present = steps < own[:, None]
    queries = bases[:, None] + np.minimum(steps, own[:, None] - 1)
    tokens = np.where(present, rows.starts[chosen][:, None] + steps, 0)
    columns = np.minimum(first[:, None] + np.arange(ends.max())[None], rows.paths.shape[1] - 1)
    device = rows.device
    return _Group(
        queries=torch.from_numpy(queries).to(device),
        cpu_queries=queries,
        keys=torch.from_numpy(np.take_along_axis(rows.paths[chosen], columns, axis=1)).to(device),
        query_tokens=torch.from_numpy(tokens).to(device),
        first=torch.from_numpy(first).to(device),
        row=torch.from_numpy(chosen).to(device),
        present=present.ravel(),
        causal=bool((rows.starts[chosen] == 0).all()),
    )


def _order(groups: list[_Group], rows: PackedRows) -> Tensor:
    """(sequence,) the index of each token's output among those of all groups."""
    order, so_far = np.zeros(rows.length, np.int64), 0
    for group in groups:
        queries = group.cpu_queries.ravel()
        order[queries[group.present]] = so_far + np.flatnonzero(group.present)
        so_far += len(queries)

    return torch.from_numpy(order).to(rows.device)


def rows_of(states: Tensor, index: Tensor) -> Tensor:
    """(rows, heads, tokens, width) of states (1, heads, sequence, width) at index (rows, tokens) in the sequence."""
    heads, width = states.shape[1], states.shape[3]
    return states[0].index_select(1, index.flatten()).view(heads, *index.shape, width).transpose(0, 1)
