"""Film strips: a few frames of a video, side by side in one small picture."""

from collections.abc import Sequence
from typing import Any

import av
from PIL import Image

from .media import load_image
from .media_files import BadClip, opened
from .thumbnails import SMALL, picture_uri


FRAMES = 4
GAP = 2  # pixels between frames
GAP_COLOUR = (128, 128, 128)  # seen on a light page, on a dark one and between black frames
FRAME_SIZE = (96, 96)  # pixels; larger frames are made smaller


def film_strip(source: Any, black: bool) -> tuple[str, str]:
    """Draw the strip of a video.

    Args:
        source: a path, or a list of pictures.
        black: whether its frames are black ones of its size.

    Returns:
        The strip as a `data:` URI, and the video's length and size in words.

    Raises:
        BadClip: it holds no frames.
        Exception: whatever PyAV and PIL stumble over.
    """
    frames, length = _pictures(source) if isinstance(source, (list, tuple)) else _decoded(source)
    width, height = frames[0].size
    if black:
        frames = [Image.new("RGB", frame.size) for frame in frames]

    strip = picture_uri(_side_by_side(frames), exact=max(width, height) <= SMALL)
    return strip, f"{length}, {width} × {height}"


def _pictures(source: Sequence[Any]) -> tuple[list[Image.Image], str]:
    """Frames from the middles of as many equal parts of a list of pictures."""
    count = len(source)
    places = dict.fromkeys((2 * part + 1) * count // (2 * FRAMES) for part in range(FRAMES))
    return [load_image(f"row:{place}", source, ()) for place in places], f"{count} frames"


def _decoded(path: str) -> tuple[list[Image.Image], str]:
    """What is shown in the middles of as many equal parts of a video file; each frame once."""
    with opened(path) as container:
        if not container.streams.video:
            raise BadClip("file without picture", "it has no video track", path)

        track = container.streams.video[0]
        start, seconds = _span(container, track)
        times = (start + seconds * (part + 0.5) / FRAMES for part in range(FRAMES))
        frames = (_frame_at(container, track, time) for time in times)
        found = {frame.pts: frame.to_image() for frame in frames}

    return list(found.values()), f"{seconds:.1f} s" if seconds else "unknown length"


def _span(container: Any, track: Any) -> tuple[float, float]:
    """When a track begins and how long it is, in seconds; 0 where the file does not say."""
    start = float((track.start_time or 0) * track.time_base)
    if track.duration:
        return start, float(track.duration * track.time_base)

    return start, (container.duration or 0) / av.time_base


def _frame_at(container: Any, track: Any, time: float) -> Any:
    """The frame that is shown at a time."""
    for origin in (time, 0.0):  # from the keyframe before; where a file has no index of them, from its beginning
        container.seek(int(origin / track.time_base), stream=track)
        shown = None
        for frame in container.decode(track):
            if shown is not None and frame.time is not None and frame.time > time:
                break

            shown = frame

        if shown is not None and (shown.time is None or shown.time <= time or not origin):
            return shown

    raise BadClip("video without frames", "not one frame can be decoded", container.name)


def _side_by_side(frames: Sequence[Image.Image]) -> Image.Image:
    small = [frame.copy() for frame in frames]
    for frame in small:
        frame.thumbnail(FRAME_SIZE)

    width = sum(frame.width + GAP for frame in small) - GAP
    strip = Image.new("RGB", (width, max(frame.height for frame in small)), GAP_COLOUR)
    left = 0
    for frame in small:
        strip.paste(frame, (left, 0))
        left += frame.width + GAP

    return strip
