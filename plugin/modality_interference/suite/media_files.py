"""The media of a suite as files: what a model is to see and hear, without what files say beside it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..clips.encode import encode_audio, encode_video, frames_in, steady
from ..errors import Unusable
from ..media.audio import AudioTrack, read_audio
from ..media.edits import edited_frames, edited_samples
from ..media.image import image_file
from ..media.reference import UnreadMedium, find_medium
from ..media.video import Frame, decode_video, opened_video, rgb_conversion, time_span
from ..modality import Modality


MAX_VIDEO_BYTES = 1_000_000_000
_MAX_FPS = 30
_LOUDEST = 32767


@dataclass(frozen=True)
class MediaFile:
    """A medium.

    Attributes:
        data: the file.
        suffix: of its name, such as `.png`.
    """

    data: bytes
    suffix: str

    @cached_property
    def digest(self) -> str:
        """Of its bytes."""
        return blake2b(self.data, digest_size=16).hexdigest()

    @property
    def name(self) -> str:
        """A name by which equal files are the same."""
        return f"{self.digest}{self.suffix}"


def media_file(modality: Modality, reference: str, own: Sequence[Any], extra: Sequence[Any]) -> MediaFile:
    """The medium behind a reference.

    An image is a JPEG as it is stored, where that holds no metadata, or a PNG. An audio is a WAV file, 16-bit mono at its own
    rate. A video is the file as it is stored; black frames, edited ones, and another clip's frames cut or padded to the length of
    the row's own, are an MP4.

    Args:
        modality: image, video or audio.
        reference: see `media/reference.py`.
        own: the row's own media of the modality.
        extra: those borrowed from other rows.

    Raises:
        Unusable: the medium cannot be read.
        ModalityInterferenceError: the reference is malformed or names no medium of this row.
    """
    if modality is Modality.IMAGE:
        data = image_file(reference, own, extra)
        return MediaFile(data, ".jpg" if data.startswith(b"\xff\xd8") else ".png")

    medium = find_medium(reference, own, extra)
    if modality is Modality.AUDIO:
        return MediaFile(_audio(medium), ".wav")

    return _video(medium)


def _audio(medium: UnreadMedium) -> bytes:
    track = read_audio(medium.source)
    samples = track.samples.mean(axis=0)
    if medium.like is not None:
        length = round(_seconds(read_audio(medium.like)) * track.rate)
        samples = np.pad(samples[:length], (0, max(0, length - len(samples))))

    if medium.removed:
        samples = np.zeros_like(samples)
    elif medium.edit is not None:
        samples = edited_samples(samples, track.rate, medium.edit)

    return encode_audio(np.clip(np.rint(samples * (_LOUDEST + 1)), -_LOUDEST - 1, _LOUDEST), track.rate)


def _seconds(track: AudioTrack) -> float:
    return track.samples.shape[-1] / track.rate


def _video(medium: UnreadMedium) -> MediaFile:
    for source in filter(None, (medium.source, medium.like)):
        if not isinstance(source, str):
            detail = "a suite holds files; make a video of the frames"
            raise Unusable("video as a list of frames", detail, source)

    if medium == UnreadMedium(medium.source):
        if os.path.getsize(medium.source) > MAX_VIDEO_BYTES:
            raise Unusable("huge video", f"more than {MAX_VIDEO_BYTES:,} bytes; cut it", medium.source)

        return MediaFile(Path(medium.source).read_bytes(), Path(medium.source).suffix.lower())

    return MediaFile(_rendered(medium), ".mp4")


def _rendered(medium: UnreadMedium) -> bytes:
    """The video at a constant frame rate, its frames black where it is removed, as long as `like` where that is given, and edited."""
    length = None if medium.like is None else _length(medium.like)
    with opened_video(medium.source) as (container, track):
        fps = max(1, min(_MAX_FPS, round(float(track.average_rate or track.guessed_rate or 1))))
        start, seconds = time_span(container, track)
        count = frames_in(seconds if length is None else length, fps)
        frames = decode_video(container, track)
        shown = _even(frames, start, max(1, count), fps, medium.removed)
        if medium.edit is not None:
            shown = iter(edited_frames(shown, lambda frame: frame.to_ndarray().tobytes(), medium.edit))

        first = next(shown, None)
        if first is None:
            raise Unusable("video without frames", "not one frame can be decoded", medium.source)

        return encode_video(_chained(first, shown), (first.width, first.height), fps)[0]


def _length(source: str) -> float:
    """Seconds of a video."""
    with opened_video(source) as (container, track):
        return time_span(container, track)[1]


def _chained(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest


def _even(frames: Iterator[Frame], start: float, count: int, fps: int, removed: bool) -> Iterator[av.VideoFrame]:
    """So many frames, the last one again where there are fewer; sides are even, as the codec wants them."""
    done = 0
    shown: Any = None
    for frame, repeated in steady(frames, start, count, fps):
        pixels: Any = frame.image.to_ndarray(format="rgb24", **rgb_conversion(frame.image))
        height, width = (max(2, side - side % 2) for side in pixels.shape[:2])
        shown = np.zeros((height, width, 3), np.uint8) if removed else np.ascontiguousarray(pixels[:height, :width])
        for _ in range(repeated):
            yield av.VideoFrame.from_ndarray(shown, format="rgb24")

        done += repeated

    for _ in range(count - done if done else 0):
        yield av.VideoFrame.from_ndarray(shown, format="rgb24")
