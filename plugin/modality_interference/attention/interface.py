"""The door to a model's attention function: listen to it, or let rows share prefixes.

transformers' models look up their attention function by name in `ALL_ATTENTION_FUNCTIONS`. `surround` puts a function around
each of those, which calls the function itself. What it does beyond that comes as keyword arguments of the text decoder, which
its layers hand down: `LISTENER`, who is shown the very same queries and keys (after the rotary embedding), and `ROW_ATTENTION`,
which calls the function for rows that are laid in one sequence. So the vision and audio towers never see them, no state has to
be put back after a forward, and a layer that gradient checkpointing runs again during the backward pass gets the same ones.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..errors import ModalityInterferenceError
from .prefix import PackedRows
from .row_attention import RowAttention


LISTENER = "attention_listener"  # keyword arguments of the decoder
ROW_ATTENTION = "row_attention"
IMPLEMENTATIONS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3")
_CAPPING = ("eager", "flash_attention_2", "flash_attention_3")  # transformers' SDPA takes no account of a soft cap


@dataclass(frozen=True)
class AttentionInputs:
    """What one layer's attention is computed from.

    Attributes:
        layer: the layer's number, from 0.
        query: (rows, heads, tokens, width), after the rotary embedding.
        key: (rows, key heads, tokens, width), likewise.
        mask: of the model: (rows or 1, 1 or heads, tokens, keys), boolean or to be added; (rows, keys) without future and
            window; None where there is nothing but the future to mask.
        scaling: of the scores.
        softcap: bound of the scores, None without.
        window: how many keys back a query sees, None for all.
        causal: whether the future is masked where `mask` does not say.
        packed: where the rows stand, if `query` and `key` hold them in one sequence: (1, heads, sequence, width).
    """

    layer: int
    query: Tensor
    key: Tensor
    mask: Tensor | None
    scaling: float
    softcap: float | None
    window: int | None
    causal: bool
    packed: PackedRows | None = None


class Listener(Protocol):
    """Hears the attention of every layer of one forward."""

    def hear(self, inputs: AttentionInputs, output: Tensor) -> Tensor:
        """Take note of a layer's attention.

        Args:
            inputs: of the layer.
            output: (rows, tokens, heads, width) what the model's own function makes of them; (1, sequence, heads, width)
                of rows in one sequence.

        Returns:
            the output, equal to the one given (it may carry further gradients).
        """


def listen_in(kwargs: dict[str, Any], listener: Listener | None) -> dict[str, Any]:
    """The text decoder's keyword arguments with a listener, for `ModelParts.hooked`.

    Args:
        kwargs: the decoder's.
        listener: who hears the attention of this forward; None for nobody.
    """
    if listener is None:
        return kwargs

    surround()
    return {**kwargs, LISTENER: listener}


def surround() -> None:
    """Put our functions in place, once for the process; they change nothing without our keyword arguments."""
    for name in IMPLEMENTATIONS:
        stock = ALL_ATTENTION_FUNCTIONS.get(name)  # none for eager
        if not isinstance(stock, _Surrounded):
            ALL_ATTENTION_FUNCTIONS[name] = _Surrounded(name, stock)


class _Surrounded:
    """An attention function, surrounded.

    Args:
        name: its name.
        stock: the function; None for eager attention, which every family has its own of.
    """

    def __init__(self, name: str, stock: Callable[..., Any] | None) -> None:
        self.name = name
        self.stock = stock

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        listener: Listener | None = kwargs.pop(LISTENER, None)
        rows: RowAttention | None = kwargs.pop(ROW_ATTENTION, None)
        stock = self.stock or _eager_of(module)
        weights = None
        if rows is None:
            output, weights = stock(module, query, key, value, attention_mask, *args, **kwargs)
        else:
            self._check(module, kwargs)
            additive = self.name == "eager"
            output = rows.attend(stock, module, query, key, value, attention_mask, *args, additive=additive, **kwargs)

        if listener is None:
            return output, weights

        packed = rows.rows if rows is not None else None
        with torch.autocast(query.device.type, enabled=False):  # which would round what the listener computes
            return listener.hear(self._inputs(module, query, key, attention_mask, kwargs, packed), output), weights

    def _inputs(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        attention_mask: Any,
        kwargs: dict[str, Any],
        packed: PackedRows | None,
    ) -> AttentionInputs:
        if kwargs.get("s_aux") is not None:
            raise ModalityInterferenceError(
                f"{type(module).__name__} has attention sinks beside its keys: `attention_probe` and `alignment_weight` "
                "do not know them. Remove the two keys from the recipe."
            )

        scaling, causal = kwargs.get("scaling"), kwargs.get("is_causal")
        return AttentionInputs(
            layer=module.layer_idx,
            query=query,
            key=key,
            mask=None if packed is not None and not attention_mask.numel() else attention_mask,
            scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
            softcap=kwargs.get("softcap") if self.name in _CAPPING else None,
            window=kwargs.get("sliding_window"),
            causal=getattr(module, "is_causal", True) if causal is None else causal,
            packed=packed,
        )

    def _check(self, module: Any, kwargs: dict[str, Any]) -> None:
        if not (getattr(module, "is_causal", True) if kwargs.get("is_causal") is None else kwargs["is_causal"]):
            raise ModalityInterferenceError(
                f"{type(module).__name__} looks ahead, so rows have no common prefixes. Set `share_prefix: false`."
            )


def _eager_of(module: nn.Module) -> Callable[..., Any]:
    return sys.modules[type(module).__module__].eager_attention_forward
