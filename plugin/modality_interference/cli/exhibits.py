"""What a preview shows of each row, in the terminal and on the page."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.options import LETTERS
from ..dataset_dir.rows import Example
from ..media.thumbnails import SENSES, ClipThumbnail, clip_thumbnails, thumbnail_uri
from ..modality import Modality, kind_of
from ..report.text import Piece, changes


@dataclass(frozen=True)
class Picture:
    """A picture as a preview shows it.

    Attributes:
        caption: where it comes from.
        size: (width, height) in pixels.
        uri: a thumbnail, as a `data:` URI.
    """

    caption: str
    size: tuple[int, int]
    uri: str


@dataclass(frozen=True)
class TwinExhibit:
    """A twin beside its clean row.

    Attributes:
        perturbation: its label.
        pieces: its prompt against the clean row's.
        pictures: its pictures; None where they are the clean row's.
        clips: its videos and sounds, of the kinds that are not the clean row's.
        kept: what is the clean row's: `text`, `pictures`, `video`, `sound`.
        planted: the wrong option that it claims.
    """

    perturbation: str
    pieces: list[Piece]
    pictures: list[Picture] | None
    clips: list[ClipThumbnail]
    kept: list[str]
    planted: str | None


@dataclass(frozen=True)
class Exhibit:
    """A clean row and its twins, or why there is none.

    Attributes:
        row: its index.
        kind: what its answer depends on, a name that `batch_mix` knows.
        reasons: why a run would drop the row or some of its twins.
        dropped: whether it would drop the row.
        prompt: what the model is asked, media as placeholders.
        options: letters, texts, and whether each is the right one.
        answer: what the model shall answer.
        pictures: of the clean row.
        clips: its videos and sounds.
        twins: in the order of `perturbations`.
    """

    row: int
    kind: str = ""
    reasons: list[str] = field(default_factory=list)
    dropped: bool = False
    prompt: str = ""
    options: list[tuple[str, str, bool]] = field(default_factory=list)
    answer: str = ""
    pictures: list[Picture] = field(default_factory=list)
    clips: list[ClipThumbnail] = field(default_factory=list)
    twins: list[TwinExhibit] = field(default_factory=list)


def exhibit(example: Example, folder: Path) -> Exhibit:
    """Prepare a row for a preview.

    Args:
        example: the row.
        folder: the recipe, from which paths are shown.
    """
    if example.dropped or example.problems:
        reasons = [example.dropped] if example.dropped else example.problems
        return Exhibit(example.index, reasons=_relative(reasons, folder), dropped=True)

    about, aligned = example.about, example.aligned
    prompt = _prompt(aligned["_system"], aligned["_prompt"])
    shown = {reference: _picture(reference, example, folder) for reference in example.pictures}

    def clips(row: dict[str, Any], modality: Modality) -> list[ClipThumbnail]:
        media = {"row": aligned[f"_{modality}s"], "extra": aligned[f"_twin_{modality}s"]}
        return clip_thumbnails(row[f"{modality}s"], modality, media, lambda clip: _clip(clip, folder))

    return Exhibit(
        row=example.index,
        kind=kind_of(about.get("relevant") or 0),
        reasons=_relative(example.dropped_twins, folder),
        prompt=prompt,
        options=[
            (letter, option, index == about["answer"])
            for index, (letter, option) in enumerate(zip(LETTERS, about.get("choices") or ()))
        ],
        answer=aligned["_response"][0]["content"],
        pictures=[shown[reference] for reference in about["images"]],
        clips=[clip for modality in SENSES for clip in clips(about, modality)],
        twins=[_twin(variant, prompt, about, shown, clips) for variant in example.twins],
    )


def _relative(reasons: list[str], folder: Path) -> list[str]:
    """Reasons without the place of the folder on this machine: pages are shared."""
    return [reason.replace(f"{folder}{os.sep}", "") for reason in reasons]


def _twin(
    variant: dict[str, Any],
    prompt: str,
    clean: dict[str, Any],
    shown: dict[str, Picture],
    clips: Callable[[dict[str, Any], Modality], list[ClipThumbnail]],
) -> TwinExhibit:
    pieces = changes(prompt, _prompt(variant["system"], variant["prompt"]))
    same = {name: variant[name] == clean[name] for name in ("images", "videos", "audios")}
    same_text = all(piece.change == "same" for piece in pieces)
    media = {"pictures": "images"} | {sense.kind: f"{modality}s" for modality, sense in SENSES.items()}
    return TwinExhibit(
        perturbation=variant["perturbation"],
        pieces=pieces,
        pictures=None if same["images"] else [shown[reference] for reference in variant["images"]],
        clips=[clip for modality in SENSES if not same[f"{modality}s"] for clip in clips(variant, modality)],
        kept=["text"] * same_text + [kind for kind, name in media.items() if clean[name] and same[name]],
        planted=variant["target"],
    )


def _prompt(system: str | None, messages: list[dict[str, str]]) -> str:
    """The turns before the answer; with their roles where there are several."""
    turns = [("system", system)] if system else []
    turns += [(message["role"], message["content"]) for message in messages]
    return "\n\n".join(f"[{role}] {content}" for role, content in turns) if len(turns) > 1 else turns[0][1]


def _picture(reference: str, example: Example, folder: Path) -> Picture:
    image = example.pictures[reference]
    kind, _, rest = reference.partition(":")
    if kind == "canvas":
        caption = {"noise": "random pixels"}.get(rest.split(":")[0], f"{rest.split(':')[0]} canvas")
    elif kind == "file":
        caption = os.path.relpath(rest, folder)
    else:
        stored = example.aligned["_images" if kind == "row" else "_twin_images"][int(rest)]
        caption = _clip(stored, folder) + (" (another row's)" if kind == "extra" else "")

    return Picture(caption, image.size, thumbnail_uri(image))


def _clip(medium: Any, folder: Path) -> str:
    path = medium.get("path") if isinstance(medium, dict) else medium
    return os.path.relpath(path, folder) if isinstance(path, str) else "embedded"
