"""How the plugin reaches a model's attention function: to observe it, or to let rows share prefixes.

transformers' models look up their attention function by name in `ALL_ATTENTION_FUNCTIONS`. `wrap_attention_functions` wraps each
of those. A wrapper does more than call the function only when the text decoder gets one of two keyword arguments, which its layers
pass on: `LISTENER` observes the queries and keys (after the rotary embedding) and may change the output, and `ROW_ATTENTION` calls the function for rows
that are packed into one sequence. So the vision and audio towers never get them, nothing has to be restored after a forward, and
a layer that gradient checkpointing repeats during the backward pass gets the same ones.
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
class ScoreBias:
    """A constant that is added to the scores between some queries and some keys, behind a soft cap, before the softmax.

    Attributes:
        constant: in nats.
        keys: (rows, columns) which of the batch's tokens; none of those that are generated later.
        start: (rows,) the column of each row's first query.
    """

    constant: float
    keys: Tensor
    start: Tensor


@dataclass(frozen=True)
class AttentionInputs:
    """What one layer's attention is computed from.

    Attributes:
        layer: the layer's index, from 0.
        query: (rows, heads, tokens, width), after the rotary embedding.
        key: (rows, key heads, keys, width), likewise; of a cache with a sliding window, those that it has kept.
        value: (rows, key heads, keys, value width).
        mask: the model's: (rows or 1, 1 or heads, tokens, keys), boolean or added to the scores; (rows, keys), which leaves
            out the causal mask and the sliding window; None where only the causal mask applies.
        scaling: of the scores.
        softcap: bound of the scores, None where they have none.
        window: how many keys back a query sees, None for all.
        causal: whether later keys are masked where `mask` does not say.
        packed: the rows, if `query`, `key` and `value` hold them packed into one sequence: (1, heads, sequence, width).
        past: how many tokens came in earlier forwards; their keys and values come from a cache.
        bias: of the scores, None where the model's own are used.
    """

    layer: int
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scaling: float
    softcap: float | None
    window: int | None
    causal: bool
    packed: PackedRows | None = None
    past: int = 0
    bias: ScoreBias | None = None


class Listener(Protocol):
    """Observes the attention of every layer of one forward."""

    def observe(self, inputs: AttentionInputs, output: Tensor) -> Tensor:
        """Observe a layer's attention.

        Args:
            inputs: of the layer.
            output: (rows, tokens, heads, width) of the model's own function; (1, sequence, heads, width) for packed rows.

        Returns:
            the output that the model goes on with: the one given, with further gradients or changed at some positions.
        """


def with_listener(kwargs: dict[str, Any], listener: Listener | None) -> dict[str, Any]:
    """The text decoder's keyword arguments with a listener, for `ModelParts.hooked`.

    Args:
        kwargs: the decoder's.
        listener: observes the attention of this forward; None leaves the arguments as they are.
    """
    if listener is None:
        return kwargs

    wrap_attention_functions()
    return {**kwargs, LISTENER: listener}


def wrap_attention_functions() -> None:
    """Wrap the attention functions, once for the process; without our keyword arguments the wrappers change nothing."""
    for name in IMPLEMENTATIONS:
        stock = ALL_ATTENTION_FUNCTIONS.get(name)  # none for eager
        if not isinstance(stock, _WrappedAttention):
            ALL_ATTENTION_FUNCTIONS[name] = _WrappedAttention(name, stock)


class _WrappedAttention:
    """A wrapped attention function.

    Args:
        name: its name.
        stock: the function; None for eager attention, of which every model family has its own.
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
        with torch.autocast(query.device.type, enabled=False):  # autocast would round what the listener computes
            inputs = self._inputs(module, query, key, value, attention_mask, kwargs, packed)
            return listener.observe(inputs, output), weights

    def _inputs(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Any,
        kwargs: dict[str, Any],
        packed: PackedRows | None,
    ) -> AttentionInputs:
        if kwargs.get("s_aux") is not None:
            raise ModalityInterferenceError(
                f"{type(module).__name__} has attention sinks, which `attention_probe`, `attention_calibration` and "
                "`alignment_weight` do not support. Remove these keys from the recipe."
            )

        scaling, causal = kwargs.get("scaling"), kwargs.get("is_causal")
        return AttentionInputs(
            layer=module.layer_idx,
            query=query,
            key=key,
            value=value,
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
                f"{type(module).__name__} is not causal, so rows cannot share prefixes. Set `share_prefix: false`."
            )


def _eager_of(module: nn.Module) -> Callable[..., Any]:
    return sys.modules[type(module).__module__].eager_attention_forward
