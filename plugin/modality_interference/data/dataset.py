"""What formats and perturbations may know about the dataset that a row comes from."""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ModalityInterferenceError, Unusable
from ..files import MediaFolders, is_inside
from ..media.reference import extra_reference
from ..messages import shown
from ..modality import MEDIA, Modality
from .evidence import evidence_texts
from .options import AnswersAre, whole
from .registry import formats
from .sample import Sample


if TYPE_CHECKING:
    from .spec import TwinsSpec

TRIES = 64  # draws until another row with a medium turns up; a dataset may mix rows with and without


@dataclass
class RawDataset:
    """A dataset, as the converter of its rows sees it.

    Attributes:
        name: in `dataset_info.json`.
        formatting: its format.
        spec: its `twins` block.
        columns: from the format's keys to the dataset's column names.
        seed: of every random choice.
        dataset_dir: the folder that holds the pools; None where the dataset has none on this machine.
        class_names: of every column with a ClassLabel feature, and of columns with labels that are texts.
        other_rows: the raw rows, by index; None where there is no random access (streaming).
        base_converter: LLaMA-Factory's converter, for formats that are made of its result.
        find_media: LLaMA-Factory's `_find_medias`: joins paths with `media_dir`; None for an empty list.
        media_folders: where media may be opened; None where the caller checks their paths itself.
        ranking: whether its rows are pairs of a chosen and a rejected answer.
        answers: whether its answers are texts or places of options, where its rows tell.
    """

    name: str
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
    ranking: bool = False
    answers: AnswersAre | None = None
    _pools: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _texts: Any = None  # `other_rows` without their media, which are large; made where it is first needed

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_texts": None}  # the same pickle, whatever was looked at before

    def cell(self, example: Mapping[str, Any], column: str) -> Any:
        """The value of a format's column in a raw row; None where the dataset has no such column."""
        name = self.columns.get(column)
        return None if name is None else example.get(name)

    def answer(self, example: Mapping[str, Any]) -> Any:
        """The answer of a raw row with options; of a ClassLabel its name, as the number says nothing about the row's options."""
        value, names = whole(self.cell(example, "answer")), self.class_names.get(self.columns.get("answer", ""))
        if names and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return names[value]

        return value

    def media(self, example: Mapping[str, Any], modality: Modality, column: str | None = None) -> list[Any]:
        """The raw media of a row, found as LLaMA-Factory finds them.

        Args:
            example: the row.
            modality: image, video or audio.
            column: the format's column that holds them; None for `images`, `videos` or `audios`.

        Raises:
            Unusable: see `checked_media`.
        """
        found = present_media(self.cell(example, column or MEDIA[modality]))
        if self.find_media is not None and found:
            try:
                found = self.find_media(found) or []
            except (AttributeError, LookupError, TypeError, ValueError) as error:  # paths among things that are none
                raise Unusable("medium not understood", f"found {shown(found)}") from error

        return self.checked_media(found, modality)

    def checked_media(self, found: list[Any], modality: Modality) -> list[Any]:
        """The same media, after a check of their types and paths.

        Raises:
            Unusable: one is not a medium, or its path may not be opened.
        """
        for medium in found:
            if modality is Modality.IMAGE and not _is_image(medium):
                raise Unusable("medium not understood", f"an image is a path or bytes, found {shown(medium)}")

            if modality is not Modality.IMAGE and not _is_clip(medium):
                raise Unusable("medium not understood", f"a video or an audio is a path, found {shown(medium)}")

            if self.media_folders is not None:
                self.media_folders.check(medium)

        return found

    def pool(self, folder: str) -> tuple[str, ...]:
        """The absolute paths of a pool's images, sorted; see `list_pool` for what it refuses."""
        if folder not in self._pools:
            self._pools[folder] = list_pool(folder, self.name, self.dataset_dir)

        return self._pools[folder]

    def other_sample(self, index: int) -> Sample | None:
        """Row `index` of `other_rows`, without its media; None where it cannot be used."""
        named = [self.columns[column] for column in MEDIA.values() if self.columns.get(column)]
        media = list(dict.fromkeys(named))  # one column may hold clips for sight and for sound
        if self._texts is None:
            selects = media and hasattr(self.other_rows, "remove_columns")
            self._texts = self.other_rows.remove_columns(media) if selects else self.other_rows

        row = {**self._texts[index], **dict.fromkeys(media)}
        try:
            return formats()[self.formatting].function(row, self, random.Random(0)).sample
        except Unusable:  # it will be dropped where its own turn comes
            return None

    def right_answer(self, row: Mapping[str, Any]) -> str | None:
        """The right answer of a raw row, without case and spaces around it; None where the row cannot be used."""
        try:
            answer = formats()[self.formatting].function(row, self, random.Random(0)).sample.right_answer
        except Unusable:  # it will be dropped where its own turn comes
            return None

        return folded(answer)

    def error(self, message: str) -> ModalityInterferenceError:
        """An error that names the dataset."""
        return ModalityInterferenceError(f"dataset `{self.name}`: {message}")


@dataclass
class RowContext:
    """What a perturbation may know about one row besides the sample itself.

    Attributes:
        dataset: the dataset.
        index: the row's index.
        media: for image, video and audio, the row's raw media.
        borrowed: likewise, media of other rows that twins of this row use; `_twin_images`, `_twin_videos` and
            `_twin_audios` hold them.
        unless_right: the row's right answer, where a medium of another row must not have the same one; None for twins, to
            whose answer it does not matter.
    """

    dataset: RawDataset
    index: int
    media: Mapping[Modality, list[Any]]
    borrowed: dict[Modality, list[Any]] = field(default_factory=lambda: {modality: [] for modality in MEDIA})
    unless_right: str | None = None

    def other_row_medium(self, rng: random.Random, modality: Modality) -> str | None:
        """Draw an image, video or audio of another row.

        Returns:
            Its reference; None where 64 draws meet no other row with a medium of its own.
        """
        rows = self.dataset.other_rows
        for _ in range(TRIES if rows is not None and len(rows) > 1 else 0):
            other = rows[rng.randrange(len(rows))]
            media = self._media(other, modality)
            medium = rng.choice(media) if media else None
            if medium is not None and not self.is_own(medium, modality) and self._may_lend(other):
                return self.borrow(medium, modality)

        return None

    def other_row_answer(self, rng: random.Random) -> str | None:
        """Draw the answer of a row of the dataset, which may be this row; None where the row that was drawn has none to use.

        The answers of rows with options are of no use.
        """
        rows = self.dataset.other_rows
        other = self.dataset.other_sample(rng.randrange(len(rows))) if rows is not None and len(rows) else None
        return None if other is None or other.choices is not None else other.response[0]["content"]

    def other_row_evidence(self, rng: random.Random, fits: Callable[[str], bool]) -> str | None:
        """Draw the evidence of another row, whose right answer is another one where that matters (see `unless_right`).

        Args:
            rng: draws the rows.
            fits: whether a text can be used.

        Returns:
            The text; None where 64 draws meet none.
        """
        rows = self.dataset.other_rows
        for _ in range(TRIES if rows is not None and len(rows) > 1 else 0):
            other = self.dataset.other_sample(rng.randrange(len(rows)))
            if other is None or not other.evidence:
                continue

            text = " ".join(evidence_texts(other, other.evidence))
            same = self.unless_right is not None and folded(other.right_answer) == folded(self.unless_right)
            if not same and fits(text):
                return text

        return None

    def is_own(self, medium: Any, modality: Modality) -> bool:
        """Whether a medium is one of this row, by another path or under another name, too."""
        return _identity(medium) in map(_identity, self.media[modality])

    def borrow(self, medium: Any, modality: Modality) -> str:
        """Let twins of this row use a medium of another row; returns its reference."""
        borrowed = self.borrowed[modality]
        if medium not in borrowed:
            borrowed.append(medium)

        return extra_reference(borrowed.index(medium))

    def _may_lend(self, other_row: Mapping[str, Any]) -> bool:
        return self.unless_right is None or self.dataset.right_answer(other_row) != folded(self.unless_right)

    def _media(self, other_row: Mapping[str, Any], modality: Modality) -> list[Any]:
        try:
            return self.dataset.media(other_row, modality)
        except Unusable:  # it will be dropped where its own turn comes
            return []


def folded(answer: str) -> str:
    """An answer as it is compared with another row's."""
    return answer.strip().casefold()


def present_media(value: Any) -> list[Any]:
    """A cell of a media column as a list: a lone medium becomes one item, missing ones (None, "") are left out."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return [_as_path(item) for item in items if not _is_missing(item)]


def _as_path(item: Any) -> Any:
    """The same medium, as a text where it is a path alone: LLaMA-Factory joins no others with `media_dir`."""
    is_path = isinstance(item, Mapping) and item.get("bytes") is None and isinstance(item.get("path"), str)
    return item["path"] if is_path else item


def _identity(medium: Any) -> Any:
    """What is the same of two media that are the same file, or hold the same bytes."""
    if isinstance(medium, Mapping):
        medium = medium.get("path") if medium.get("bytes") is None else medium["bytes"]

    if isinstance(medium, (list, tuple)):
        return tuple(map(_identity, medium))

    return os.path.realpath(medium) if isinstance(medium, str) else medium


def _is_image(item: Any) -> bool:
    if isinstance(item, Mapping):
        data, path = item.get("bytes"), item.get("path")
        return set(item) <= {"bytes", "path"} and isinstance(data, bytes | None) and isinstance(path, str | None)

    return isinstance(item, (str, bytes)) or hasattr(item, "getpixel")  # a PIL image, without importing PIL


def _is_clip(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, (list, tuple)) and all(map(_is_image, item)))  # or frames


def _is_missing(item: Any) -> bool:
    if isinstance(item, Mapping) and set(item) == {"bytes", "path"}:
        return item["bytes"] is None and not item["path"]

    return item is None or (isinstance(item, str) and not item.strip())


IMAGE_SUFFIXES = tuple(".avif .bmp .gif .ico .jpeg .jpg .jp2 .png .ppm .tif .tiff .webp".split())


def list_pool(folder: str, dataset: str, dataset_dir: str | None) -> tuple[str, ...]:
    """List a pool's images, those in subfolders too.

    A dataset may be untrusted, so a pool is a relative path and neither it nor a file in it may lead out of
    `dataset_dir`, be it by `..` or by a symbolic link.

    Args:
        folder: the pool, relative to `dataset_dir`.
        dataset: the dataset's name, for messages.
        dataset_dir: the folder of `dataset_info.json`.

    Returns:
        Absolute paths, in an order that does not depend on the file system.

    Raises:
        ModalityInterferenceError: the pool is absolute, leads out of `dataset_dir`, is missing or has no image.
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

    files = sorted(_images(pool, root, where))
    if not files:
        raise ModalityInterferenceError(
            f"{where} is empty: `{pool}` holds no image. Allowed: files that end in {', '.join(IMAGE_SUFFIXES)}."
        )

    return tuple(files)


def _images(pool: str, root: str, where: str) -> list[str]:
    found = []
    for parent, _, names in os.walk(pool):  # does not follow links to folders
        paths = [os.path.join(parent, name) for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
        for path in paths:
            _check_inside(path, root, f"{where}: file `{path}`")

        found += paths

    return found


def _check_inside(path: str, root: str, where: str) -> None:
    if not is_inside(path, root):
        raise ModalityInterferenceError(
            f"{where} leads out of `dataset_dir` ({root}) to `{os.path.realpath(path)}`. Copy the files there."
        )
