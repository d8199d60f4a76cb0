"""From which length on a shared prefix is worth it: one rule, in FLOPs and bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .parts import kernel_works


CPU_BALANCE = 8.0  # FLOPs that a core does in the time in which it moves a byte
GPU_BALANCE = 200.0  # of an A100 or H100 in bfloat16, about
TOUCHED = 8  # times that a part reads or writes its queries: gathered, scored, merged


@dataclass(frozen=True)
class SharingCost:
    """What a row saves and what it pays where it shares a run of tokens, in one layer's forward.

    The backward pass costs two to three times as much on both sides, so it does not change the answer.

    Attributes:
        linear: FLOPs of a layer's weights for one token.
        heads: of the queries.
        width: of all heads together.
        itemsize: bytes of a number.
        balance: FLOPs in the time in which a byte is moved.
        by_parts: whether attention is computed by parts (`parts.py`) or by groups with gathered keys (`row_attention.py`).
    """

    linear: float
    heads: int
    width: int
    itemsize: int
    balance: float
    by_parts: bool

    @classmethod
    def of(cls, decoder: Any, device: torch.device) -> "SharingCost":
        """For a text decoder, by its config: its weights may be spread over ranks.

        Args:
            decoder: the model's text decoder.
            device: where it runs.
        """
        config = decoder.config
        hidden = _size(config, "hidden_size", 1)
        heads = _size(config, "num_attention_heads", 1)
        head = _size(config, "head_dim", max(hidden // heads, 1))
        key_heads = _size(config, "num_key_value_heads", heads)
        inner = _size(config, "intermediate_size", 4 * hidden)
        experts = _size(config, "num_experts_per_tok", 0)
        inner = experts * _size(config, "moe_intermediate_size", inner) or inner
        cpu = device.type == "cpu"
        return cls(
            linear=2 * hidden * (2 * (heads + key_heads) * head + 3 * inner),
            heads=heads,
            width=heads * head,
            itemsize=decoder.dtype.itemsize,
            balance=CPU_BALANCE if cpu else GPU_BALANCE,
            by_parts=cpu and _plain_attention(config) and kernel_works(),
        )

    def pays(self, shared: int, own: int) -> bool:
        """Whether a row of `own` other tokens should share a run of `shared` tokens rather than compute them again.

        Saved: the layer's weights on the run, and the run's attention to itself.

        Paid by parts: the row's queries are gathered, and their outputs merged with those of the run.

        Paid by groups: an explicit mask, so the kernel computes the scores behind the diagonal as well (half of the own tokens'
        square), reads the mask for every head, and keys and values are gathered and repeated for every head.

        Args:
            shared: tokens of the run, at least 1.
            own: tokens that the row would add to the sequence behind it; 0 where it only hands the run on.
        """
        if not own:
            return True

        saved = shared * self.linear + 2 * shared**2 * self.width
        if self.by_parts:
            return saved > self.balance * self.itemsize * TOUCHED * own * self.width

        keys = shared + own
        moved = self.itemsize * (self.heads * own * keys + 4 * keys * self.width)
        return saved > 2 * own**2 * self.width + self.balance * moved


def _size(config: Any, name: str, default: int) -> int:
    """A size by its usual name; the least where layers differ in it, and the default where a family calls it otherwise."""
    found = getattr(config, name, None)
    if isinstance(found, (list, tuple)):
        found = min(found, default=None)

    return found or default


def where_it_pays(wanted: str, decoder: Any, device: torch.device) -> Callable[[int, int], bool] | None:
    """The rule that `CommonPrefixes` takes.

    Args:
        wanted: the value of `share_prefix`, `auto` or `true`.
        decoder: the model's text decoder.
        device: where it runs.

    Returns:
        `SharingCost.pays`; None for `true`, which shares whatever rows have in common.
    """
    return None if wanted == "true" else SharingCost.of(decoder, device).pays


def _plain_attention(config: Any) -> bool:
    """Whether all layers can be computed by parts, as `RowAttention` decides it layer by layer."""
    layers = getattr(config, "layer_types", None)
    windows = getattr(config, "sliding_window", None) is not None if layers is None else "sliding_attention" in layers
    return config._attn_implementation == "sdpa" and not windows and not getattr(config, "attention_dropout", 0)
