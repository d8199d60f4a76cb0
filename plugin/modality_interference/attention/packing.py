"""Packed rows in a model: whether the model supports them, its decoder's arguments for them, and generation from them."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ..batching.batch import TwinBatch
from ..compat import get_logger
from ..errors import ModalityInterferenceError
from .cost import where_it_pays
from .interface import ROW_ATTENTION, wrap_attention_functions
from .prefix import CommonPrefixes, PackedRows
from .row_attention import RowAttention


logger = get_logger(__name__)
KERNELS = ("sdpa", "eager")
LAYERS = {"full_attention", "sliding_attention"}


def shares_prefixes(wanted: str, decoder: Any) -> bool:
    """Settle `share_prefix`.

    Args:
        wanted: the key's value, `auto`, `true` or `false`.
        decoder: the model's text decoder.

    Raises:
        ModalityInterferenceError: `true` for a model that cannot, saying why.
    """
    why_not = obstacle(decoder)
    if wanted == "true" and why_not:
        raise ModalityInterferenceError(f"`share_prefix: true`, but {why_not}. Set `share_prefix: auto`.")

    if wanted == "auto" and why_not:
        logger.info_rank0(f"Prefix sharing is off: {why_not}.")

    return wanted != "false" and not why_not


def common_prefixes(
    batch: TwinBatch, wanted: str, decoder: Any, all_tokens: bool = False, marks: Tensor | None = None
) -> CommonPrefixes:
    """The common prefixes of a batch's rows that pay in this model.

    Args:
        batch: see `CommonPrefixes`.
        wanted: the key `share_prefix`, which is not off for this model (`shares_prefixes`).
        decoder: the model's text decoder.
        all_tokens: see `CommonPrefixes`.
        marks: (rows, columns), see `CommonPrefixes`.
    """
    return CommonPrefixes(batch, all_tokens, where_it_pays(wanted, decoder, batch.labels.device), marks)


def obstacle(decoder: Any) -> str | None:
    """Why a text decoder's rows cannot share prefixes; None where they can."""
    name = type(decoder).__name__
    others = set(getattr(decoder.config, "layer_types", None) or ()) - LAYERS
    if others:
        return f"{name} has layers other than full and sliding attention ({', '.join(sorted(others))})"

    if not getattr(decoder, "_supports_attention_backend", False):
        return f"{name} does not compute its attention through transformers' attention interface"

    kernel = decoder.config._attn_implementation
    if kernel not in KERNELS:
        return f"the attention kernel `{kernel}` does not support it (supported: {', '.join(KERNELS)})"

    for module in (module for module in decoder.modules() if hasattr(module, "layer_idx")):
        if not getattr(module, "is_causal", True):
            return f"{type(module).__name__} is not causal: tokens see later ones, in which rows differ"

        source = _source(type(module).forward)
        if kernel == "eager" and _ONLY_EAGER in source:
            return f"{type(module).__name__} computes eager attention outside of transformers' attention interface"

        if _OWN_MASK.search(source):
            return f"{type(module).__name__} makes a mask of its own, for rows that are not packed"

    return None


_ONLY_EAGER = '_attn_implementation != "eager"'  # what looks functions up for all kernels but one: Gemma 4
_OWN_MASK = re.compile(
    r"= attention_interface\((?:(?!\*\*kwargs).)*attention_mask=(?!attention_mask\b)", re.DOTALL
)  # Doge


@cache
def _source(forward: Callable) -> str:
    try:
        return inspect.getsource(forward)
    except (OSError, TypeError):  # a replaced forward
        return ""


VISUAL_MASK = "visual_pos_masks"
DEEPSTACK = "deepstack_visual_embeds"


def pack(kwargs: dict[str, Any], attention: RowAttention) -> dict[str, Any]:
    """Pack the rows of a forward into one sequence.

    Args:
        kwargs: the decoder's, for all rows: `inputs_embeds` (rows, columns, hidden) and what else its family takes.
        attention: of these rows.

    Returns:
        the decoder's, for one row, which is the sequence.
    """
    wrap_attention_functions()
    flat_index = attention.rows.flat_index
    shape = kwargs["inputs_embeds"].shape[:2]
    packed: dict[str, Any] = {}
    for key, value in kwargs.items():
        if key == DEEPSTACK and value is not None:
            packed[key] = _visual(value, kwargs[VISUAL_MASK], flat_index)
        elif isinstance(value, Tensor) and value.shape[:2] == shape:
            packed[key] = value.flatten(0, 1).index_select(0, flat_index)[None]
        else:
            packed[key] = value

    packed["position_ids"] = _positions(kwargs.get("position_ids"), flat_index, shape)
    packed["attention_mask"] = _masks(kwargs.get("attention_mask"), flat_index.device)
    if isinstance(kwargs.get("cache_position"), Tensor):
        packed["cache_position"] = torch.arange(len(flat_index), device=flat_index.device)

    return {**packed, ROW_ATTENTION: attention}


def _positions(positions: Tensor | None, flat_index: Tensor, shape: tuple[int, int]) -> Tensor:
    """(1, sequence) or (axes, 1, sequence)."""
    if positions is None:  # decoders then use the column
        return (flat_index % shape[1])[None]

    flat = positions.expand(*positions.shape[:-2], *shape).flatten(-2)
    return flat.index_select(-1, flat_index).unsqueeze(-2)


def _masks(masks: Any, device: torch.device) -> Any:
    """The family's own masks where it made any; otherwise an empty one, which only our attention function understands.

    transformers treats a mask of four dimensions as ready to use, and makes none itself.
    """
    if isinstance(masks, dict):
        return {key: _masks(mask, device) for key, mask in masks.items()}

    if isinstance(masks, Tensor) and masks.dim() == 4:
        return masks

    return torch.empty(1, 1, 0, 0, dtype=torch.bool, device=device)


def _visual(layers: list[Tensor], mask: Tensor, flat_index: Tensor) -> list[Tensor]:
    """Those of the sequence, out of each layer's visual tokens: (visual tokens of all rows, hidden)."""
    numbers = mask.flatten().cumsum(0) - 1
    kept = flat_index[mask.flatten()[flat_index]]
    return [layer.index_select(0, numbers[kept]) for layer in layers]


@contextmanager
def shared_prefill(decoder: nn.Module, rows: PackedRows) -> Iterator[None]:
    """Let the rows of a `generate` share prefixes.

    Only the forward that reads the prompts is changed, and only where its cache keeps every token: a cache for a sliding window
    drops some of them.

    Args:
        decoder: the model's text decoder.
        rows: all of the prompts.
    """
    prefill: list[RowAttention] = []

    def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if not _reads_prompts(kwargs, rows):
            return args, kwargs

        prefill.append(RowAttention(rows))
        return args, pack(kwargs, prefill[0])

    def after(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
        if prefill:
            prefill.clear()
            for layer in kwargs["past_key_values"].layers:
                layer.keys, layer.values = _unpacked(layer.keys, rows, 2), _unpacked(layer.values, rows, 2)

            output.last_hidden_state = _unpacked(output.last_hidden_state, rows, 1)

        return output

    handles = [
        decoder.register_forward_pre_hook(before, with_kwargs=True),
        decoder.register_forward_hook(after, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _reads_prompts(kwargs: dict[str, Any], rows: PackedRows) -> bool:
    cache, embeds = kwargs.get("past_key_values"), kwargs.get("inputs_embeds")
    if embeds is None or embeds.shape[:2] != rows.paths.shape or not isinstance(cache, DynamicCache):
        return False

    return cache.get_seq_length() == 0 and all(type(layer) is DynamicLayer for layer in cache.layers)


def _unpacked(states: Tensor, rows: PackedRows, dim: int) -> Tensor:
    """(rows, ..., columns, ...) of (1, ..., sequence, ...), whose tokens are on dimension `dim`."""
    parted = states[0].index_select(dim - 1, rows.keys.flatten())
    return parted.unflatten(dim - 1, rows.keys.shape).movedim(dim - 1, 0).contiguous()
