"""Which of LLaMA-Factory's chat templates a model is for: by its name in LLaMA-Factory's tables, or by its config."""

from pathlib import Path
from typing import Any

from transformers import PretrainedConfig
from transformers.utils import cached_file

from ..errors import ModalityInterferenceError
from ..messages import listed
from .plugin import require


_NO_THOUGHT = "_nothink"
_ADAPTER = "adapter_config.json"
# By transformers' `model_type`, or `model_type:part` with that of the text or vision model: LLaMA-Factory's tables know models by
# their names alone, and a folder may be called anything. Tests compare it with those tables.
_TEMPLATES = {
    "ernie4_5_vl_moe": ("ernie_vl",),
    "gemma3": ("gemma3",),
    "gemma3n": ("gemma3n",),
    "gemma4": ("gemma4", "gemma4n"),
    "glm4v": ("glm4v",),
    "glm4v_moe": ("glm4_5v",),
    "glm_ocr": ("glm_ocr",),
    "instructblip": ("instructblip",),
    "internvl": ("intern_vl",),
    "lfm2_vl": ("lfm2_vl",),
    "llama4": ("llama4",),
    "llava": ("llava",),
    "llava:pixtral": ("pixtral",),
    "llava_next": (
        "llava_next",
        "llava_next_llama3",
        "llava_next_mistral",
        "llava_next_qwen",
        "llava_next_yi",
        "granite3_vision",
    ),
    "llava_next_video": ("llava_next_video", "llava_next_video_mistral", "llava_next_video_yi"),
    "mistral3": ("mistral_small",),
    "mistral3:ministral3": ("ministral3",),
    "mllama": ("mllama",),
    "paligemma": ("paligemma",),
    "qwen2_5_omni": ("qwen2_omni",),
    "qwen2_5_omni_thinker": ("qwen2_omni",),
    "qwen2_5_vl": ("qwen2_vl",),
    "qwen2_audio": ("qwen2_audio",),
    "qwen2_vl": ("qwen2_vl",),
    "qwen3_5": ("qwen3_5", "qwen3_5_nothink"),
    "qwen3_5_moe": ("qwen3_5", "qwen3_5_nothink"),
    "qwen3_omni_moe": ("qwen3_omni", "qwen3_omni_nothink"),
    "qwen3_omni_moe_thinker": ("qwen3_omni", "qwen3_omni_nothink"),
    "qwen3_vl": ("qwen3_vl", "qwen3_vl_nothink"),
    "qwen3_vl_moe": ("qwen3_vl", "qwen3_vl_nothink"),
    "video_llava": ("video_llava",),
}


def require_model(model: str) -> None:
    """Refuse a model that is neither a folder here nor may be a name on the hub, before anything is asked of the hub.

    Raises:
        ModalityInterferenceError: naming it.
    """
    if not Path(model).is_dir() and (model.count("/") != 1 or model.startswith((".", "/", "~"))):
        raise ModalityInterferenceError(
            f"there is no folder `{model}`. MODEL is a folder with a model, or a name on the hub such as "
            "Qwen/Qwen2.5-VL-3B-Instruct."
        )


def template_of(model: str) -> tuple[str, str]:
    """Find a model's template.

    Args:
        model: a folder, or a name on the hub.

    Returns:
        the template, and how it was found, in words.

    Raises:
        ModalityInterferenceError: it is not known, or several are possible; says that `--template` names it.
    """
    by_name = _templates_by_name()
    name = model.rstrip("/").lower()
    if found := by_name.get(name) if not Path(model).is_dir() else None:
        return found, f"LLaMA-Factory's of {model}"

    last = Path(model.rstrip("/")).name.lower()
    same = {template for known, template in by_name.items() if known.rpartition("/")[2] == last}
    if len(same) == 1:
        return same.pop(), f"LLaMA-Factory's of models called {Path(model).name}"

    kinds = _model_types(model)
    possible = next((_TEMPLATES[kind] for kind in kinds if kind in _TEMPLATES), ())
    if len(possible) == 2 and possible[1] == possible[0] + _NO_THOUGHT:
        thinks = _thinks(model)
        how = f"its own chat template {'has' if thinks else 'has no'} <think>"
        return possible[not thinks], f"by the model_type {kinds[-1]}; {how}"

    if len(possible) == 1:
        return possible[0], f"by the model_type {kinds[-1]}"

    which = f"fits several: {listed(possible)}" if possible else "is none that is known here"
    raise ModalityInterferenceError(
        f"which chat template `{model}` is for cannot be told: its model_type `{kinds[-1]}` {which}. Name LLaMA-Factory's "
        "template by `--template`; docs/compatibility.md lists those that work."
    )


def _thinks(model: str) -> bool:
    """Whether a model's own chat template writes thoughts."""
    for name in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
        file = cached_file(
            model, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
        )
        if file is not None and "<think>" in Path(file).read_text(encoding="utf-8", errors="replace"):
            return True

    return False


def _templates_by_name() -> dict[str, str]:
    """Templates by the lower-case names that models have on the hubs."""
    tables = require("llamafactory.extras.constants", "SUPPORTED_MODELS", "DEFAULT_TEMPLATE")
    return {
        path.lower(): tables.DEFAULT_TEMPLATE[name]
        for name, paths in tables.SUPPORTED_MODELS.items()
        if name in tables.DEFAULT_TEMPLATE
        for path in paths.values()
    }


def _model_types(model: str) -> list[str]:
    """The `model_type` of a model's config.json, behind `model_type:part` for those of its parts; none of its code is run."""
    if (Path(model) / _ADAPTER).is_file() and not (Path(model) / "config.json").is_file():
        raise ModalityInterferenceError(
            f"`{model}` is an adapter. Name the model that it was trained on as MODEL, and this folder by `--adapter`."
        )

    try:
        config: dict[str, Any] = PretrainedConfig.get_config_dict(model)[0]
        if not config:
            raise FileNotFoundError("there is none")
    except Exception as error:  # of the file system, the hub's library, the network, JSON
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise ModalityInterferenceError(
            f"the config of the model `{model}` cannot be read: {type(error).__name__}: {said}. MODEL is a folder with a "
            "config.json, or a name on the hub."
        ) from error

    own = str(config.get("model_type"))
    parts = [config.get(part) for part in ("text_config", "vision_config")]
    return [f"{own}:{part['model_type']}" for part in parts if isinstance(part, dict) and "model_type" in part] + [own]
