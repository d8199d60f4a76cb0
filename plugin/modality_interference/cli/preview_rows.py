"""What a preview shows of each row, in the terminal and on the page."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.options import letters
from ..data.records import Reason, TwinRecord, Variant
from ..data.sample import CHOSEN, REJECTED, WITHHELD
from ..dataset_dir.rows import Example
from ..media.reference import CanvasKind, CanvasReference, FileReference, HiddenReference, WrittenReference, parse
from ..media.thumbnails import CLIP_MODALITIES, clip_thumbnails, thumbnail_uri
from ..modality import MEDIA, Modality, kind_of
from ..report.text import Piece, changes
from ..results import MediaThumbnail


@dataclass(frozen=True)
class PreviewedTwin:
    """A twin, or a row without its evidence, beside its clean row.

    Attributes:
        perturbation: its label.
        pieces: its prompt against the clean row's.
        images: its images; None where they are the clean row's.
        clips: its videos and audio tracks, of the modalities that are not the clean row's.
        kept: what is the clean row's: `text`, `images`, `video`, `audio`.
        target: the wrong option that it claims.
    """

    perturbation: str
    pieces: list[Piece]
    images: list[MediaThumbnail] | None
    clips: list[MediaThumbnail]
    kept: list[str]
    target: str | None


@dataclass(frozen=True)
class PreviewedRow:
    """A clean row and its twins, or why there is none.

    Attributes:
        row: its index.
        kind: what its answer depends on, a name that `batch_mix` knows.
        reasons: why a run would drop the row or some of its twins.
        dropped: whether it would drop the row.
        prompt: what the model is asked, media as placeholders.
        options: letters, texts, and whether each is the right one; behind them the answers of a pair.
        answer: the right answer.
        images: of the clean row.
        clips: its videos and audio tracks.
        twins: in the order of `perturbations`.
        counterfactuals: its rows without the evidence, in the order of `counterfactuals`.
    """

    row: int
    kind: str = ""
    reasons: list[str] = field(default_factory=list)
    dropped: bool = False
    prompt: str = ""
    options: list[tuple[str, str, bool]] = field(default_factory=list)
    answer: str = ""
    images: list[MediaThumbnail] = field(default_factory=list)
    clips: list[MediaThumbnail] = field(default_factory=list)
    twins: list[PreviewedTwin] = field(default_factory=list)
    counterfactuals: list[PreviewedTwin] = field(default_factory=list)


def previewed_row(example: Example, folders: Sequence[Path]) -> PreviewedRow:
    """Prepare a row for a preview.

    Args:
        example: the row.
        folders: the dataset folder and the media folder; a path is shown relative to the one that holds it.
    """
    if example.dropped or example.problems:
        reasons = [example.dropped] if example.dropped else example.problems
        return PreviewedRow(example.index, reasons=_relative(reasons, folders), dropped=True)

    record, aligned = example.record, example.aligned
    assert record is not None  # or there would be a problem
    prompt = _prompt(aligned["_system"], aligned["_prompt"])
    shown = {reference: _image(reference, example, folders) for reference in example.images}

    def clips(row: TwinRecord | Variant, modality: Modality) -> list[MediaThumbnail]:
        media = {"row": aligned[f"_{modality}s"], "extra": aligned[f"_twin_{modality}s"]}
        return clip_thumbnails(row.media[modality], modality, media, lambda clip: _name(clip, folders))

    return PreviewedRow(
        row=example.index,
        kind=kind_of(record.relevant),
        reasons=_relative(example.dropped_twins, folders),
        prompt=prompt,
        options=[
            (letter, option, index == record.answer)
            for index, (letter, option) in enumerate(zip(letters(len(record.choices)), record.choices, strict=True))
        ]
        + _pair(aligned["_response"]),
        answer=aligned["_response"][0]["content"],
        images=[shown[reference] for reference in record.media[Modality.IMAGE]],
        clips=[clip for modality in CLIP_MODALITIES for clip in clips(record, modality)],
        twins=[_previewed_twin(variant, prompt, record, shown, clips) for variant in example.twins],
        counterfactuals=[_previewed_twin(row, prompt, record, shown, clips) for row in example.counterfactuals],
    )


def _pair(answers: list[dict[str, str]]) -> list[tuple[str, str, bool]]:
    """The answers of a pair, as options; none of a row with one answer."""
    found = zip((CHOSEN, REJECTED, WITHHELD), answers) if len(answers) > 1 else ()
    return [(name, answer["content"], name == CHOSEN) for name, answer in found]


def _relative(reasons: list[Reason], folders: Sequence[Path]) -> list[str]:
    """Reasons without the folders' paths on this machine: pages are shared."""
    texts = [str(reason) for reason in reasons]
    for folder in folders:
        texts = [text.replace(f"{folder}{os.sep}", "").replace(f" ({folder})", "") for text in texts]

    return texts


def _previewed_twin(
    variant: Variant,
    prompt: str,
    clean: TwinRecord,
    shown: dict[str, MediaThumbnail],
    clips: Callable[[TwinRecord | Variant, Modality], list[MediaThumbnail]],
) -> PreviewedTwin:
    pieces = changes(prompt, _prompt(variant.system, variant.prompt))
    same = {modality: variant.media[modality] == clean.media[modality] for modality in MEDIA}
    same_text = all(piece.change == "same" for piece in pieces)
    kinds = {Modality.IMAGE: "images"} | {modality: modality.value for modality in CLIP_MODALITIES}
    return PreviewedTwin(
        perturbation=variant.perturbation,
        pieces=pieces,
        images=None if same[Modality.IMAGE] else [shown[name] for name in variant.media[Modality.IMAGE]],
        clips=[clip for modality in CLIP_MODALITIES if not same[modality] for clip in clips(variant, modality)],
        kept=["text"] * same_text
        + [kind for modality, kind in kinds.items() if clean.media[modality] and same[modality]],
        target=variant.target,
    )


def _prompt(system: str | None, messages: list[dict[str, str]]) -> str:
    """The turns before the answer; with their roles where there are several."""
    turns = [("system", system)] if system else []
    turns += [(message["role"], message["content"]) for message in messages]
    return "\n\n".join(f"[{role}] {content}" for role, content in turns) if len(turns) > 1 else turns[0][1]


def _image(text: str, example: Example, folders: Sequence[Path]) -> MediaThumbnail:
    image, reference = example.images[text], parse(text)
    if isinstance(reference, CanvasReference):
        caption = "random pixels" if reference.kind is CanvasKind.NOISE else f"{reference.kind} canvas"
    elif isinstance(reference, WrittenReference):
        on = "a canvas" if isinstance(reference.on, tuple) else "the image"
        caption = f"{reference.words!r} written on {on}"
    elif isinstance(reference, HiddenReference):
        caption = f"the image, {reference.how}"
    elif isinstance(reference, FileReference):
        caption = _shown_path(reference.path, folders)
    else:
        stored = reference.find(example.aligned["_images"], example.aligned["_twin_images"])
        caption = _name(stored, folders) + (" (another row's)" if reference.column == "extra" else "")

    return MediaThumbnail(modality=Modality.IMAGE, caption=caption, size=image.size, uri=thumbnail_uri(image))


def _name(medium: Any, folders: Sequence[Path]) -> str:
    path = medium.get("path") if isinstance(medium, dict) else medium
    return _shown_path(path, folders) if isinstance(path, str) else "embedded"


def _shown_path(path: str, folders: Sequence[Path]) -> str:
    holding = (folder for folder in folders if os.path.abspath(path).startswith(os.path.join(folder, "")))
    return os.path.relpath(path, next(holding, folders[0]))
