"""How the plugin enters LLaMA-Factory, and leaves it again.

`install` runs once, right after `llamafactory.hparams.parser` was imported: it adds the plugin's keys to the recipe. When a
recipe turns the plugin on, `activate` replaces the objects that `swaps.SWAPS` lists. When a recipe does not, `deactivate` puts
LLaMA-Factory's own objects back, so that a run without the flag uses nothing else.
"""

import argparse
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from types import ModuleType
from typing import Any

from ..arguments import PLUGIN_KEYS, PluginArguments, refuse_without_flag, validate
from ..errors import ModalityInterferenceError
from ..presets import apply_preset, preset_line
from .validation import check_recipe
from .versions import found, refuse_versions, supported


_CHECK_PACKAGES = "_check_extra_dependencies"
_stock: dict[tuple[Any, str], Any] = {}  # LLaMA-Factory's objects that `activate` has replaced


def require(module: str, *names: str) -> Any:
    """Import a module of LLaMA-Factory and check that it has these names.

    Raises:
        ModalityInterferenceError: naming what is missing, the version found and those supported.
    """
    try:
        imported: Any = importlib.import_module(module)
    except ImportError as error:
        raise _unknown_version(module, error) from error

    for name in names:
        owner: Any = imported
        for part in name.split("."):
            if not hasattr(owner, part):
                raise _unknown_version(f"{module}.{name}")

            owner = getattr(owner, part)

    return imported


def _unknown_version(missing: str, error: ImportError | None = None) -> ModalityInterferenceError:
    why = f" ({error})" if error is not None and getattr(error, "name", None) != missing else ""
    return ModalityInterferenceError(
        f"LLaMA-Factory {found('llamafactory')} has no `{missing}`{why}. "
        f"modality_interference supports LLaMA-Factory {supported('llamafactory')}."
    )


def install(parser: ModuleType) -> None:
    """Add the plugin's keys to LLaMA-Factory's arguments and watch the recipes that it parses.

    Args:
        parser: the freshly imported `llamafactory.hparams.parser`.

    Raises:
        ModalityInterferenceError: if this is a LLaMA-Factory that the plugin does not know.
    """
    names = ("FinetuningArguments", "get_train_args", "get_infer_args", "read_args", "_TRAIN_ARGS", "HfArgumentParser")
    module = require(parser.__name__, *names, _CHECK_PACKAGES)
    stock_arguments, stock_get = module.FinetuningArguments, module.get_train_args
    extended: Any = dataclass(type(stock_arguments.__name__, (PluginArguments, stock_arguments), {}))
    for name, arguments in vars(module).items():  # `_TRAIN_ARGS`, and those of other backends such as Megatron
        if re.fullmatch(r"_TRAIN\w*_ARGS", name) and isinstance(arguments, list):
            arguments[:] = [extended if item is stock_arguments else item for item in arguments]

    @wraps(stock_get)
    def get_train_args(args: Any = None) -> Any:
        parsed = stock_get(args)
        model_args, data_args, training_args, finetuning_args, _ = parsed
        _register_formats()
        if not isinstance(finetuning_args, PluginArguments):  # parsed in a way that the plugin does not know
            deactivate()
        elif finetuning_args.plugin is None:
            refuse_without_flag(_written_keys(module, args))
            from .tokenized_path import refuse_tokenized_twins

            refuse_tokenized_twins(data_args.tokenized_path)
            deactivate()
        else:
            refuse_versions()
            apply_preset(finetuning_args, _written_keys(module, args))
            validate(finetuning_args)
            check_recipe(model_args, data_args, training_args, finetuning_args)
            from ..train.checkpoints import choose_checkpoint, choose_direction
            from .disk_errors import check_folders

            check_folders(data_args, training_args)
            choose_checkpoint(module.read_args(args), training_args)
            choose_direction(_written_keys(module, args), training_args)
            activate(model_args, data_args, training_args, finetuning_args)
            if not training_args.do_train:  # the overview at the start of training says it otherwise
                _log_preset(finetuning_args)

        return parsed

    module.get_train_args = get_train_args
    module.get_infer_args = _for_inference(module.get_infer_args)
    setattr(module, _CHECK_PACKAGES, _without_similarity(getattr(module, _CHECK_PACKAGES)))


def _written_keys(module: ModuleType, args: Any) -> set[str]:
    """The keys that a user has written: in a recipe with overrides, or as command-line words, which may be abbreviated.

    Args:
        module: `llamafactory.hparams.parser`.
        args: what `get_train_args` was given; None for the words of this process.
    """
    given = module.read_args(args)
    if isinstance(given, dict):
        return {str(key) for key in given}

    parser = module.HfArgumentParser(module._TRAIN_ARGS)
    for action in parser._actions:  # argparse's own `argument_default` yields to the defaults that dataclasses bring
        action.default = argparse.SUPPRESS

    return set(vars(parser.parse_known_args(given)[0]))


def _log_preset(finetuning_args: Any) -> None:
    from ..compat import get_logger  # not at the top: it imports parts of LLaMA-Factory and transformers

    if line := preset_line(finetuning_args):
        get_logger(__name__).info_rank0(f"{line}.")


def refuse_in_v1(parser: ModuleType) -> None:
    """Let the trainers that `USE_V1=1` chooses name the plugin where a recipe for it has keys that they do not know.

    Args:
        parser: the freshly imported `llamafactory.v1.config.arg_parser`.
    """
    parser.get_args = _naming_keys(  # type: ignore[attr-defined]
        parser.get_args,
        "not to be used with USE_V1=1: the plugin extends LLaMA-Factory's other trainers, which run without that variable. "
        "Unset USE_V1, or remove the plugin's keys from the recipe",
    )


def _naming_keys(stock: Callable[..., Any], why: str) -> Callable[..., Any]:
    """A parser of recipes that says why the plugin's keys are unknown to it; all else is as it was."""

    @wraps(stock)
    def get_args(args: Any = None) -> Any:
        try:
            return stock(args)
        except ValueError as error:
            keys = [f"`{key}`" for key in ("plugin", *PLUGIN_KEYS) if re.search(rf"\b{key}\b", str(error))]
            if not keys:
                raise

            raise ModalityInterferenceError(f"{', '.join(keys)}: {why}.") from error

    return get_args


def _for_inference(stock: Callable[..., Any]) -> Callable[..., Any]:
    """`get_infer_args`, after which a saved thinker can be loaded, and which says that the plugin's keys are of no use there."""
    parse = _naming_keys(
        stock,
        "only for `llamafactory-cli train`; a tuned model needs no plugin in chat, api and export. Remove the plugin's keys",
    )

    @wraps(stock)
    def get_infer_args(args: Any = None) -> Any:
        parsed = parse(args)
        from ..compat import let_thinker_load  # not at the top: it imports parts of LLaMA-Factory and transformers

        let_thinker_load(parsed[0].model_name_or_path)
        return parsed

    return get_infer_args


def _without_similarity(stock: Callable[..., None]) -> Callable[..., None]:
    """The check of needed packages, which asks for those of LLaMA-Factory's ROUGE and BLEU only where they are computed."""

    @wraps(stock)
    def check(model_args: Any, finetuning_args: Any, training_args: Any = None) -> None:
        on = training_args is not None and getattr(finetuning_args, "plugin", None) is not None
        if not on or finetuning_args.diagnosis_scoring != "generate":
            return stock(model_args, finetuning_args, training_args)

        generates, training_args.predict_with_generate = training_args.predict_with_generate, False
        try:
            return stock(model_args, finetuning_args, training_args)
        finally:
            training_args.predict_with_generate = generates

    return check


def activate(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    """Replace what `swaps.SWAPS` lists, for the run of these arguments."""
    deactivate()
    # with a stream, accelerate would have the main process cut batches for the other ranks, and part twins from clean rows
    training_args.accelerator_config.dispatch_batches = False
    from ..compat import let_thinker_load, let_trl_import  # not at the top: all import parts of LLaMA-Factory
    from .extensions import load_extensions
    from .swaps import SWAPS, Run

    load_extensions()
    let_thinker_load(model_args.model_name_or_path)
    if finetuning_args.stage == "dpo":
        let_trl_import()

    run = Run(model_args, data_args, training_args, finetuning_args)
    swaps = [swap for swap in SWAPS if swap.stage in (None, finetuning_args.stage)]
    owners = [_owner(swap.module, swap.name) for swap in swaps]  # all are checked before the first is replaced
    for swap, (owner, name) in zip(swaps, owners):
        stock = _stock[owner, name] = getattr(owner, name)
        setattr(owner, name, swap.replacement(stock, run))


def deactivate() -> None:
    """Put LLaMA-Factory's own objects back."""
    while _stock:
        (owner, name), value = _stock.popitem()
        setattr(owner, name, value)


def _owner(module: str, name: str) -> tuple[Any, str]:
    """The module or class that holds an object, and the object's name in it."""
    owner = require(module, name)
    *parents, last = name.split(".")
    for parent in parents:
        owner = getattr(owner, parent)

    return owner, last


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
