"""Recipes and datasets that the plugin does not support: refused before anything is loaded."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..arguments import DEFAULTS, PREFERENCE_LOSSES
from ..batching.templates import TEMPLATES
from ..dataset_dir.entry import Entry, dataset_problems
from ..dataset_dir.info import read_info
from ..errors import ModalityInterferenceError
from ..messages import listed
from ..presets import resolved


_OWN_LOSS = ("it replaces the cross-entropy, which is a part of the plugin's loss", "remove it")
_OWN_TRAINER = ("it has its own trainer or kernels, in which embeddings cannot be perturbed", "remove it")
_UNTRIED = (
    "it needs a GPU, and the plugin was never tried with it",
    "remove it; QLoRA and gradient checkpointing work",
)
# why a stage of LLaMA-Factory cannot be used
_STAGES = {
    "pt": "pre-training has neither questions nor answers, so nothing says what an answer depends on",
    "rm": "the scores of a reward model's value head are not compared between clean rows and twins",
    "ppo": "its answers are sampled during training, so a twin's answer is not its clean row's",
    "kto": "it judges single answers, so there is no margin that a clean row and its twins could have in common",
}
_NO_PAIRS = {
    "pref_bco_weight": "the loss on pairs and their twins does not have this term",
    "ld_alpha": "the loss on pairs and their twins does not weigh tokens by their place",
    "include_effective_tokens_per_second": "LLaMA-Factory counts the tokens of other columns than those of pairs with twins",
}
_DIAGNOSIS_KEYS = (
    "attention_probe",
    "attention_calibration",
    "diagnosis_scoring",
    "diagnosis_prompt",
    "diagnosis_decoding",
)
_INCOMPATIBLE: dict[str, dict[str, tuple[str, str]]] = {
    "data": {
        "neat_packing": ("in packed sequences, twins cannot be matched with their clean rows", "remove it"),
        "packing": ("in packed sequences, twins cannot be matched with their clean rows", "set `packing: false`"),
        "train_on_prompt": (
            "a twin's prompt differs from its clean row's, so only their answers can be compared",
            "remove it",
        ),
    },
    "model": {
        "use_unsloth": _OWN_TRAINER,
        "use_unsloth_gc": _UNTRIED,
        "enable_liger_kernel": _UNTRIED,
        "use_kt": _OWN_TRAINER,
        "moe_aux_loss_coef": (
            "the auxiliary loss of routers would be counted over twins, adversarial copies and shared prefixes alike",
            "remove it",
        ),
        "shift_attn": ("shifted sparse attention mixes neighbouring rows", "remove it"),
    },
    "finetuning": {
        "use_dft_loss": _OWN_LOSS,
        "use_asft_loss": _OWN_LOSS,
        "use_eaft_loss": _OWN_LOSS,
        "use_mca": _OWN_TRAINER,
        "use_megatron_bridge": _OWN_TRAINER,
        "use_hyper_parallel": _OWN_TRAINER,
    },
    "training": {
        "label_smoothing_factor": _OWN_LOSS,
        "torch_compile": ("a compiled model ignores the hooks that are added for each forward", "remove it"),
    },
}


def check_recipe(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    """Refuse combinations of settings that would give wrong results or would not run.

    Raises:
        ModalityInterferenceError: naming the key, why, and what to use instead.
    """
    stage = finetuning_args.stage
    if stage in _STAGES:
        _refuse(f"stage: {stage}", _STAGES[stage], "use `stage: sft` or `stage: dpo`")

    support = TEMPLATES.get(str(data_args.template))
    if support is not None and support.refused:
        _refuse(f"template: {data_args.template}", support.refused, "docs/compatibility.md lists the models that work")

    for owner, keys in _INCOMPATIBLE.items():
        arguments = {"model": model_args, "data": data_args, "training": training_args, "finetuning": finetuning_args}[
            owner
        ]
        for key, (why, instead) in keys.items():
            if value := getattr(arguments, key, None):
                _refuse(f"{key}: {str(value).lower()}", why, instead)

    for key in ("dispatch_batches", "split_batches"):
        if getattr(training_args.accelerator_config, key, None):
            _refuse(f"accelerator_config: {key}", "it splits batches, and so twins from their clean rows", "remove it")

    if not getattr(data_args, "ignore_pad_token_for_loss", True):
        _refuse(
            "ignore_pad_token_for_loss: false",
            "padding would count as part of every answer, and a twin's answer could not be compared with its clean row's",
            "remove it",
        )

    _check_fsdp(training_args)
    if finetuning_args.diagnosis_scoring == "generate":
        _check_generation(training_args, finetuning_args)
    elif training_args.predict_with_generate and training_args.do_eval:
        _refuse(
            "predict_with_generate: true",
            "`diagnosis_scoring: likelihood` evaluates by the likelihoods of clean rows and twins, beside which "
            "LLaMA-Factory's metrics of generated answers cannot be computed",
            "use `diagnosis_scoring: generate`, or remove it; for ROUGE and BLEU use `do_predict: true` without `do_eval`",
        )

    _check_preference(finetuning_args)
    _check_baselines(data_args, training_args, finetuning_args)
    if finetuning_args.batch_mix is not None and training_args.do_train:
        _check_batch_mix(data_args, training_args, finetuning_args)


def _check_preference(finetuning_args: Any) -> None:
    """Refuse what preference tuning does not compute, and its keys in other stages."""
    if finetuning_args.stage != "dpo":
        if finetuning_args.preference_counterfactual != "none":
            raise ModalityInterferenceError(
                f"`preference_counterfactual: {finetuning_args.preference_counterfactual}` is for pairs of answers. Use `stage: "
                "dpo`, or remove it."
            )

        return

    if finetuning_args.adversarial_on:
        _refuse(
            f"adversarial_method: {finetuning_args.adversarial_method}",
            "in `stage: dpo` no embeddings are attacked: a copy of a pair would need two more rows, of the policy and of the "
            "reference model",
            "set `adversarial_method: none`",
        )

    if finetuning_args.alignment_on:
        _refuse("alignment_weight", "the alignment loss is for the answers of `stage: sft`", "set it to 0")

    if finetuning_args.counterfactual_on:
        _refuse(
            "counterfactual_weight",
            "the loss on counterfactual rows is for the answers of `stage: sft`",
            "set it to 0, and use `preference_counterfactual`",
        )

    for key in _DIAGNOSIS_KEYS:
        if getattr(finetuning_args, key) != DEFAULTS[key]:
            _refuse(
                key,
                "an evaluation in `stage: dpo` compares the rewards of pairs; the diagnosis runs with `stage: sft`",
                "remove it, and diagnose the tuned model in a run of its own",
            )

    if finetuning_args.pref_loss not in PREFERENCE_LOSSES:
        _refuse(
            f"pref_loss: {finetuning_args.pref_loss}",
            "the trainer of TRL on which LLaMA-Factory builds no longer has it, and would take `sigmoid` in its place",
            f"use one of {listed(PREFERENCE_LOSSES)}",
        )

    for key, why in _NO_PAIRS.items():
        if getattr(finetuning_args, key):
            _refuse(key, why, "remove it")


def _check_fsdp(training_args: Any) -> None:
    """Refuse FSDP 1, set in the recipe or by `accelerate launch`, which sets environment variables."""
    launched = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")
    version = (training_args.fsdp_config or {}).get("version") or os.environ.get("FSDP_VERSION") or 1
    if (launched or training_args.fsdp) and int(version) != 2:
        _refuse(
            "fsdp_version: 1",
            "PyTorch has deprecated FSDP 1, and the plugin is tested with FSDP 2 only",
            "use FSDP 2 (`fsdp_version: 2`, see examples/accelerate/fsdp2_config.yaml) or DeepSpeed ZeRO-3",
        )


def _check_generation(training_args: Any, finetuning_args: Any) -> None:
    if not training_args.predict_with_generate:
        raise ModalityInterferenceError(
            "`diagnosis_scoring: generate` needs `predict_with_generate: true`. Add that, or use "
            "`diagnosis_scoring: likelihood`."
        )

    if training_args.do_predict:
        _refuse(
            "do_predict: true",
            "`diagnosis_scoring: generate` adds twins to the evaluation dataset, which prediction does not support",
            "use `do_eval: true`",
        )


def _check_baselines(data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    prompt = finetuning_args.diagnosis_prompt
    if prompt == "chain_of_thought" and finetuning_args.diagnosis_scoring != "generate":
        raise ModalityInterferenceError(
            "`diagnosis_prompt: chain_of_thought` needs `diagnosis_scoring: generate` (and `predict_with_generate: true`): the "
            "likelihood of an option is that of answering at once. Add that, or use `diagnosis_prompt: ignore_irrelevant`."
        )

    if prompt != "none" and data_args.tokenized_path is not None:
        _refuse(
            f"diagnosis_prompt: {prompt}", "`tokenized_path` holds rows with the prompt that they were tokenized with",
            "remove `tokenized_path`",
        )  # fmt: skip

    if finetuning_args.diagnosis_decoding == "vcd" and finetuning_args.attention_probe:
        _refuse(
            "diagnosis_decoding: vcd", "`attention_probe` measures the attention of one forward, and the answers come from two",
            "remove one of the two",
        )  # fmt: skip

    if finetuning_args.calibration_on:
        _check_calibration(training_args, finetuning_args)


def _check_calibration(training_args: Any, finetuning_args: Any) -> None:
    what = f"attention_calibration: {finetuning_args.attention_calibration}"
    if not training_args.do_eval:
        _refuse(
            what, "it changes what a trained model attends to, in evaluations alone, and this run has none",
            "remove it, or add `do_eval: true` (a training never has it; for a loss on attention use `alignment_weight`)",
        )  # fmt: skip

    if finetuning_args.diagnosis_decoding == "vcd":
        _refuse(
            what, "`diagnosis_decoding: vcd` takes answers from two forwards, and nothing says which of them it is for",
            "remove one of the two",
        )  # fmt: skip


def _check_batch_mix(data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    mix = finetuning_args.mix
    if data_args.streaming:
        _refuse(
            "batch_mix", "the kinds of a stream's examples are not known in advance", "remove it or `streaming: true`"
        )

    if sum(mix.values()) != training_args.per_device_train_batch_size:
        raise ModalityInterferenceError(
            f"`batch_mix: {finetuning_args.batch_mix}` adds up to {sum(mix.values())} examples, but "
            f"`per_device_train_batch_size` is {training_args.per_device_train_batch_size}. Make them equal "
            f"(twins and adversarial copies come on top){_or_leave_out(finetuning_args)}."
        )

    if training_args.auto_find_batch_size:
        _refuse(
            "batch_mix", "`auto_find_batch_size` makes batches smaller, whose composition would be another one",
            "remove one of the two",
        )  # fmt: skip

    if getattr(training_args, "train_sampling_strategy", "random") != "random":
        _refuse("batch_mix", "`train_sampling_strategy` also sets the order of the examples", "remove one of the two")


def _or_leave_out(finetuning_args: Any) -> str:
    """How to be rid of a `batch_mix` that the recipe itself may not have written."""
    if "batch_mix" not in resolved(finetuning_args):
        return ""

    return (
        f", or write `batch_mix: null` for plain shuffling in place of the mix of `preset: {finetuning_args.preset}`"
    )


def _refuse(what: str, why: str, instead: str) -> None:
    raise ModalityInterferenceError(f"`{what}` cannot be used with `plugin: modality_interference`: {why}; {instead}.")


def refuse_unsafe(names: list[str], folder: Path, known_formats: Collection[str]) -> None:
    """Check `dataset_info.json`, and the entries and files of this run's datasets, as `modality-interference check` does.

    That looks at all datasets of the folder, at their first rows, at the card and at what else lies in the folder, too.

    Args:
        names: the datasets of the run.
        folder: `dataset_dir`.
        known_formats: LLaMA-Factory's formats, and those of twins.

    Raises:
        ModalityInterferenceError: naming everything that is wrong.
    """
    info = read_info(folder)
    problems = list(info.problems)
    for name in names:
        if name in info.datasets:  # else LLaMA-Factory reports it
            problems += dataset_problems(name, _without_notes(info.datasets[name]), folder, known_formats)

    if problems:
        raise ModalityInterferenceError(f"`{folder}` cannot be used as `dataset_dir`: " + ". ".join(problems) + ".")


def _without_notes(entry: Any) -> Any:
    """LLaMA-Factory ignores unknown keys, which may be notes, and so does a run."""
    return (
        {key: value for key, value in entry.items() if key in Entry.model_fields} if isinstance(entry, dict) else entry
    )
