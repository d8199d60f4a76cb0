"""From a file's frames, whatever their rate, size and orientation, to squares at a constant rate."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import av
import numpy as np

from .reading import Picture


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
