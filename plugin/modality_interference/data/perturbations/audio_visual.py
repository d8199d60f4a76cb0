"""Perturbations of videos and audio: blank ones or those of another clip in place of each, or its own in another order or at another time.

Nothing is written to disk: twins name their media by references, see `media/reference.py`.

Another clip's frames or audio are the semantic misalignment of arXiv 2511.22826.
"""

import random
from collections.abc import Callable

from pydantic import Field

from ...media.edits import ClipEdit, Editing
from ...media.reference import edited_reference, fitted_reference
from ...modality import MEDIA, Modality
from ..dataset import RawDataset, RowContext
from ..registry import Parameters, formats, register_perturbation
from ..sample import References, Sample


_SEED_BITS = 63
_MIDDLE = 50  # percent; the beginning of a clip is often a title, or black


class SwappedVideo(Parameters):
    """`swapped_video` has no parameters, but needs other clips."""

    def check(self, dataset: RawDataset) -> None:
        """Look for other rows with videos (not with `streaming`)."""
        _check(dataset, Modality.VIDEO)


class SwappedAudio(Parameters):
    """`swapped_audio` has no parameters, but needs other audio."""

    def check(self, dataset: RawDataset) -> None:
        """Look for other rows with audio (not with `streaming`)."""
        _check(dataset, Modality.AUDIO)


class ShiftedAudio(Parameters):
    """Parameters of `shifted_audio`.

    Attributes:
        seconds: by how much; whether later or earlier is drawn. The default is about that of THUD (arXiv 2605.16403).
    """

    seconds: float = Field(2.0, ge=0.1, le=60, description="a number of seconds from 0.1 to 60")


def swapped(sample: Sample, rng: random.Random, context: RowContext, modality: Modality) -> Sample | None:
    """The sample with other media of a modality, as long as its own.

    They are those of the sample's partner, whose class, where it is known, is then the target option; where neither the format nor
    the dataset has chosen partners, those of other rows, drawn at random.
    """
    own = sample.media[modality]
    if not own:
        return None

    partner = sample.partner
    if partner is not None and modality in partner.media:
        borrowed = [context.borrow(partner.media[modality], modality)] * len(own)
        return sample.changed(media=_with(sample, modality, borrowed), target=partner.labels.get(modality))

    if _has_partners(context.dataset, modality):
        return None

    found = [context.other_row_medium(rng, modality) for _ in own]
    references = [reference for reference in found if reference is not None]
    return sample.changed(media=_with(sample, modality, references)) if len(references) == len(own) else None


def _with(sample: Sample, modality: Modality, references: list[str]) -> References:
    """The sample's media, those of a modality replaced by others that are cut or padded to the length of its own."""
    pairs = zip(references, sample.media[modality], strict=True)
    return {**sample.media, modality: tuple(fitted_reference(reference, own) for reference, own in pairs)}


def _check(dataset: RawDataset, modality: Modality) -> None:
    name, column = f"swapped_{modality}", MEDIA[modality]
    if _has_partners(dataset, modality):
        return

    if dataset.other_rows is None:
        raise dataset.error(
            f"`{name}` draws from other rows, and streaming has no random access. Set `streaming: false`."
        )

    if column not in dataset.columns:
        raise dataset.error(f"`{name}` changes {modality}, and `columns` names no `{column}`.")


def _has_partners(dataset: RawDataset, modality: Modality) -> bool:
    """Whether the format chooses whose media a row's are swapped with, or a column names them."""
    return formats()[dataset.formatting].asks_per_modality or bool(dataset.columns.get(f"swapped_{modality}"))


@register_perturbation("black_frames", changes=Modality.VIDEO, removes_evidence=True)
def black_frames(sample: Sample, rng: random.Random, context: RowContext, parameters: Parameters) -> Sample | None:
    """As many black frames, of the same size and rate."""
    return sample.with_removed(Modality.VIDEO) if sample.media[Modality.VIDEO] else None


@register_perturbation("swapped_video", changes=Modality.VIDEO, parameters=SwappedVideo, removes_evidence=True)
def swapped_video(sample: Sample, rng: random.Random, context: RowContext, parameters: SwappedVideo) -> Sample | None:
    """The frames of a clip of another class, beside the sample's own audio."""
    return swapped(sample, rng, context, Modality.VIDEO)


@register_perturbation("shuffled_frames", changes=Modality.VIDEO, removes_evidence=True)
def shuffled_frames(sample: Sample, rng: random.Random, context: RowContext, parameters: Parameters) -> Sample | None:
    """The same frames in another order; what they show stays."""
    return _edited(sample, Modality.VIDEO, lambda: ClipEdit(Editing.SHUFFLED, rng.getrandbits(_SEED_BITS)))


@register_perturbation("frozen_frames", changes=Modality.VIDEO, removes_evidence=True)
def frozen_frames(sample: Sample, rng: random.Random, context: RowContext, parameters: Parameters) -> Sample | None:
    """The frame in the middle, throughout; what it shows stays, and nothing moves."""
    return _edited(sample, Modality.VIDEO, lambda: ClipEdit(Editing.FROZEN, _MIDDLE))


@register_perturbation("silence", changes=Modality.AUDIO, removes_evidence=True)
def silence(sample: Sample, rng: random.Random, context: RowContext, parameters: Parameters) -> Sample | None:
    """Silence of the same length."""
    return sample.with_removed(Modality.AUDIO) if sample.media[Modality.AUDIO] else None


@register_perturbation("swapped_audio", changes=Modality.AUDIO, parameters=SwappedAudio, removes_evidence=True)
def swapped_audio(sample: Sample, rng: random.Random, context: RowContext, parameters: SwappedAudio) -> Sample | None:
    """The audio of a clip of another class, beside the sample's own frames."""
    return swapped(sample, rng, context, Modality.AUDIO)


@register_perturbation("shifted_audio", changes=Modality.AUDIO, parameters=ShiftedAudio, removes_evidence=True)
def shifted_audio(sample: Sample, rng: random.Random, context: RowContext, parameters: ShiftedAudio) -> Sample | None:
    """The same audio later or earlier, with silence where there is none; what it sounds like stays."""
    milliseconds = round(1000 * parameters.seconds)
    return _edited(sample, Modality.AUDIO, lambda: ClipEdit(Editing.SHIFTED, rng.choice((-1, 1)) * milliseconds))


def _edited(sample: Sample, modality: Modality, edit: Callable[[], ClipEdit]) -> Sample | None:
    """The sample after an edit of each medium of a modality; None where it has none, or one that is removed."""
    edited = [edited_reference(reference, edit()) for reference in sample.media[modality]]
    references = tuple(reference for reference in edited if reference is not None)
    if not references or len(references) < len(edited):
        return None

    return sample.changed(media={**sample.media, modality: references})
