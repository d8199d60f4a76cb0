"""Perturbations of videos: black frames, or another clip's frames, in place of each; nothing is written to disk."""

import random

from ...modality import Modality
from ..media import removed_reference
from ..registry import Parameters, register_perturbation
from ..row import Row
from ..source import Context
from .swaps import SwappedVideo, swapped


@register_perturbation("black_frames", changes=Modality.VIDEO)
def black_frames(row: Row, draw: random.Random, context: Context, parameters: Parameters) -> Row | None:
    """As many black frames, of the same size and rate."""
    return row.changed(videos=tuple(map(removed_reference, row.videos))) if row.videos else None


@register_perturbation("swapped_video", changes=Modality.VIDEO, parameters=SwappedVideo)
def swapped_video(row: Row, draw: random.Random, context: Context, parameters: SwappedVideo) -> Row | None:
    """The frames of a clip of another class, beside the row's own sound."""
    return swapped(row, draw, context, Modality.VIDEO)
