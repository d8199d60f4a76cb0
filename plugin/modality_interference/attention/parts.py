"""Exact attention of packed rows by parts: own tokens causally, each run of shared keys without a mask, then merged.

A row's keys are a few runs of consecutive keys: tokens of the rows that it shares its prefix with, then its own. All own tokens
see all of a shared run, so that part needs no mask, no copy of its keys for each row, and one call for every row that has the run.
With outputs o_i and log-sum-exps l_i of the scores of each part, l = log(sum of exp(l_i)) and o = sum of exp(l_i - l) o_i is the
attention to all keys: the merge of FlashAttention's blocks (Dao et al., arXiv 2205.14135, section 3.1). The backward pass of a part
is the kernel's own, given the merged output and l: its probabilities exp(score - l) then are those of the whole attention.

The kernel has to return the log-sum-exp and take one in its backward pass. torch's flash attention for the CPU does.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .prefix import PackedRows


@dataclass(frozen=True)
class Part:
    """Queries with keys that they see.

    Attributes:
        queries: of the sequence, a slice or (queries,) indices.
        keys: a slice of all keys.
        own: whether the keys are the queries' own tokens, of which each sees those up to itself; otherwise each sees all keys.
    """

    queries: slice | Tensor
    keys: slice
    own: bool


def parts_of(rows: PackedRows) -> list[Part]:
    """The parts of rows: first every row's own tokens, then each run of shared keys with all rows that have it."""
    stops = rows.own.cumsum()
    bases = stops - rows.own
    owners = np.flatnonzero(rows.own).tolist()
    runs: dict[tuple[int, int], list[int]] = {}
    for row in owners:
        for run in rows.runs(row):
            runs.setdefault(run, []).append(row)

    own = [
        Part(slice(int(bases[row]), int(stops[row])), slice(rows.before + int(bases[row]), rows.before + int(stops[row])), True)
        for row in owners
    ]  # fmt: skip
    return own + [Part(_queries(bases[of], stops[of], rows.device), slice(*run), False) for run, of in runs.items()]


def _queries(bases: np.ndarray, stops: np.ndarray, device: torch.device) -> slice | Tensor:
    if (bases[1:] == stops[:-1]).all():  # a slice copies nothing
        return slice(int(bases[0]), int(stops[-1]))

    return torch.from_numpy(np.concatenate([np.arange(*pair) for pair in zip(bases, stops)])).to(device)


def attend_parts(query: Tensor, key: Tensor, value: Tensor, parts: list[Part], scale: float | None) -> Tensor:
    """Attention by parts.

    Args:
        query: (1, heads, sequence, width).
        key: (1, key heads, keys, width).
        value: likewise.
        parts: of `parts_of`.
        scale: of the scores; None for 1 / sqrt(width).

    Returns:
        (1, sequence, heads, width).
    """
    device = query.device.type
    if torch.is_autocast_enabled(device) and query.dtype != torch.float64:  # as autocast does for torch's own function
        dtype = torch.get_autocast_dtype(device)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)

    with torch.autocast(device, enabled=False):
        return _Attention.apply(query, key, value, parts, scale)


def kernel_takes(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether there is a kernel for these."""
    same = query.dtype == key.dtype == value.dtype or torch.is_autocast_enabled(query.device.type)
    return (
        query.device.type == "cpu"
        and same
        and query.is_floating_point()
        and query.shape[-1] == key.shape[-1] == value.shape[-1]
        and kernel_works()
    )


@cache
def kernel_works() -> bool:
    """Whether this torch has the kernel as it is used here: it is not part of torch's documented interface.

    The first call computes, so it must not be within a forward: gradient checkpointing counts what a forward saves for its backward.
    Compares a small case with grouped queries, where earlier versions of torch wanted as many key heads as heads.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        rng = torch.Generator().manual_seed(0)
        query, key, value = (
            torch.randn(1, heads, 3, 8, generator=rng, dtype=torch.float64).requires_grad_() for heads in (4, 2, 2)
        )
        try:
            found = _Attention.apply(query, key, value, [Part(slice(0, 3), slice(0, 3), True)], 0.3).transpose(1, 2)
            keys, values = key.repeat_interleave(2, dim=1), value.repeat_interleave(2, dim=1)
            expected = scaled_dot_product_attention(query, keys, values, is_causal=True, scale=0.3)
            pairs = [torch.autograd.grad(output.square().sum(), (query, key, value)) for output in (found, expected)]
        except (AttributeError, RuntimeError, TypeError):
            return False

    return all(torch.allclose(one, other) for one, other in zip(*pairs))


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, parts: list[Part], scale: float | None) -> Tensor:
        precise = torch.promote_types(query.dtype, torch.float32)
        heads, sequence, width = query.shape[1:]
        output = query.new_empty(1, sequence, heads, width, dtype=precise).transpose(1, 2)
        total = query.new_empty(1, sequence, heads, dtype=precise).transpose(1, 2)
        for part in parts:
            found, scores = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                _take(query, part.queries), key[:, :, part.keys], value[:, :, part.keys], 0.0, part.own, scale=scale
            )
            if not part.own:
                before, so_far = _take(output, part.queries), _take(total, part.queries)
                found = torch.lerp(before, found.to(precise), torch.sigmoid(scores - so_far)[..., None])
                scores = torch.logaddexp(so_far, scores)

            _put(output, part.queries, found)
            _put(total, part.queries, scores)

        output = output.to(query.dtype)
        ctx.save_for_backward(query, key, value, output, total)
        ctx.parts, ctx.scale = parts, scale
        return output.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, output, total = ctx.saved_tensors
        gradient = gradient.transpose(1, 2)
        precise = total.dtype
        of_query = torch.zeros_like(query, dtype=precise)
        of_key, of_value = torch.zeros_like(key, dtype=precise), torch.zeros_like(value, dtype=precise)
        for part in ctx.parts:
            for_query, for_key, for_value = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                _take(gradient, part.queries),
                _take(query, part.queries),
                key[:, :, part.keys],
                value[:, :, part.keys],
                _take(output, part.queries),
                _take(total, part.queries),
                0.0,
                part.own,
                scale=ctx.scale,
            )
            _add(of_query, part.queries, for_query)
            of_key[:, :, part.keys] += for_key
            of_value[:, :, part.keys] += for_value

        return of_query.to(query.dtype), of_key.to(key.dtype), of_value.to(value.dtype), None, None


def _take(states: Tensor, index: slice | Tensor) -> Tensor:
    """Those of tokens, out of (1, heads, sequence, ...)."""
    if isinstance(index, slice):
        return states[:, :, index]

    return states.transpose(1, 2).index_select(1, index).transpose(1, 2)  # token by token, as models lay them down


def _put(states: Tensor, index: slice | Tensor, new: Tensor) -> None:
    if isinstance(index, slice):
        states[:, :, index] = new
    else:
        states.index_copy_(2, index, new)


def _add(states: Tensor, index: slice | Tensor, more: Tensor) -> None:
    if isinstance(index, slice):
        states[:, :, index] += more
    else:
        states.index_add_(2, index, more.to(states.dtype))
