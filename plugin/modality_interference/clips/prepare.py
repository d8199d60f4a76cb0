"""Make the prepared files of one clip."""

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..files import write_bytes
from .encode import encode_sound, encode_video, samples_of
from .manifest import ClipRecord
from .reading import BadClip, Picture, Sound, check_tracks, pictures, read_sound
from .sources import SAMPLE_RATE, Settings, Source


VIDEOS, SOUNDS = "videos", "sounds"  # sub-folders for the prepared files
_MAX_NAME = 40  # characters of the source's name that a prepared file's name keeps
_LOUDEST = 32768.0


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

    The names are plain ASCII, readable, and differ wherever the sources do, so that no program stumbles over them.

    Args:
        source: its path in the input folder, with slashes.
    """
    plain = unicodedata.normalize("NFKD", Path(source).stem).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:_MAX_NAME] or "clip"
    unique = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{VIDEOS}/{stem}-{unique}.mp4", f"{SOUNDS}/{stem}-{unique}.wav"


def prepare_to_files(source: Source, out: Path, settings: Settings) -> ClipRecord:
    """Prepare a clip and write its files; a file that no clip can be made of gets a record with the reason.

    Raises:
        ModalityInterferenceError: the output folder cannot be written.
    """
    video, audio = file_names(source.name)
    common: dict[str, Any] = dict(source=source.name, fingerprint=source.fingerprint(settings))
    try:
        prepared = prepare(source.path, settings)
    except BadClip as problem:
        for name in (video, audio):  # of an earlier run, when the source was another
            (out / name).unlink(missing_ok=True)

        return ClipRecord(**common, status="skipped", reason=str(problem))

    write_bytes(out / video, prepared.video)
    write_bytes(out / audio, prepared.audio)
    seconds = prepared.frames / settings.fps
    return ClipRecord(**common, status="ok", video=video, audio=audio, seconds=seconds, frames=prepared.frames)


def prepare(path: Path, settings: Settings) -> Prepared:
    """Prepare a clip: the time in which it has both picture and sound, from its beginning.

    Raises:
        BadClip: no clip can be made of it.
    """
    check_tracks(path)
    first = next(pictures(path))
    sound = read_sound(path, first.start, settings.seconds)
    start = max(first.start, sound.start)
    samples = _heard(sound, start, settings)
    seen = _squares(path, start, _frames(samples, settings), settings)
    video, frames = encode_video(seen, samples, settings)
    _check_length(frames, settings)
    samples = _of_length(samples, samples_of(frames, settings))
    return Prepared(video, encode_sound(samples), frames)


def _heard(sound: Sound, start: float, settings: Settings) -> np.ndarray:
    """The clip's samples, once they are known to be enough and audible."""
    samples = sound.samples[round((start - sound.start) * SAMPLE_RATE) :]
    samples = samples[: round(settings.seconds * SAMPLE_RATE)]
    _check_length(_frames(samples, settings), settings)
    level = _level(samples)
    if level < settings.silent_below:
        raise BadClip("silent", f"RMS {level:.1f} dB, below {settings.silent_below:g} dB")

    return samples


def _squares(path: Path, start: float, most: int, settings: Settings) -> Iterator[av.VideoFrame]:
    """The clip's frames, ready to be encoded."""
    for picture, times in steady(pictures(path), start, most, settings.fps):
        pixels = square(picture, settings.size)
        yield from (av.VideoFrame.from_ndarray(one, format="rgb24") for one in repeat(pixels, times))


def _frames(samples: np.ndarray, settings: Settings) -> int:
    return frames_in(len(samples) / SAMPLE_RATE, settings.fps)


def _check_length(frames: int, settings: Settings) -> None:
    seconds = frames / settings.fps
    if frames < 1 or seconds < settings.min_seconds:
        raise BadClip("too short", f"{seconds:g} s of picture with sound, less than {settings.min_seconds:g} s")


def _of_length(samples: np.ndarray, length: int) -> np.ndarray:
    """The samples, cut, or filled up with silence where the last frame outlasts them by a fraction."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _level(samples: np.ndarray) -> float:
    """RMS in dB of full scale."""
    rms = math.sqrt(np.mean(np.square(samples / _LOUDEST))) if len(samples) else 0.0
    return 20 * math.log10(rms) if rms else -math.inf


_EARLY = 1e-3  # seconds: containers round the time of a frame to a millisecond


def steady(pictures: Iterable[Picture], start: float, most: int, fps: int) -> Iterator[tuple[Picture, int]]:
    """Sample frames at a constant rate: output frame k is what is seen at `start + k / fps`.

    Args:
        pictures: in the order of their times.
        start: time of output frame 0.
        most: stop after so many output frames.
        fps: output frames per second.

    Yields:
        Frames that are seen, and for how many output frames each. The last one counts until its end, to half a frame.
    """
    count, seen = 0, None
    for picture in pictures:
        if seen is not None:
            due = min(most, math.ceil((picture.start - _EARLY - start) * fps))
            if due > count:
                yield seen, due - count
                count = due

        if count >= most:
            return

        seen = picture

    if seen is not None and (due := min(most, frames_in(seen.end - start, fps))) > count:
        yield seen, due - count


def frames_in(seconds: float, fps: int) -> int:
    """How many frames a time is long, to the nearest."""
    return math.floor(seconds * fps + 0.5)


def square(picture: Picture, size: int) -> np.ndarray:
    """The central square of a frame, upright and with square pixels.

    Args:
        picture: as decoded.
        size: side of the square.

    Returns:
        size x size x RGB.
    """
    frame = picture.frame
    pixels: Any = frame.to_ndarray(format="rgb24")
    side = min(frame.width * picture.pixel_shape, frame.height)
    width, height = max(1, round(side / picture.pixel_shape)), max(1, round(side))
    left, top = (frame.width - width) // 2, (frame.height - height) // 2
    box: Any = np.ascontiguousarray(pixels[top : top + height, left : left + width])
    scaled = av.VideoFrame.from_ndarray(box, format="rgb24").reformat(size, size, interpolation="BICUBIC")
    return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), round(frame.rotation / 90)))
