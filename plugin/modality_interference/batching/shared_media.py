"""Which media of a batch are the same, and where their tokens are."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..media.reference import UnreadMedium
from ..modality import MEDIA, Modality
from .example import TokenizedRow
from .tokens import ModalityTokens


METHODS = {  # of transformers' models; InternVL encodes the frames of videos as images
    Modality.IMAGE: ("get_image_features",),
    Modality.VIDEO: ("get_video_features", "get_image_features"),
    Modality.AUDIO: ("get_audio_features",),
}


def media_owner(model: Any) -> Any:
    """The module whose methods encode media, and whose forward calls them: the model, or what its head is on.

    Args:
        model: without PEFT's wrapper.

    Returns:
        None where there are no such methods: Qwen2-Audio encodes in its forward.
    """
    modules = (getattr(model, "model", None), model)
    return next((module for module in modules if any(map(partial(encodes, module), Modality))), None)


def encodes(module: Any, modality: Modality) -> bool:
    """Whether a module has a method that encodes a modality."""
    return any(callable(getattr(type(module), name, None)) for name in METHODS.get(modality, ()))


@dataclass
class SharedMedia:
    """Every distinct medium of a batch once, in the order of first appearance; of one modality.

    Examples that show the same canvas, or the same image of a pool, share it too.

    Attributes:
        new: for each row, the media that no earlier row has.
        medium_index: (media of all rows,) index of each among the distinct ones.
        token_index: (their tokens in all rows,) index of each among the tokens of the distinct media.
    """

    new: list[list[Any]]
    medium_index: Tensor
    token_index: Tensor

    @property
    def nothing_shared(self) -> bool:
        """Whether every medium occurs once only."""
        return len(self.medium_index) == sum(map(len, self.new))

    @classmethod
    def of(cls, rows: list[TokenizedRow], media_of: list[dict[str, Any]], modality: Modality) -> "SharedMedia":
        """Find them.

        Args:
            rows: clean rows and twins, all with references.
            media_of: for each row, the media of its example by reference, the same dict for all its rows.
            modality: image, video or audio.
        """
        positions: dict[Hashable, tuple[int, int]] = {}  # identity -> (medium, first token)
        identities: dict[int, Hashable] = {}  # an example's rows refer to one object
        new: list[list[Any]] = []
        tokens_so_far, media, tokens = 0, [], []
        for row, loaded in zip(rows, media_of):
            new.append([])
            for reference, count in zip((row.references or {})[modality], row.media_tokens[modality]):
                medium = loaded[reference]
                if id(medium) not in identities:
                    identities[id(medium)] = _identity(medium)

                identity = identities[id(medium)]
                if identity not in positions:
                    positions[identity] = (len(positions), tokens_so_far)
                    tokens_so_far += count
                    new[-1].append(medium)

                index, first = positions[identity]
                media.append(index)
                tokens.append(torch.arange(first, first + count))

        return cls(new, torch.tensor(media, dtype=torch.long), torch.cat(tokens) if tokens else torch.arange(0))


def feature_index(
    batch: Mapping[str, Any], media_index: Mapping[Modality, Tensor], tokens: ModalityTokens
) -> dict[Modality, Tensor]:
    """`TwinBatch.feature_index` of a collated batch.

    LLaMA-Factory gives the model all images of a batch, then all videos. Where both have the same tokens, the model would take
    their features in that order, whatever the order of the rows; the index sets it right.

    Args:
        batch: with `input_ids` and `token_modality`.
        media_index: see `TwinBatch`.
        tokens: of the model.
    """
    kinds, ids = batch["token_modality"].flatten(), batch["input_ids"].flatten()
    encoded: dict[Modality, list[Modality]] = {}
    for modality in MEDIA:
        own = ids[kinds == modality.bit]
        if len(own):
            encoder = next((name for name, token in tokens.media.items() if token == own[0]), modality)
            encoded.setdefault(encoder, []).append(modality)

    found = {}
    for encoder, modalities in encoded.items():
        if len(modalities) == 1:
            if modalities[0] in media_index:
                found[encoder] = media_index[modalities[0]]

            continue

        index, before = torch.zeros_like(ids), 0
        for modality in modalities:
            places = kinds == modality.bit
            own = media_index.get(modality, torch.arange(int(places.sum())))
            index[places] = own + before
            before += int(own.max()) + 1

        found[encoder] = index[torch.isin(kinds, torch.tensor([modality.bit for modality in modalities]))]

    return found


def _identity(medium: Any) -> Hashable:
    """What two media have in common only if they are the same."""
    if isinstance(medium, Image.Image):
        return medium.size, medium.mode, blake2b(medium.tobytes(), digest_size=16).digest()

    if isinstance(medium, UnreadMedium) and isinstance(medium.source, str) and isinstance(medium.like, str | None):
        return medium.source, medium.removed, medium.like, medium.edit

    return id(medium)
