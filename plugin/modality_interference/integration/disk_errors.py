"""Disk errors: find folders that cannot be written before a run starts, and say which one it is and what to do."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import wraps
from typing import Any

import datasets

from ..errors import ModalityInterferenceError


# Errors of writing only: a file that cannot be found or read is reported by the code that opens it.
_CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a file is where a folder must be",
    errno.EEXIST: "a file is where a folder must be",
}
_MAX_CAUSES = 16  # `datasets` wraps errors in each other
_PROBE = 1 << 20  # bytes; less than any run writes
_FIX = "Make room or give write permission there, or name another folder; then start the run again."


def check_folders(data_args: Any, training_args: Any) -> None:
    """Write a file into `output_dir` and, where it will be written, beside `tokenized_path`, and remove it again.

    A run writes there after data was tokenized and the model loaded, which may take hours. Only the process that writes
    looks: on other nodes the folder may be read-only.

    Args:
        data_args: LLaMA-Factory's.
        training_args: LLaMA-Factory's.

    Raises:
        ModalityInterferenceError: naming the key, the folder, what is in the way and what to do.
    """
    if not training_args.should_save:
        return

    _check_folder("output_dir", training_args.output_dir)
    if data_args.tokenized_path is not None:
        tokenized = os.path.expanduser(data_args.tokenized_path)
        if not os.path.isdir(tokenized) or not os.listdir(tokenized):  # else it is read
            _check_folder("tokenized_path", tokenized)


def _check_folder(key: str, folder: str) -> None:
    """Write into the folder, or, while there is none, into the nearest one above it, in which it would be made."""
    above = os.path.abspath(folder)
    while not os.path.lexists(above):
        above = os.path.dirname(above)

    try:
        with tempfile.TemporaryDirectory(prefix=".modality_interference_", dir=above) as probe:
            with open(os.path.join(probe, "probe"), "wb") as file:
                file.write(bytes(_PROBE))
                file.flush()
                os.fsync(file.fileno())  # file systems on a network say only then that a disk is full
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, "it cannot be used")
        if not os.path.isdir(above):  # a link to nothing is no folder either
            cause = "a file is where a folder must be"

        raise ModalityInterferenceError(
            f"`{key}` is `{folder}`, and nothing can be written in `{above}`{_free(above)}: {cause} "
            f"({error.strerror or error}). {_FIX}"
        ) from error


def explain_disk_errors(stock: Callable[..., Any]) -> Callable[..., Any]:
    """LLaMA-Factory's `get_dataset`, which also says what to do where the cache or `tokenized_path` cannot be written."""

    @wraps(stock)
    def get(template: Any, model_args: Any, data_args: Any, *args: Any, **keys: Any) -> Any:
        try:
            return stock(template, model_args, data_args, *args, **keys)
        except Exception as error:
            cause = disk_error(error)
            if cause is None or isinstance(error, ModalityInterferenceError):
                raise

            raise ModalityInterferenceError(_message(cause, _folders(model_args, data_args))) from error

    return get


def disk_error(error: BaseException | None) -> OSError | None:
    """The error about writing that is behind an error; None where there is none."""
    for _ in range(_MAX_CAUSES):
        if isinstance(error, OSError) and error.errno in _CAUSES:
            return error

        error = error and (error.__cause__ or error.__context__)

    return None


def _folders(model_args: Any, data_args: Any) -> dict[str, str]:
    """The folders that are written to, by what they are for."""
    cache = os.path.expanduser(model_args.cache_dir or str(datasets.config.HF_DATASETS_CACHE))
    folders = {"the cache of datasets (`cache_dir` in the recipe, or the variable HF_DATASETS_CACHE)": cache}
    if data_args.tokenized_path is not None:
        folders["`tokenized_path`"] = os.path.expanduser(data_args.tokenized_path)

    return folders


def _message(error: OSError, folders: dict[str, str]) -> str:
    where = f"`{error.filename}`" if error.filename else "the prepared data"
    written = "; ".join(f"{role} is `{folder}`{_free(folder)}" for role, folder in folders.items())
    return (
        f"Cannot write {where}: {_CAUSES[error.errno or 0]} ({error.strerror or error}). Written to: {written}. {_FIX}"
    )


def _free(folder: str) -> str:
    while folder != os.path.dirname(folder) and not os.path.isdir(folder):
        folder = os.path.dirname(folder)

    try:
        return f" ({shutil.disk_usage(folder or '.').free / 1e9:,.1f} GB free)"
    except OSError:
        return ""
