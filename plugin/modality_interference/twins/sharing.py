"""Which pictures of a batch are the same, and where their tokens stand."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class SharedPictures:
    """Every distinct picture of an example once, in the order of first appearance.

    Attributes:
        new: for each row, the pictures that no earlier row has.
        picture_index: (pictures of all rows,) place of each among the distinct ones.
        token_index: (image tokens of all rows,) place of each among the tokens of the distinct pictures.
    """

    new: list[list[Any]]
    picture_index: Tensor
    token_index: Tensor

    @property
    def nothing_shared(self) -> bool:
        """Whether every picture stands in one place only."""
        return len(self.picture_index) == sum(map(len, self.new))

    @classmethod
    def of(cls, rows: list[dict[str, Any]], pictures_of: list[dict[str, Any]]) -> "SharedPictures":
        """Find them.

        Args:
            rows: clean rows and twins, with `image_references` and `image_tokens`.
            pictures_of: for each row, the pictures of its example by reference, the same dict for all its rows.
        """
        places: dict[tuple[int, str], tuple[int, int]] = {}  # (example, reference) -> (picture, first token)
        new: list[list[Any]] = []
        tokens_so_far, pictures, tokens = 0, [], []
        for row, loaded in zip(rows, pictures_of):
            new.append([])
            for reference, count in zip(row["image_references"], row["image_tokens"]):
                place = (id(loaded), reference)
                if place not in places:
                    places[place] = (len(places), tokens_so_far)
                    tokens_so_far += count
                    new[-1].append(loaded[reference])

                picture, first = places[place]
                pictures.append(picture)
                tokens.append(torch.arange(first, first + count))

        return cls(new, torch.tensor(pictures, dtype=torch.long), torch.cat(tokens) if tokens else torch.arange(0))
