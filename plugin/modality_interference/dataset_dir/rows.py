"""Rows of a dataset folder with their twins and images; media outside the folder stay closed."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL.Image import Image

from ..data.records import Reason, TwinRecord, Variant
from ..errors import ModalityInterferenceError
from ..files import is_inside
from ..media.image import load_image
from ..modality import Modality


_IMAGES = ("_images", "_twin_images")
_CLIPS = ("_videos", "_audios", "_twin_videos", "_twin_audios")


@dataclass
class Example:
    """A row with its twins, as the data path aligns them.

    Attributes:
        index: of the row.
        aligned: LLaMA-Factory's keys: `_prompt`, `_response`, `_system`, ...
        record: what is known of the row; None where converting it failed.
        images: by reference, those of the row and of its twins.
        dropped: why a run would drop the row; None if it would not.
        dropped_twins: why it would drop twins.
        problems: what no run should meet: media outside the folder, a row that would stop it.
    """

    index: int
    aligned: dict[str, Any] = field(default_factory=dict)
    record: TwinRecord | None = None
    images: dict[str, Image] = field(default_factory=dict)
    dropped: Reason | None = None
    dropped_twins: list[Reason] = field(default_factory=list)
    problems: list[Reason] = field(default_factory=list)

    @property
    def data_row(self) -> int:
        """The row of the data that is converted."""
        return self.index if self.record is None else self.record.data_row

    @property
    def twins(self) -> list[Variant]:
        """The variants that a run would keep."""
        variants = self.record.variants if self.record is not None else ()
        return [variant for variant in variants if set(variant.media[Modality.IMAGE]) <= set(self.images)]


def read_example(convert: Callable[[], dict[str, Any]], index: int, folder: Path) -> Example:
    """Convert one row and load its images; never raises for what the row holds.

    Args:
        convert: makes the aligned row.
        index: of the row.
        folder: the dataset folder.
    """
    example = Example(index)
    try:
        example.aligned = convert()
    except Exception as error:  # converters and decoders raise whatever untrusted rows make them raise
        example.problems.append(Reason("it would stop a run", f"{type(error).__name__}: {str(error)[:300]}"))
        return example

    example.record = record = TwinRecord.from_arrow(example.aligned["_twins"])
    example.dropped = record.dropped
    if example.dropped is None and (
        len(example.aligned["_prompt"]) % 2 != 1 or len(example.aligned["_response"]) != 1
    ):
        example.dropped = Reason("no assistant turn", "an example needs user and assistant turns in alternation")

    if example.dropped is None:
        _look_for_media(example, folder)

    if example.dropped is None and not example.problems:
        _load_images(example, record)

    return example


def _look_for_media(example: Example, folder: Path) -> None:
    """Check that all media lie in the folder; paths that LLaMA-Factory did not find are relative to it, too."""
    for column in (*_IMAGES, *_CLIPS):
        items = example.aligned[column] = _in_folder(list(example.aligned.get(column) or []), folder)
        for path in filter(None, map(_path, _flat(items))):
            if not is_inside(path, folder):
                example.problems.append(Reason("a medium is outside the dataset folder", f"`{path[:300]}`"))
            elif column in _CLIPS and not os.path.isfile(path):
                example.dropped = Reason("medium not found", f"there is no file `{path[:300]}`")


def _load_images(example: Example, record: TwinRecord) -> None:
    rows: list[TwinRecord | Variant] = [record, *record.variants]
    for row in rows:
        try:
            for reference in set(row.media[Modality.IMAGE]) - set(example.images):
                stored = (example.aligned[column] for column in _IMAGES)
                example.images[reference] = load_image(reference, *stored)
        except ModalityInterferenceError as error:
            if isinstance(row, TwinRecord):
                example.dropped = Reason("image cannot be used", str(error))
                return

            example.dropped_twins.append(Reason(f"{row.perturbation} twin, image cannot be used", str(error)))


def _flat(media: list[Any]) -> list[Any]:
    """Media, a clip's frames one by one."""
    return [item for medium in media for item in (medium if isinstance(medium, list) else [medium])]


def _in_folder(item: Any, folder: Path) -> Any:
    if isinstance(item, list):
        return [_in_folder(frame, folder) for frame in item]

    path = _path(item)
    if path is None:
        return item

    joined = os.path.join(folder, path)
    return joined if isinstance(item, str) else item | {"path": joined}


def _path(item: Any) -> str | None:
    """The path of a medium, None where it is embedded."""
    if isinstance(item, dict):
        item = item.get("path") if item.get("bytes") is None else None

    return item if isinstance(item, str) else None
