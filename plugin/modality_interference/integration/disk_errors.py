"""Disk errors while data is prepared: say which folder cannot be written, and what to do."""

import errno
import os
import shutil
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


def explain_disk_errors(stock: Callable[..., Any]) -> Callable[..., Any]:
    """LLaMA-Factory's `get_dataset`, which also says what to do where the cache or `tokenized_path` cannot be written."""

    @wraps(stock)
    def get(template: Any, model_args: Any, data_args: Any, *args: Any, **keys: Any) -> Any:
        try:
            return stock(template, model_args, data_args, *args, **keys)
        except Exception as error:
            cause = _disk_error(error)
            if cause is None or isinstance(error, ModalityInterferenceError):
                raise

            raise ModalityInterferenceError(_message(cause, _folders(model_args, data_args))) from error

    return get


def _disk_error(error: BaseException | None) -> OSError | None:
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
        f"Cannot write {where}: {_CAUSES[error.errno or 0]} ({error.strerror or error}). Written to: {written}. "
        "Make room or give write permission there, or name another folder; then start the run again."
    )


def _free(folder: str) -> str:
    while folder != os.path.dirname(folder) and not os.path.isdir(folder):
        folder = os.path.dirname(folder)

    try:
        return f" ({shutil.disk_usage(folder or '.').free / 1e9:,.1f} GB free)"
    except OSError:
        return ""
