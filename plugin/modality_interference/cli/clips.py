"""`modality-interference clips`: prepare clips with audio, and pair them into a benchmark of conflicts."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .terminal import progress_bar, say, say_table


if TYPE_CHECKING:
    from rich.table import Table

    from ..clips.benchmark import Benchmark
    from ..clips.folder import Outcome
    from ..clips.manifest import ClipRecord

DESCRIPTION = """\
Prepare clips with audio, and pair them into a benchmark. `clips prepare` cuts videos down to what models take;
`clips pair` gives every clip a partner of another class, whose audio or video contradicts it."""
PREPARE_DESCRIPTION = """\
Make short square clips with audio out of video files. Of every video in IN_DIR and its sub-folders, OUT_DIR gets an
MP4 without audio (centre-cropped, at a constant frame rate) and a WAV of the same length (mono, 16 kHz, 16 bits);
OUT_DIR/clips.jsonl gets a line that names both, or says why there is no clip. Labels are the names of IN_DIR's
sub-folders, or come from a CSV file. Run the same command again after an interruption, or when videos were added: it
only does what is missing or has changed. Exits with 1 if there is no good clip."""
PREPARE_EXAMPLES = """\
modality-interference clips prepare downloads clips --workers 8
modality-interference clips prepare downloads clips --labels labels.csv --keep-audio"""
PAIR_DESCRIPTION = """\
Build the benchmark of conflicts from prepared clips. Every good clip with labels gets a partner of another class, and
every clip is a partner exactly once. A row becomes two questions, one about the video and one about the audio; their
twins have the partner's audio or video, silence, black frames, a misleading caption or a long text beside them. Writes
NAME.jsonl and an entry in dataset_info.json, whose other entries stay."""
PAIR_EXAMPLES = """\
modality-interference clips pair clips/clips.jsonl
modality-interference clips pair clips/clips.jsonl --split train=0.8,test=0.2 --options 4 --abstention 'cannot tell'"""
_INTERRUPTED = 130  # as shells have it
_MIN_SIZE, _MAX_SIZE = 16, 4096  # pixels
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a training recipe lists datasets with commas between them


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 3600:
        raise typer.BadParameter("must be more than 0 and at most 3600")

    return value


def _level(text: str) -> float:
    value = _number(text)
    if not -200 <= value < 0:
        raise typer.BadParameter("must be at least -200 and less than 0 (dB of full scale)")

    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"`{text}` is not a number") from error


def _even_size(value: int) -> int:
    if value % 2:
        raise typer.BadParameter("must be an even number")

    return value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(
    folder: Annotated[Path, typer.Argument(metavar="IN_DIR", help="A folder with videos.")],
    output: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="The folder for the prepared clips.")],
    seconds: Annotated[
        float, typer.Option(parser=_seconds, metavar="SECONDS", help="The longest clip; the rest is cut off.")
    ] = 10.0,
    size: Annotated[
        int,
        typer.Option(
            min=_MIN_SIZE, max=_MAX_SIZE, callback=_even_size, metavar="PIXELS", help="The side of the square; even."
        ),
    ] = 504,
    fps: Annotated[int, typer.Option(min=1, max=120, metavar="FPS", help="Frames per second.")] = 8,
    min_seconds: Annotated[
        float, typer.Option(parser=_seconds, metavar="SECONDS", help="Skip what is shorter.")
    ] = 1.0,
    silent_below: Annotated[
        float,
        typer.Option(parser=_level, metavar="DB", help="Skip audio whose loudest eighth of a second has a lower RMS."),
    ] = -60.0,
    keep_audio: Annotated[
        bool, typer.Option("--keep-audio", help="Keep the audio in the MP4, too, for `use_audio_in_video: true`.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A CSV file with `file,label` or `file,visual_label,audio_label`."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Processes.", show_default="one per core")
    ] = _cores(),
) -> int:
    """Prepare, and say what became of the videos."""
    from ..clips.folder import prepare_folder
    from ..clips.prepare import Settings

    if min_seconds > seconds:
        raise ModalityInterferenceError(
            f"`--min-seconds {min_seconds:g}` is more than `--seconds {seconds:g}`: no clip could be long enough. "
            "Lower the one, or raise the other."
        )

    settings = Settings(
        seconds=seconds,
        size=size,
        fps=fps,
        min_seconds=min_seconds,
        silent_below=silent_below,
        keep_audio=keep_audio,
    )
    with progress_bar("Preparing clips") as show_progress:
        outcome = prepare_folder(folder, output, settings, workers, labels, show_progress)

    _print_prepared(outcome, output)
    if outcome.interrupted:
        return _INTERRUPTED

    return 0 if any(record.status == "ok" for record in outcome.records) else 1


def _print_prepared(outcome: "Outcome", output: Path) -> None:
    good = [record for record in outcome.records if record.status == "ok"]
    skipped = [record for record in outcome.records if record.status == "skipped"]
    total = len(outcome.found.sources)
    say(f"{len(good)} of {total} videos are clips now, {len(skipped)} were skipped.", "bold")
    if outcome.done_before:
        say(f"  {outcome.done_before} of them were done by an earlier run and left as they are.")

    _print_skipped(skipped)
    for note in _notes(outcome, good):
        say(f"  {printable(note)}")

    say(f"The list: {printable(str((output / 'clips.jsonl').resolve()))}")
    if outcome.interrupted:
        left = total - len(outcome.records)
        say(f"Interrupted: {left} are left to do. Run the same command again to continue.", "bad")


def _print_skipped(skipped: list["ClipRecord"]) -> None:
    """A line per reason, with its first file."""
    kinds = Counter((record.reason or "").split(":")[0] for record in skipped)
    for kind, number in kinds.most_common():
        first = next(record for record in skipped if (record.reason or "").startswith(kind))
        detail = (first.reason or "").removeprefix(f"{kind}: ")
        more = f", and {number - 1} more" if number > 1 else ""
        say(f"  skipped, {printable(kind)}: {printable(first.source)} ({printable(detail)}){more}")


def _notes(outcome: "Outcome", good: list["ClipRecord"]) -> list[str]:
    notes = []
    if outcome.found.others:
        notes.append(f"Files that are no videos by their suffix, and were not looked at: {outcome.found.others}")

    if links := outcome.found.links:
        notes.append(
            f"Folders behind symbolic links were not entered: {', '.join(links[:3])}{' ...' * (len(links) > 3)}"
        )

    if bare := [record.source for record in good if record.visual_label is None]:
        notes.append(
            f"Clips without a label, as they are not in IN_DIR/<class>/: {len(bare)} ({bare[0]}). "
            "`--labels` can name them."
        )

    return notes


def _options(text: str) -> int | str:
    if text == "all":
        return text

    if not text.isdecimal() or int(text) < 2:
        raise typer.BadParameter("must be `all`, or 2 or more")

    return int(text)


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for item in text.split(","):
        name, _, share = item.partition("=")
        if not _NAME.fullmatch(name) or name in shares or not 0 < _number(share or "nan") < 1:
            raise typer.BadParameter(f"`{item}`: give every part a name of its own and a share between 0 and 1")

        shares[name] = float(share)

    if abs(sum(shares.values()) - 1) > 1e-6:
        raise typer.BadParameter(f"the shares add up to {sum(shares.values()):g}, and must add up to 1")

    return shares


def pair(
    manifest: Annotated[Path, typer.Argument(metavar="CLIPS.JSONL", help="What `clips prepare` has written.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The dataset folder.  [default: that of CLIPS.JSONL]"),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="The name of the dataset.")] = "audio_visual",
    options: Annotated[
        Any, typer.Option(parser=_options, metavar="all|N", help="Options of a question; `all`: all classes.")
    ] = "all",
    answer: Annotated[Literal["text", "letter"], typer.Option(help="What to answer.")] = "text",
    question: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="What to ask, with {modality} and maybe {options}; see `question` in docs/data.md."
        ),
    ] = None,
    split: Annotated[
        Any, typer.Option(parser=_shares, metavar="PART=SHARE,...", help="Parts, such as train=0.8,test=0.2.")
    ] = None,
    abstention: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Add NAME_removed, without the modality that is asked about, the same with TEXT as the right option "
            "(NAME_removed_abstention), and NAME_abstention, whose rows are whole and offer TEXT, too.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of the partners and the parts.")] = 42,
) -> int:
    """Build the benchmark, and print what is in it."""
    from ..clips.benchmark import Plan, build_benchmark

    if not _NAME.fullmatch(name):
        raise ModalityInterferenceError(
            f"`--name {name}` may hold letters, digits, `_`, `-` and `.`, and begins with a letter or digit."
        )

    plan = Plan(name, options, answer, question, abstention, split or {}, seed)
    _print_paired(build_benchmark(manifest, output, plan), manifest, output or manifest.parent)
    return 0


def _print_paired(benchmark: "Benchmark", manifest: Path, folder: Path) -> None:
    say_table(_class_counts(benchmark))
    for reason, number in benchmark.unused.items():
        say(f"Lines of {printable(manifest.name)} not used, as they are {reason}: {number}")

    say(f"Datasets in {printable(str(folder.resolve()))}: {', '.join(benchmark.datasets)}")
    if benchmark.media_dir is not None:
        say(f"The clips are elsewhere; give your recipes `media_dir: {printable(str(benchmark.media_dir))}`.")


def _class_counts(benchmark: "Benchmark") -> "Table":
    """How many clips of each class every dataset has: seen / heard."""
    from rich.table import Table

    table = Table("class (seen / heard)", box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in benchmark.parts:
        table.add_column(name, justify="right")

    for label in benchmark.classes:
        cells = []
        for clips in benchmark.parts.values():
            seen = sum(clip.labels.visual == label for clip in clips)
            heard = sum(clip.labels.audio == label for clip in clips)
            cells.append(f"{seen} / {heard}")

        table.add_row(printable(label), *cells)

    table.add_row("clips", *(str(len(clips)) for clips in benchmark.parts.values()))
    table.add_row("questions", *(str(2 * len(clips)) for clips in benchmark.parts.values()))
    return table
