"""Presets: by name, values that take the place of the keys' defaults. What the recipe itself writes still wins."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from .arguments import PluginArguments
from .errors import ModalityInterferenceError
from .messages import shown, suggestion


# What `preset: recommended` means stands here alone; docs/evidence.md says why.
RECOMMENDED = {
    "consistency_method": "js",
    "consistency_weight": 1.0,
    "consistency_temperature": 1.0,
    "adversarial_method": "none",
    "twins_per_example": "all",
}

# The files under `configs/model_train` of the code of arXiv 2505.19616: consistency and its weight; attack, its steps (none for
# RG, which is noise) and its radius; image, text and VQA rows of a device batch, where the file names them.
# Left out are older files that name no mix: those with keys that the code no longer reads (`consistent_type`), those for LoRA, and
# LLaVA's `args_full_JS_PGD`.
_CONFIGURATIONS: dict[str, tuple[tuple[str, float] | None, tuple[str, int | None, float] | None, str | None]] = {
    "qwen2.5-vl-7b/args_full_KL_PGD": (("KL", 0.01), ("PGD", 2, 0.001), "2:2:4"),
    "qwen2.5-vl-7b/args_full_JS_PGD": (("JS", 0.001), ("PGD", 1, 0.001), "1:1:6"),
    "qwen2.5-vl-7b/only_consistency/args_KL_full": (("KL", 0.01), None, "1:1:6"),
    "qwen2.5-vl-7b/only_consistency/args_JS_full": (("JS", 0.01), None, "2:2:4"),
    "qwen2.5-vl-7b/only_adversarial/args_full_PGD": (None, ("PGD", 1, 0.001), "2:2:2"),
    "qwen2.5-vl-7b/only_adversarial/args_full_RG": (None, ("RG", None, 0.05), "1:1:6"),
    "qwen2.5-vl-7b/vinilla/args_full": (None, None, "1:1:6"),
    "qwen2.5-vl-7b/vinilla/args_onlyvqa": (None, None, "0:0:6"),
    "qwen2.5-vl-3b/args_full_KL_PGD": (("KL", 0.001), ("PGD", 2, 0.01), "2:2:4"),
    "qwen2.5-vl-3b/args_full_JS_PGD": (("KL", 0.001), ("PGD", 2, 0.001), "2:2:6"),  # the file says KL
    "qwen2.5-vl-3b/only_consistency/args_KL_full": (("KL", 0.01), None, "2:2:4"),
    "qwen2.5-vl-3b/only_consistency/args_JS_full": (("JS", 0.01), None, "2:2:4"),
    "qwen2.5-vl-3b/only_adversarial/args_full_PGD": (None, ("PGD", 1, 0.01), "2:2:4"),
    "qwen2.5-vl-3b/vinilla/args_full": (None, None, "2:2:4"),
    "llava-v1.5-7b/args_full_KL_PGD": (("KL", 0.01), ("PGD", 2, 0.001), "2:2:4"),
    "llava-v1.5-7b/only_consistency/args_KL_full": (("KL", 0.01), None, "2:2:4"),
    "llava-v1.5-7b/only_adversarial/args_full_PGD": (None, ("PGD", 1, 0.001), "2:2:4"),
    "llava-v1.5-7b/only_adversarial/args_full_RG": (None, ("RG", None, 0.05), None),
    "llava-v1.5-7b/vinilla/args_full": (None, None, "1:3:4"),
    "instructBlip-7b/args_full_KL_PGD": (("KL", 0.01), ("PGD", 4, 0.05), "2:2:4"),
    "instructBlip-7b/only_consistency/args_KL_full": (("KL", 0.01), None, "2:2:4"),
    "instructBlip-7b/only_consistency/args_JS_full": (("JS", 0.01), None, "2:2:4"),
    "instructBlip-7b/only_adversarial/args_full_PGD": (None, ("PGD", 1, 0.05), "2:2:4"),
    "instructBlip-7b/only_adversarial/args_full_RG": (None, ("RG", None, 0.05), None),
    "instructBlip-7b/vinilla/args_full": (None, None, "3:3:2"),
    "instructBlip-7b/vinilla/args_full_nounimodality": (None, None, "0:0:8"),
    "instructBlip-7b/vinilla/args_full_novqa": (None, None, "3:3:0"),
}
_METHODS = {"KL": "reverse_kl", "JS": "js", "PGD": "pgd", "RG": "gaussian"}  # what the code computes under these names
_TWINS = {"image": 2, "text": 3}  # of a row, in the code; with a copy of each row and twin there are 5 and 7 variants


def _converted(weight: float, attacked: bool, counts: Mapping[str, int]) -> float:
    """The weight that does with the plugin's means what a weight does with the code's sums.

    The code adds up over a row's variants and divides by the rows that have any; with an attack that is all rows, as it copies VQA
    rows unperturbed, whose terms are 0. The answers of its image and text rows are one token. See docs/method.md.

    Args:
        weight: the file's.
        attacked: whether there are adversarial copies.
        counts: rows of a device batch by kind.
    """
    variants = {kind: 2 * twins + 1 if attacked else twins for kind, twins in _TWINS.items()}
    added = sum(counts[kind] * number for kind, number in variants.items())
    rows = sum(counts.values()) if attacked else sum(counts[kind] for kind in _TWINS)
    return round(weight * added / rows, 6)


def _published(
    consistency: tuple[str, float] | None, attack: tuple[str, int | None, float] | None, mix: str | None
) -> Mapping[str, Any]:
    """A configuration as keys of the plugin."""
    counts = dict(zip(("image", "text", "both"), map(int, (mix or "1:1:0").split(":"))))
    values: dict[str, Any] = {"consistency_method": "none", "adversarial_method": "none", "twins_per_example": "all"}
    if consistency is not None:
        name, weight = consistency
        values["consistency_method"] = _METHODS[name]
        values["consistency_weight"] = _converted(weight, attack is not None, counts)
        values["consistency_temperature"] = 1.0

    if attack is not None:
        name, steps, radius = attack
        values |= {"adversarial_method": _METHODS[name], "adversarial_epsilon": radius, "adversarial_weight": 1.0}
        if steps is not None:
            values |= {"adversarial_steps": steps, "adversarial_step_size": 0.1, "adversarial_update": "gradient"}

    if mix is not None:
        values["batch_mix"] = ",".join(f"{kind}={count}" for kind, count in counts.items() if count)

    return MappingProxyType(values)


_PAPER = {f"paper/{name}": _published(*cells) for name, cells in _CONFIGURATIONS.items()}
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "recommended": MappingProxyType(RECOMMENDED),
        "paper": _PAPER["paper/qwen2.5-vl-7b/args_full_KL_PGD"],
        # arXiv 2511.22826 tunes on answers only; the twins are the dataset's
        "alignment_tuning": MappingProxyType(
            {"consistency_method": "none", "adversarial_method": "none", "alignment_weight": 0.0}
        ),
        **_PAPER,
    }
)


def apply_preset(arguments: PluginArguments, written: Collection[str]) -> None:
    """Give the keys that the recipe does not write the values of its preset.

    Args:
        arguments: parsed; changed in place where they name a preset.
        written: the keys that the recipe writes, in whatever way.

    Raises:
        ModalityInterferenceError: there is no such preset.
    """
    name = arguments.preset
    if name is None:
        return

    if not isinstance(name, str) or name not in PRESETS:
        short = [known for known in PRESETS if "/" not in known]
        raise ModalityInterferenceError(
            f"`preset` is {shown(name)}, and there is no such preset.{suggestion(str(name), PRESETS)} There are "
            f"{', '.join(f'`{known}`' for known in short)}, and `paper/...` for each configuration of the paper's code: "
            "docs/configuration.md lists them."
        )

    for key, value in PRESETS[name].items():
        if key not in written:
            setattr(arguments, key, value)


def resolved(arguments: PluginArguments) -> dict[str, Any]:
    """The name of the recipe's preset, and what became of the keys that it sets; empty without one."""
    if arguments.preset is None:
        return {}

    return {"preset": arguments.preset} | {key: getattr(arguments, key) for key in PRESETS[arguments.preset]}


def preset_line(arguments: PluginArguments) -> str | None:
    """What a log says of the recipe's preset: the values in force, and which of them the recipe has changed."""
    found = resolved(arguments)
    name = found.pop("preset", None)
    if name is None:
        return None

    own = [key for key, value in found.items() if value != PRESETS[name][key]]
    changed = f" ({', '.join(own)}: the recipe's own)" if own else ""
    return f"`preset: {name}`: {', '.join(f'{key}: {value}' for key, value in found.items())}{changed}"
