"""The report of one diagnosis: a page and its plots."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from ..files import write_bytes, write_text
from ..modality import CLEAN, Modality
from ..results import JSON_FILE, PAGE_FILE, Diagnosis, Flip, MediaThumbnail, ScoredRow
from .classes import class_groups
from .grounding import TITLES, grounding_sentences, without_evidence
from .plots.diagnosis import FILES, diagnosis_plots
from .plots.grounding import grounding_plot
from .summary import diagnosis_summary
from .table import PROMPTS, RATE_TITLES, conditions, left_out, of_all, prompt_lines, rates_present, tidy_table, worst
from .templating import render
from .text import SCORINGS, Piece, changes, counted, described, moment, shortened, tuned, visible
from .theme import Plot


def write_report(folder: Path, diagnosis: Diagnosis, rows: Sequence[ScoredRow]) -> list[Path]:
    """Write `interference.html`, which needs no other file, and the plots as PNGs; each at once or not at all.

    Args:
        folder: where to, the run's output_dir.
        diagnosis: the figures.
        rows: the answers behind them.

    Returns:
        the files.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    plots, both_axes = diagnosis_plots(diagnosis, rows), grounding_plot(diagnosis)
    text = _page(diagnosis, rows, plots, both_axes)  # before anything is written: all or nothing
    plots += [both_axes] if both_axes else []
    for plot in plots:
        write_bytes(folder / plot.file_name, plot.png)

    page = folder / PAGE_FILE
    write_text(page, text)
    for name in set(FILES) - {plot.file_name for plot in plots}:
        (folder / name).unlink(missing_ok=True)  # an earlier diagnosis's would contradict the page

    return [page, *(folder / plot.file_name for plot in plots)]


def _page(diagnosis: Diagnosis, rows: Sequence[ScoredRow], plots: Sequence[Plot], both_axes: Plot | None) -> str:
    lines = without_evidence(diagnosis)
    every = tidy_table(diagnosis)
    table = worst(every)
    overall = of_all(table)
    return render(
        "interference.html.j2",
        diagnosis=diagnosis,
        model=described(diagnosis.model).get("name_or_path", "a model"),
        tuned=diagnosis.tuning and tuned(diagnosis.tuning),
        created=moment(diagnosis.created),
        scoring=SCORINGS[diagnosis.scoring],
        introduction=introduction(diagnosis),
        summary=diagnosis_summary(of_all(every)),
        left_out=left_out(every, JSON_FILE),
        plots=plots,
        conditions=conditions(overall),
        prompts=PROMPTS,
        prompt_lines=prompt_lines(table),
        datasets=list(diagnosis.datasets),
        perturbations=list(overall.perturbation.unique()),
        rates=rates_present(overall),
        rate_titles=RATE_TITLES,
        class_groups=class_groups(rows),
        without_evidence=lines,
        evidence_titles={name: title for name, title in TITLES.items() if any(name in line.figures for line in lines)},
        grounding_sentences=list(grounding_sentences(diagnosis)),
        grounding_plot=both_axes,
        gallery=[flip_card(flip) for flip in diagnosis.gallery],
        unmoved=[flip_card(flip) for flip in diagnosis.unmoved],
        flips=max(len(diagnosis.gallery), sum(row.flipped is True for row in rows)),
        origin=_origin(diagnosis),
    )


_LONGEST_QUOTE = 140  # characters


def introduction(diagnosis: Diagnosis) -> list[Markup]:
    """What was done, in two sentences and an example, for readers who see such a page for the first time."""
    questions = counted(sum(result.examples for result in diagnosis.datasets.values()), "question")
    if all(set(result.perturbations) <= {CLEAN} for result in diagnosis.datasets.values()):
        return [Markup("The model was asked {}, all as they are: no input was changed.").format(questions)]

    sentences = [
        Markup(
            "The model was asked {}, each as it is and again with one input changed that should not matter for the answer "
            "(a <em>perturbation</em>)."
        ).format(questions),
        Markup("Where its answer changes all the same (a <em>flip</em>), that input interferes."),
    ]
    return [*sentences, *map(_example, diagnosis.gallery[:1])]


def _example(flip: Flip) -> Markup:
    added = " ".join(
        piece.text.strip() for piece in changes(flip.prompt, flip.perturbed_prompt) if piece.change == "added"
    )
    what = (
        Markup("after <q>{}</q> was put into the prompt").format(_quoted(added)) if added else "after a medium changed"
    )
    return Markup(
        "For example, asked <q>{}</q> it answered <q>{}</q>; {} (<code>{}</code>), it answered <q>{}</q>."
    ).format(
        _quoted(_MEDIA.sub(" ", flip.prompt)),
        _quoted(visible(flip.clean_answer)),
        what,
        flip.perturbation,
        _quoted(visible(flip.perturbed_answer)),
    )


_MEDIA = re.compile("<(?:image|video|audio)>")


def _quoted(text: str) -> str:
    """On one line, and without its end where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE].rstrip()} …"


def _origin(diagnosis: Diagnosis) -> list[tuple[str, dict[str, str]]]:
    settings = diagnosis.model_dump(include={"seed", "scoring", "free_answers", "prompt", "decoding", "resamples"})
    calibration = str(diagnosis.calibration) if diagnosis.calibration else None
    run = {**diagnosis.run, **settings, "attention_calibration": calibration}
    parts = {"Model": diagnosis.model, "Data": diagnosis.data, "Run": run, "Versions": diagnosis.versions}
    return [(title, described(values)) for title, values in parts.items()]


@dataclass(frozen=True)
class FlipCard:
    """A flip, as a page shows it.

    Attributes:
        flip: as the diagnosis found it.
        prompt: the clean prompt, shortened.
        pieces: the perturbed prompt against the clean one.
        images: the clean row's images that can be shown.
        perturbed_images: the twin's; empty where they are the clean row's.
        clips: the clean row's videos and those of the twin that differ, then their audio tracks
            likewise; each behind `clean`, `perturbed` or both.
    """

    flip: Flip
    prompt: str
    pieces: list[Piece]
    images: list[str]
    perturbed_images: list[str]
    clips: list[tuple[str, MediaThumbnail]]

    @property
    def same_text(self) -> bool:
        """Whether the perturbation left the text alone."""
        return all(piece.change == "same" for piece in self.pieces)


def flip_card(flip: Flip) -> FlipCard:
    """Prepare a flip for a page."""
    perturbed = [] if flip.perturbed_images == flip.images else flip.perturbed_images
    return FlipCard(
        flip=flip,
        prompt=shortened(flip.prompt),
        pieces=changes(flip.prompt, flip.perturbed_prompt),
        images=[uri for uri in flip.images if _is_image(uri)],
        perturbed_images=[uri for uri in perturbed if _is_image(uri)],
        clips=_clips(flip),
    )


def _clips(flip: Flip) -> list[tuple[str, MediaThumbnail]]:
    changed = {clip.modality for clip in flip.perturbed_clips}
    clean = [("clean" if clip.modality in changed else "clean and perturbed", clip) for clip in flip.clips]
    every = clean + [("perturbed", clip) for clip in flip.perturbed_clips]
    shown = [(whose, clip if _is_image(clip.uri) else clip.model_copy(update={"uri": ""})) for whose, clip in every]
    return sorted(shown, key=lambda item: item[1].modality is Modality.AUDIO)


def _is_image(uri: str) -> bool:
    return uri.startswith("data:image/")
