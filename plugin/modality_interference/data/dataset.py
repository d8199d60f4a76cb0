"""What formats and perturbations may know about the dataset that a row comes from."""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ModalityInterferenceError, Unusable
from ..files import MediaFolders
from ..media.image import extra_reference
from ..messages import shown
from ..modality import Modality


if TYPE_CHECKING:
    from .spec import TwinsSpec

TRIES = 64  # draws until another row with a picture turns up; a dataset may mix rows with and without


@dataclass
class Source:
    """A dataset, as the converter of its rows sees it.

    Attributes:
        dataset: its name in `dataset_info.json`.
        formatting: its format.
        spec: its `twins` block.
        columns: from the format's keys to the dataset's column names.
        seed: of every random choice.
        dataset_dir: the folder that pools lie in; None where the dataset has none on this machine.
        class_names: of every column with a ClassLabel feature.
        other_rows: the raw rows, by index; None where there is no random access (streaming).
        base_converter: LLaMA-Factory's converter, for formats that are made of its result.
        find_media: LLaMA-Factory's `_find_medias`: joins paths with `media_dir`; None for an empty list.
        media_folders: where media may lie; None where the caller looks at their paths itself.
    """

    dataset: str
    formatting: str
    spec: "TwinsSpec"
    columns: Mapping[str, str]
    seed: int = 0
    dataset_dir: str | None = None
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    other_rows: Any = None
    base_converter: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    find_media: Callable[[list[Any]], list[Any] | None] | None = None
    media_folders: MediaFolders | None = None
    _pools: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def cell(self, example: Mapping[str, Any], column: str) -> Any:
        """The value of a format's column in a raw row; None where the dataset has no such column."""
        name = self.columns.get(column)
        return None if name is None else example.get(name)

    def media(self, example: Mapping[str, Any], column: str) -> list[Any]:
        """The raw media of a row, found as LLaMA-Factory finds them.

        Args:
            example: the row.
            column: `images`, `videos`, `audios`, or another one that holds media.

        Raises:
            Unusable: see `checked_media`.
        """
        found = present_media(self.cell(example, column))
        if self.find_media is not None and found:
            try:
                found = self.find_media(found) or []
            except (AttributeError, LookupError, TypeError, ValueError) as error:  # paths among things that are none
                raise Unusable("medium not understood", f"found {shown(found)}") from error

        return self.checked_media(found, column)

    def checked_media(self, found: list[Any], column: str) -> list[Any]:
        """The media, once they have been looked at.

        Raises:
            Unusable: one is no medium, or its path may not be opened.
        """
        for medium in found:
            if column == "images" and not _is_picture(medium):
                raise Unusable("medium not understood", f"a picture is a path or bytes, found {shown(medium)}")

            if column != "images" and not _is_clip(medium):
                raise Unusable("medium not understood", f"a video or a sound is a path, found {shown(medium)}")

            if self.media_folders is not None:
                self.media_folders.check(medium)

        return found

    def pool(self, folder: str) -> tuple[str, ...]:
        """The absolute paths of a pool's pictures, sorted; see `list_pool` for what it refuses."""
        if folder not in self._pools:
            self._pools[folder] = list_pool(folder, self.dataset, self.dataset_dir)

        return self._pools[folder]

    def error(self, message: str) -> ModalityInterferenceError:
        """An error that names the dataset."""
        return ModalityInterferenceError(f"dataset `{self.dataset}`: {message}")


@dataclass
class Context:
    """What a perturbation may know about one row besides the row itself.

    Attributes:
        source: the dataset.
        index: the row's index.
        images: the row's raw pictures.
        extra_images: pictures of other rows that twins of this row use; becomes `_twin_images`.
        videos: the row's raw videos.
        audios: the row's raw sounds.
        extra_videos: likewise, `_twin_videos`.
        extra_audios: likewise, `_twin_audios`.
    """

    source: Source
    index: int
    images: list[Any]
    extra_images: list[Any] = field(default_factory=list)
    videos: list[Any] = field(default_factory=list)
    audios: list[Any] = field(default_factory=list)
    extra_videos: list[Any] = field(default_factory=list)
    extra_audios: list[Any] = field(default_factory=list)

    def other_row_picture(self, draw: random.Random) -> str | None:
        """Draw a picture of another row.

        Returns:
            Its reference; None where 64 draws meet no other row with a picture of its own.
        """
        return self.other_row_medium(draw, Modality.IMAGE)

    def other_row_medium(self, draw: random.Random, modality: Modality) -> str | None:
        """Draw a picture, video or sound of another row; returns as `other_row_picture`."""
        rows, own = self.source.other_rows, self._own(modality)
        for _ in range(TRIES if rows is not None and len(rows) > 1 else 0):
            media = self._media(rows[draw.randrange(len(rows))], modality)
            medium = draw.choice(media) if media else None
            if medium is not None and medium not in own:  # so never one of this row
                return self.borrow(medium, modality)

        return None

    def borrow(self, medium: Any, modality: Modality) -> str:
        """Let twins of this row use a medium of another row; returns its reference."""
        extra = {
            Modality.IMAGE: self.extra_images,
            Modality.VIDEO: self.extra_videos,
            Modality.AUDIO: self.extra_audios,
        }[modality]
        if medium not in extra:
            extra.append(medium)

        return extra_reference(extra.index(medium))

    def _own(self, modality: Modality) -> list[Any]:
        return {Modality.IMAGE: self.images, Modality.VIDEO: self.videos, Modality.AUDIO: self.audios}[modality]

    def _media(self, other_row: Mapping[str, Any], modality: Modality) -> list[Any]:
        try:
            return self.source.media(other_row, f"{modality}s")
        except Unusable:  # it will be dropped where its own turn comes
            return []


def present_media(value: Any) -> list[Any]:
    """A cell of a media column as a list: a lone medium becomes one item, missing ones (None, "") are left out."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return [item for item in items if not _is_missing(item)]


def _is_picture(item: Any) -> bool:
    if isinstance(item, Mapping):
        data, path = item.get("bytes"), item.get("path")
        return set(item) <= {"bytes", "path"} and isinstance(data, bytes | None) and isinstance(path, str | None)

    return isinstance(item, (str, bytes)) or hasattr(item, "getpixel")  # a PIL picture, without importing PIL


def _is_clip(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, (list, tuple)) and all(map(_is_picture, item)))  # or frames


def _is_missing(item: Any) -> bool:
    if isinstance(item, Mapping) and set(item) == {"bytes", "path"}:
        return item["bytes"] is None and not item["path"]

    return item is None or (isinstance(item, str) and not item.strip())


PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tif", ".tiff", ".webp")


def list_pool(folder: str, dataset: str, dataset_dir: str | None) -> tuple[str, ...]:
    """List a pool's pictures, those in subfolders too.

    A dataset may come from a stranger, so a pool is a relative path and neither it nor a file in it may lead out of
    `dataset_dir`, be it by `..` or by a symbolic link.

    Args:
        folder: the pool, relative to `dataset_dir`.
        dataset: the dataset's name, for messages.
        dataset_dir: the folder of `dataset_info.json`.

    Returns:
        Absolute paths, in an order that does not depend on the file system.

    Raises:
        ModalityInterferenceError: the pool is absolute, leads out of `dataset_dir`, is missing or has no picture.
    """
    where = f"dataset `{dataset}`: pool `{folder}`"
    if dataset_dir is None or not os.path.isdir(dataset_dir):
        raise ModalityInterferenceError(
            f"{where} needs a `dataset_dir` on this machine, found {dataset_dir!r}. Put `dataset_info.json` and the "
            "pool into a local folder and name that."
        )

    if os.path.isabs(folder) or not folder.strip() or "\0" in folder:
        raise ModalityInterferenceError(
            f"{where} must be a path relative to `dataset_dir` ({dataset_dir}). Move or copy the pool there."
        )

    root, pool = os.path.realpath(dataset_dir), os.path.realpath(os.path.join(dataset_dir, folder))
    _check_inside(pool, root, where)
    if not os.path.isdir(pool):
        raise ModalityInterferenceError(
            f"{where} is missing: there is no folder `{pool}`. Create it, or correct the path."
        )

    files = sorted(_pictures(pool, root, where))
    if not files:
        raise ModalityInterferenceError(
            f"{where} is empty: `{pool}` holds no picture. Allowed: files that end in {', '.join(PICTURE_SUFFIXES)}."
        )

    return tuple(files)


def _pictures(pool: str, root: str, where: str) -> list[str]:
    found = []
    for parent, _, names in os.walk(pool):  # does not follow links to folders
        paths = [os.path.join(parent, name) for name in names if name.lower().endswith(PICTURE_SUFFIXES)]
        for path in paths:
            _check_inside(os.path.realpath(path), root, f"{where}: file `{path}`")

        found += paths

    return found


def _check_inside(path: str, root: str, where: str) -> None:
    if os.path.commonpath([path, root]) != root:
        raise ModalityInterferenceError(
            f"{where} leads out of `dataset_dir` ({root}) to `{path}`. Copy the files there."
        )
