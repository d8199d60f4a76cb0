"""The worst flips, as a page shows them."""

from dataclasses import dataclass

from ..diagnose.results import Flip
from .changes import Piece, changes, shortened


@dataclass(frozen=True)
class Exhibit:
    """A flip, as a page shows it.

    Attributes:
        flip: as the diagnosis found it.
        prompt: the clean prompt, shortened.
        pieces: the perturbed prompt against the clean one.
        pictures: the clean row's pictures that can be shown.
        perturbed_pictures: the twin's; empty where they are the clean row's.
    """

    flip: Flip
    prompt: str
    pieces: list[Piece]
    pictures: list[str]
    perturbed_pictures: list[str]

    @property
    def same_text(self) -> bool:
        """Whether the perturbation left the text alone."""
        return all(piece.change == "same" for piece in self.pieces)


def exhibit(flip: Flip) -> Exhibit:
    """Prepare a flip for a page."""
    perturbed = [] if flip.perturbed_pictures == flip.pictures else flip.perturbed_pictures
    return Exhibit(
        flip=flip,
        prompt=shortened(flip.prompt),
        pieces=changes(flip.prompt, flip.perturbed_prompt),
        pictures=[uri for uri in flip.pictures if _is_picture(uri)],
        perturbed_pictures=[uri for uri in perturbed if _is_picture(uri)],
    )


def _is_picture(uri: str) -> bool:
    return uri.startswith("data:image/")
