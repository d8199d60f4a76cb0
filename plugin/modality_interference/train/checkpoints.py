"""Complete checkpoints: a run never resumes from one that was being written when the process was killed."""

from pathlib import Path
from typing import Any

from transformers.trainer_utils import sort_checkpoints

from ..compat import get_logger
from ..errors import ModalityInterferenceError


MARK = ".incomplete"  # a file in a checkpoint that is being written


def begin(folder: Path) -> None:
    """Mark a checkpoint as being written.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as error:
        raise ModalityInterferenceError(
            f"Cannot write the checkpoint {folder}: {error.strerror or error}. Free some space or make the folder "
            "writable, and start again: the run continues from its last complete checkpoint."
        ) from error


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
    chosen = training_args.resume_from_checkpoint
    if not training_args.do_train:
        return

    if not chosen:
        _warn_of_overwriting(training_args)
        return

    if str(chosen).lower() == "true":
        found = last_complete(Path(training_args.output_dir))
        training_args.resume_from_checkpoint = None if found is None else str(found)
    elif any("resume_from_checkpoint" in str(word) for word in given):
        check_complete(Path(chosen))
    elif not is_complete(Path(chosen)):
        found = last_complete(Path(training_args.output_dir))
        training_args.resume_from_checkpoint = None if found is None else str(found)
        logger.warning_rank0(
            f"{chosen} was not written to its end; resuming from {found if found else 'the start'} instead."
        )


def _warn_of_overwriting(training_args: Any) -> None:
    found = last_complete(Path(training_args.output_dir))
    if getattr(training_args, "overwrite_output_dir", False) and found is not None:
        logger.warning_rank0(
            f"`overwrite_output_dir: true` starts from the beginning, and {found} will be deleted as `save_total_limit` "
            "says. To resume from it, stop this run and remove that key."
        )
