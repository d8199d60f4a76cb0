"""Generation: rows share prefixes where the prompts are read, and go on apart with the keys and values of their own paths."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .attention import RowAttention
from .packing import pack
from .rows import PackedRows


@contextmanager
def shared_prefill(decoder: nn.Module, rows: PackedRows) -> Iterator[None]:
    """Let the rows of a `generate` share prefixes.

    Only the forward that reads the prompts is changed, and only where its cache is one that keeps every token: a sliding
    window's forgets some of them.

    Args:
        decoder: the model's text decoder.
        rows: all of the prompts.
    """
    waiting: list[RowAttention] = []

    def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if not _reads_prompts(kwargs, rows):
            return args, kwargs

        waiting.append(RowAttention(rows))
        return args, pack(kwargs, waiting[0])

    def after(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
        if waiting:
            waiting.clear()
            for layer in kwargs["past_key_values"].layers:
                layer.keys, layer.values = _apart(layer.keys, rows, 2), _apart(layer.values, rows, 2)

            output.last_hidden_state = _apart(output.last_hidden_state, rows, 1)

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


def _apart(states: Tensor, rows: PackedRows, dim: int) -> Tensor:
    """(rows, ..., columns, ...) of (1, ..., sequence, ...), whose tokens are on dimension `dim`."""
    parted = states[0].index_select(dim - 1, rows.keys.flatten())
    return parted.unflatten(dim - 1, rows.keys.shape).movedim(dim - 1, 0).contiguous()
