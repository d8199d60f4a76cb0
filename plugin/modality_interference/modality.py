"""Modalities, the columns of their media, and relevant sets."""

from collections.abc import Iterable
from enum import StrEnum
from functools import reduce
from operator import or_


CLEAN = "clean"  # the perturbation of a clean row
_COUNTERFACTUAL = "counterfactual_"  # what the labels of counterfactual rows begin with, and those of twins never
IGNORE_LABEL = -100  # the label that cross-entropy skips, everywhere in torch, transformers and LLaMA-Factory


class Modality(StrEnum):
    """A kind of input that a model reads."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"

    @property
    def bit(self) -> int:
        """The modality's bit in a relevant set stored as an integer."""
        return 1 << list(Modality).index(self)


MEDIA = {
    Modality.IMAGE: "images",
    Modality.VIDEO: "videos",
    Modality.AUDIO: "audios",
}  # LLaMA-Factory's columns, in order
PLAIN = "plain"  # the kind of a row whose dataset says nothing about relevance
BOTH = "both"  # the kind of a row whose answer depends on two or more modalities
KINDS = (*(modality.value for modality in Modality), BOTH, PLAIN)


def counterfactual_label(label: str) -> str:
    """The label of the counterfactual rows that a perturbation makes, from the label that its twins would have."""
    return f"{_COUNTERFACTUAL}{label}"


def is_counterfactual(label: str) -> bool:
    """Whether a label is that of counterfactual rows: the evidence is gone, so that the answer is *not* to be kept."""
    return label.startswith(_COUNTERFACTUAL)


def to_bits(modalities: Iterable[Modality]) -> int:
    """Pack a relevant set into an integer (0 = nothing is known, a plain row)."""
    return reduce(or_, (modality.bit for modality in modalities), 0)


def from_bits(bits: int) -> frozenset[Modality]:
    """Unpack a relevant set."""
    return frozenset(modality for modality in Modality if bits & modality.bit)


def kind_of(bits: int) -> str:
    """The name that `batch_mix` uses for rows with this relevant set: one of `KINDS`."""
    modalities = from_bits(bits)
    if not modalities:
        return PLAIN

    return BOTH if len(modalities) > 1 else next(iter(modalities)).value
