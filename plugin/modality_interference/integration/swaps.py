"""What a run with the plugin replaces in LLaMA-Factory, and of Python's: one table.

Imported only when a recipe turns the plugin on: the collator and the trainers subclass LLaMA-Factory's, which must not be
imported before its own modules want them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..batching.collator import TwinCollator
from ..batching.pairs import PairCollator
from ..evaluation.trainer import DiagnosisTrainer
from ..printable import printable_message, printable_traceback
from . import callbacks, disk_errors, entries, instructblip, loading, tokenized_path
from .metadata import metadata_of


@dataclass(frozen=True)
class Run:
    """What LLaMA-Factory parsed from the recipe."""

    model_args: Any
    data_args: Any
    training_args: Any
    finetuning_args: Any


@dataclass(frozen=True)
class Swap:
    """One object that is replaced.

    Attributes:
        module: where the object is looked up.
        name: its name there; `Class.method` for a method.
        replacement: makes the new object from LLaMA-Factory's and the run.
        why: what the new object adds.
        stage: the only stage in which it is replaced; None for all.
    """

    module: str
    name: str
    replacement: Callable[[Any, Run], Any]
    why: str
    stage: str | None = None


def _predicts(run: Run) -> bool:
    """Whether LLaMA-Factory itself generates answers to the evaluation dataset."""
    return run.training_args.predict_with_generate and run.finetuning_args.diagnosis_scoring != "generate"


def _preprocess(stock: Any, run: Run) -> Any:
    keys = run.finetuning_args
    return loading.preprocess_dataset(
        stock, _predicts(run), keys.diagnosis_prompt, keys.counterfactual_on, keys.preference_counterfactual
    )


def _collator(stock: Any, run: Run) -> Any:
    keys = run.finetuning_args
    return partial(
        TwinCollator,
        seed=run.training_args.seed,
        twins_limit=keys.twins_limit,
        counterfactual_method=keys.counterfactual_method if keys.counterfactual_on else None,
    )


def _trainer(stock: Any, run: Run) -> Any:
    return partial(
        DiagnosisTrainer,
        metadata=metadata_of(run.model_args, run.data_args, run.training_args, run.finetuning_args),
        write_report=callbacks.write_report,
        write_curves=callbacks.write_curves,
    )


def _pair_collator(stock: Any, run: Run) -> Any:
    arguments = run.finetuning_args
    return partial(
        PairCollator,
        seed=run.training_args.seed,
        twins_limit=arguments.twins_limit,
        counterfactual=arguments.preference_counterfactual,
    )


def _pair_trainer(stock: Any, run: Run) -> Any:
    from ..train.pair_trainer import PairTrainer  # not at the top: it imports TRL, which takes seconds

    return PairTrainer


_LOADER = "llamafactory.data.loader"
_WORKFLOWS = {stage: f"llamafactory.train.{stage}.workflow" for stage in ("sft", "dpo")}
_MODULES = (
    "llamafactory.model.adapter",
    "llamafactory.model.model_utils.misc",
    "llamafactory.model.model_utils.visual",
)
SWAPS = (
    Swap(
        "llamafactory.data.template",
        "TEMPLATES",
        lambda stock, run: instructblip.with_template(stock),
        "add the template `instructblip`, which LLaMA-Factory lacks",
    ),
    *(
        Swap(
            module,
            "COMPOSITE_MODELS",
            lambda stock, run: instructblip.with_modules(stock),
            "say which of InstructBLIP's modules `freeze_vision_tower` and `freeze_multi_modal_projector` freeze",
        )
        for module in _MODULES
    ),
    Swap(
        "llamafactory.data.parser",
        "DatasetAttr.join",
        lambda stock, run: entries.join(stock),
        "keep the `twins` block of a dataset's entry",
    ),
    Swap(
        _LOADER,
        "get_dataset_list",
        lambda stock, run: entries.get_dataset_list(
            stock, run.finetuning_args.stage, run.finetuning_args.preference_counterfactual == "symmpo"
        ),
        "check the entries of datasets with twins, and read their `twins` blocks",
    ),
    Swap(
        _LOADER,
        "load_dataset",
        lambda stock, run: entries.load_dataset(stock),
        "number the rows as the file does, and say which row of which file cannot be read",
    ),
    Swap(
        _LOADER,
        "_load_single_dataset",
        lambda stock, run: entries.load_single_dataset(stock),
        "name the dataset whose data cannot be read",
    ),
    Swap(
        _LOADER,
        "align_dataset",
        lambda stock, run: loading.align_dataset(stock, run.model_args.cache_dir),
        "make the twins of every converted row",
    ),
    Swap(
        _LOADER,
        "split_dataset",
        lambda stock, run: loading.split_dataset(stock),
        "hold out all questions of a clip together, and of a stream rows that are never trained on (`val_size`)",
    ),
    Swap(
        _LOADER,
        "load_from_disk",
        lambda stock, run: tokenized_path.load_from_disk(stock, run.finetuning_args.stage, _predicts(run)),
        "refuse a `tokenized_path` that was written without the plugin, by another version, for another purpose, or not to its end",
    ),
    Swap(
        _LOADER,
        "DatasetDict",
        lambda stock, run: tokenized_path.dataset_dict(stock),
        "write `tokenized_path` beside and rename it",
    ),
    Swap(_LOADER, "_get_preprocessed_dataset", _preprocess, "tokenize every row with its twins"),
    *(
        Swap(
            workflow,
            "get_dataset",
            lambda stock, run: disk_errors.explain_disk_errors(stock),
            "say which folder cannot be written, and what to do",
            stage,
        )
        for stage, workflow in _WORKFLOWS.items()
    ),
    *(
        Swap(
            workflow,
            "plot_loss",
            lambda stock, run: callbacks.twin_plot_loss(stock),
            "plot the plugin's losses and rates, too",
            stage,
        )
        for stage, workflow in _WORKFLOWS.items()
    ),
    Swap(
        _WORKFLOWS["sft"],
        "SFTDataCollatorWith4DAttentionMask",
        _collator,
        "clean rows and twins in one device batch",
        "sft",
    ),
    Swap(
        _WORKFLOWS["sft"],
        "CustomSeq2SeqTrainer",
        _trainer,
        "the training method, and the diagnosis at evaluation",
        "sft",
    ),
    Swap(
        _WORKFLOWS["dpo"],
        "PairwiseDataCollatorWithPadding",
        _pair_collator,
        "the answers of clean rows, twins and counterfactual rows in one device batch",
        "dpo",
    ),
    Swap(
        "llamafactory.train.dpo.trainer",
        "CustomDPOTrainer",
        _pair_trainer,
        "the loss on pairs, and rewards under each perturbation at evaluation",
        "dpo",
    ),
    Swap(
        _WORKFLOWS["sft"],
        "create_modelcard_and_push",
        lambda stock, run: callbacks.card_with_rates(stock),
        "write the diagnosis's rates with their intervals into the card, in place of a bare list",
        "sft",
    ),
    Swap(
        "logging",
        "LogRecord.getMessage",
        lambda stock, run: printable_message(stock),
        "write what untrusted names, paths and rows could do to a terminal as escapes, in every log",
    ),
    Swap(
        "sys", "excepthook", lambda stock, run: printable_traceback(stock), "the same, of an error that ends the run"
    ),
    Swap(
        "llamafactory.train.tuner",
        "LogCallback",
        lambda stock, run: callbacks.twin_log_callback(stock),
        "write the plugin's losses, and the rates of evaluations, to `trainer_log.jsonl`, too",
    ),
)
