"""Perturbations of sounds: silence, or another clip's sound, in place of each; nothing is written to disk."""

import random

from ...modality import Modality
from ..media import removed_reference
from ..registry import Parameters, register_perturbation
from ..row import Row
from ..source import Context
from .swaps import SwappedAudio, swapped


@register_perturbation("silence", changes=Modality.AUDIO)
def silence(row: Row, draw: random.Random, context: Context, parameters: Parameters) -> Row | None:
    """Silence of the same length."""
    return row.changed(audios=tuple(map(removed_reference, row.audios))) if row.audios else None


@register_perturbation("swapped_audio", changes=Modality.AUDIO, parameters=SwappedAudio)
def swapped_audio(row: Row, draw: random.Random, context: Context, parameters: SwappedAudio) -> Row | None:
    """The sound of a clip of another class, beside the row's own frames."""
    return swapped(row, draw, context, Modality.AUDIO)
