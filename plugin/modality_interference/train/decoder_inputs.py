"""Rows of the text decoder's keyword arguments: take some, append some, or shrink them to one token.

The arguments differ between model families, so their shape decides: what has a batch dimension is indexed along it, the rest is
kept. Known exceptions: `position_ids` of multi-axis rotary embeddings have the batch on dimension 1, `cache_position` has
none, and Qwen3-VL's `deepstack_visual_embeds` list the visual tokens of all rows one after the other.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from ..attention.packing import DEEPSTACK, VISUAL_MASK


def take_rows(kwargs: dict[str, Any], rows: Tensor, total: int) -> dict[str, Any]:
    """The decoder inputs of some rows.

    Args:
        kwargs: the decoder's keyword arguments for `total` rows.
        rows: (taken,) indices, repeats allowed.
        total: number of rows in `kwargs`.
    """
    return _per_row(
        kwargs, total, lambda tensor, dim: tensor.index_select(dim, rows), lambda mask: _tokens(mask, rows)
    )


def append_rows(kwargs: dict[str, Any], rows: Tensor, total: int) -> dict[str, Any]:
    """The decoder inputs of all rows, followed by those of `rows` again."""
    every = torch.arange(total, device=rows.device)
    return take_rows(kwargs, torch.cat([every, rows]), total)


def almost_nothing(kwargs: dict[str, Any]) -> dict[str, Any]:
    """One token of one row: a decoder pass that costs almost nothing and still runs every hook of the engine.

    Raising out of the forward, or skipping the decoder, would leave FSDP2 and ZeRO-3 with half-gathered parameters.
    """
    shape = kwargs["inputs_embeds"].shape[:2]
    cut = {  # with the inputs of single layers that Gemma 3n and 4 make of the token ids
        key: value[:1, :1] for key, value in kwargs.items() if isinstance(value, Tensor) and value.shape[:2] == shape
    }
    small = {
        **kwargs,
        **cut,
        "attention_mask": None,
        "use_cache": False,
        "past_key_values": None,
    }
    if isinstance(kwargs.get("position_ids"), Tensor):
        positions = kwargs["position_ids"]
        small["position_ids"] = positions[:, :1, :1] if positions.dim() == 3 else positions[:1, :1]

    if isinstance(kwargs.get("cache_position"), Tensor):
        small["cache_position"] = kwargs["cache_position"][:1]

    for key in (VISUAL_MASK, DEEPSTACK):
        if key in kwargs:
            small[key] = None

    return small


def detach(value: Any, copy: bool = False) -> Any:
    """Nested tensors, a module's inputs or output, without their graph.

    Args:
        value: tensors, model outputs, dictionaries, lists and tuples.
        copy: let them share no memory with the originals.
    """
    if isinstance(value, Tensor):
        return value.detach().clone() if copy else value.detach()
    if isinstance(value, ModelOutput):
        return type(value)(**{key: detach(item, copy) for key, item in value.items()})
    if isinstance(value, dict):
        return {key: detach(item, copy) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(detach(item, copy) for item in value)

    return value


def _per_row(kwargs: dict[str, Any], total: int, index, tokens) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in kwargs.items():
        if isinstance(value, dict):
            result[key] = _per_row(value, total, index, tokens)
        elif key == DEEPSTACK and value is not None:
            which = tokens(kwargs[VISUAL_MASK])
            result[key] = [layer[which] for layer in value]
        elif isinstance(value, Tensor) and (dim := _batch_dim(key, value, total)) is not None:
            result[key] = index(value, dim)
        else:
            result[key] = value

    return result


def _batch_dim(key: str, value: Tensor, total: int) -> int | None:
    dim = 1 if key == "position_ids" and value.dim() == 3 else 0
    if value.dim() < 2 or value.size(dim) != total:  # 1-D: cache_position; size 1: broadcast over rows
        return None

    return dim


def _tokens(mask: Tensor, rows: Tensor) -> Tensor:
    """Indices, in a list of all rows' visual tokens, of those of `rows`: mask is (rows, tokens)."""
    numbers = (mask.flatten().cumsum(0) - 1).view_as(mask)
    return numbers[rows][mask[rows]]
