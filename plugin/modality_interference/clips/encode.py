"""From decoded frames and samples to a prepared MP4 and WAV, in memory: no half-written file comes to the disk."""

import math
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange

from ..media.video import Frame, rgb_conversion


SAMPLE_RATE = 16_000  # what the audio encoders of omni models (Whisper's) take
_EARLY = 1e-3  # seconds: containers round the time of a frame to a millisecond


def steady(frames: Iterable[Frame], start: float, most: int, fps: int) -> Iterator[tuple[Frame, int]]:
    """Sample frames at a constant rate: output frame k is what is seen at `start + k / fps`.

    Args:
        frames: in the order of their times.
        start: time of output frame 0.
        most: stop after so many output frames.
        fps: output frames per second.

    Yields:
        Frames that are seen, and for how many output frames each. The last one counts until its end, to half a frame.
    """
    count, seen = 0, None
    for frame in frames:
        if seen is not None:
            due = min(most, math.ceil((frame.start - _EARLY - start) * fps))
            if due > count:
                yield seen, due - count
                count = due

        if count >= most:
            return

        seen = frame

    if seen is not None and (due := min(most, frames_in(seen.end - start, fps))) > count:
        yield seen, due - count


def frames_in(seconds: float, fps: int) -> int:
    """How many frames a time is long, to the nearest."""
    return math.floor(seconds * fps + 0.5)


def samples_in(frames: int, fps: int) -> int:
    """How many samples are as long as so many frames."""
    return round(frames * SAMPLE_RATE / fps)


def square(frame: Frame, size: int) -> np.ndarray:
    """The central square of a frame, upright and with square pixels.

    Args:
        frame: as decoded.
        size: side of the square.

    Returns:
        size x size x RGB.
    """
    image = frame.image
    pixels: Any = image.to_ndarray(format="rgb24", **rgb_conversion(image))
    side = min(image.width * frame.pixel_shape, image.height)
    width, height = max(1, round(side / frame.pixel_shape)), max(1, round(side))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    box: Any = np.ascontiguousarray(pixels[top : top + height, left : left + width])
    scaled = av.VideoFrame.from_ndarray(box, format="rgb24").reformat(size, size, interpolation="BICUBIC")
    return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), round(image.rotation / 90)))


# No MB-tree: with it, x264 encodes small images differently now and then (measured: one clip in three of 96 x 96 with
# B-frames, one in twenty without), and a clip must come out the same.
_QUALITY = {"libx264": {"crf": "18", "preset": "medium", "mbtree": "0"}, "mpeg4": {}}
_MPEG4_BITS = 4_000_000  # per second; mpeg4 has no constant quality here
_BT601 = 6  # of `AVColorSpace`
_CHUNK = 1024  # samples in a frame of AAC


def encode_video(
    frames: Iterable[av.VideoFrame], size: int | tuple[int, int], fps: int, samples: np.ndarray | None = None
) -> tuple[bytes, int]:
    """Encode an MP4 of a constant frame rate.

    Args:
        frames: in order, all of one size.
        size: (width, height) in pixels, both even, or the side of squares.
        fps: frames per second.
        samples: of the MP4's audio track, cut to the length of the video; None for an MP4 without audio.

    Returns:
        The file, and how many frames it has.
    """
    file, count = BytesIO(), 0
    with av.open(file, "w", format="mp4") as container:
        track = _add_video(container, size, fps)
        audio_track = None if samples is None else container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for frame in frames:
            frame.pts, frame.time_base = count, Fraction(1, fps)
            container.mux(track.encode(frame))
            count += 1

        if count:  # an encoder without a frame was never opened
            container.mux(track.encode(None))

        if audio_track is not None and samples is not None:
            for part in _audio_frames(samples[: samples_in(count, fps)]):
                container.mux(audio_track.encode(part))

            container.mux(audio_track.encode(None))

    return file.getvalue(), count


def encode_audio(samples: np.ndarray, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file, 16-bit mono.

    Args:
        samples: (samples,) from -32768 to 32767.
        rate: samples per second.
    """
    file = BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(samples.astype("<i2").tobytes())

    return file.getvalue()


@cache
def video_codec() -> str:
    """H.264; where PyAV was built without it, MPEG-4 part 2, which every decoder of clips reads, too."""
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _add_video(container: OutputContainer, size: int | tuple[int, int], fps: int) -> Any:
    codec = video_codec()
    track: Any = container.add_stream(codec, rate=fps, options=_QUALITY[codec])
    track.width, track.height = (size, size) if isinstance(size, int) else size
    track.pix_fmt = "yuv420p"
    track.codec_context.colorspace = _BT601  # as PyAV converts RGB; where the file does not say so, players guess
    track.codec_context.color_range = ColorRange.MPEG
    track.codec_context.thread_count = 1  # there are as many processes as cores
    if codec == "mpeg4":
        track.bit_rate = _MPEG4_BITS

    return track


def _audio_frames(samples: np.ndarray) -> Iterator[av.AudioFrame]:
    for first in range(0, len(samples), _CHUNK):
        frame = av.AudioFrame.from_ndarray(samples[None, first : first + _CHUNK], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
        yield frame
