"""Work-arounds for LLaMA-Factory, transformers, accelerate, DeepSpeed and PyAV, each with its cause, versions and end.

Checked with LLaMA-Factory 0.9.5, transformers 5.5.4, accelerate 1.11.0, DeepSpeed 0.18.4 and torch 2.11.0. Where an entry names
no version, it is for these. To see whether one can go, remove it and run the tests that it names.
"""

import gc
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av
import torch
import transformers
from llamafactory.extras import logging
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel


def get_logger(name: str) -> Any:
    """A logger below LLaMA-Factory's own.

    For: messages that LLaMA-Factory's handlers print, and `warning_rank0` and the like.
    Cause: LLaMA-Factory configures the logger `llamafactory` only, and only its `get_logger` makes such loggers.
    Can go: never, unless LLaMA-Factory configures the root logger.

    Args:
        name: the module's `__name__`.
    """
    return logging.get_logger(f"llamafactory.{name}")


# --- LLaMA-Factory and transformers: models ---------------------------------------------------------------------------

_THINKERS = {"qwen2_5_omni_thinker": "Qwen2_5OmniThinker", "qwen3_omni_moe_thinker": "Qwen3OmniMoeThinker"}


def let_thinker_load(model: str) -> None:
    """Let LLaMA-Factory load what it saves after full tuning of an omni model.

    For: training on from such a folder, and its diagnosis.
    Cause: LLaMA-Factory trains and saves the thinker alone, and transformers' auto classes know the full model only.
    Can go: when `AutoConfig` and `AutoModelForImageTextToText` know the thinkers (tests/integration/test_audio_visual_runs.py).

    This adds to the auto classes and changes none of their entries, so it may stay for the rest of the process.

    Args:
        model: the recipe's `model_name_or_path`; nothing happens where it is not a folder with a thinker.
    """
    name = _THINKERS.get(_model_type(Path(model) / "config.json"))
    if name is not None:
        config = getattr(transformers, f"{name}Config")
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForImageTextToText.register(
            config, getattr(transformers, f"{name}ForConditionalGeneration"), exist_ok=True
        )


def let_trl_import() -> None:
    """Let TRL's trainers be imported, on which LLaMA-Factory's for DPO builds.

    For: `stage: dpo`; without it, `from trl import DPOTrainer` ends with "No module named 'mergekit'".
    Cause: transformers 5 answers whether a package is there with (False, None), which TRL 0.24 takes for true. LLaMA-Factory 0.9.5
    admits no newer TRL. ms-swift met the same (https://github.com/modelscope/ms-swift/pull/9770).
    Can go: when LLaMA-Factory admits a TRL that knows transformers 5 (tests/train/test_pair_losses.py).

    The answers are only set right, so this may stay for the rest of the process.
    """
    answers = vars(importlib.import_module("trl.import_utils"))
    for name, answer in list(answers.items()):
        if name.endswith("_available") and isinstance(answer, tuple):
            answers[name] = answer[0]


def _model_type(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("model_type"))
    except (
        AttributeError,
        OSError,
        ValueError,
        RecursionError,
    ):  # no such file, or one that LLaMA-Factory will refuse
        return ""


_UNUSED = ("audio_bos_eos_token",)


def freeze_unused(model: nn.Module) -> None:
    """Freeze parameters that no forward uses; call it before the optimizer is made.

    For: DDP, which waits for the gradients of all trainable parameters.
    Cause: the audio tower of Qwen2.5-Omni has an embedding `audio_bos_eos_token` that its forward does not use.
    Can go: when transformers removes or uses it (tests/integration/test_audio_visual_two_processes.py).
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in _UNUSED:
            module.requires_grad_(False)


def separate_audios(model: nn.Module) -> None:
    """Keep the audios of a batch from attending to each other.

    For: Qwen3-Omni with all kernels but FlashAttention, where an audio's features depended on the other rows of its batch.
    Cause: transformers' audio encoder has a method that makes the mask, and does not call it (5.5.4; Qwen2.5-Omni's does).
    Can go: when the encoder calls `_prepare_attention_mask` (tests/train/test_families.py, with `make test-engines`).
    """
    for module in model.modules():
        encoder: Any = module
        if type(module).__name__ == "Qwen3OmniMoeAudioEncoder" and "flash" not in encoder.config._attn_implementation:
            for layer in encoder.layers:
                layer.register_forward_pre_hook(partial(_with_audio_mask, encoder), with_kwargs=True)


def _with_audio_mask(encoder: Any, layer: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
    hidden_states, cu_seqlens = args[:2]
    if len(args) > 2 or kwargs.get("attention_mask") is not None:
        return args, kwargs

    return args, {**kwargs, "attention_mask": encoder._prepare_attention_mask(hidden_states, cu_seqlens)}


def complete_instructblip(model: nn.Module) -> None:
    """Let InstructBLIP's forward run on text alone, and let it generate by its own method.

    For: the attack's steps, which replace the decoder's embeddings; `diagnosis_scoring: generate`.
    Cause: its forward asks for `pixel_values`, where that of all other families takes None (transformers 5.5.4). LLaMA-Factory puts
        transformers' general `generate` in the place of a model's own, which here encodes the image.
    Can go: when the forward takes None and LLaMA-Factory leaves `generate` alone (tests/integration/test_instructblip.py).

    Args:
        model: a (PEFT or plain) model.
    """
    given: Any = model
    base = given.get_base_model() if hasattr(given, "get_base_model") else given
    if type(base).__name__ != "InstructBlipForConditionalGeneration":
        return

    vars(base).pop("generate", None)
    stock = base.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if args or kwargs.get("pixel_values") is not None:
            return stock(*args, **kwargs)

        kept = {  # PEFT gives all arguments, of which most are None
            name: value
            for name, value in kwargs.items()
            if value is not None and not name.startswith(("input_ids", "qformer_"))
        }
        return base.language_model(inputs_embeds=base.get_input_embeddings()(kwargs["input_ids"]), **kept)

    base.forward = forward


class IgnoresImagesArgument:
    """A processor whose video processor accepts `images=None`.

    For: videos of LLaVA-NeXT-Video and Video-LLaVA.
    Cause: LLaMA-Factory calls `video_processor(images=None, videos=...)`, and transformers 5 refuses unknown arguments.
    Can go: when LLaMA-Factory's `mm_plugin` leaves `images` out (tests/train/test_families.py).

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


# --- transformers' Trainer: device and checkpoints --------------------------------------------------------------------


def use_cpu_without_index(training_args: Any) -> None:
    """Let every rank on a CPU use `cpu`, not `cpu:1`.

    For: resuming a run of several processes on a CPU.
    Cause: accelerate gives each rank an index, and torch cannot restore an optimizer to `cpu:1`.
    Can go: when accelerate's `PartialState` leaves the index out (tests/engines).
    """
    if training_args.device.type == "cpu":
        training_args.__dict__["_setup_devices"] = torch.device("cpu")


def load_all_weights(model: PreTrainedModel, folder: str) -> None:
    """Load a checkpoint's weights into a model, none left out.

    For: resuming a fully tuned vision-language model, and its best checkpoint.
    Cause: transformers 5.5 saves such a model under the key names that it was published with, but its Trainer does not translate
        them back. It would silently start from the base weights, with a warning about missing keys.
    Can go: when `Trainer._load_from_checkpoint` loads through `from_pretrained` (tests/faults/test_killed_runs.py).

    Args:
        model: to load into.
        folder: the checkpoint.
    """
    # not "auto": that is one type for all, often that of a frozen tower in bfloat16, where others are in float32
    saved = type(model).from_pretrained(folder, dtype=torch.float32)
    model.load_state_dict(saved.state_dict())


# --- DeepSpeed --------------------------------------------------------------------------------------------------------


def let_deepspeed_skip(optimizer: Any) -> None:
    """Let a ZeRO optimizer skip steps whose gradients are not finite, whatever their type.

    For: one gradient that is not finite must not make every weight NaN.
    Cause: DeepSpeed looks for such gradients under float16 only, where its loss scale can overflow.
    Can go: when DeepSpeed checks other types, too (tests/engines, the cells with a poisoned row).

    Args:
        optimizer: DeepSpeed's; any but a ZeRO optimizer stays as it is.
    """
    if hasattr(optimizer, "check_grad_overflow"):  # stages 1 and 2
        optimizer.check_grad_overflow = True
    elif hasattr(optimizer, "_overflow_check_and_loss_scale_update") and optimizer.dtype != torch.float16:  # stage 3
        stock = optimizer._overflow_check_and_loss_scale_update

        def check() -> bool:
            optimizer.check_overflow()
            return stock()

        optimizer._overflow_check_and_loss_scale_update = check


def deepspeed_engine(accelerator: Any) -> Any:
    """DeepSpeed's engine, which does not divide losses by the accumulation steps.

    For: gradients that are taken before the first backward pass of a run, as those of the attack are.
    Cause: transformers passes `scale_wrt_gas=False` to every backward pass; until the first one, the engine's own default holds,
        which divides.
    Can go: when the engine can be configured so.
    """
    engine = accelerator.deepspeed_engine_wrapped.engine
    engine._scale_wrt_gas = False
    return engine


def accumulate_gradients(accelerator: Any, deepspeed: bool, loss: torch.Tensor) -> None:
    """A backward pass that leaves parameter gradients and makes no optimizer step.

    For: freelb, whose steps leave parameter gradients before the last pass of a batch.
    Cause: accelerate lets DeepSpeed make a step after every backward pass of a batch that ends an optimizer step.
    Can go: when `Accelerator.backward` can be told not to (tests/engines, the cells of freelb).

    Args:
        accelerator: the trainer's.
        deepspeed: whether DeepSpeed is the engine.
        loss: a scalar.
    """
    if not deepspeed:
        accelerator.backward(loss)
        return

    engine = deepspeed_engine(accelerator)
    engine.set_gradient_accumulation_boundary(is_boundary=False)
    engine.backward(loss, scale_wrt_gas=False)


# --- PyAV -------------------------------------------------------------------------------------------------------------


@contextmanager
def opened_as(path: str, container: Any) -> Iterator[None]:
    """Let `av.open` of a file return a container that is open already.

    For: LLaMA-Factory's readers of videos, which sample frames in a way that differs by family.
    Cause: they open the file themselves: playlists, too, and of several tracks the first one, be it a cover.
    Can go: when `_regularize_videos` takes an open container or a choice of the track (tests/batching/test_media_reader.py).

    Args:
        path: of the file.
        container: what has to be opened in its place.
    """
    stock = av.open
    av.open = lambda file, *args, **keys: container if file == path else stock(file, *args, **keys)  # type: ignore[assignment]
    try:
        yield
    finally:
        av.open = stock


def collect_decoders() -> None:
    """Free closed PyAV containers; call it before processes are forked.

    For: `preprocessing_num_workers`, `dataloader_num_workers`.
    Cause: a container is part of a reference cycle and keeps its decoder's threads until it is collected. A forked process that
        collects it waits forever for threads that it does not have.
    Can go: when PyAV ends the threads in `close` (tests/integration/test_audio_visual_forks.py).
    """
    gc.collect()
