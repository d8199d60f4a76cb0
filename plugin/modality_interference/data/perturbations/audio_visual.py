"""Perturbations of videos and audio: blank ones, or those of another clip, in place of each; nothing is written to disk.

Another clip's frames or audio are the semantic misalignment of arXiv 2511.22826.
"""

import random

from ...media.reference import fitted_reference
from ...modality import MEDIA, Modality
from ..dataset import RawDataset, RowContext
from ..registry import Parameters, formats, register_perturbation
from ..sample import References, Sample


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


def swapped(sample: Sample, rng: random.Random, context: RowContext, modality: Modality) -> Sample | None:
    """The sample with other media of a modality, as long as its own.

    They are those of the sample's partner, whose class is then the target option; where the format has chosen no partner,
    those of other rows, drawn at random.
    """
    own = sample.media[modality]
    if not own:
        return None

    partner = sample.partner
    if partner is not None and modality in partner.media:
        borrowed = [context.borrow(partner.media[modality], modality)] * len(own)
        return sample.changed(media=_with(sample, modality, borrowed), target=partner.labels[modality])

    if formats()[context.dataset.formatting].asks_per_modality:
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
    if formats()[dataset.formatting].asks_per_modality:
        return  # the format chooses partners

    if dataset.other_rows is None:
        raise dataset.error(
            f"`{name}` draws from other rows, and streaming has no random access. Set `streaming: false`."
        )

    if column not in dataset.columns:
        raise dataset.error(f"`{name}` changes {modality}, and `columns` names no `{column}`.")


@register_perturbation("black_frames", changes=Modality.VIDEO, removes_evidence=True)
def black_frames(sample: Sample, rng: random.Random, context: RowContext, parameters: Parameters) -> Sample | None:
    """As many black frames, of the same size and rate."""
    return sample.with_removed(Modality.VIDEO) if sample.media[Modality.VIDEO] else None


@register_perturbation("swapped_video", changes=Modality.VIDEO, parameters=SwappedVideo, removes_evidence=True)
def swapped_video(sample: Sample, rng: random.Random, context: RowContext, parameters: SwappedVideo) -> Sample | None:
    """The frames of a clip of another class, beside the sample's own audio."""
    return swapped(sample, rng, context, Modality.VIDEO)


@register_perturbation("silence", changes=Modality.AUDIO, removes_evidence=True)
def silence(sample: Sample, rng: random.Random, context: RowContext, parameters: Parameters) -> Sample | None:
    """Silence of the same length."""
    return sample.with_removed(Modality.AUDIO) if sample.media[Modality.AUDIO] else None


@register_perturbation("swapped_audio", changes=Modality.AUDIO, parameters=SwappedAudio, removes_evidence=True)
def swapped_audio(sample: Sample, rng: random.Random, context: RowContext, parameters: SwappedAudio) -> Sample | None:
    """The audio of a clip of another class, beside the sample's own frames."""
    return swapped(sample, rng, context, Modality.AUDIO)
