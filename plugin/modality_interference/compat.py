"""Work-arounds for other packages: each says what for, for which versions, and when it can go."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from llamafactory.extras import logging
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText


def get_logger(name: str) -> Any:
    """A logger below LLaMA-Factory's own, which has the handlers, and whose loggers know `warning_rank0` and the like.

    Args:
        name: the module's `__name__`.
    """
    return logging.get_logger(f"llamafactory.{name}")


_CLASSES = {"qwen2_5_omni_thinker": "Qwen2_5OmniThinker", "qwen3_omni_moe_thinker": "Qwen3OmniMoeThinker"}


def let_thinker_load(model: str) -> None:
    """Let LLaMA-Factory load what it saves after full tuning of an omni model: to tune on, to diagnose.

    This adds to the auto classes and changes nothing that they know already, so it may stay for the rest of the process.

    Args:
        model: the recipe's `model_name_or_path`; nothing happens where it is no folder with a thinker.
    """
    name = _CLASSES.get(_model_type(Path(model) / "config.json"))
    if name is not None:
        config = getattr(transformers, f"{name}Config")
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForImageTextToText.register(
            config, getattr(transformers, f"{name}ForConditionalGeneration"), exist_ok=True
        )


def _model_type(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("model_type"))
    except (AttributeError, OSError, ValueError, RecursionError):  # none there, or LLaMA-Factory will complain
        return ""


_UNUSED = ("audio_bos_eos_token",)  # Qwen2.5-Omni's audio tower, in transformers 5.5


def freeze_unused(model: nn.Module) -> None:
    """Freeze them; to be called before the optimizer is made."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in _UNUSED:
            module.requires_grad_(False)


def let_deepspeed_skip(optimizer: Any) -> None:
    """Have a ZeRO optimizer skip steps whose gradients are not finite, whatever their type.

    DeepSpeed 0.18 looks for them under float16 only, as its loss scale overflows there; elsewhere one such gradient makes
    every weight NaN.

    Args:
        optimizer: DeepSpeed's; one that is none of ZeRO's stays as it is.
    """
    if hasattr(optimizer, "check_grad_overflow"):  # stages 1 and 2
        optimizer.check_grad_overflow = True
    elif hasattr(optimizer, "_overflow_check_and_loss_scale_update") and optimizer.dtype != torch.float16:  # stage 3
        stock = optimizer._overflow_check_and_loss_scale_update

        def check() -> bool:
            optimizer.check_overflow()
            return stock()

        optimizer._overflow_check_and_loss_scale_update = check


class Forgiving:
    """A processor whose video processor does not mind `images=None`; LLaVA-NeXT-Video and Video-LLaVA need it.

    Args:
        processor: the multimodal processor.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._processor, name)
        return _VideosOnly(value) if name == "video_processor" and value is not None else value


class _VideosOnly:
    def __init__(self, stock: Any) -> None:
        self._stock = stock

    def __call__(self, *args: Any, images: None = None, **settings: Any) -> Any:
        return self._stock(*args, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)
