"""What formats and perturbations may know about the dataset that a row comes from."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ModalityInterferenceError
from .media import extra_reference
from .pools import list_pool


if TYPE_CHECKING:
    from .spec import TwinsSpec

_TRIES = 64  # draws until another row with a picture turns up; a dataset may mix rows with and without


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
    _pools: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def cell(self, example: Mapping[str, Any], column: str) -> Any:
        """The value of a format's column in a raw row; None where the dataset has no such column."""
        name = self.columns.get(column)
        return None if name is None else example.get(name)

    def media(self, example: Mapping[str, Any], column: str) -> list[Any]:
        """The raw media of a row (`column` is `images`, `videos` or `audios`), found as LLaMA-Factory finds them."""
        found = present_media(self.cell(example, column))
        return (self.find_media(found) or []) if self.find_media is not None and found else found

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
    """

    source: Source
    index: int
    images: list[Any]
    extra_images: list[Any] = field(default_factory=list)

    def other_row_picture(self, draw: random.Random) -> str | None:
        """Draw a picture of another row.

        Returns:
            Its reference; None where 64 draws meet no other row with a picture of its own.
        """
        rows = self.source.other_rows
        for _ in range(_TRIES if rows is not None and len(rows) > 1 else 0):
            pictures = self.source.media(rows[draw.randrange(len(rows))], "images")
            picture = draw.choice(pictures) if pictures else None
            if picture is not None and picture not in self.images:  # so never one of this row
                return extra_reference(self._remember(picture))

        return None

    def _remember(self, picture: Any) -> int:
        if picture not in self.extra_images:
            self.extra_images.append(picture)

        return self.extra_images.index(picture)


def present_media(value: Any) -> list[Any]:
    """A cell of a media column as a list: a lone medium becomes one item, missing ones (None, "") are left out."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return [item for item in items if not _is_missing(item)]


def _is_missing(item: Any) -> bool:
    if isinstance(item, Mapping) and set(item) == {"bytes", "path"}:
        return item["bytes"] is None and not item["path"]

    return item is None or (isinstance(item, str) and not item.strip())
