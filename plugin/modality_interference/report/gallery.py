"""The worst flips, as a page shows them."""

from dataclasses import dataclass

from ..diagnose.results import Flip, ShownClip
from .changes import Piece, changes, shortened


@dataclass(frozen=True)
class ExhibitedClip:
    """A video or a sound, as a page shows it.

    Attributes:
        kind: which of them.
        whose: `clean`, `perturbed`, or both.
        caption: the diagnosis's.
        uri: a picture of it; "" where there is none that can be shown.
    """

    kind: str
    whose: str
    caption: str
    uri: str


@dataclass(frozen=True)
class Exhibit:
    """A flip, as a page shows it.

    Attributes:
        flip: as the diagnosis found it.
        prompt: the clean prompt, shortened.
        pieces: the perturbed prompt against the clean one.
        pictures: the clean row's pictures that can be shown.
        perturbed_pictures: the twin's; empty where they are the clean row's.
        clips: the clean row's videos and those of the twin that differ, then their sounds likewise.
    """

    flip: Flip
    prompt: str
    pieces: list[Piece]
    pictures: list[str]
    perturbed_pictures: list[str]
    clips: list[ExhibitedClip]

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
        clips=_clips(flip),
    )


def _clips(flip: Flip) -> list[ExhibitedClip]:
    changed = {clip.kind for clip in flip.perturbed_clips}
    clean = [_clip("clean" if clip.kind in changed else "clean and perturbed", clip) for clip in flip.clips]
    every = clean + [_clip("perturbed", clip) for clip in flip.perturbed_clips]
    return sorted(every, key=lambda clip: clip.kind == "sound")


def _clip(whose: str, clip: ShownClip) -> ExhibitedClip:
    return ExhibitedClip(clip.kind, whose, clip.caption, clip.uri if _is_picture(clip.uri) else "")


def _is_picture(uri: str) -> bool:
    return uri.startswith("data:image/")
