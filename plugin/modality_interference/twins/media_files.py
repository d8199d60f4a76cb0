"""Open a stranger's media file."""

import os
from typing import Any

import av
from av.container import InputContainer

from ..containers import SOUND_ONLY, WITH_PICTURE, open_container
from ..errors import ModalityInterferenceError


class BadClip(ModalityInterferenceError):
    """A video or a sound that cannot be used.

    Attributes:
        kind: such as `missing video` or `file without sound`: by which dropped rows are counted.
        source: the medium, as the row has it.
    """

    def __init__(self, kind: str, message: str, source: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.source = source


def opened(path: str) -> InputContainer:
    """Open a media file, a context manager.

    Raises:
        BadClip: it is no path, missing or empty, or a playlist and the like.
        av.FFmpegError: it holds no media.
    """
    check_file(path, "file")
    try:
        return open_container(path, f"{WITH_PICTURE},{SOUND_ONLY}")
    except av.error.ValueError as error:
        why = "it is damaged or of a kind that is not read, such as a playlist; allowed: mp4, mkv, webm, avi, wav, flac, mp3, ..."
        raise bad("unsupported container", path, why) from error


def check_file(source: Any, what: str) -> None:
    """Look for a medium's file without opening it; frames one by one are left to their reader.

    Raises:
        BadClip: it is no path, there is no such file, or the file is empty.
    """
    if not isinstance(source, str):
        if isinstance(source, (list, tuple)) and source:
            return

        raise bad(f"not a {what}", source, "allowed: a path")

    if not os.path.isfile(source):  # a pipe or a device would block for ever
        hint = "there is no such file. Paths are relative to `media_dir` (by default `dataset_dir`)"
        raise bad(f"missing {what}", source, hint)

    if not os.path.getsize(source):
        raise bad(f"empty {what}", source, "it is empty")


def bad(kind: str, source: Any, why: str) -> BadClip:
    """What is wrong with a medium, in words."""
    name = f"`{source}`" if isinstance(source, str) else f"a medium of type `{type(source).__name__}`"
    return BadClip(
        kind, f"cannot use {name}: {why[:300]}. Replace the file, or remove its row from the dataset.", source
    )
