"""Read the picture and the sound of a stranger's media file with PyAV."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from ..errors import ModalityInterferenceError
from ..media.containers import WITH_PICTURE, open_container
from .sources import SAMPLE_RATE


MAX_PIXELS = 7680 * 4320  # of a frame: 8K
# what PyAV raises for files that it cannot make sense of
_FAULTS = (av.FFmpegError, ValueError, ArithmeticError, LookupError, EOFError)


class BadClip(ModalityInterferenceError):
    """A file that no clip can be made of.

    Attributes:
        kind: by which skipped files are counted, such as `no sound`.
        detail: what was found.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


@dataclass(frozen=True)
class Picture:
    """A frame.

    Attributes:
        start: when it is shown, in seconds on the file's clock.
        end: when it would be shown no longer were it the last one.
        frame: as decoded.
        pixel_shape: width of a stored pixel in terms of its height; anamorphic video has others than 1.
    """

    start: float
    end: float
    frame: av.VideoFrame
    pixel_shape: float


@dataclass(frozen=True)
class Sound:
    """The beginning of a sound track.

    Attributes:
        start: when it begins, in seconds on the file's clock.
        samples: 16-bit, mono, `SAMPLE_RATE`.
    """

    start: float
    samples: np.ndarray

    @property
    def end(self) -> float:
        """When it ends."""
        return self.start + len(self.samples) / SAMPLE_RATE


def check_tracks(path: Path) -> None:
    """Look at a file without decoding anything.

    Raises:
        BadClip: it cannot be opened, or has no picture, no sound, or too large a picture.
    """
    with _opened(path) as container:
        _track(container, "video")
        _track(container, "audio")


def pictures(path: Path) -> Iterator[Picture]:
    """Decode the picture track, frame by frame.

    Raises:
        BadClip: the track cannot be decoded, or holds no frame.
    """
    with _opened(path) as container:
        track = _track(container, "video")
        pixel_shape = float(track.sample_aspect_ratio or 1)
        usual = 1 / float(track.average_rate or track.guessed_rate or 1)
        clock = None
        for frame in container.decode(track):
            if frame.is_corrupt:
                raise BadClip("unreadable", f"a frame is damaged ({_at(clock)})")

            start = _time(frame, 0.0 if clock is None else clock)
            base = frame.time_base or track.time_base
            clock = start + (float(frame.duration * base) if frame.duration and base else usual)
            yield Picture(start, clock, frame, pixel_shape)

        if clock is None:
            raise BadClip("zero frames", "the video track holds none")


def read_sound(path: Path, from_time: float, seconds: float) -> Sound:
    """Decode the sound track as far as it is needed.

    Args:
        path: the file.
        from_time: when the picture begins.
        seconds: how much sound to read, counted from where both picture and sound have begun.

    Raises:
        BadClip: the track cannot be decoded, or holds no samples.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    parts: list[np.ndarray] = []
    start, end = None, 0.0
    with _opened(path) as container:
        for frame in container.decode(_track(container, "audio")):
            if start is None:
                start = end = _time(frame, 0.0)

            for part in resampler.resample(frame):
                parts.append(part.to_ndarray()[0])
                end += part.samples / SAMPLE_RATE

            if end >= max(start, from_time) + seconds:
                break

        parts += (part.to_ndarray()[0] for part in resampler.resample(None))

    if start is None or not any(map(len, parts)):
        raise BadClip("no sound", "the audio track holds no samples")

    return Sound(start, np.concatenate(parts))


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        with open_container(path, WITH_PICTURE) as container:
            yield container
    except BadClip:
        raise
    except _FAULTS as error:
        raise BadClip("unreadable", _words(error)) from error


def _track(container: InputContainer, kind: str) -> Any:
    """The first track of a kind; covers of albums and the like are no pictures of a clip."""
    streams = container.streams  # a track's own `type` crashes the process where it is none that FFmpeg knows
    kinds: dict[str, list[Any]] = {
        "video": [track for track in streams.video if not _is_cover(track)],
        "audio": list(streams.audio),
    }
    if not kinds[kind]:
        has = ", ".join(name for name in kinds if kinds[name]) or "neither picture nor sound"
        raise BadClip("no sound" if kind == "audio" else "no video", f"the file has no {kind} track (it has: {has})")

    track = kinds[kind][0]
    context: Any = track.codec_context
    if context is None:
        raise BadClip("unreadable", f"PyAV has no decoder for its {kind} track")

    if kind == "video":
        if context.width * context.height > MAX_PIXELS:
            size = f"{context.width} x {context.height} pixels"
            raise BadClip("too large", f"{size}; at most {MAX_PIXELS:,} (8K): scale it down")

        context.options = {"max_pixels": str(MAX_PIXELS)}  # it may grow on the way

    return track


def _is_cover(track: Any) -> bool:
    return bool(track.disposition & Disposition.attached_pic)


def _time(frame: Any, otherwise: float) -> float:
    if frame.pts is None or not frame.time_base:
        return otherwise

    return float(frame.pts * Fraction(frame.time_base))


def _at(clock: float | None) -> str:
    return "the first one" if clock is None else f"at {clock:.2f} s"


def _words(error: Exception) -> str:
    """PyAV's message without its number and the file's path."""
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
