"""Modalities, relevant sets, and which tokens of a row belong to which modality."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from torch import Tensor


CLEAN = "clean"  # the perturbation of a clean row
IGNORE_LABEL = -100  # the label that cross-entropy skips, everywhere in torch, transformers and LLaMA-Factory


class Modality(StrEnum):
    """A sense that a model reads from, and a language."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"

    @property
    def bit(self) -> int:
        """The modality's bit in a relevant set stored as an integer."""
        return 1 << list(Modality).index(self)


PLAIN = "plain"  # the kind of a row whose dataset says nothing about relevance
BOTH = "both"  # the kind of a row whose answer depends on two or more modalities
KINDS = (*(modality.value for modality in Modality), BOTH, PLAIN)


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


@dataclass(frozen=True)
class ModalityTokens:
    """Token ids that stand for media, and those that belong to no modality.

    Attributes:
        media: the placeholder id of each media modality that the model has.
        special: ids of the template (turn marks, padding, vision start and end): never perturbed.
    """

    media: dict[Modality, int] = field(default_factory=dict)
    special: frozenset[int] = frozenset()

    def bits(self, input_ids: "Tensor") -> "Tensor":
        """The modality bit of every token, 0 for template tokens.

        Args:
            input_ids: (rows, tokens) integers.

        Returns:
            (rows, tokens) integers.
        """
        import torch

        special = torch.tensor(sorted(self.special), dtype=input_ids.dtype, device=input_ids.device)
        result = torch.where(torch.isin(input_ids, special), 0, Modality.TEXT.bit)
        for modality, token_id in self.media.items():
            result = torch.where(input_ids == token_id, modality.bit, result)

        return result


def perturbation_mask(
    input_ids: "Tensor",
    attention_mask: "Tensor",
    labels: "Tensor",
    relevant: "Tensor",
    prompt_start: "Tensor",
    tokens: ModalityTokens,
) -> "Tensor":
    """The tokens that an adversarial copy may change.

    True on tokens of irrelevant modalities that are neither padding nor labels nor template special tokens (DESIGN section
    2), and that do not stand before the first turn: the system prompt is the same in every row, and no input that could
    interfere. (The paper's code perturbs all non-visual resp. all visual tokens, arXiv 2505.19616.) So a copy begins like its
    row: where the picture comes first, it is computed once for both.

    Args:
        input_ids: (rows, tokens).
        attention_mask: (rows, tokens), 0 on padding (and on LLaMA-Factory's dummy media).
        labels: (rows, tokens), `IGNORE_LABEL` where there is none.
        relevant: (rows,) relevant sets as bits; rows with 0 (plain) get an empty mask.
        prompt_start: (rows,) how many tokens of a row stand before its first turn.
        tokens: the model's media and special tokens.

    Returns:
        (rows, tokens) booleans.
    """
    bits = tokens.bits(input_ids)
    irrelevant = (bits > 0) & ((bits & relevant[:, None]) == 0) & (relevant[:, None] > 0)
    in_turns = attention_mask.cumsum(dim=1) > prompt_start[:, None]
    return irrelevant & in_turns & attention_mask.bool() & (labels == IGNORE_LABEL)
