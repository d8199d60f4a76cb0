"""Make the MP4 and the WAV of a clip, in memory: they are small, and so nothing half-written comes to the disk."""

import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from .sources import SAMPLE_RATE, Settings


# No MB-tree: with it, x264 encodes small pictures differently now and then (measured: one clip in three of 96 x 96 with
# B-frames, one in twenty without), and a clip must come out the same.
_QUALITY = {"libx264": {"crf": "18", "preset": "medium", "mbtree": "0"}, "mpeg4": {}}
_MPEG4_BITS = 4_000_000  # per second; mpeg4 knows no constant quality here
_CHUNK = 1024  # samples in a frame of AAC


def encode_video(frames: Iterable[av.VideoFrame], sound: np.ndarray, settings: Settings) -> tuple[bytes, int]:
    """Encode an MP4 of a constant frame rate.

    Args:
        frames: the squares, in order.
        sound: its samples, of which as much is used as there is picture (with `keep_sound` only).
        settings: size, rate and whether there shall be a sound track.

    Returns:
        The file, and how many frames it has.
    """
    file, count = BytesIO(), 0
    with av.open(file, "w", format="mp4") as container:
        track = _add_video(container, settings)
        sound_track = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if settings.keep_sound else None
        for frame in frames:
            frame.pts, frame.time_base = count, Fraction(1, settings.fps)
            container.mux(track.encode(frame))
            count += 1

        if count:  # an encoder without a frame was never opened
            container.mux(track.encode(None))

        if sound_track is not None:
            for part in _sound_frames(sound[: samples_of(count, settings)]):
                container.mux(sound_track.encode(part))

            container.mux(sound_track.encode(None))

    return file.getvalue(), count


def encode_sound(samples: np.ndarray) -> bytes:
    """A WAV file, 16-bit mono."""
    file = BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE)
        wav.writeframes(samples.astype("<i2").tobytes())

    return file.getvalue()


def samples_of(frames: int, settings: Settings) -> int:
    """How many samples are as long as so many frames."""
    return round(frames * SAMPLE_RATE / settings.fps)


@cache
def video_codec() -> str:
    """H.264; where PyAV was built without it, MPEG-4 part 2, which every decoder of clips knows, too."""
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _add_video(container: OutputContainer, settings: Settings) -> Any:
    codec = video_codec()
    track: Any = container.add_stream(codec, rate=settings.fps, options=_QUALITY[codec])
    track.width = track.height = settings.size
    track.pix_fmt = "yuv420p"
    track.codec_context.thread_count = 1  # there are as many processes as cores
    if codec == "mpeg4":
        track.bit_rate = _MPEG4_BITS

    return track


def _sound_frames(samples: np.ndarray) -> Iterator[av.AudioFrame]:
    for first in range(0, len(samples), _CHUNK):
        frame = av.AudioFrame.from_ndarray(samples[None, first : first + _CHUNK], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
        yield frame
