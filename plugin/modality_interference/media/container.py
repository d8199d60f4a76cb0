"""Open untrusted media files with PyAV: files that hold their media themselves, decoded on one thread."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Disposition

from ..errors import Unusable
from .image import image_format


# Others, playlists say, may name other files or addresses.
VIDEO_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg"  # as a rule with audio
AUDIO_FORMATS = "wav,w64,mp3,flac,aac,ac3,eac3,aiff,au,caf,amr,wv"
MAX_PIXELS = 7680 * 4320  # of a frame: 8K
# what PyAV raises for files that it cannot make sense of
DECODER_ERRORS = (av.FFmpegError, ValueError, ArithmeticError, LookupError, EOFError)


def open_container(path: str | Path, formats: str = f"{VIDEO_FORMATS},{AUDIO_FORMATS}") -> InputContainer:
    """Open a media file; a context manager.

    Args:
        path: of the file.
        formats: FFmpeg's names of the containers that it may be, with commas between them.

    Raises:
        ValueError: it is none of them; says what it is and what is read.
        av.FFmpegError: it holds no media, or cannot be opened.
    """
    try:
        # not `options`: those are opened for every track that is known then, and PyAV 16 crashes on tracks that turn up later
        container = av.open(str(path), metadata_errors="replace", container_options={"format_whitelist": formats})
    except av.error.ValueError as error:
        image = image_format(str(path))
        found = (
            f"it is a {image} image" if image else "it is damaged or of a kind that is not read, such as a playlist"
        )
        raise ValueError(f"{found}; allowed: mp4, mkv, webm, avi, wav, flac, mp3 and the like") from error

    # There are as many processes as cores; and threads outlive a container, and a fork that collects it waits for them.
    for track in (*container.streams.video, *container.streams.audio):
        if track.codec_context is not None:  # a track that PyAV has no decoder for
            track.codec_context.thread_count = 1

    return container


def open_medium(path: str) -> InputContainer:
    """Open a row's media file; a context manager.

    Raises:
        Unusable: it is not a path, missing or empty, or a playlist and the like.
        av.FFmpegError: it holds no media.
    """
    check_file(path, "file")
    try:
        return open_container(path)
    except av.FFmpegError:
        raise
    except ValueError as error:
        raise unusable("unsupported container", path, str(error)) from error


def tracks(container: InputContainer, kind: Literal["video", "audio"]) -> list[Any]:
    """The tracks of a kind; covers of albums and the like are not videos."""
    if kind == "audio":
        return list(container.streams.audio)

    return [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]


def main_track(container: InputContainer, kind: Literal["video", "audio"]) -> Any:
    """The track to decode; None where there is none of that kind.

    Of several it is the one that FFmpeg chooses (`av_find_best_stream`), as its players and torchaudio do: that which is marked as
    the default, rather none for people who cannot hear or see, then that with most frames and bits.

    Raises:
        av.error.DecoderNotFoundError: PyAV has no decoder for it.
        Unusable: `too large`: a frame has more than `MAX_PIXELS`.
    """
    found = tracks(container, kind)
    if not found:
        return None

    best = container.streams.best(kind)
    track: Any = best if best in found else found[0]  # a cover may be the best

    check_decoder(track, kind)
    context: Any = track.codec_context
    if kind == "video":
        if context.width * context.height > MAX_PIXELS:
            size = f"{context.width} x {context.height} pixels"
            why = f"{size}; at most {MAX_PIXELS:,} (8K): scale it down"
            raise Unusable("too large", why, container.name)

        context.options = {"max_pixels": str(MAX_PIXELS)}  # later frames may be larger

    return track


def check_decoder(track: Any, kind: str) -> None:
    """Raise `av.error.DecoderNotFoundError` where PyAV has no decoder for a track: decoding would crash the process."""
    if track.codec_context is None:
        code = av.error.tag_to_code(b"\xf8DEC")  # AVERROR_DECODER_NOT_FOUND
        raise av.error.DecoderNotFoundError(code, f"PyAV has no decoder for its {kind} track")


def frame_time(frame: Any, otherwise: float) -> float:
    """When a frame is shown or heard, in seconds on the file's clock; `otherwise` where the file does not say."""
    return otherwise if frame.pts is None or not frame.time_base else float(frame.pts * frame.time_base)


def check_file(source: Any, what: str) -> None:
    """Look for a medium's file without opening it; a list of frames is left to its reader.

    Raises:
        Unusable: it is not a path, there is no such file, or the file is empty.
    """
    if not isinstance(source, str):
        if isinstance(source, (list, tuple)) and source:
            return

        raise unusable(f"not {'a ' if what != 'audio' else ''}{what}", source, "allowed: a path")

    if not os.path.isfile(source):  # a pipe or a device would block for ever
        hint = "there is no such file. Paths are relative to `media_dir` (by default `dataset_dir`)"
        raise unusable(f"missing {what}", source, hint)

    if not os.path.getsize(source):
        raise unusable(f"empty {what}", source, "it is empty")


@contextmanager
def explained(source: Any, kind: str) -> Iterator[None]:
    """Turn whatever PyAV and PIL stumble over while they read a row's medium into `Unusable` of a kind."""
    try:
        yield
    except (Unusable, MemoryError):
        raise
    except Exception as error:
        raise unusable(kind, source, f"{type(error).__name__}: {error}") from error


def unusable(kind: str, source: Any, why: str) -> Unusable:
    """The error for a video or an audio of a row.

    Args:
        kind: by which dropped rows are counted.
        source: the medium, as the row has it.
        why: what was found.
    """
    name = f"`{source}`" if isinstance(source, str) else f"a medium of type `{type(source).__name__}`"
    return Unusable(
        kind, f"cannot use {name}: {why[:300]}. Replace the file, or remove its row from the dataset.", source
    )
