"""Omni models as LLaMA-Factory saves them: the thinker alone, of a type that transformers' auto classes do not know."""

import json
from pathlib import Path

import transformers
from transformers import AutoConfig, AutoModelForImageTextToText


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
