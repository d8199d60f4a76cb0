"""Prepare one clip: from a video file with audio to an MP4 and a WAV of the same length."""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer

from ..errors import Unusable
from ..files import write_bytes
from ..media.audio import AudioTrack, decode_audio
from ..media.container import DECODER_ERRORS, VIDEO_FORMATS, main_track, open_container, tracks
from ..media.video import Frame, decode_video
from .encode import SAMPLE_RATE, encode_audio, encode_video, frames_in, samples_in, square, steady
from .manifest import ClipRecord
from .sources import SourceFile


_VERSION = 2  # of the preparation; another one makes all clips anew


@dataclass(frozen=True)
class Settings:
    """How clips are prepared.

    Attributes:
        seconds: the longest that a clip may be; the rest is cut off.
        size: side of the square video, in pixels; an even number.
        fps: frames per second.
        min_seconds: shorter clips are skipped.
        silent_below: clips whose audio is nowhere as loud as this level (dB of full scale) are skipped as silent; see
            `loudest_level`.
        keep_audio: whether the MP4 gets an audio track, too.
    """

    seconds: float = 10.0
    size: int = 504
    fps: int = 8
    min_seconds: float = 1.0
    silent_below: float = -60.0
    keep_audio: bool = False


def fingerprint(path: Path, settings: Settings) -> str:
    """What tells whether a clip has to be prepared again: it changes with the file and with the settings.

    Args:
        path: the file that the clip is made from.
        settings: how.

    Returns:
        16 hexadecimal digits; empty where the file cannot even be looked at.
    """
    try:
        status = path.stat()
    except OSError:
        return ""

    parts = [_VERSION, asdict(settings), status.st_size, status.st_mtime_ns]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


VIDEOS, AUDIOS = "videos", "sounds"  # sub-folders for the prepared files
_MAX_NAME = 40  # characters of the source's name that a prepared file's name keeps
_FULL_SCALE = 32768.0


@dataclass(frozen=True)
class Prepared:
    """A clip's files.

    Attributes:
        video: an MP4.
        audio: a WAV of the same length.
        frames: of the MP4.
    """

    video: bytes
    audio: bytes
    frames: int


def file_names(source: str) -> tuple[str, str]:
    """The prepared MP4 and WAV of a source, relative to the output folder.

    The names are plain ASCII, readable, and differ wherever the sources do, so that no program has trouble with them.

    Args:
        source: its path in the input folder, with slashes.
    """
    plain = unicodedata.normalize("NFKD", Path(source).stem).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:_MAX_NAME] or "clip"
    unique = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{VIDEOS}/{stem}-{unique}.mp4", f"{AUDIOS}/{stem}-{unique}.wav"


def prepare_to_files(source: SourceFile, out: Path, settings: Settings) -> ClipRecord:
    """Prepare a clip and write its files; a file that no clip can be made from gets a record with the reason.

    Raises:
        ModalityInterferenceError: the output folder cannot be written.
    """
    video, audio = file_names(source.name)
    common: dict[str, Any] = dict(source=source.name, fingerprint=fingerprint(source.path, settings))
    try:
        prepared = prepare(source.path, settings)
    except Unusable as problem:
        for name in (video, audio):  # of an earlier run, when the source was another
            (out / name).unlink(missing_ok=True)

        return ClipRecord(**common, status="skipped", reason=str(problem))

    write_bytes(out / video, prepared.video)
    write_bytes(out / audio, prepared.audio)
    seconds = prepared.frames / settings.fps
    return ClipRecord(**common, status="ok", video=video, audio=audio, seconds=seconds, frames=prepared.frames)


def prepare(path: Path, settings: Settings) -> Prepared:
    """Prepare a clip: the time in which it has both video and audio, from its beginning.

    The file is opened twice, as its video and its audio are not decoded at the same pace.

    Raises:
        Unusable: no clip can be made from it: `unreadable`, `no video`, `no audio`, `too large`, `zero frames`,
            `too short` or `silent`.
    """
    with _opened(path) as container:
        video_track = _track(container, "video")
        _track(container, "audio")
        frames = _frames(container, video_track)
        first = next(frames)
        audio = _read_audio(path, first.start, settings.seconds)
        start = max(first.start, audio.start)
        samples = _heard(audio, start, settings)
        seen = steady(chain([first], frames), start, _length(samples, settings), settings.fps)
        squares = (
            av.VideoFrame.from_ndarray(pixels, format="rgb24")
            for frame, times in seen
            for pixels in repeat(square(frame, settings.size), times)
        )
        kept = samples if settings.keep_audio else None
        video, count = encode_video(squares, settings.size, settings.fps, kept)

    _check_length(count, settings)
    length = samples_in(count, settings.fps)
    samples = np.pad(samples[:length], (0, max(0, length - len(samples))))  # the last frame may end a little later
    return Prepared(video, encode_audio(samples), count)


def _opened(path: Path) -> InputContainer:
    with _readable(path):
        return open_container(path, VIDEO_FORMATS)


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Turn what PyAV raises over a file into `unreadable`."""
    try:
        yield
    except Unusable:
        raise
    except DECODER_ERRORS as error:
        # PyAV's message without its number and the file's path
        words = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
        raise Unusable("unreadable", words, path) from error


def _track(container: InputContainer, kind: Literal["video", "audio"]) -> Any:
    with _readable(container.name):
        track = main_track(container, kind)

    if track is None:
        names: tuple[Literal["video", "audio"], ...] = ("video", "audio")
        has = ", ".join(name for name in names if tracks(container, name)) or "neither video nor audio"
        raise Unusable(f"no {kind}", f"the file has no {kind} track (it has: {has})", container.name)

    return track


def _frames(container: InputContainer, track: Any) -> Iterator[Frame]:
    """The frames of a file that shall have no damaged one."""
    end = None
    with _readable(container.name):
        for frame in decode_video(container, track):
            if frame.damaged:
                when = "the first one" if end is None else f"at {end:.2f} s"
                raise Unusable("unreadable", f"a frame is damaged ({when})", container.name)

            end = frame.end
            yield frame

    if end is None:
        raise Unusable("zero frames", "the video track holds none", container.name)


def _read_audio(path: Path, from_time: float, seconds: float) -> AudioTrack:
    """The audio track, as far as it is needed: some seconds from where both video and audio have begun."""
    with _opened(path) as container:
        track = _track(container, "audio")
        with _readable(path):
            audio = decode_audio(container, track, "s16", SAMPLE_RATE, from_time, seconds)

    if not audio.samples.size:
        raise Unusable("no audio", "the audio track holds no samples", path)

    return audio


def _heard(audio: AudioTrack, start: float, settings: Settings) -> np.ndarray:
    """The clip's samples, once they are known to be enough and audible."""
    samples = audio.samples[0, round((start - audio.start) * SAMPLE_RATE) :]
    samples = samples[: round(settings.seconds * SAMPLE_RATE)]
    _check_length(_length(samples, settings), settings)
    level = loudest_level(samples)
    if level < settings.silent_below:
        raise Unusable("silent", f"RMS {level:.1f} dB where it is loudest, below {settings.silent_below:g} dB")

    return samples


def _length(samples: np.ndarray, settings: Settings) -> int:
    """In frames."""
    return frames_in(len(samples) / SAMPLE_RATE, settings.fps)


def _check_length(frames: int, settings: Settings) -> None:
    seconds = frames / settings.fps
    if frames < 1 or seconds < settings.min_seconds:
        raise Unusable("too short", f"{seconds:g} s of video with audio, less than {settings.min_seconds:g} s")


_WINDOW = SAMPLE_RATE // 8


def loudest_level(samples: np.ndarray) -> float:
    """The level of the loudest eighth of a second: a sound that is short, or rare, is heard all the same.

    It is as long as the time weighting "fast" of sound level meters (125 ms, IEC 61672-1).

    Args:
        samples: 16-bit mono, at `SAMPLE_RATE`.

    Returns:
        The RMS in dB of full scale: that of a full-scale sine is -3.0.
    """
    length = min(_WINDOW, len(samples))
    if not length:
        return -math.inf

    energy = np.concatenate([[0], np.cumsum(np.square(samples.astype(np.int64)))])  # exact
    loudest = int((energy[length:] - energy[:-length]).max())
    return 10 * math.log10(loudest / length / _FULL_SCALE**2) if loudest else -math.inf
