"""Open untrusted media files with PyAV: files that hold their media themselves, decoded on one thread."""

import os
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from ..errors import ModalityInterferenceError


# Others, playlists say, may name other files or addresses.
WITH_PICTURE = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg"  # and sound, as a rule
SOUND_ONLY = "wav,w64,mp3,flac,aac,ac3,eac3,aiff,au,caf,amr,wv"


def open_container(path: str | Path, formats: str) -> InputContainer:
    """Open a media file; a context manager.

    Args:
        path: of the file.
        formats: FFmpeg's names of the containers that it may be, with commas between them.

    Raises:
        ValueError: it is none of them.
        av.FFmpegError: it holds no media, or cannot be opened.
    """
    container = av.open(str(path), metadata_errors="replace", options={"format_whitelist": formats})
    # There are as many processes as cores; and threads outlive a container, and a fork that collects it waits for them.
    for track in (*container.streams.video, *container.streams.audio):
        if track.codec_context is not None:  # a track that PyAV has no decoder for
            track.codec_context.thread_count = 1

    return container


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
