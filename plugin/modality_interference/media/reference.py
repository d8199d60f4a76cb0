"""Media references: how a row names its images, videos and audio by strings, so that twins are small and can be cached.

- `row:0`: the row's own medium 0 of a modality;
- `extra:0`: number 0 of `_twin_images` (`_twin_videos`, `_twin_audios`), borrowed from another row;
- `file:/absolute/path`: an image from a pool;
- `canvas:<black|white|noise>:<seed>:<width>x<height>`, or `canvas:<kind>:<seed>:row:0` for the size of that image;
- `text:<seed>:<percent-encoded words>:row:0`: that image with words written on it; with `<width>x<height>`, on a plain canvas;
- `hidden:<blurred|masked>:<seed>:<percent>:row:0`: that image blurred, or with patches of it masked;
- `extra:0:row:0`: the first, cut or padded to the length of the second, both videos or both audios;
- `removed:row:0`: as many black frames of that size as that video has; silence as long as that audio;
- `shuffled:<seed>:row:0`, `frozen:<percent>:row:0`: that video's frames in another order; its frame at that place, throughout;
- `shifted:<milliseconds>:row:0`: that audio later, or earlier where the number is negative.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, cast
from urllib.parse import quote, unquote

from ..errors import ModalityInterferenceError
from .edits import ClipEdit, Editing


MAX_CANVAS_SIDE = 8192  # pixels
_REMOVED = "removed:"
_WRITTEN = "text"
_HIDDEN = "hidden"
_HIDDEN_PARTS = re.compile(
    r"hidden:(?P<how>blurred|masked):(?P<seed>\d+):(?P<percent>[1-9]\d?|100):(?P<image>.+)", re.ASCII | re.DOTALL
)
_STORED = re.compile(
    r"((?P<removed>removed):|(?P<edit>shuffled:(0|[1-9]\d{0,18})|frozen:(\d|[1-9]\d|100)|shifted:-?[1-9]\d{0,8}):)?"
    r"(?P<column>row|extra):(?P<index>\d+)(:(?P<like>row|extra):(?P<like_index>\d+))?",
    re.ASCII,
)
_CANVAS_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)


class CanvasKind(StrEnum):
    """What a canvas is painted with."""

    BLACK = "black"
    WHITE = "white"
    NOISE = "noise"


@dataclass(frozen=True)
class StoredReference:
    """A medium that the aligned row holds.

    Attributes:
        column: `row` for the row's own media, `extra` for those borrowed from other rows.
        index: of the medium among these.
        removed: whether black frames or silence take its place.
        like: the video or audio whose length it takes; None for its own length.
        edit: what is done with its frames or samples; never of one that is removed.
    """

    column: Literal["row", "extra"]
    index: int
    removed: bool = False
    like: "StoredReference | None" = None
    edit: ClipEdit | None = None

    def __str__(self) -> str:
        length = "" if self.like is None else f":{self.like.column}:{self.like.index}"
        edit = "" if self.edit is None else f"{self.edit}:"
        return f"{_REMOVED if self.removed else edit}{self.column}:{self.index}{length}"

    def find(self, own: Sequence[Any], extra: Sequence[Any]) -> Any:
        """The medium.

        Args:
            own: the row's own media of a modality.
            extra: those borrowed from other rows.

        Raises:
            ModalityInterferenceError: the row does not have so many.
        """
        media = own if self.column == "row" else extra
        if self.index >= len(media):
            raise ModalityInterferenceError(
                f"media reference `{self}` names a medium that the row does not have (it has {len(media)}). If a cached "
                "dataset brought it, set `overwrite_cache: true`."
            )

        return media[self.index]


@dataclass(frozen=True)
class FileReference:
    """An image file of a pool, by its absolute path."""

    path: str

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True)
class CanvasReference:
    """A canvas.

    Attributes:
        kind: what it is painted with.
        seed: of the noise; any integer that is not negative.
        size: (width, height) in pixels, or the image whose size it takes.
    """

    kind: CanvasKind
    seed: int
    size: "tuple[int, int] | StoredReference | FileReference"

    def __str__(self) -> str:
        return f"canvas:{self.kind}:{self.seed}:{_size_text(self.size)}"


@dataclass(frozen=True)
class WrittenReference:
    """An image with words written on it.

    Attributes:
        words: what is written.
        seed: of place, size and colours; any integer that is not negative.
        on: what it is written on: (width, height) in pixels of a plain canvas, or an image.
    """

    words: str
    seed: int
    on: "tuple[int, int] | StoredReference | FileReference"

    def __str__(self) -> str:
        return f"{_WRITTEN}:{self.seed}:{quote(self.words, safe='')}:{_size_text(self.on)}"


def _size_text(size: "tuple[int, int] | StoredReference | FileReference") -> str:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else str(size)


class Hiding(StrEnum):
    """How what an image shows is hidden."""

    BLURRED = "blurred"
    MASKED = "masked"


@dataclass(frozen=True)
class HiddenReference:
    """An image of which a part of what it shows is hidden.

    Attributes:
        how: blurred or masked.
        seed: of the masked patches; any integer that is not negative.
        percent: 1 to 100; of the shorter side the blur's radius, of the patches how many are masked.
        image: the image.
    """

    how: Hiding
    seed: int
    percent: int
    image: "StoredReference | FileReference"

    def __str__(self) -> str:
        return f"{_HIDDEN}:{self.how}:{self.seed}:{self.percent}:{self.image}"


Reference = StoredReference | FileReference | CanvasReference | WrittenReference | HiddenReference


def parse(text: str) -> Reference:
    """Read a reference; `str` of the result is the text again.

    Raises:
        ModalityInterferenceError: it is malformed, or a canvas is too large.
    """
    kind, _, rest = text.partition(":")
    if kind == "canvas":
        return _parse_canvas(text)

    if kind == _WRITTEN:
        return _parse_written(text)

    if kind == _HIDDEN:
        return _parse_hidden(text)

    if kind == "file" and os.path.isabs(rest):
        return FileReference(rest)

    if found := _STORED.fullmatch(text):
        like = _stored(found["like"], found["like_index"]) if found["like"] else None
        edit = _edit(found["edit"]) if found["edit"] else None
        return replace(_stored(found["column"], found["index"]), removed=bool(found["removed"]), like=like, edit=edit)

    raise ModalityInterferenceError(
        f"media reference `{text}` is malformed; allowed: `row:0`, `extra:0`, `removed:row:0`, `file:/absolute/path`, "
        "`canvas:black:0:336x336`. If a cached dataset brought it, set `overwrite_cache: true`."
    )


def _stored(column: str, index: str) -> StoredReference:
    return StoredReference(cast(Literal["row", "extra"], column), int(index))


def _edit(text: str) -> ClipEdit:
    how, number = text.split(":")
    return ClipEdit(Editing(how), int(number))


def _parse_canvas(text: str) -> CanvasReference:
    _, kind, seed, size = (*text.split(":", 3), "", "", "")[:4]
    if kind not in list(CanvasKind) or not (seed.isascii() and seed.isdecimal()):
        raise ModalityInterferenceError(
            f"media reference `{text}` is malformed; a canvas is `canvas:<kind>:<seed>:<width>x<height>` or "
            f"`canvas:<kind>:<seed>:row:0`, its kind one of {', '.join(CanvasKind)}."
        )

    pixels = _parse_size(size, text)
    return CanvasReference(CanvasKind(kind), int(seed), _parse_image(size, text) if pixels is None else pixels)


def _parse_written(text: str) -> WrittenReference:
    _, seed, words, on = (*text.split(":", 3), "", "", "")[:4]
    if not (seed.isascii() and seed.isdecimal()) or not words:
        raise ModalityInterferenceError(
            f"media reference `{text}` is malformed; written words are `text:<seed>:<percent-encoded words>:<width>x<height>` or "
            "`text:<seed>:<percent-encoded words>:row:0`."
        )

    size = _parse_size(on, text)
    return WrittenReference(unquote(words), int(seed), _parse_image(on, text) if size is None else size)


def _parse_hidden(text: str) -> HiddenReference:
    found = _HIDDEN_PARTS.fullmatch(text)
    if found is None:
        raise ModalityInterferenceError(
            f"media reference `{text}` is malformed; a hidden image is `hidden:<{'|'.join(Hiding)}>:<seed>:<percent>:row:0`."
        )

    image = _parse_image(found["image"], text)
    return HiddenReference(Hiding(found["how"]), int(found["seed"]), int(found["percent"]), image)


def _parse_size(size: str, text: str) -> tuple[int, int] | None:
    """A size in pixels; None where the part of the reference `text` is none."""
    pixels = _CANVAS_SIZE.fullmatch(size)
    if pixels is None:
        return None

    width, height = int(pixels[1]), int(pixels[2])
    if max(width, height) > MAX_CANVAS_SIDE:
        raise ModalityInterferenceError(f"media reference `{text}`: a side may have at most {MAX_CANVAS_SIDE} pixels.")

    return width, height


def _parse_image(part: str, text: str) -> StoredReference | FileReference:
    """The image that the part of the reference `text` names."""
    image = parse(part)
    generated = isinstance(image, (CanvasReference, WrittenReference, HiddenReference))
    if generated or (isinstance(image, StoredReference) and (image.removed or image.like or image.edit)):
        raise ModalityInterferenceError(f"media reference `{text}` is malformed: `{part}` is not a stored image.")

    return cast(StoredReference | FileReference, image)


def row_reference(index: int) -> str:
    """Reference to the row's own medium `index`, as rows hold it."""
    return str(StoredReference("row", index))


def extra_reference(index: int) -> str:
    """Reference to medium `index` of those borrowed from other rows, as rows hold it."""
    return str(StoredReference("extra", index))


def removed_reference(text: str) -> str:
    """Reference to black frames in place of a video, or to silence in place of an audio.

    Raises:
        ModalityInterferenceError: the reference names no medium of a row.
    """
    return str(replace(_clip(text, "can be removed"), removed=True, edit=None))


def edited_reference(text: str, edit: ClipEdit) -> str | None:
    """Reference to a video or an audio after an edit; None where it is one that is removed: black frames have no order.

    Args:
        text: refers to the video or audio, which no other edit has changed.
        edit: what is done with it.

    Raises:
        ModalityInterferenceError: it names no video or audio of a row, or one that is edited already.
    """
    reference = _clip(text, "can be edited")
    if reference.edit is not None:
        raise ModalityInterferenceError(f"media reference `{text}`: a medium can be edited once.")

    return None if reference.removed else str(replace(reference, edit=edit))


def fitted_reference(text: str, own: str) -> str:
    """Reference to a video or an audio, cut or padded to the length of another one.

    Args:
        text: refers to the video or audio.
        own: refers to the one whose length it takes, both stored in the row.

    Raises:
        ModalityInterferenceError: one of them names no medium of a row.
    """
    medium, like = (_clip(reference, "have a length") for reference in (text, own))
    return str(replace(medium, like=replace(like, removed=False, like=None, edit=None)))


def _clip(text: str, what: str) -> StoredReference:
    reference = parse(text)
    if not isinstance(reference, StoredReference):
        raise ModalityInterferenceError(f"media reference `{text}`: only a row's own or borrowed media {what}.")

    return reference


def is_removed(text: str) -> bool:
    """Whether a reference stands for black frames or silence."""
    return getattr(parse(text), "removed", False)


@dataclass(frozen=True)
class UnreadMedium:
    """A video or an audio of a row; it is read where it is needed.

    Attributes:
        source: a path, a list of frames, or samples.
        removed: whether its frames shall be black, its samples silent.
        like: likewise, the medium whose length it takes: it is cut, or padded with its last frame or with silence. None for
            its own length.
        edit: what is done with its frames or samples.
    """

    source: Any
    removed: bool = False
    like: Any = None
    edit: ClipEdit | None = None


def find_medium(text: str, own: Sequence[Any], extra: Sequence[Any]) -> UnreadMedium:
    """The video or audio behind a reference.

    Args:
        text: the reference.
        own: the row's `_videos` or `_audios`.
        extra: the row's `_twin_videos` or `_twin_audios`.

    Raises:
        ModalityInterferenceError: the reference is malformed or names no video or audio of this row.
    """
    reference = parse(text)
    if not isinstance(reference, StoredReference):
        raise ModalityInterferenceError(
            f"media reference `{text}` names an image, where a video or an audio is expected; allowed: `row:0`, "
            "`extra:0`, `removed:row:0`. If a cached dataset brought it, set `overwrite_cache: true`."
        )

    like = None if reference.like is None else reference.like.find(own, extra)
    return UnreadMedium(reference.find(own, extra), reference.removed, like, reference.edit)


def first_file_name(columns: Iterable[Sequence[Any]]) -> str:
    """The name of the file of the first medium that has one; "" where none has.

    Args:
        columns: a row's images, videos and audio, as it has them.
    """
    for item in (item for column in columns for item in column):
        path = item.get("path") if isinstance(item, Mapping) else item
        if isinstance(path, str):
            return os.path.basename(path)

    return ""
