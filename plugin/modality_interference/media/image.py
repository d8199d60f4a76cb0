"""Media references, and the images behind them.

A row names its media by strings, so that a twin is small and cacheable:

- `row:0`: the row's own image 0;
- `extra:0`: image 0 of `_twin_images`, borrowed from another row;
- `file:/absolute/path`: an image from a pool;
- `canvas:<black|white|noise>:<seed>:<width>x<height>`, or `canvas:<kind>:<seed>:row:0` for the size of that image.
"""

import os
import random
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from io import BytesIO
from typing import Any, TypeVar

from PIL import Image, UnidentifiedImageError

from ..errors import ModalityInterferenceError


# The formats that PIL reads by itself. Others stay closed: its EPS reader, for one, starts Ghostscript.
PICTURE_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MAX_CANVAS_SIDE = 8192  # pixels
REMOVED = "removed:"
Result = TypeVar("Result")
_CANVAS_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


class BadPicture(ModalityInterferenceError):
    """A picture that cannot be used.

    Attributes:
        kind: `missing`, `empty`, `huge` or `broken picture`, or `not a picture`: by which dropped rows are counted.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class CanvasKind(StrEnum):
    """What a canvas is painted with."""

    BLACK = "black"
    WHITE = "white"
    NOISE = "noise"


def row_reference(index: int) -> str:
    """Reference to the row's own medium `index`."""
    return f"row:{index}"


def extra_reference(index: int) -> str:
    """Reference to picture `index` of `_twin_images`."""
    return f"extra:{index}"


def file_reference(path: str) -> str:
    """Reference to a picture file by its absolute path."""
    return f"file:{path}"


def removed_reference(reference: str) -> str:
    """Reference to what is left of a video or sound when it is removed; see `twins/clip_media.py`."""
    return reference if reference.startswith(REMOVED) else f"{REMOVED}{reference}"


def canvas_reference(kind: CanvasKind, seed: int, size: tuple[int, int] | str) -> str:
    """Reference to a canvas.

    Args:
        kind: what it is painted with.
        seed: of the noise; any integer that is not negative.
        size: (width, height) in pixels, or the reference of the picture whose size it takes.
    """
    return f"canvas:{kind}:{seed}:{size if isinstance(size, str) else f'{size[0]}x{size[1]}'}"


def canvas(kind: CanvasKind, seed: int, size: tuple[int, int]) -> Image.Image:
    """Paint a canvas; the same arguments give the same bytes on every machine.

    Args:
        kind: black, white, or noise (every channel of every pixel uniform on 0..255).
        seed: of the noise.
        size: (width, height) in pixels, at least 1 x 1.

    Returns:
        An RGB picture.
    """
    if kind is not CanvasKind.NOISE:
        return Image.new("RGB", size, "black" if kind is CanvasKind.BLACK else "white")

    # Python's Mersenne Twister promises its stream for ever; numpy's Generator does not (NEP 19).
    return Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))


def load_image(reference: str, images: Sequence[Any], extra_images: Sequence[Any]) -> Image.Image:
    """Load the picture behind a reference, decoded to the end.

    Args:
        reference: see the module's docstring.
        images: the row's `_images`: paths, `{"bytes", "path"}` dicts, bytes or PIL pictures.
        extra_images: the row's `_twin_images`, likewise.

    Returns:
        An RGB picture.

    Raises:
        ModalityInterferenceError: the reference is malformed or names no picture of this row.
        BadPicture: the picture is missing, empty, truncated, too large (PIL's decompression bomb limit) or in a format
            that is not allowed.
    """
    kind, _, rest = reference.partition(":")
    if kind == "canvas":
        return _load_canvas(reference, images, extra_images)

    picture = _find_picture(reference, kind, rest, images, extra_images)
    return _read(picture, lambda image: image.convert("RGB"))  # decodes to the end


def _find_picture(reference: str, kind: str, rest: str, images: Sequence[Any], extra_images: Sequence[Any]) -> Any:
    if kind == "file" and os.path.isabs(rest):
        return rest

    pictures = {"row": images, "extra": extra_images}.get(kind)
    if pictures is None or not rest.isdecimal() or not rest.isascii():
        raise ModalityInterferenceError(
            f"media reference `{reference}` is malformed; allowed: `row:0`, `extra:0`, `file:/absolute/path`, "
            "`canvas:black:0:336x336`. If a cached dataset brought it, set `overwrite_cache: true`."
        )

    if int(rest) >= len(pictures):
        raise ModalityInterferenceError(
            f"media reference `{reference}` names a picture that the row does not have (it has {len(pictures)})."
        )

    return pictures[int(rest)]


def _load_canvas(reference: str, images: Sequence[Any], extra_images: Sequence[Any]) -> Image.Image:
    _, kind, seed, size = (*reference.split(":", 3), "", "", "")[:4]
    if kind not in list(CanvasKind) or not (seed.isascii() and seed.isdecimal()):
        raise ModalityInterferenceError(
            f"media reference `{reference}` is malformed; a canvas is `canvas:<kind>:<seed>:<width>x<height>` or "
            f"`canvas:<kind>:<seed>:row:0`, its kind one of {', '.join(CanvasKind)}."
        )

    if pixels := _CANVAS_SIZE.fullmatch(size):
        width, height = int(pixels[1]), int(pixels[2])
        if max(width, height) > MAX_CANVAS_SIDE:
            raise ModalityInterferenceError(
                f"media reference `{reference}`: a side may have {MAX_CANVAS_SIDE} pixels."
            )

        return canvas(CanvasKind(kind), int(seed), (width, height))

    source, _, index = size.partition(":")
    picture = _find_picture(size, source, index, images, extra_images)
    return canvas(CanvasKind(kind), int(seed), _read(picture, lambda image: image.size))


def _read(picture: Any, take: Callable[[Image.Image], Result]) -> Result:
    """Open a picture, take something from it, close it."""
    name = _picture_name(picture)
    stream = None if isinstance(picture, Image.Image) else _stream(picture, name)
    try:
        if stream is None:
            return take(_not_empty(picture))

        with Image.open(stream, formats=PICTURE_FORMATS) as image:
            return take(_not_empty(image))
    except Exception as error:  # on broken files PIL raises whatever its readers stumble over
        raise BadPicture(
            _kind(error),
            f"cannot read {name}: {type(error).__name__}: {error}. Allowed: complete {', '.join(PICTURE_FORMATS)} "
            "files. Replace the file, or remove its row from the dataset.",
        ) from error


def _kind(error: Exception) -> str:
    if isinstance(error, _EmptyPictureError):
        return "empty picture"

    if isinstance(error, Image.DecompressionBombError):
        return "huge picture"

    return "not a picture" if isinstance(error, UnidentifiedImageError) else "broken picture"


class _EmptyPictureError(ValueError):
    """A picture without pixels."""


def _not_empty(image: Image.Image) -> Image.Image:
    if min(image.size) < 1:
        raise _EmptyPictureError(f"it is {image.size[0]} x {image.size[1]} pixels")

    return image


def _stream(picture: Any, name: str) -> str | BytesIO:
    """What PIL opens: bytes where there are any (as `datasets` does), else the path."""
    data = picture.get("bytes") if isinstance(picture, dict) else picture
    path = picture.get("path") if isinstance(picture, dict) else picture
    if isinstance(data, bytes):
        if not data:
            raise _empty(name)

        return BytesIO(data)

    if not isinstance(path, str):
        raise BadPicture(
            "not a picture", f"{name} is no picture; allowed: a path, bytes, a dict of both, a PIL picture."
        )

    if not os.path.isfile(path):  # a pipe or a device would block for ever
        raise BadPicture(
            "missing picture",
            f"cannot read {name}: there is no such file. Paths are relative to `media_dir` (by default `dataset_dir`).",
        )

    if not os.path.getsize(path):
        raise _empty(name)

    return path


def _empty(name: str) -> BadPicture:
    return BadPicture("empty picture", f"cannot read {name}: it is empty. Remove its row from the dataset.")


def _picture_name(picture: Any) -> str:
    if isinstance(picture, str):
        return f"picture `{picture}`"

    if isinstance(picture, dict) and set(picture) >= {"path"} and isinstance(picture["path"], str):
        return f"picture `{picture['path']}`"

    data = picture.get("bytes") if isinstance(picture, dict) else picture
    if isinstance(data, bytes):
        return f"an embedded picture ({len(data)} bytes)"

    return f"a picture of type `{type(picture).__name__}`"
