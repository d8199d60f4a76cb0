"""Rows of a dataset folder with their twins and media; those outside of the folders for media stay closed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from PIL.Image import Image

from ..data.records import Reason, TwinRecord, Variant
from ..errors import ModalityInterferenceError, Unusable
from ..files import MediaFolders
from ..media.audio import read_audio
from ..media.edits import ClipEdit, check_audio, check_video
from ..media.image import image_name, image_remark, load_image
from ..media.reference import find_medium
from ..media.video import try_video
from ..modality import MEDIA, Modality, is_counterfactual


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
        lost: these twins.
        remarks: how LLaMA-Factory reads images of it that are good all the same.
        problems: what no run should meet: a row that would stop it.
    """

    index: int
    aligned: dict[str, Any] = field(default_factory=dict)
    record: TwinRecord | None = None
    images: dict[str, Image] = field(default_factory=dict)
    dropped: Reason | None = None
    dropped_twins: list[Reason] = field(default_factory=list)
    lost: list[Variant] = field(default_factory=list)
    remarks: list[Reason] = field(default_factory=list)
    problems: list[Reason] = field(default_factory=list)

    @property
    def data_row(self) -> int:
        """The row of the data that is converted."""
        return self.index if self.record is None else self.record.data_row

    @property
    def twins(self) -> list[Variant]:
        """The variants that a run would keep."""
        variants = self.record.variants if self.record is not None else ()
        return [variant for variant in variants if variant not in self.lost]

    @property
    def counterfactuals(self) -> list[Variant]:
        """The counterfactual rows that a diagnosis would keep."""
        rows = self.record.counterfactuals if self.record is not None else ()
        return [row for row in rows if row not in self.lost]


def read_example(
    convert: Callable[[], dict[str, Any]], index: int, folders: MediaFolders, clips: "TriedClips"
) -> Example:
    """Convert one row, load its images and read its clips; never raises for what the row holds.

    Args:
        convert: makes the aligned row.
        index: of the row.
        folders: where media may be opened.
        clips: those of the rows before.
    """
    example = Example(index)
    try:
        example.aligned = convert()
    except Exception as error:  # converters and decoders raise whatever untrusted rows make them raise
        example.problems.append(Reason("it would stop a run", f"{type(error).__name__}: {str(error)[:300]}"))
        return example

    example.record = record = TwinRecord.from_arrow(example.aligned["_twins"])
    example.dropped = record.dropped
    if example.dropped is None and (len(example.aligned["_prompt"]) % 2 != 1 or not example.aligned["_response"]):
        example.dropped = Reason("no assistant turn", "an example needs user and assistant turns in alternation")

    if example.dropped is None:
        _look_for_media(example, folders)

    if example.dropped is None:
        _read_media(example, record, clips)

    return example


def _look_for_media(example: Example, folders: MediaFolders) -> None:
    """Drop a row with a medium that may not be opened; of an extension's plain format nothing else has looked at it."""
    try:
        for column in (*_IMAGES, *_CLIPS):
            folders.check(list(example.aligned.get(column) or []))
    except Unusable as error:
        example.dropped = Reason.of(error)


def _read_media(example: Example, record: TwinRecord, clips: "TriedClips") -> None:
    """Load the images of a row and its twins, and read their videos and audio, as tokenizing does."""
    rows: list[TwinRecord | Variant] = [record, *record.variants, *record.counterfactuals]
    for row in rows:
        try:
            for reference in set(row.media[Modality.IMAGE]) - set(example.images):
                images = [example.aligned[column] or [] for column in _IMAGES]
                example.images[reference] = image = load_image(reference, *images)
                for kind, detail in filter(None, [image_remark(image)]):
                    example.remarks.append(Reason(kind, f"{image_name(reference, *images)}: {detail}"))

            for modality in (Modality.VIDEO, Modality.AUDIO):
                stored = [example.aligned[f"_{own}{MEDIA[modality]}"] for own in ("", "twin_")]
                for reference in row.media[modality]:
                    medium = find_medium(reference, *stored)
                    clips.read(modality, medium.source, medium.edit)
                    if medium.like is not None:
                        clips.read(modality, medium.like)
        except ModalityInterferenceError as error:
            bad = error if isinstance(error, Unusable) else Unusable("media reference not understood", str(error))
            if isinstance(row, TwinRecord):
                example.dropped = Reason.of(bad)
                return

            what = "row" if is_counterfactual(row.perturbation) else "twin"
            example.dropped_twins.append(Reason.of(bad, f"{row.perturbation} {what}, "))
            example.lost.append(row)


class TriedClips:
    """Videos and audio that have been read once: rows share them."""

    def __init__(self) -> None:
        self._tried: dict[tuple[Modality, str], Unusable | Callable[[ClipEdit], None]] = {}

    def read(self, modality: Modality, source: Any, edit: ClipEdit | None = None) -> None:
        """Read a video or an audio.

        Raises:
            Unusable: it cannot be read, or its edit makes no other one.
        """
        key = (modality, repr(source))
        if key not in self._tried:
            try:
                self._tried[key] = _tried_video(source) if modality is Modality.VIDEO else _tried_audio(source)
            except Unusable as error:
                self._tried[key] = error

        found = self._tried[key]
        if isinstance(found, Unusable):
            raise found

        if edit is not None:
            found(edit)


def _tried_video(source: Any) -> Callable[[ClipEdit], None]:
    """What looks whether an edit makes another video of this one."""
    return partial(check_video, try_video(source))


def _tried_audio(source: Any) -> Callable[[ClipEdit], None]:
    """Likewise of an audio."""
    track = read_audio(source)
    return partial(check_audio, track.samples.shape[-1], track.rate, not track.samples.any())
