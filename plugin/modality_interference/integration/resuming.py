"""Which checkpoint a run resumes from: never one that a killed run left half written."""

from pathlib import Path
from typing import Any

from llamafactory.extras import logging

from ..checkpoints import check_whole, is_whole, last_whole


logger = logging.get_logger(f"llamafactory.{__name__}")  # below its root logger, which has the handlers


def choose_checkpoint(given: dict[str, Any] | list[str], training_args: Any) -> None:
    """Correct `resume_from_checkpoint`, which LLaMA-Factory sets to the newest checkpoint of `output_dir`.

    Args:
        given: what the user wrote, a recipe or command-line words.
        training_args: parsed from it, changed in place.

    Raises:
        ModalityInterferenceError: the user names a checkpoint that is not whole.
    """
    chosen = training_args.resume_from_checkpoint
    if not training_args.do_train:
        return

    if not chosen:
        _warn_of_overwriting(training_args)
        return

    if str(chosen).lower() == "true":
        found = last_whole(Path(training_args.output_dir))
        training_args.resume_from_checkpoint = None if found is None else str(found)
    elif any("resume_from_checkpoint" in str(word) for word in given):
        check_whole(Path(chosen))
    elif not is_whole(Path(chosen)):
        found = last_whole(Path(training_args.output_dir))
        training_args.resume_from_checkpoint = None if found is None else str(found)
        logger.warning_rank0(
            f"{chosen} was not written to its end; resuming from {found if found else 'the start'} instead."
        )


def _warn_of_overwriting(training_args: Any) -> None:
    found = last_whole(Path(training_args.output_dir))
    if getattr(training_args, "overwrite_output_dir", False) and found is not None:
        logger.warning_rank0(
            f"`overwrite_output_dir: true` starts anew, and {found} will be deleted as `save_total_limit` says. To go on "
            "from it, stop this run and remove that key."
        )
