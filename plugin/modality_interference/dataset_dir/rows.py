"""Rows of a dataset folder with their twins and images; media outside the folder stay closed."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL.Image import Image

from ..errors import ModalityInterferenceError
from ..files import is_inside
from ..media.image import load_image
from ..media.reference import row_reference


_PICTURES = ("_images", "_twin_images")
_CLIPS = ("_videos", "_audios", "_twin_videos", "_twin_audios")


@dataclass
class Example:
    """A row with its twins, as the data path aligns them.

    Attributes:
        index: of the row.
        aligned: LLaMA-Factory's keys: `_prompt`, `_response`, `_system`, ...
        about: what the converter says in `_twins`: `relevant`, `choices`, `answer`, `images`, `videos`,
            `audios`, `variants`.
        pictures: what stands behind the references in `images` of the row and of its twins.
        dropped: why a run would drop the row; "" if it would not.
        dropped_twins: why it would drop twins.
        problems: what no run should meet, as `kind: detail`: media outside the folder, a row that would stop it.
    """

    index: int
    aligned: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Image] = field(default_factory=dict)
    dropped: str = ""
    dropped_twins: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def twins(self) -> list[dict[str, Any]]:
        """The variants that a run would keep."""
        return [variant for variant in self.about.get("variants", []) if set(variant["images"]) <= set(self.pictures)]


def read_example(convert: Callable[[], dict[str, Any]], index: int, folder: Path) -> Example:
    """Convert one row and load its pictures; never raises for what the row holds.

    Args:
        convert: makes the aligned row.
        index: of the row.
        folder: the dataset folder.
    """
    example = Example(index)
    try:
        example.aligned = convert()
    except Exception as error:  # converters and decoders stumble over whatever strangers' rows hold
        example.problems.append(f"it would stop a run: {type(error).__name__}: {str(error)[:300]}")
        return example

    example.about = json.loads(example.aligned.get("_twins") or "{}") or _about_plain(example.aligned)
    example.dropped = example.about.get("dropped", "")
    if not example.dropped:
        _look_for_media(example, folder)

    if not example.dropped and not example.problems:
        _load_pictures(example)

    return example


def _about_plain(aligned: dict[str, Any]) -> dict[str, Any]:
    media = {
        name: [row_reference(index) for index in range(len(aligned[f"_{name}"] or []))]
        for name in ("images", "videos", "audios")
    }
    if len(aligned["_prompt"]) % 2 == 1 and len(aligned["_response"]) == 1:
        return media

    return {"dropped": "no assistant turn: an example needs user and assistant turns in alternation"}


def _look_for_media(example: Example, folder: Path) -> None:
    """Check that all media lie in the folder; paths that LLaMA-Factory did not find are relative to it, too."""
    for column in (*_PICTURES, *_CLIPS):
        items = example.aligned[column] = _in_folder(list(example.aligned.get(column) or []), folder)
        for path in filter(None, map(_path, _flat(items))):
            if not is_inside(path, folder):
                example.problems.append(f"a medium is outside the dataset folder: `{path[:300]}`")
            elif column in _CLIPS and not os.path.isfile(path):
                example.dropped = f"medium not found: there is no file `{path[:300]}`"


def _load_pictures(example: Example) -> None:
    variants = [(variant["perturbation"], variant["images"]) for variant in example.about.get("variants", [])]
    for label, references in [("", example.about["images"]), *variants]:
        try:
            for reference in set(references) - set(example.pictures):
                pictures = (example.aligned[column] for column in _PICTURES)
                example.pictures[reference] = load_image(reference, *pictures)
        except ModalityInterferenceError as error:
            reason = f"picture cannot be used: {error}"
            if not label:
                example.dropped = reason
                return

            example.dropped_twins.append(f"{label} twin, {reason}")


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
