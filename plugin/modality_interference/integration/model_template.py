"""Which of LLaMA-Factory's chat templates a model is for: by its name in LLaMA-Factory's tables, or by its config."""

from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from ..errors import ModalityInterferenceError
from .plugin import require


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

    kind = _model_type(model)
    raise ModalityInterferenceError(
        f"the chat template of `{model}` (model_type `{kind}`) is not known. Name it by `--template`; "
        f"docs/compatibility.md lists those that work."
    )


def _templates_by_name() -> dict[str, str]:
    """Templates by the lower-case names that models have on the hubs."""
    tables = require("llamafactory.extras.constants", "SUPPORTED_MODELS", "DEFAULT_TEMPLATE")
    return {
        path.lower(): tables.DEFAULT_TEMPLATE[name]
        for name, paths in tables.SUPPORTED_MODELS.items()
        if name in tables.DEFAULT_TEMPLATE
        for path in paths.values()
    }


def _model_type(model: str) -> str | None:
    """The `model_type` of a model's config.json; none of its code is run."""
    try:
        config: dict[str, Any] = PretrainedConfig.get_config_dict(model)[0]
    except Exception as error:  # of the file system, the hub's library, the network, JSON
        said = " ".join(str(error).split())[:300]
        raise ModalityInterferenceError(
            f"the config of the model `{model}` cannot be read: {type(error).__name__}: {said}. MODEL is a folder with a "
            "config.json, or a name on the hub."
        ) from error

    return config.get("model_type") if isinstance(config.get("model_type"), str) else None
