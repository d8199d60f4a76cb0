"""Which media of a batch are the same, and where their tokens stand."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..modality import Modality


@dataclass
class SharedMedia:
    """Every distinct medium of an example once, in the order of first appearance; of one modality.

    Attributes:
        new: for each row, the media that no earlier row has.
        medium_index: (media of all rows,) place of each among the distinct ones.
        token_index: (their tokens in all rows,) place of each among the tokens of the distinct media.
    """

    new: list[list[Any]]
    medium_index: Tensor
    token_index: Tensor

    @property
    def nothing_shared(self) -> bool:
        """Whether every medium stands in one place only."""
        return len(self.medium_index) == sum(map(len, self.new))

    @classmethod
    def of(cls, rows: list[dict[str, Any]], media_of: list[dict[str, Any]], modality: Modality) -> "SharedMedia":
        """Find them.

        Args:
            rows: clean rows and twins, with `image_references` and `image_tokens`, or those of another modality.
            media_of: for each row, the media of its example by reference, the same dict for all its rows.
            modality: image, video or audio.
        """
        places: dict[tuple[int, str], tuple[int, int]] = {}  # (example, reference) -> (medium, first token)
        new: list[list[Any]] = []
        tokens_so_far, media, tokens = 0, [], []
        for row, loaded in zip(rows, media_of):
            new.append([])
            for reference, count in zip(row[f"{modality}_references"], row[f"{modality}_tokens"]):
                place = (id(loaded), reference)
                if place not in places:
                    places[place] = (len(places), tokens_so_far)
                    tokens_so_far += count
                    new[-1].append(loaded[reference])

                medium, first = places[place]
                media.append(medium)
                tokens.append(torch.arange(first, first + count))

        return cls(new, torch.tensor(media, dtype=torch.long), torch.cat(tokens) if tokens else torch.arange(0))
