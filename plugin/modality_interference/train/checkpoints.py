"""Complete checkpoints: a run never resumes from one that was being written or deleted when the process was killed."""

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from transformers.trainer_utils import sort_checkpoints

from ..compat import get_logger
from ..errors import ModalityInterferenceError
from ..results import HIGHER_IS_BETTER, RateName


MARK = ".incomplete"  # a file in a checkpoint that is being written
_DELETED = ".deleted-"  # how the name of a folder begins that is being deleted
_OPTIMIZER = ("optimizer*", "global_step*", "pytorch_model_fsdp*")  # what engines call its state
# what torch and safetensors say, which raise no OSError
_WRITE_ERRORS = ("PytorchStreamWriter", "inline_container", "os error")


def begin(folder: Path) -> None:
    """Mark a checkpoint as being written.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say of a checkpoint that cannot be written what to do.

    Args:
        folder: the checkpoint.

    Raises:
        ModalityInterferenceError: from an error in the body that is about writing; others pass.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and not any(words in str(error) for words in _WRITE_ERRORS):
            raise

        why = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())[:200]
        whole = last_complete(folder.parent)
        continues = f"the run continues from {whole}" if whole else "no checkpoint is complete, so the run starts anew"
        raise ModalityInterferenceError(
            f"Cannot write the checkpoint {folder}: {why}. Free some space or make the folder writable, and start again: "
            f"{continues}."
        ) from error


def rotate(newest: Path, limit: int | None, best: str | None) -> None:
    """Delete what `save_total_limit` leaves no room for: checkpoints of earlier runs first, then the oldest of this one.

    The order is that of the steps, whatever the clock says. A folder is renamed before it is deleted, so that one that is
    half deleted is never taken for a checkpoint.

    Args:
        newest: the checkpoint that was just written; it stays, as does the best one.
        limit: how many may stay; None or 0 for all.
        best: the best checkpoint so far.
    """
    for folder in newest.parent.glob(f"{_DELETED}*"):  # of a process that was killed
        shutil.rmtree(folder, ignore_errors=True)

    found = [Path(folder) for folder in sort_checkpoints(str(newest.parent))]
    kept = {newest, *([Path(best)] if best else [])}
    number = found.index(newest)
    order = [folder for folder in (*found[number + 1 :], *found[:number]) if folder not in kept]
    order.sort(key=is_complete)  # torn ones first
    excess = len(found) - max(limit, len(kept)) if limit else 0
    for folder in order[: max(excess, 0)]:
        deleted = folder.with_name(f"{_DELETED}{folder.name}")
        folder.rename(deleted)
        shutil.rmtree(deleted, ignore_errors=True)


def finish(folder: Path) -> None:
    """Mark a checkpoint as complete, once every rank has written its part."""
    (folder / MARK).unlink(missing_ok=True)


def is_complete(folder: Path) -> bool:
    """Whether a checkpoint was written to its end. Those of LLaMA-Factory alone have no mark and count as complete."""
    return not (folder / MARK).exists()


def last_complete(output_dir: Path) -> Path | None:
    """The newest complete checkpoint of a run, None where there is none."""
    if not output_dir.is_dir():
        return None

    found = [Path(folder) for folder in sort_checkpoints(str(output_dir))]
    return next((folder for folder in reversed(found) if is_complete(folder)), None)


def check_complete(folder: Path) -> None:
    """Refuse to resume from a checkpoint that is not complete.

    Raises:
        ModalityInterferenceError: naming it and the one to use instead.
    """
    if is_complete(folder):
        return

    other = last_complete(folder.parent)
    instead = (
        f"Use `resume_from_checkpoint: {other}`."
        if other
        else "Start from the beginning: the folder has no complete one."
    )
    raise ModalityInterferenceError(f"The checkpoint {folder} was not written to its end. {instead}")


logger = get_logger(__name__)


def choose_checkpoint(given: dict[str, Any] | list[str], training_args: Any) -> None:
    """Correct `resume_from_checkpoint`, which LLaMA-Factory sets to the newest checkpoint of `output_dir`.

    Args:
        given: what the user wrote, a recipe or command-line words.
        training_args: parsed from it, changed in place.

    Raises:
        ModalityInterferenceError: the user names a checkpoint that is not complete.
    """
    if not training_args.do_train:
        return

    if training_args.resume_from_checkpoint:
        _correct(given, training_args)
        _warn_of_new_optimizer(training_args.resume_from_checkpoint)
    else:
        _warn_of_overwriting(training_args)


def _correct(given: dict[str, Any] | list[str], training_args: Any) -> None:
    chosen = training_args.resume_from_checkpoint
    if str(chosen).lower() == "true":
        found = last_complete(Path(training_args.output_dir))
        training_args.resume_from_checkpoint = None if found is None else str(found)
    elif _is_named(given):
        check_complete(Path(chosen))
    elif not is_complete(Path(chosen)):
        found = last_complete(Path(training_args.output_dir))
        training_args.resume_from_checkpoint = None if found is None else str(found)
        logger.warning_rank0(
            f"{chosen} was not written to its end; resuming from {found if found else 'the start'} instead."
        )


def _is_named(given: dict[str, Any] | list[str]) -> bool:
    """Whether the user names the checkpoint; LLaMA-Factory's own recipes say `resume_from_checkpoint: null`."""
    if isinstance(given, dict):
        return given.get("resume_from_checkpoint") is not None

    return any("resume_from_checkpoint" in str(word) for word in given)


# confidence is better the less there is without evidence only
_LESS = "|".join(name for name in get_args(RateName) if name not in (*HIGHER_IS_BETTER, "confidence"))
_LESS_IS_BETTER = re.compile(rf"_(?:{_LESS})$|rewards/flip_rate")


def choose_direction(written: Collection[str], training_args: Any) -> None:
    """Correct `greater_is_better`, which transformers makes true of all names that do not end in `loss`.

    Otherwise the checkpoint with the most flips would be kept, and `save_total_limit` would delete the best one.

    Args:
        written: the keys that the user wrote.
        training_args: parsed from it, changed in place.

    Raises:
        ModalityInterferenceError: the user asks for the most of what is better the less there is.
    """
    metric = training_args.metric_for_best_model
    if metric is None or not training_args.greater_is_better or not _LESS_IS_BETTER.search(metric):
        return

    if "greater_is_better" in written:
        raise ModalityInterferenceError(
            f"`greater_is_better: true` with `metric_for_best_model: {metric}` keeps the worst checkpoint: of this rate, less is "
            "better. Remove `greater_is_better`, or set it to false."
        )

    training_args.greater_is_better = False
    logger.info_rank0(
        f"`metric_for_best_model: {metric}`: less is better, so the checkpoint with the least is the best one."
    )


def _warn_of_new_optimizer(checkpoint: str | None) -> None:
    folder = Path(checkpoint or "")
    if checkpoint and folder.is_dir() and not any(any(folder.glob(name)) for name in _OPTIMIZER):
        logger.warning_rank0(
            f"{folder} holds no state of the optimizer (`save_only_model: true` wrote it): the optimizer starts anew there, "
            "and so does the learning-rate schedule, with its warm-up. Leave out `save_only_model` where runs are to be "
            "resumed, or set `overwrite_output_dir: true` and start from the beginning."
        )


def _warn_of_overwriting(training_args: Any) -> None:
    found = last_complete(Path(training_args.output_dir))
    if getattr(training_args, "overwrite_output_dir", False) and found is not None:
        logger.warning_rank0(
            f"`overwrite_output_dir: true` starts from the beginning, and {found} will be deleted as `save_total_limit` "
            "says. To resume from it, stop this run and remove that key."
        )
