"""Decode the video track of a file with PyAV: frame by frame, or the frames that are shown at some times."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import av
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from .container import check_file, explained, frame_time, main_track, open_medium, unusable
from .image import read_image


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    Attributes:
        start: when it is shown, in seconds on the file's clock.
        end: until when, if it is the last one.
        image: as decoded.
        pixel_shape: width of a stored pixel in units of its height; not 1 in anamorphic video.
        damaged: whether the decoder had to guess a part of it.
    """

    start: float
    end: float
    image: av.VideoFrame
    pixel_shape: float
    damaged: bool


@contextmanager
def opened_video(source: str) -> Iterator[tuple[InputContainer, Any]]:
    """A row's file and its main video track; what goes wrong while they are used is `Unusable`, too.

    Raises:
        Unusable: the file is missing, empty, without video, or cannot be decoded.
    """
    check_file(source, "video")
    with explained(source, "broken video"), open_medium(source) as container:
        track = main_track(container, "video")
        if track is None:
            raise unusable("file without video", source, "it has no video track")

        yield container, track


def try_video(source: Any) -> bool:
    """Read a row's video to its end, and keep nothing.

    Args:
        source: a path, or a list of images.

    Returns:
        Whether it moves: two of its frames differ.

    Raises:
        Unusable: see `opened_video` and `read_image`; or it holds no frames.
    """
    check_file(source, "video")
    if not isinstance(source, str):
        return _looked_through(partial(_bytes_of_image, read_image(frame)) for frame in source)[1]

    with opened_video(source) as (container, track):
        count, moves = _looked_through(partial(_bytes_of_frame, frame) for frame in decode_video(container, track))
        if not count:
            raise unusable("video without frames", source, "not one frame can be decoded")

    return moves


def _looked_through(frames: Iterable[Callable[[], bytes]]) -> tuple[int, bool]:
    """How many frames there are, and whether one differs from the first; pixels are asked for until one does."""
    count, first, moves = 0, b"", False
    for count, pixels in enumerate(frames, 1):
        if count == 1:
            first = pixels()
        elif not moves:
            moves = pixels() != first

    return count, moves


def _bytes_of_image(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


def _bytes_of_frame(frame: Frame) -> bytes:
    return frame.image.to_ndarray(format="rgb24").tobytes()


def decode_video(container: InputContainer, track: Any) -> Iterator[Frame]:
    """Decode a track from where the container is.

    Args:
        container: an open file.
        track: from `main_track`.

    Raises:
        av.FFmpegError: the track cannot be decoded; and others of `DECODER_ERRORS`.
    """
    pixel_shape = float(track.sample_aspect_ratio or 1)
    usual = 1 / float(track.average_rate or track.guessed_rate or 1)
    end = 0.0
    for image in container.decode(track):
        start = frame_time(image, otherwise=end)
        base = image.time_base or track.time_base
        end = start + (float(image.duration * base) if image.duration and base else usual)
        yield Frame(start, end, image, pixel_shape, image.is_corrupt)


# those of `AVColorSpace` that differ from BT.601's, in which PyAV converts whatever the file says
_MATRICES = {"BT.709": 1, "FCC": 4, "SMPTE 240M": 7, "BT.2020": 9, "BT.2020, constant luminance": 10}


def rgb_conversion(image: av.VideoFrame) -> dict[str, Any]:
    """How a frame has to be converted to RGB, as keywords of `to_image` and `to_ndarray`.

    A frame whose file names a matrix is converted by it. Others are taken for BT.601 whatever their size, as FFmpeg and PyAV do.
    PyAV 16 alone takes all for BT.601: it leaves libswscale's matrix alone where source and destination are of one colour space,
    and colours of BT.709 are wrong by up to 30 of 255 then.
    """
    if image.format.is_rgb or image.colorspace not in _MATRICES.values():
        return {}

    return dict(
        src_colorspace=image.colorspace,
        dst_colorspace=Colorspace.ITU601,  # RGB has none; another one than the source's
        src_color_range=image.color_range,
        dst_color_range=ColorRange.JPEG,
    )


def time_span(container: InputContainer, track: Any) -> tuple[float, float]:
    """When a track begins and how long it is, in seconds; length 0 where the file does not say."""
    start = float((track.start_time or 0) * track.time_base)
    if track.duration:
        return start, float(track.duration * track.time_base)

    return start, (container.duration or 0) / av.time_base


def frames_at(container: InputContainer, track: Any, times: Iterable[float]) -> list[Frame]:
    """The frames that are shown at some times; each frame once.

    Args:
        container: an open file.
        track: from `main_track`.
        times: in seconds on the file's clock.

    Returns:
        The frames; fewer than `times` where a frame is shown at several of them, none where the track holds none.
    """
    found = {}
    for time in times:
        if (frame := _frame_at(container, track, time)) is not None:
            found[frame.image.pts] = frame

    return list(found.values())


def _frame_at(container: InputContainer, track: Any, time: float) -> Frame | None:
    for origin in (time, 0.0):  # from the keyframe before; where a file has no index of them, from its beginning
        container.seek(int(origin / track.time_base), stream=track)
        shown = None
        for frame in decode_video(container, track):
            if shown is not None and frame.start > time:
                break

            shown = frame

        if shown is not None and (shown.start <= time or not origin):
            return shown

    return None
