"""A diagnosis of one model on one dataset folder: what is asked, the recipe that asks it, and its run."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
import transformers
import yaml
from transformers import TrainerCallback

from ..arguments import PLUGIN_NAME
from ..data.matching import FreeAnswerRule
from ..errors import ModalityInterferenceError
from ..files import write_text
from .plugin import require


RECIPE_FILE = "diagnosis.yaml"
DATA_FOLDER = "data"  # of data that was made into a dataset folder, in the output folder
CUTOFF = 16384  # tokens; cuts nothing but what is far too long: `long_context` adds 10,000
LONGEST_ANSWER, LONGEST_THOUGHT = 64, 2048  # tokens that are generated; LLaMA-Factory's own limit is 1024 for all
Progress = Callable[[int, int], None]  # (done, total)
_LEVELS = {"llamafactory": logging.WARNING, "transformers": logging.ERROR, "datasets": logging.ERROR}
_VERBOSITY = "LLAMAFACTORY_VERBOSITY"


@dataclass(frozen=True)
class DiagnosisPlan:
    """What is asked, whoever answers: a model of this machine or a server.

    Attributes:
        dataset_dir: a dataset folder, whose entries have been checked.
        datasets: the names of those to diagnose; their `twins` blocks say what is relevant, and what to perturb.
        media_dir: the folder from which paths of media start.
        max_samples: of each dataset the first so many rows.
        seed: of the twins and of the bootstrap.
        scoring: how answers are scored.
        output_dir: where the report goes.
        free_answers: the rule for written answers to questions without options, see `matching.matches`.
    """

    dataset_dir: Path
    datasets: tuple[str, ...]
    media_dir: Path
    max_samples: int
    seed: int
    scoring: Literal["likelihood", "generate"]
    output_dir: Path
    free_answers: FreeAnswerRule = "exact"


@dataclass(frozen=True)
class LocalModel:
    """A model that LLaMA-Factory loads.

    Attributes:
        name_or_path: a folder, or a name on the hub.
        template: LLaMA-Factory's name of its chat template.
        adapter: the folder of a LoRA adapter; None for the model alone.
        batch_size: examples at a time; their twins come on top.
    """

    name_or_path: str
    template: str
    adapter: str | None
    batch_size: int


def diagnosis_recipe(plan: DiagnosisPlan, model: LocalModel) -> dict[str, Any]:
    """The recipe whose `do_eval` is the diagnosis."""
    keys: dict[str, Any] = {"model_name_or_path": model.name_or_path, "template": model.template}
    if model.adapter is not None:
        keys |= {"adapter_name_or_path": model.adapter, "finetuning_type": "lora"}

    keys |= {"stage": "sft", "do_train": False, "do_eval": True, "plugin": PLUGIN_NAME}
    if plan.scoring == "generate":
        keys |= {"diagnosis_scoring": "generate", "predict_with_generate": True}
        keys |= {"diagnosis_free_answers": plan.free_answers}
        keys |= {"max_new_tokens": LONGEST_THOUGHT if _thinks(model.template) else LONGEST_ANSWER}

    return keys | {
        "dataset_dir": str(plan.dataset_dir),
        "media_dir": str(plan.media_dir),
        "eval_dataset": ",".join(plan.datasets),
        "max_samples": plan.max_samples,
        "cutoff_len": CUTOFF,
        "output_dir": str(plan.output_dir),
        "per_device_eval_batch_size": model.batch_size,
        "report_to": "none",
        "seed": plan.seed,
    }


def _thinks(template: str) -> bool:
    """Whether a template is for models that think before they answer."""
    module = require("llamafactory.data.template", "TEMPLATES", "ReasoningTemplate")
    return isinstance(module.TEMPLATES.get(template), module.ReasoningTemplate)


def write_recipe(path: Path, recipe: dict[str, Any]) -> None:
    """Write a recipe that `llamafactory-cli train` starts.

    Raises:
        ModalityInterferenceError: the file cannot be written.
    """
    write_text(path, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=1000))


def run_recipe(recipe: dict[str, Any], show_progress: Progress) -> None:
    """Run a recipe as `llamafactory-cli train` does; of its log only warnings and errors are shown.

    Args:
        recipe: its keys.
        show_progress: is told how many batches of the evaluation are done.

    Raises:
        ModalityInterferenceError: the plugin, LLaMA-Factory or transformers refuse the recipe, or the run fails.
    """
    tuner = require("llamafactory.train.tuner", "run_exp")
    try:
        with _warnings_only():
            tuner.run_exp(
                {**recipe, "disable_tqdm": True, "log_level": "error"}, callbacks=[_ProgressCallback(show_progress)]
            )
    except ModalityInterferenceError:
        raise
    except Exception as error:  # of LLaMA-Factory, transformers, torch: a model that cannot be loaded, no memory left
        said = " ".join(str(error).split())[:500]
        less = " Lower `--batch-size`." if isinstance(error, torch.OutOfMemoryError) else ""
        raise ModalityInterferenceError(
            f"the run failed: {type(error).__name__}: {said}.{less} `llamafactory-cli train "
            f"{Path(recipe['output_dir']) / RECIPE_FILE}` repeats it with its whole log."
        ) from error


class _ProgressCallback(TrainerCallback):
    """Tells how many batches of an evaluation are done."""

    def __init__(self, show: Progress) -> None:
        self._show, self._done = show, 0

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._done += 1
        self._show(self._done, len(kwargs["eval_dataloader"]))


@contextlib.contextmanager
def _warnings_only() -> Iterator[None]:
    """Keep printed rows and bars from the terminal, and all lines but LLaMA-Factory's warnings, among which are the plugin's."""
    before = {name: logging.getLogger(name).level for name in _LEVELS}
    verbosity = os.environ.get(_VERBOSITY)
    os.environ[_VERBOSITY] = "WARNING"  # or LLaMA-Factory sets transformers' own level
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)

    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.pop(_VERBOSITY)
        if verbosity is not None:
            os.environ[_VERBOSITY] = verbosity

        datasets.enable_progress_bars()
        transformers.utils.logging.enable_progress_bar()
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
