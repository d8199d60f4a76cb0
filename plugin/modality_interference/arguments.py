"""The plugin's YAML keys: one documented dataclass, and the pydantic model that checks their values."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, create_model

from .errors import ModalityInterferenceError
from .messages import explain, listed
from .modality import KINDS


PLUGIN_NAME = "modality_interference"
ALL_TWINS = "all"
ALL_LAYERS = "all"
LAST_HALF = "last_half"
PREFERENCE_LOSSES = ("sigmoid", "hinge", "ipo", "orpo", "simpo")  # of LLaMA-Factory's `pref_loss`
_LAYER_RANGE = re.compile("([0-9]{1,4})(?:-([0-9]{1,4}))?")
_MIX_ALLOWED = f"counts of at least 1 for different kinds, such as `image=2,text=2,both=4` (kinds: {', '.join(KINDS)})"
_LAYERS_ALLOWED = "`all`, `last_half`, or numbers and ranges of layers from 0, such as `12-20` or `3,7,12-20`"


def parse_batch_mix(text: str) -> dict[str, int]:
    """Read `image=2,text=2,both=4`.

    Raises:
        ModalityInterferenceError: for anything but distinct known kinds with counts of at least 1.
    """
    mix: dict[str, int] = {}
    for part in text.split(","):
        kind, separator, count = (piece.strip() for piece in part.partition("="))
        if not separator or kind not in KINDS or kind in mix or not count.isascii() or not count.isdigit():
            break

        mix[kind] = int(count[:6])
    else:
        if all(mix.values()):
            return mix

    raise ModalityInterferenceError(f"`batch_mix` must be {_MIX_ALLOWED}, found {text!r}.")


def parse_layers(key: str, text: str, depth: int) -> list[int]:
    """Read `alignment_layers` or another key that names layers.

    Args:
        key: its name, for messages.
        text: `all`, `last_half`, or numbers and ranges from 0, such as `3,7,12-20`.
        depth: how many layers the model's text decoder has.

    Raises:
        ModalityInterferenceError: for anything else, and for layers that the model does not have.
    """
    if text in (ALL_LAYERS, LAST_HALF):
        return list(range(depth // 2 if text == LAST_HALF else 0, depth))

    layers: set[int] = set()
    for first, last in _layer_ranges(key, text):
        if last >= depth:
            raise ModalityInterferenceError(
                f"`{key}` is {text!r}, but the model's text decoder has {depth} layers, 0 to {depth - 1}."
            )

        layers.update(range(first, last + 1))

    return sorted(layers)


def _layer_ranges(key: str, text: str) -> list[tuple[int, int]]:
    found = [_LAYER_RANGE.fullmatch(part.strip()) for part in text.split(",")]
    ranges = [(int(match[1]), int(match[2] or match[1])) for match in found if match]
    if len(ranges) == len(found) and all(first <= last for first, last in ranges):
        return ranges

    raise ModalityInterferenceError(f"`{key}` must be {_LAYERS_ALLOWED}, found {text!r}.")


def _check_batch_mix(text: str | None) -> str | None:
    if text is not None:
        parse_batch_mix(text)

    return text


def _check_layers(text: str, info: ValidationInfo) -> str:
    if text not in (ALL_LAYERS, LAST_HALF):
        _layer_ranges(str(info.field_name), text)

    return text


def _yaml_word(value: Any) -> Any:
    """YAML makes booleans of the words `true` and `false`."""
    return str(value).lower() if isinstance(value, (bool, str)) else value


# Numbers are strict: YAML reads `1e-3` as a text and `yes` as a boolean, and neither is a number.
Weight = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False, description="a finite number of at least 0")]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False, description="a finite number above 0")]
Steps = Annotated[int, Field(strict=True, ge=1, description="a whole number of at least 1")]
Layers = Annotated[str, Field(coerce_numbers_to_str=True, description=_LAYERS_ALLOWED), AfterValidator(_check_layers)]


@dataclass
class PluginArguments:
    """Keys that the plugin adds to a LLaMA-Factory recipe. docs/configuration.md says where the defaults come from."""

    plugin: str | None = field(
        default=None,
        metadata={"help": "`modality_interference`; without it the keys below are refused."},
    )
    preset: Annotated[str | None, Field(description="the name of a preset")] = field(
        default=None,
        metadata={
            "help": "A named set of values in place of the defaults of the keys below: `recommended`, `paper`, `alignment_tuning`, or a "
            "published configuration. A key that the recipe writes wins."
        },
    )
    consistency_method: Literal["none", "kl", "reverse_kl", "js", "mse"] = field(
        default="js",
        metadata={
            "help": "Distance between the answers to a clean row and to its variants (twins and adversarial copies)."
        },
    )
    consistency_weight: Weight = field(
        default=1.0, metadata={"help": "Weight (lambda) of the consistency loss; 0 turns it off."}
    )
    consistency_temperature: Positive = field(
        default=1.0,
        metadata={"help": "Temperature T that softens both answer distributions; the loss is scaled by T^2."},
    )
    adversarial_method: Literal["none", "gaussian", "fgsm", "pgd", "freelb"] = field(
        default="none",
        metadata={
            "help": "How adversarial copies of a row are made, on the embeddings of its irrelevant modalities; `none`: there are none."
        },
    )
    adversarial_steps: Annotated[
        Steps, Field(description="a whole number of at least 1 (for no attack, use `adversarial_method: none`)")
    ] = field(default=2, metadata={"help": "Ascent steps K of pgd and freelb."})
    adversarial_step_size: Positive = field(default=0.1, metadata={"help": "Step size (alpha) of pgd and freelb."})
    adversarial_epsilon: Annotated[Weight | None, Field(description="a finite number of at least 0")] = field(
        default=None,
        metadata={
            "help": "Radius of the L-infinity ball of fgsm, pgd and freelb; standard deviation of gaussian. Unset: 0.001, and "
            "0.05 for gaussian (the paper's)."
        },
    )
    adversarial_update: Literal["gradient", "sign", "normalized"] = field(
        default="gradient",
        metadata={
            "help": "Ascent direction: the raw gradient (the paper), its sign (Madry et al.), or the gradient divided "
            "by its norm over the row (FreeLB, SMART)."
        },
    )
    adversarial_weight: Weight = field(
        default=1.0,
        metadata={"help": "Weight of the cross-entropy of the adversarial copies; 0 turns the attack off."},
    )
    nonfinite_patience: Steps = field(
        default=50,
        metadata={
            "help": "Stop after this many optimizer steps in a row in which something was left out because it was not "
            "finite (`dropped_nonfinite` and `skipped_nonfinite` in the log)."
        },
    )
    adversarial_rows_per_pass: Annotated[
        int, Field(strict=True, ge=0, description="a whole number of at least 0 (0 for all at once)")
    ] = field(
        default=0,
        metadata={
            "help": "How many rows the attack's steps take at a time, to bound their memory; 0 takes all at once. The result "
            "is the same."
        },
    )
    share_prefix: Annotated[Literal["auto", "true", "false"], BeforeValidator(_yaml_word)] = field(
        default="auto",
        metadata={
            "help": "Compute what rows have in common from their start (system prompt, image) once for all of them: `true`, "
            "`false`, or `auto`, where the model can and it pays. The result is the same."
        },
    )
    batch_mix: Annotated[str | None, Field(description=_MIX_ALLOWED), AfterValidator(_check_batch_mix)] = field(
        default=None,
        metadata={
            "help": "Composition of every device batch by what its examples depend on, such as "
            f"`image=2,text=2,both=4` (kinds: {', '.join(KINDS)}). Unset: plain shuffling."
        },
    )
    twins_per_example: Annotated[
        str,
        Field(
            coerce_numbers_to_str=True,
            pattern=f"^({ALL_TWINS}|0*[1-9][0-9]{{0,8}})$",
            description=f"`{ALL_TWINS}` or a whole number of at least 1",
        ),
    ] = field(
        default=ALL_TWINS,
        metadata={
            "help": "`all`, or how many of an example's twins to train on, chosen again in each epoch; of its counterfactual "
            "rows at most as many."
        },
    )
    alignment_weight: Weight = field(
        default=0.0,
        metadata={
            "help": "Weight of the alignment loss: -log of the share of the answer's attention over media tokens that "
            "falls on the relevant modality; 0 turns it off."
        },
    )
    alignment_layers: Layers = field(
        default=ALL_LAYERS,
        metadata={
            "help": "Layers of the text decoder whose attention the alignment loss looks at: `all`, `last_half`, or "
            "numbers and ranges from 0, such as `12-20` or `3,7,12-20`."
        },
    )
    counterfactual_weight: Weight = field(
        default=0.0,
        metadata={
            "help": "Weight of the loss on counterfactual rows, whose evidence is gone: their answer must not stay. 0 turns it "
            "off, and they are then left out of the training."
        },
    )
    counterfactual_method: Literal["contrast", "uniform", "abstain"] = field(
        default="contrast",
        metadata={
            "help": "What is asked of counterfactual rows: a less likely answer than the clean row's (`contrast`), options that "
            "are equally likely (`uniform`), or the option that says that one cannot tell (`abstain`)."
        },
    )
    counterfactual_margin: Weight = field(
        default=1.0,
        metadata={
            "help": "Margin of `contrast`: beta times the difference of the two log-likelihoods is pushed above it."
        },
    )
    counterfactual_beta: Positive = field(
        default=2.0, metadata={"help": "Beta of `contrast`: the factor on the difference of the two log-likelihoods."}
    )
    attention_probe: Annotated[bool, Field(strict=True, description="`true` or `false`")] = field(
        default=False,
        metadata={
            "help": "Measure at evaluation which share of the answer position's attention falls on text, image, video and "
            "audio tokens, per layer and head."
        },
    )
    attention_calibration: Annotated[
        float, Field(strict=True, ge=-100, le=100, allow_inf_nan=False, description="a number from -100 to 100")
    ] = field(
        default=0.0,
        metadata={
            "help": "A constant, in nats, that an evaluation adds to the attention scores between an answer's positions and media "
            "tokens: a share s of the attention becomes s e^c / (1 - s + s e^c). 0 turns it off."
        },
    )
    attention_calibration_tokens: Literal["relevant", "irrelevant"] = field(
        default="relevant",
        metadata={
            "help": "Which media tokens get the constant: those of the modalities that an answer depends on, or of the others."
        },
    )
    attention_calibration_layers: Layers = field(
        default=ALL_LAYERS,
        metadata={
            "help": "Layers of the text decoder whose scores get the constant, as `alignment_layers` names them."
        },
    )
    preference_counterfactual: Literal["none", "mdpo", "symmpo"] = field(
        default="none",
        metadata={
            "help": "What preference tuning (`stage: dpo`) learns from counterfactual rows: that the chosen answer is worse without "
            "its evidence (`mdpo`), or that without it an answer that withholds is better (`symmpo`, column `withheld`)."
        },
    )
    diagnosis_scoring: Literal["likelihood", "generate"] = field(
        default="likelihood",
        metadata={
            "help": "How an evaluation scores answers: by their `likelihood` (the most likely option), or `generate` them "
            "and look for an option (needs `predict_with_generate: true`)."
        },
    )
    diagnosis_prompt: Literal["none", "ignore_irrelevant", "chain_of_thought"] = field(
        default="none",
        metadata={
            "help": "An instruction behind every question of an evaluation, to see whether a prompt helps: to use the relevant "
            "modality only (`ignore_irrelevant`), or to think step by step (`chain_of_thought`, which needs "
            "`diagnosis_scoring: generate`). Training rows never have it."
        },
    )
    diagnosis_decoding: Literal["standard", "vcd"] = field(
        default="standard",
        metadata={
            "help": "How an evaluation makes token probabilities: the model's own, or by visual contrastive decoding "
            "(`vcd`, arXiv 2311.16922), which contrasts them with those for a noised image."
        },
    )
    vcd_alpha: Positive = field(
        default=1.0, metadata={"help": "Strength of the contrast: logits are (1 + alpha) l - alpha l_noised."}
    )
    vcd_beta: Annotated[
        float, Field(strict=True, gt=0, le=1, allow_inf_nan=False, description="a number above 0, at most 1")
    ] = field(
        default=0.1,
        metadata={
            "help": "Only tokens (or options) at least beta times as likely as the most likely one can be chosen."
        },
    )
    vcd_noise_steps: Annotated[int, Field(strict=True, ge=0, le=999, description="a whole number from 0 to 999")] = (
        field(default=500, metadata={"help": "Diffusion step T, of 1000, to which images and frames are noised."})
    )
    diagnosis_free_answers: Literal["exact", "contained", "anls"] = field(
        default="exact",
        metadata={
            "help": "How generated answers to questions without options are compared with the right one and with the wrong one "
            "that a perturbation claims: equal words (`exact`), words that the answer holds (`contained`), or a similarity "
            "above 0.5 (`anls`)."
        },
    )

    @property
    def adversarial_on(self) -> bool:
        """Whether training rows get adversarial copies."""
        return self.adversarial_method != "none" and self.adversarial_weight > 0

    @property
    def epsilon(self) -> float:
        """`adversarial_epsilon`, or the method's own where it is unset: those of the configurations of arXiv 2505.19616."""
        if self.adversarial_epsilon is not None:
            return self.adversarial_epsilon

        return 0.05 if self.adversarial_method == "gaussian" else 0.001

    @property
    def consistency_on(self) -> bool:
        """Whether the consistency loss is computed."""
        return self.consistency_method != "none" and self.consistency_weight > 0

    @property
    def alignment_on(self) -> bool:
        """Whether the alignment loss is computed."""
        return self.alignment_weight > 0

    @property
    def counterfactual_on(self) -> bool:
        """Whether counterfactual rows are trained on."""
        return self.counterfactual_weight > 0

    @property
    def calibration_on(self) -> bool:
        """Whether evaluations change attention scores."""
        return self.attention_calibration != 0

    @property
    def twins_limit(self) -> int | None:
        """The number in `twins_per_example`, None for all of them."""
        return None if self.twins_per_example == ALL_TWINS else int(self.twins_per_example)

    @cached_property
    def mix(self) -> dict[str, int] | None:
        """How many examples of each kind `batch_mix` asks for, None where it is unset."""
        return None if self.batch_mix is None else parse_batch_mix(self.batch_mix)


PLUGIN_KEYS = tuple(item.name for item in fields(PluginArguments) if item.name != "plugin")
DEFAULTS = {item.name: item.default for item in fields(PluginArguments)}

# Made here, from the class: HfArgumentParser later overwrites the types of its fields, without what is annotated.
_TYPES = get_type_hints(PluginArguments, include_extras=True)
_FIELDS: dict[str, Any] = {key: (_TYPES[key], DEFAULTS[key]) for key in PLUGIN_KEYS}
CheckedKeys = create_model("CheckedKeys", **_FIELDS)


def refuse_without_flag(written: Collection[str]) -> None:
    """Refuse the plugin's keys in a recipe that does not turn the plugin on.

    Args:
        written: the keys that the user wrote.

    Raises:
        ModalityInterferenceError: naming the keys and the flag.
    """
    stray = [key for key in PLUGIN_KEYS if key in written]
    if stray:
        raise ModalityInterferenceError(
            f"{listed(stray)} {'is a key' if len(stray) == 1 else 'are keys'} of the modality_interference plugin, "
            f"which is off. Add `plugin: {PLUGIN_NAME}` to the recipe, or remove {'it' if len(stray) == 1 else 'them'}."
        )


def validate(arguments: PluginArguments) -> None:
    """Check every key's value, and replace what YAML reads as a number or boolean by the text that the key takes.

    Raises:
        ModalityInterferenceError: naming the key, what was found and what is allowed.
    """
    if arguments.plugin != PLUGIN_NAME:
        raise ModalityInterferenceError(f"`plugin` is {arguments.plugin!r}; the only one is `{PLUGIN_NAME}`.")

    try:
        checked = CheckedKeys.model_validate({key: getattr(arguments, key) for key in PLUGIN_KEYS})
    except ValidationError as error:
        raise ModalityInterferenceError(f"{explain(error, CheckedKeys)}.") from error

    for key in PLUGIN_KEYS:
        setattr(arguments, key, getattr(checked, key))
