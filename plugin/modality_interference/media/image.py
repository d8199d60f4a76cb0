"""Load the image behind a reference: a stored one, a pool's file, a canvas, or one with words written on it."""

import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image, ImageFilter, UnidentifiedImageError

from ..errors import ModalityInterferenceError, Unusable
from .reference import (
    CanvasKind,
    CanvasReference,
    FileReference,
    HiddenReference,
    Hiding,
    StoredReference,
    WrittenReference,
    parse,
)
from .writing import write


# The formats that PIL reads by itself. Others stay closed: its EPS reader, for one, starts Ghostscript.
IMAGE_FORMATS = tuple("AVIF BMP DIB GIF ICNS ICO JPEG JPEG2000 PNG PPM TIFF WEBP".split())
Result = TypeVar("Result")


def load_image(reference: str, images: Sequence[Any], extra_images: Sequence[Any]) -> Image.Image:
    """Load the image behind a reference, decoded to the end.

    Args:
        reference: see `media/reference.py`.
        images: the row's `_images`: paths, `{"bytes", "path"}` dicts, bytes or PIL images.
        extra_images: the row's `_twin_images`, likewise.

    Returns:
        An image as `read_image` gives it; a canvas, an image with words on it and a hidden one are RGB.

    Raises:
        ModalityInterferenceError: the reference is malformed or names no image of this row.
        Unusable: `missing image`, `empty image`, `huge image` (PIL's decompression bomb limit), `broken image`
            (truncated, for example), or `not an image` (also of a format that is not allowed); `text that cannot be drawn`.
    """
    found = parse(reference)
    if isinstance(found, CanvasReference):
        size = found.size
        if not isinstance(size, tuple):
            size = _read(_find(size, images, extra_images), lambda image: image.size)

        return canvas(found.kind, found.seed, size)

    if isinstance(found, WrittenReference):
        if isinstance(found.on, tuple):
            return write(found.words, canvas(CanvasKind.WHITE, 0, found.on), found.seed)

        return write(found.words, read_image(_find(found.on, images, extra_images)).convert("RGB"), found.seed)

    if isinstance(found, HiddenReference):
        image = read_image(_find(found.image, images, extra_images)).convert("RGB")
        return hide(image, found.how, found.seed, found.percent / 100)

    return read_image(_find(found, images, extra_images))


# what JPEG files hold beside their pixels; EXIF and XMP may say where and by whom an image was taken
_METADATA = ("exif", "xmp", "comment", "photoshop")


def image_file(reference: str, images: Sequence[Any], extra_images: Sequence[Any]) -> bytes:
    """The image behind a reference as a file that others read as LLaMA-Factory reads the image itself.

    Args:
        reference: see `media/reference.py`.
        images: the row's `_images`.
        extra_images: the row's `_twin_images`.

    Returns:
        A stored JPEG as it is, where it holds no metadata; otherwise a PNG, RGB, turned as stored.

    Raises:
        ModalityInterferenceError: as `load_image`, with `Unusable`.
    """
    found = parse(reference)
    if isinstance(found, StoredReference | FileReference):
        stored = _find(found, images, extra_images)
        if not isinstance(stored, Image.Image) and _read(stored, _is_bare_jpeg):
            stream = _stream(stored, _name(stored))
            return stream.getvalue() if isinstance(stream, BytesIO) else Path(stream).read_bytes()

    image = load_image(reference, images, extra_images).convert("RGB")
    image.info = {}
    data = BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def _is_bare_jpeg(opened: Image.Image) -> bool:
    opened.load()  # a broken one is refused
    return opened.format == "JPEG" and not any(key in opened.info for key in _METADATA)


def read_image(image: Any) -> Image.Image:
    """Read an image, decoded to the end.

    Args:
        image: a path, a `{"bytes", "path"}` dict, bytes or a PIL image.

    Returns:
        An image as LLaMA-Factory opens it: in the mode that it is stored in (LLaMA-Factory makes it RGB once it is scaled),
            turned as stored (EXIF is not looked at), of several frames the first.

    Raises:
        Unusable: as `load_image`.
    """
    return _read(image, _as_stored)


def _as_stored(opened: Image.Image) -> Image.Image:
    _check_mode(opened.mode)
    return opened.copy()  # decodes it, too


@cache
def _check_mode(mode: str) -> None:
    """Raise ValueError where PIL makes no RGB of images of a mode, such as LAB."""
    Image.new(mode, (1, 1)).convert("RGB")


def stored_bytes(reference: str, images: Sequence[Any], extra_images: Sequence[Any]) -> bytes | None:
    """The file behind a reference, as it is stored; None where there is none, but something drawn, or decoded pixels.

    Arguments and errors as those of `load_image`.
    """
    found = parse(reference)
    if isinstance(found, CanvasReference | WrittenReference | HiddenReference):
        return None

    image = _find(found, images, extra_images)
    if isinstance(image, Image.Image):
        return None

    stream = _stream(image, _name(image))
    if isinstance(stream, BytesIO):
        return stream.getvalue()

    try:
        with open(stream, "rb") as file:
            return file.read()
    except OSError as error:
        raise Unusable("broken image", f"cannot read {_name(image)}: {error.strerror}", image) from error


_WIDE = ("I", "F")  # what the names of modes with more than 8 bits a channel begin with
_ORIENTATION = 0x0112  # of EXIF; 1 is upright


def image_remark(image: Image.Image) -> tuple[str, str] | None:
    """What a user should know of how LLaMA-Factory reads an image that is good all the same.

    Args:
        image: from `read_image`.

    Returns:
        A kind, by which remarks are counted, and what it means; None as a rule.
    """
    if image.mode.startswith(_WIDE):
        bits = f"its channel has more than 8 bits (PIL's mode `{image.mode}`)"
        return "image of more than 8 bits", f"{bits}; values above 255 become white: save it with 8 bits a channel"

    try:
        orientation = image.getexif().get(_ORIENTATION, 1) if "exif" in image.info else 1
    except Exception:  # EXIF of an image that is good otherwise
        return None

    if orientation in range(2, 9):
        return "image stored turned", f"EXIF orientation {orientation} is not applied: save it upright if that matters"

    return None


def image_format(path: str) -> str | None:
    """PIL's name of the format of a file, whatever its suffix says; None where it is no image that is read."""
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as opened:
            return opened.format
    except Exception:  # as in `_read`
        return None


def image_name(reference: str, images: Sequence[Any], extra_images: Sequence[Any]) -> str:
    """The image behind a reference in words, for messages; arguments and errors as those of `load_image`."""
    found = parse(reference)
    if isinstance(found, CanvasReference):
        return f"a {found.kind} canvas"

    if isinstance(found, WrittenReference):
        on = "a canvas" if isinstance(found.on, tuple) else _name(_find(found.on, images, extra_images))
        return f"{on} with words written on it"

    if isinstance(found, HiddenReference):
        return f"{_name(_find(found.image, images, extra_images))}, {found.how}"

    return _name(_find(found, images, extra_images))


def canvas(kind: CanvasKind, seed: int, size: tuple[int, int]) -> Image.Image:
    """Paint a canvas; the same arguments give the same bytes on every machine.

    Args:
        kind: black, white, or noise (every channel of every pixel uniform on 0..255).
        seed: of the noise.
        size: (width, height) in pixels, at least 1 x 1.

    Returns:
        An RGB image.
    """
    if kind is not CanvasKind.NOISE:
        return Image.new("RGB", size, "black" if kind is CanvasKind.BLACK else "white")

    # Python's Mersenne Twister promises its stream for ever; numpy's Generator does not (NEP 19).
    return Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))


PATCH = 14  # pixels, the side of a patch of CLIP's large tower; Qwen-VL's and PAPO's (arXiv 2507.06448), too


def hide(image: Image.Image, how: Hiding, seed: int, share: float) -> Image.Image:
    """Hide what an image shows; the same arguments give the same pixels.

    Args:
        image: RGB.
        how: blurred, or with patches of `PATCH` x `PATCH` pixels masked in black.
        seed: of the patches.
        share: above 0, at most 1; of the shorter side the radius of the Gaussian blur, of all patches those that are masked (at
            least one).

    Returns:
        An RGB image of the same size.
    """
    if how is Hiding.BLURRED:
        return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))

    masked = image.copy()
    corners = [(x, y) for y in range(0, image.height, PATCH) for x in range(0, image.width, PATCH)]
    for x, y in random.Random(seed).sample(corners, max(1, round(share * len(corners)))):
        masked.paste((0, 0, 0), (x, y, min(x + PATCH, image.width), min(y + PATCH, image.height)))

    return masked


def _find(reference: StoredReference | FileReference, images: Sequence[Any], extra_images: Sequence[Any]) -> Any:
    if isinstance(reference, FileReference):
        return reference.path

    if reference.removed or reference.edit is not None:
        raise ModalityInterferenceError(
            f"media reference `{reference}` names an image, and only videos and audio can be removed or edited; use a canvas."
        )

    return reference.find(images, extra_images)


def _read(image: Any, take: Callable[[Image.Image], Result]) -> Result:
    """Open an image, take something from it, close it."""
    name = _name(image)
    stream = None if isinstance(image, Image.Image) else _stream(image, name)
    try:
        if stream is None:
            return take(_not_empty(image))

        with Image.open(stream, formats=IMAGE_FORMATS) as opened:
            return take(_not_empty(opened))
    except Exception as error:  # on broken files PIL raises whatever its readers stumble over
        raise Unusable(
            _kind(error),
            f"cannot read {name}: {type(error).__name__}: {error}. Allowed: complete {', '.join(IMAGE_FORMATS)} "
            "files. Replace the file, or remove its row from the dataset.",
            image,
        ) from error


def _kind(error: Exception) -> str:
    if isinstance(error, _EmptyImageError):
        return "empty image"

    if isinstance(error, Image.DecompressionBombError):
        return "huge image"

    return "not an image" if isinstance(error, UnidentifiedImageError) else "broken image"


class _EmptyImageError(ValueError):
    """An image without pixels."""


def _not_empty(image: Image.Image) -> Image.Image:
    if min(image.size) < 1:
        raise _EmptyImageError(f"it is {image.size[0]} x {image.size[1]} pixels")

    return image


def _stream(image: Any, name: str) -> str | BytesIO:
    """What PIL opens: bytes where there are any (as `datasets` does), else the path."""
    data = image.get("bytes") if isinstance(image, dict) else image
    path = image.get("path") if isinstance(image, dict) else image
    if isinstance(data, bytes):
        if not data:
            raise _empty(image, name)

        return BytesIO(data)

    if not isinstance(path, str):
        detail = f"{name} is not an image; allowed: a path, bytes, a dict of both, a PIL image."
        raise Unusable("not an image", detail, image)

    if not os.path.isfile(path):  # a pipe or a device would block for ever
        detail = "there is no such file. Paths are relative to `media_dir` (by default `dataset_dir`)."
        raise Unusable("missing image", f"cannot read {name}: {detail}", image)

    if not os.path.getsize(path):
        raise _empty(image, name)

    return path


def _empty(image: Any, name: str) -> Unusable:
    return Unusable("empty image", f"cannot read {name}: it is empty. Remove its row from the dataset.", image)


def _name(image: Any) -> str:
    """An image in words, for messages."""
    if isinstance(image, str):
        return f"image `{image}`"

    if isinstance(image, dict) and set(image) >= {"path"} and isinstance(image["path"], str):
        return f"image `{image['path']}`"

    data = image.get("bytes") if isinstance(image, dict) else image
    if isinstance(data, bytes):
        return f"an embedded image ({len(data)} bytes)"

    return f"an image of type `{type(image).__name__}`"
