"""What a report says of its run: model, data, settings, and how the model was tuned before."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import metadata_load

from ..presets import resolved
from ..results import AttentionCalibration, RunMetadata, Tuning


_STATE, _CARD = "trainer_state.json", "README.md"  # what a training leaves in its folder


def metadata_of(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> RunMetadata:
    """What a reader of the report needs to repeat the run; no path but those that the recipe names."""
    dataset_dir = data_args.dataset_dir
    return RunMetadata(
        model={
            "name_or_path": model_args.model_name_or_path,
            "adapter_name_or_path": model_args.adapter_name_or_path,
            "finetuning_type": finetuning_args.finetuning_type,
            "template": data_args.template,
        },
        data={
            "dataset_dir": dataset_dir if isinstance(dataset_dir, str) else None,
            **({} if data_args.media_dir == dataset_dir else {"media_dir": data_args.media_dir}),
            "eval_dataset": data_args.eval_dataset,
            "val_size": data_args.val_size,
            "max_samples": data_args.max_samples,
            "cutoff_len": data_args.cutoff_len,
        },
        run={"output_dir": training_args.output_dir, **_contrast(finetuning_args), **resolved(finetuning_args)},
        seed=training_args.seed,
        scoring=finetuning_args.diagnosis_scoring,
        prompt=finetuning_args.diagnosis_prompt,
        decoding=finetuning_args.diagnosis_decoding,
        calibration=_calibration(finetuning_args),
        free_answers=finetuning_args.diagnosis_free_answers
        if finetuning_args.diagnosis_scoring == "generate"
        else None,
        tuning=tuning_of(model_args.model_name_or_path, model_args.adapter_name_or_path or [], finetuning_args),
    )


def _contrast(finetuning_args: Any) -> dict[str, Any]:
    """The settings of visual contrastive decoding, where it is on."""
    names = ("vcd_alpha", "vcd_beta", "vcd_noise_steps") if finetuning_args.diagnosis_decoding == "vcd" else ()
    return {name: getattr(finetuning_args, name) for name in names}


def _calibration(finetuning_args: Any) -> AttentionCalibration | None:
    if not finetuning_args.calibration_on:
        return None

    return AttentionCalibration(
        constant=finetuning_args.attention_calibration,
        tokens=finetuning_args.attention_calibration_tokens,
        layers=finetuning_args.attention_calibration_layers,
    )


def tuning_of(model: str, adapters: list[str], finetuning_args: Any) -> Tuning | None:
    """How a model was tuned before this run, as far as its folders say it.

    LlamaBoard names a checkpoint of LoRA as an adapter, and any other as the model itself.

    Args:
        model: the recipe's `model_name_or_path`.
        adapters: its `adapter_name_or_path`.
        finetuning_args: LLaMA-Factory's.

    Returns:
        None for a model from elsewhere, of which no training left its state here.
    """
    if adapters:
        method, steps = finetuning_args.finetuning_type, _steps(Path(adapters[-1]))
        return Tuning(base=model, method=method, adapters=adapters, steps=steps, folder=adapters[-1])

    folder = Path(model)
    if not (folder / _STATE).is_file():
        return None

    return Tuning(base=_base(folder), steps=_steps(folder), folder=model)


def _steps(folder: Path) -> int | None:
    try:
        step = json.loads((folder / _STATE).read_text(encoding="utf-8"))["global_step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None

    return step if isinstance(step, int) and step >= 0 else None


def _base(folder: Path) -> str | None:
    """What the card of a tuned model says it was tuned from; a checkpoint's card is in the folder above."""
    for place in (folder, folder.parent):
        try:
            base = (metadata_load(place / _CARD) or {}).get("base_model")
        except Exception:  # no card, or one that is no YAML: what the page says less is no reason to stop
            continue

        if isinstance(base, str):
            return base

    return None
