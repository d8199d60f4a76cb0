"""The plugin's YAML keys: one documented dataclass, and their validation."""

import re
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import ModalityInterferenceError
from .modality import KINDS


PLUGIN_NAME = "modality_interference"
CONSISTENCY_METHODS = ("none", "kl", "reverse_kl", "js", "mse")
ADVERSARIAL_METHODS = ("none", "gaussian", "fgsm", "pgd", "freelb")
ADVERSARIAL_UPDATES = ("gradient", "sign", "normalized")
DIAGNOSIS_SCORINGS = ("likelihood", "generate")
SHARE_PREFIX = ("auto", "true", "false")
ALL_TWINS = "all"
ALL_LAYERS = "all"
LAST_HALF = "last_half"
_LAYER_RANGE = re.compile("([0-9]{1,4})(?:-([0-9]{1,4}))?")


@dataclass
class PluginArguments:
    """Keys that the plugin adds to a LLaMA-Factory recipe. Defaults are those of arXiv 2505.19616 and its code."""

    plugin: str | None = field(
        default=None,
        metadata={"help": "Name of the plugin to train with. `modality_interference` turns on all keys below."},
    )
    consistency_method: str = field(
        default="js",
        metadata={
            "help": "Distance between the answers to a clean row and to its variants (twins and adversarial copies).",
            "choices": CONSISTENCY_METHODS,
        },
    )
    consistency_weight: float = field(
        default=0.01, metadata={"help": "Weight (lambda) of the consistency loss; 0 turns it off."}
    )
    consistency_temperature: float = field(
        default=1.0,
        metadata={"help": "Temperature T that softens both answer distributions; the loss is scaled by T^2."},
    )
    adversarial_method: str = field(
        default="pgd",
        metadata={
            "help": "How adversarial copies of a row are made, on the embeddings of its irrelevant modalities.",
            "choices": ADVERSARIAL_METHODS,
        },
    )
    adversarial_steps: int = field(default=2, metadata={"help": "Ascent steps K of pgd and freelb."})
    adversarial_step_size: float = field(default=0.1, metadata={"help": "Step size (alpha) of pgd and freelb."})
    adversarial_epsilon: float = field(
        default=0.001,
        metadata={"help": "Radius of the L-infinity ball of fgsm, pgd and freelb; standard deviation of gaussian."},
    )
    adversarial_update: str = field(
        default="gradient",
        metadata={
            "help": "Ascent direction: the raw gradient (the paper), its sign (Madry et al.), or the gradient divided "
            "by its norm over the row (FreeLB, SMART).",
            "choices": ADVERSARIAL_UPDATES,
        },
    )
    adversarial_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of the cross-entropy of the adversarial copies; 0 turns the attack off."},
    )
    nonfinite_patience: int = field(
        default=50,
        metadata={
            "help": "Stop after this many optimizer steps in a row in which something was left out because it was not "
            "finite (`dropped_nonfinite` and `skipped_nonfinite` in the log)."
        },
    )
    adversarial_rows_per_pass: int = field(
        default=0,
        metadata={
            "help": "How many rows the attack's steps take at a time, to bound their memory; 0 takes all at once. The result "
            "is the same."
        },
    )
    share_prefix: str = field(
        default="auto",
        metadata={
            "help": "Compute what rows have in common from their start (system prompt, picture) once for all of them: `true`, "
            "`false`, or `auto`, where the model can. The result is the same.",
            "choices": SHARE_PREFIX,
        },
    )
    batch_mix: str | None = field(
        default=None,
        metadata={
            "help": "Composition of every device batch by what its examples depend on, such as "
            f"`image=2,text=2,both=4` (kinds: {', '.join(KINDS)}). Unset: plain shuffling."
        },
    )
    twins_per_example: str = field(
        default=ALL_TWINS,
        metadata={"help": "`all`, or how many of an example's twins to train on, drawn afresh each epoch."},
    )
    alignment_weight: float = field(
        default=0.0,
        metadata={
            "help": "Weight of the alignment loss: -log of the share of the answer's attention over media tokens that "
            "falls on the relevant modality; 0 turns it off."
        },
    )
    alignment_layers: str = field(
        default=ALL_LAYERS,
        metadata={
            "help": "Layers of the text decoder whose attention the alignment loss looks at: `all`, `last_half`, or "
            "numbers and ranges from 0, such as `12-20` or `3,7,12-20`."
        },
    )
    attention_probe: bool = field(
        default=False,
        metadata={
            "help": "Measure at evaluation which share of the answer position's attention falls on text, image, video and "
            "audio tokens, per layer and head."
        },
    )
    diagnosis_scoring: str = field(
        default="likelihood",
        metadata={
            "help": "How an evaluation scores answers: by their `likelihood` (the most likely option), or `generate` them "
            "and look for an option (needs `predict_with_generate: true`).",
            "choices": DIAGNOSIS_SCORINGS,
        },
    )

    @property
    def adversarial_on(self) -> bool:
        """Whether training rows get adversarial copies."""
        return self.adversarial_method != "none" and self.adversarial_weight > 0

    @property
    def consistency_on(self) -> bool:
        """Whether the consistency loss is computed."""
        return self.consistency_method != "none" and self.consistency_weight > 0

    @property
    def alignment_on(self) -> bool:
        """Whether the alignment loss is computed."""
        return self.alignment_weight > 0

    @property
    def twins_limit(self) -> int | None:
        """The number behind `twins_per_example`, None for all of them."""
        return None if self.twins_per_example == ALL_TWINS else int(self.twins_per_example)


PLUGIN_KEYS = tuple(item.name for item in fields(PluginArguments) if item.name != "plugin")
DEFAULTS = {item.name: item.default for item in fields(PluginArguments)}


def refuse_without_flag(given: dict[str, Any] | list[str], arguments: PluginArguments) -> None:
    """Refuse the plugin's keys in a recipe that does not turn the plugin on.

    Args:
        given: what the user wrote, a recipe or command-line words.
        arguments: the same, parsed.

    Raises:
        ModalityInterferenceError: naming the keys and the flag.
    """
    if isinstance(given, dict):
        written = {str(key) for key in given}
    else:
        written = {word.lstrip("-").split("=")[0].replace("-", "_") for word in given if word.startswith("--")}

    stray = [key for key in PLUGIN_KEYS if key in written or getattr(arguments, key) != DEFAULTS[key]]
    if stray:
        raise ModalityInterferenceError(
            f"{_quoted(stray)} {'is a key' if len(stray) == 1 else 'are keys'} of the modality_interference plugin, "
            f"which is off. Add `plugin: {PLUGIN_NAME}` to the recipe, or remove {'it' if len(stray) == 1 else 'them'}."
        )


def validate(arguments: PluginArguments) -> None:
    """Check every key's value, and settle `twins_per_example` and `alignment_layers` (YAML may bring a number).

    Raises:
        ModalityInterferenceError: naming the key, what was found and what is allowed.
    """
    if arguments.plugin != PLUGIN_NAME:
        raise ModalityInterferenceError(f"`plugin` is {arguments.plugin!r}; the only one is `{PLUGIN_NAME}`.")

    arguments.share_prefix = str(arguments.share_prefix).lower()  # YAML may bring a boolean
    for key, allowed in (
        ("share_prefix", SHARE_PREFIX),
        ("consistency_method", CONSISTENCY_METHODS),
        ("adversarial_method", ADVERSARIAL_METHODS),
        ("adversarial_update", ADVERSARIAL_UPDATES),
        ("diagnosis_scoring", DIAGNOSIS_SCORINGS),
    ):
        if getattr(arguments, key) not in allowed:
            raise ModalityInterferenceError(f"`{key}` is {getattr(arguments, key)!r}; allowed: {', '.join(allowed)}.")

    for key in ("consistency_weight", "adversarial_weight", "adversarial_epsilon", "alignment_weight"):
        _check_number(arguments, key, positive=False)

    for key in ("consistency_temperature", "adversarial_step_size"):
        _check_number(arguments, key, positive=True)

    _check_count(arguments, "adversarial_steps", " (for no attack, use `adversarial_method: none`)")
    _check_count(arguments, "nonfinite_patience")
    _check_count(arguments, "adversarial_rows_per_pass", " (0 for all at once)", least=0)
    _check_twins_per_example(arguments)
    _check_alignment_layers(arguments)
    if not isinstance(arguments.attention_probe, bool):
        raise ModalityInterferenceError(
            f"`attention_probe` is {arguments.attention_probe!r}; it must be `true` or `false`."
        )

    if arguments.batch_mix is not None:
        parse_batch_mix(arguments.batch_mix)


def parse_batch_mix(text: str) -> dict[str, int]:
    """Read `image=2,text=2,both=4`.

    Raises:
        ModalityInterferenceError: for anything but distinct known kinds with counts of at least 1.
    """
    mix: dict[str, int] = {}
    for part in str(text).split(","):
        kind, separator, count = (piece.strip() for piece in part.partition("="))
        if not separator or kind not in KINDS or kind in mix or not count.isascii() or not count.isdigit():
            break

        mix[kind] = int(count[:6])
    else:
        if all(mix.values()):
            return mix

    raise ModalityInterferenceError(
        f"`batch_mix` is {text!r}; write counts of at least 1 for different kinds, such as `image=2,text=2,both=4` "
        f"(kinds: {', '.join(KINDS)})."
    )


def parse_layers(text: str, depth: int) -> list[int]:
    """Read `alignment_layers`.

    Args:
        text: `all`, `last_half`, or numbers and ranges from 0, such as `3,7,12-20`.
        depth: how many layers the model's text decoder has.

    Raises:
        ModalityInterferenceError: for anything else, and for layers that the model has not.
    """
    if text in (ALL_LAYERS, LAST_HALF):
        return list(range(depth // 2 if text == LAST_HALF else 0, depth))

    layers: set[int] = set()
    for first, last in _layer_ranges(text):
        if last >= depth:
            raise ModalityInterferenceError(
                f"`alignment_layers` is {text!r}, but the model's text decoder has {depth} layers, 0 to {depth - 1}."
            )

        layers.update(range(first, last + 1))

    return sorted(layers)


def _layer_ranges(text: str) -> list[tuple[int, int]]:
    found = [_LAYER_RANGE.fullmatch(part.strip()) for part in text.split(",")]
    ranges = [(int(match[1]), int(match[2] or match[1])) for match in found if match]
    if len(ranges) == len(found) and all(first <= last for first, last in ranges):
        return ranges

    raise ModalityInterferenceError(
        f"`alignment_layers` is {text!r}; it must be `all`, `last_half`, or numbers and ranges of layers from 0, such as "
        "`12-20` or `3,7,12-20`."
    )


def _check_alignment_layers(arguments: PluginArguments) -> None:
    arguments.alignment_layers = str(arguments.alignment_layers)  # YAML may bring a number
    if arguments.alignment_layers not in (ALL_LAYERS, LAST_HALF):
        _layer_ranges(arguments.alignment_layers)


def _check_count(arguments: PluginArguments, key: str, hint: str = "", least: int = 1) -> None:
    value = getattr(arguments, key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ModalityInterferenceError(f"`{key}` is {value!r}; it must be a whole number of at least {least}{hint}.")


def _check_number(arguments: PluginArguments, key: str, positive: bool) -> None:
    value = getattr(arguments, key)
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not numeric or not (0 < value < float("inf") or (value == 0 and not positive)):
        bound = "above 0" if positive else "of at least 0"
        raise ModalityInterferenceError(f"`{key}` is {value!r}; it must be a finite number {bound}.")


def _check_twins_per_example(arguments: PluginArguments) -> None:
    text = str(arguments.twins_per_example)
    if text != ALL_TWINS and not (text.isascii() and text.isdigit() and 0 < int(text[:6])):
        raise ModalityInterferenceError(
            f"`twins_per_example` is {arguments.twins_per_example!r}; it must be `all` or a whole number of at least 1."
        )

    arguments.twins_per_example = text


def _quoted(keys: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)
