"""Perturbations of videos and audio: blank ones, or those of another clip, in place of each; nothing is written to disk.

Another clip's frames or audio are the semantic misalignment of arXiv 2511.22826.
"""

import random

from ...media.image import removed_reference
from ...modality import Modality
from ..dataset import Context, Source
from ..registry import Parameters, formats, register_perturbation
from ..sample import Row


class SwappedVideo(Parameters):
    """`swapped_video` has no parameters, but needs other clips."""

    def check(self, source: Source) -> None:
        """Look for other clips."""
        _check(source, Modality.VIDEO)


class SwappedAudio(Parameters):
    """`swapped_audio` has no parameters, but needs other sounds."""

    def check(self, source: Source) -> None:
        """Look for other sounds."""
        _check(source, Modality.AUDIO)


def swapped(row: Row, draw: random.Random, context: Context, modality: Modality) -> Row | None:
    """The row with other media of a modality.

    They are those of the row's partner, whose class is then the planted option; where the format has chosen no partner, those
    of other rows, drawn.
    """
    own = row.media(modality)
    if not own:
        return None

    if row.partner is not None:
        reference = context.borrow(row.partner.media[modality], modality)
        return row.with_media(modality, (reference,) * len(own)).changed(planted=row.partner.labels[modality])

    found = [context.other_row_medium(draw, modality) for _ in own]
    references = tuple(reference for reference in found if reference is not None)
    return row.with_media(modality, references) if len(references) == len(own) else None


def _check(source: Source, modality: Modality) -> None:
    name, column = f"swapped_{modality}", f"{modality}s"
    if formats()[source.formatting].asks:
        return  # the format itself looks for partners

    if source.other_rows is None:
        raise source.error(
            f"`{name}` draws from other rows, and streaming has no random access. Set `streaming: false`."
        )

    if column not in source.columns:
        raise source.error(f"`{name}` changes {modality}, and `columns` names no `{column}`.")


@register_perturbation("black_frames", changes=Modality.VIDEO)
def black_frames(row: Row, draw: random.Random, context: Context, parameters: Parameters) -> Row | None:
    """As many black frames, of the same size and rate."""
    return row.changed(videos=tuple(map(removed_reference, row.videos))) if row.videos else None


@register_perturbation("swapped_video", changes=Modality.VIDEO, parameters=SwappedVideo)
def swapped_video(row: Row, draw: random.Random, context: Context, parameters: SwappedVideo) -> Row | None:
    """The frames of a clip of another class, beside the row's own sound."""
    return swapped(row, draw, context, Modality.VIDEO)


@register_perturbation("silence", changes=Modality.AUDIO)
def silence(row: Row, draw: random.Random, context: Context, parameters: Parameters) -> Row | None:
    """Silence of the same length."""
    return row.changed(audios=tuple(map(removed_reference, row.audios))) if row.audios else None


@register_perturbation("swapped_audio", changes=Modality.AUDIO, parameters=SwappedAudio)
def swapped_audio(row: Row, draw: random.Random, context: Context, parameters: SwappedAudio) -> Row | None:
    """The sound of a clip of another class, beside the row's own frames."""
    return swapped(row, draw, context, Modality.AUDIO)
