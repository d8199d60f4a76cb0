"""Whether a model can compute rows that share a prefix."""

from typing import Any

from llamafactory.extras import logging

from ..errors import ModalityInterferenceError


logger = logging.get_logger(f"llamafactory.{__name__}")  # below its root logger, which has the handlers
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
        logger.info_rank0(f"Rows that begin alike are computed apart: {why_not}.")

    return wanted != "false" and not why_not


def obstacle(decoder: Any) -> str | None:
    """Why a text decoder's rows cannot share prefixes; None where they can."""
    name = type(decoder).__name__
    if not getattr(decoder, "_supports_attention_backend", False):
        return f"{name} does not compute its attention by transformers' attention interface"

    kernel = decoder.config._attn_implementation
    if kernel not in KERNELS:
        return f"the attention kernel `{kernel}` takes no prefixes (those that do: {', '.join(KERNELS)})"

    others = set(getattr(decoder.config, "layer_types", None) or ()) - LAYERS
    if others:
        return f"{name} has layers of another kind than attention ({', '.join(sorted(others))})"

    return None
