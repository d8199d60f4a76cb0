"""The one door to LLaMA-Factory's internals.

`install` runs once, right after `llamafactory.hparams.parser` was imported: it adds the plugin's keys to the recipe. Everything
else is swapped in by `activate` when a recipe turns the plugin on and swapped out by `deactivate` when one does not, so a run
without the flag meets LLaMA-Factory's own objects only.
"""

import importlib
from dataclasses import dataclass
from functools import partial, wraps
from importlib.metadata import entry_points, version
from types import ModuleType
from typing import Any

from ..arguments import PluginArguments, refuse_without_flag, validate
from ..errors import ModalityInterferenceError
from ..results import RunMetadata
from .validation import check_recipe


SUPPORTED = "0.9.5"
EXTENSION_GROUP = "modality_interference.extensions"  # entry points of third-party perturbations and formats
_stock: dict[tuple[Any, str], Any] = {}  # what `activate` has swapped out


def require(module: str, *names: str) -> Any:
    """Import a module of LLaMA-Factory and check that it has these names.

    Raises:
        ModalityInterferenceError: naming what is missing, the version found and those supported.
    """
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise _unknown_version(module) from error

    for name in names:
        owner: Any = found
        for part in name.split("."):
            if not hasattr(owner, part):
                raise _unknown_version(f"{module}.{name}")

            owner = getattr(owner, part)

    return found


def _unknown_version(missing: str) -> ModalityInterferenceError:
    return ModalityInterferenceError(
        f"LLaMA-Factory {version('llamafactory')} has no `{missing}`. "
        f"modality_interference supports LLaMA-Factory {SUPPORTED}."
    )


def install(parser: ModuleType) -> None:
    """Add the plugin's keys to LLaMA-Factory's arguments and watch the recipes that it parses.

    Args:
        parser: the freshly imported `llamafactory.hparams.parser`.

    Raises:
        ModalityInterferenceError: if this is a LLaMA-Factory that the plugin does not know.
    """
    names = ("FinetuningArguments", "get_train_args", "read_args", "_TRAIN_ARGS", "_TRAIN_MCA_ARGS")
    module = require(parser.__name__, *names)
    stock_arguments, stock_get = module.FinetuningArguments, module.get_train_args
    extended: Any = dataclass(type(stock_arguments.__name__, (PluginArguments, stock_arguments), {}))
    for arguments in (module._TRAIN_ARGS, module._TRAIN_MCA_ARGS):
        arguments[:] = [extended if item is stock_arguments else item for item in arguments]

    @wraps(stock_get)
    def get_train_args(args: Any = None) -> Any:
        parsed = stock_get(args)
        model_args, data_args, training_args, finetuning_args, _ = parsed
        _register_formats()
        if finetuning_args.plugin is None:
            refuse_without_flag(module.read_args(args), finetuning_args)
            deactivate()
        else:
            validate(finetuning_args)
            check_recipe(model_args, data_args, training_args, finetuning_args)
            from ..train.checkpoints import choose_checkpoint

            choose_checkpoint(module.read_args(args), training_args)
            activate(model_args, data_args, training_args, finetuning_args)

        return parsed

    module.get_train_args = get_train_args


def activate(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    """Let LLaMA-Factory's SFT use the plugin's data path, collator and trainer."""
    deactivate()
    # of a stream, accelerate would let the main process cut up batches for the others, and twins from their clean rows
    training_args.accelerator_config.dispatch_batches = False
    for entry in entry_points(group=EXTENSION_GROUP):
        entry.load()

    from ..batching.collator import TwinCollator
    from ..compat import let_thinker_load
    from ..evaluation.trainer import DiagnosisTrainer
    from . import disk_errors, loading
    from .callbacks import twin_log_callback, twin_plot_loss, write_curves, write_report

    let_thinker_load(model_args.model_name_or_path)
    attributes = require("llamafactory.data.parser", "DatasetAttr.join").DatasetAttr
    _swap(attributes, "join", loading.join(attributes.join))
    names = ("get_dataset_list", "align_dataset", "split_dataset", "_get_preprocessed_dataset")
    loader = require("llamafactory.data.loader", *names)
    _swap(loader, "get_dataset_list", loading.get_dataset_list(loader.get_dataset_list))
    _swap(loader, "align_dataset", loading.align_dataset(loader.align_dataset, model_args.cache_dir))
    _swap(loader, "split_dataset", loading.split_dataset(loader.split_dataset))
    stock_evaluation = training_args.predict_with_generate and finetuning_args.diagnosis_scoring != "generate"
    preprocess = loading.preprocess_dataset(loader._get_preprocessed_dataset, stock_evaluation)
    _swap(loader, "_get_preprocessed_dataset", preprocess)

    names = ("get_dataset", "SFTDataCollatorWith4DAttentionMask", "CustomSeq2SeqTrainer", "plot_loss")
    workflow = require("llamafactory.train.sft.workflow", *names)
    _swap(workflow, "get_dataset", disk_errors.get_dataset(workflow.get_dataset))
    collator = partial(TwinCollator, seed=training_args.seed, twins_limit=finetuning_args.twins_limit)
    _swap(workflow, "SFTDataCollatorWith4DAttentionMask", collator)
    metadata = run_metadata(model_args, data_args, training_args, finetuning_args)
    trainer = partial(DiagnosisTrainer, metadata=metadata, write_report=write_report, write_curves=write_curves)
    _swap(workflow, "CustomSeq2SeqTrainer", trainer)
    _swap(workflow, "plot_loss", twin_plot_loss(workflow.plot_loss))
    tuner = require("llamafactory.train.tuner", "LogCallback")
    _swap(tuner, "LogCallback", twin_log_callback(tuner.LogCallback))


def deactivate() -> None:
    """Give LLaMA-Factory its own objects back."""
    while _stock:
        (owner, name), value = _stock.popitem()
        setattr(owner, name, value)


def _register_formats() -> None:
    """Let LLaMA-Factory know the twin formats; a recipe that uses one without the flag is told so."""
    from ..data.registry import formats

    module = require("llamafactory.data.converter", "DATASET_CONVERTERS", "register_dataset_converter")
    for name in formats():
        if name not in module.DATASET_CONVERTERS:
            module.register_dataset_converter(name, partial(_refuse_format, name))


def _refuse_format(name: str, dataset_attr: Any, data_args: Any) -> None:
    raise ModalityInterferenceError(
        f"Dataset {dataset_attr}: the format `{name}` belongs to the modality_interference plugin, which is off. "
        "Add `plugin: modality_interference` to the recipe."
    )


def _swap(owner: Any, name: str, replacement: Any) -> None:
    _stock[owner, name] = getattr(owner, name)
    setattr(owner, name, replacement)


def run_metadata(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> RunMetadata:
    """Collect what a reader of the report needs to repeat the run; no path but those that the recipe names."""
    return RunMetadata(
        model={
            "name_or_path": model_args.model_name_or_path,
            "adapter_name_or_path": model_args.adapter_name_or_path,
            "finetuning_type": finetuning_args.finetuning_type,
            "template": data_args.template,
        },
        data={
            "dataset_dir": data_args.dataset_dir if isinstance(data_args.dataset_dir, str) else None,
            "eval_dataset": data_args.eval_dataset,
            "val_size": data_args.val_size,
            "max_samples": data_args.max_samples,
            "cutoff_len": data_args.cutoff_len,
        },
        run={"output_dir": training_args.output_dir},
        seed=training_args.seed,
        scoring=finetuning_args.diagnosis_scoring,
    )
