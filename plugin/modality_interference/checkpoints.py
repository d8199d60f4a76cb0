"""Checkpoints that are whole: one that a run was killed in the middle of writing is never resumed from."""

from pathlib import Path

from transformers.trainer_utils import sort_checkpoints

from .errors import ModalityInterferenceError


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
            f"cannot write the checkpoint {folder}: {error.strerror or error}. Free some space or make the folder "
            "writable, and start again: the run continues from its last whole checkpoint."
        ) from error


def finish(folder: Path) -> None:
    """Mark a checkpoint as whole, once every rank has written its part."""
    (folder / MARK).unlink(missing_ok=True)


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint was written to its end. One of stock LLaMA-Factory has no mark and counts as whole."""
    return not (folder / MARK).exists()


def last_whole(output_dir: Path) -> Path | None:
    """The newest whole checkpoint of a run, None where there is none."""
    if not output_dir.is_dir():
        return None

    found = [Path(folder) for folder in sort_checkpoints(str(output_dir))]
    return next((folder for folder in reversed(found) if is_whole(folder)), None)


def check_whole(folder: Path) -> None:
    """Refuse to resume from a checkpoint that is not whole.

    Raises:
        ModalityInterferenceError: naming it and the one to use instead.
    """
    if is_whole(folder):
        return

    other = last_whole(folder.parent)
    instead = f"Use `resume_from_checkpoint: {other}`." if other else "Start anew: there is no whole one beside it."
    raise ModalityInterferenceError(f"the checkpoint {folder} was not written to its end. {instead}")
