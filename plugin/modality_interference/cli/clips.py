"""`modality-interference clips`: prepare clips with audio, and pair them into a benchmark of conflicts."""

import argparse
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModalityInterferenceError
from .arguments import add_command, count
from .terminal import Paint, printable, say


if TYPE_CHECKING:
    from ..clips.benchmark import Benchmark
    from ..clips.folder import Outcome
    from ..clips.manifest import ClipRecord

EXAMPLES = """\
  modality-interference clips prepare downloads clips
  modality-interference clips pair clips/clips.jsonl"""


def add_parser(commands: Any) -> None:
    """Add the subcommand and its own subcommands."""
    parser = add_command(
        commands,
        "clips",
        "Prepare clips with sound, and pair them into a benchmark. `clips prepare` cuts videos down to what models "
        "take; `clips pair` gives every clip a partner of another class, whose sound or picture contradicts it.",
        EXAMPLES,
    )
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_prepare(subcommands)
    _add_pair(subcommands)


_PREPARE_EXAMPLES = """\
  modality-interference clips prepare downloads clips --workers 8
  modality-interference clips prepare downloads clips --labels labels.csv --keep-sound"""
_INTERRUPTED = 130  # as shells have it
_SIZES = (16, 4096)


def _add_prepare(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "prepare",
        "Make short square clips with sound out of video files. Of every video in IN_DIR and its sub-folders, OUT_DIR "
        "gets an MP4 without sound (centre-cropped, at a constant frame rate) and a WAV of the same length (mono, 16 "
        "kHz, 16 bits); OUT_DIR/clips.jsonl gets a line that names both, or says why there is no clip. Labels are the "
        "names of IN_DIR's sub-folders, or come from a CSV file. Run the same command again after an interruption, or "
        "when videos were added: it only does what is missing or has changed. Exits with 1 if there is no good clip.",
        _PREPARE_EXAMPLES,
    )
    parser.add_argument("folder", type=Path, metavar="IN_DIR", help="folder with videos")
    parser.add_argument("output", type=Path, metavar="OUT_DIR", help="folder for the prepared clips")
    parser.add_argument(
        "--seconds", type=_seconds, default=10.0, help="longest clip; the rest is cut off (default: 10)"
    )
    parser.add_argument("--size", type=_size, default=504, metavar="PIXELS", help="side of the square (default: 504)")
    parser.add_argument("--fps", type=_fps, default=8, help="frames per second (default: 8)")
    parser.add_argument(
        "--min-seconds", type=_seconds, default=1.0, metavar="SECONDS", help="skip what is shorter (default: 1)"
    )
    parser.add_argument(
        "--silent-below", type=_level, default=-60.0, metavar="DB", help="skip sound of a lower RMS (default: -60)"
    )
    parser.add_argument(
        "--keep-sound", action="store_true", help="give the MP4 its sound, too, for `use_audio_in_video: true`"
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="CSV with `file,label` or `file,visual_label,audio_label`"
    )
    parser.add_argument(
        "--workers", type=count, default=_cores(), metavar="N", help="processes (default: one per core)"
    )
    parser.set_defaults(run_prepare=run_prepare)


def run_prepare(arguments: argparse.Namespace) -> int:
    """Prepare, and say what became of the videos."""
    from ..clips.folder import prepare_folder
    from ..clips.sources import Settings

    if arguments.min_seconds > arguments.seconds:
        raise ModalityInterferenceError(
            f"`--min-seconds {arguments.min_seconds:g}` is more than `--seconds {arguments.seconds:g}`: no clip could "
            "be long enough. Lower the one, or raise the other."
        )

    settings = Settings(
        seconds=arguments.seconds,
        size=arguments.size,
        fps=arguments.fps,
        min_seconds=arguments.min_seconds,
        silent_below=arguments.silent_below,
        keep_sound=arguments.keep_sound,
    )
    outcome = prepare_folder(arguments.folder, arguments.output, settings, arguments.workers, arguments.labels)
    _print_prepared(outcome, arguments.output)
    if outcome.interrupted:
        return _INTERRUPTED

    return 0 if any(record.status == "ok" for record in outcome.records) else 1


def _print_prepared(outcome: "Outcome", output: Path) -> None:
    paint = Paint.for_stdout()
    good = [record for record in outcome.records if record.status == "ok"]
    skipped = [record for record in outcome.records if record.status == "skipped"]
    total = len(outcome.found.sources)
    say(paint.bold(f"{len(good)} of {total} videos are clips now, {len(skipped)} were skipped."))
    if outcome.done_before:
        say(f"  {outcome.done_before} of them were done by an earlier run_prepare and left as they are.")

    _print_skipped(skipped)
    for note in _notes(outcome, good):
        say(f"  {printable(note)}")

    say(f"The list: {printable(str((output / 'clips.jsonl').resolve()))}")
    if outcome.interrupted:
        left = total - len(outcome.records)
        say(paint.bad(f"Interrupted: {left} are left to do. Run the same command again to continue."))


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
            f"Clips without a label, as they do not lie in IN_DIR/<class>/: {len(bare)} ({bare[0]}). "
            "`--labels` can name them."
        )

    return notes


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 3600")

    return value


def _level(text: str) -> float:
    value = float(text)
    if not -200 <= value < 0:
        raise argparse.ArgumentTypeError("must be at least -200 and less than 0 (dB of full scale)")

    return value


def _fps(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 120:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 120")

    return value


def _size(text: str) -> int:
    value = int(text)
    if value % 2 or not _SIZES[0] <= value <= _SIZES[1]:
        raise argparse.ArgumentTypeError(f"must be an even number from {_SIZES[0]} to {_SIZES[1]}")

    return value


_PAIR_EXAMPLES = """\
  modality-interference clips pair clips/clips.jsonl
  modality-interference clips pair clips/clips.jsonl --split train=0.8,test=0.2 --options 4 --cannot-tell"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a recipe lists datasets with commas between them


def _add_pair(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "pair",
        "Build the benchmark of conflicts from prepared clips. Every good clip with labels gets a partner of another "
        "class, and every clip is a partner exactly once. A row becomes two questions, what is seen and what is "
        "heard; their twins have the partner's sound or picture, silence, black frames, a misleading caption or a "
        "long text beside them. Writes NAME.jsonl and an entry in dataset_info.json, whose other entries stay.",
        _PAIR_EXAMPLES,
    )
    parser.add_argument("manifest", type=Path, metavar="clips.jsonl", help="what `clips prepare` has written")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="dataset_dir (default: beside clips.jsonl)")
    parser.add_argument("--name", default="audio_visual", help="name of the dataset (default: audio_visual)")
    parser.add_argument(
        "--options", type=_options, default="all", metavar="all|N", help="options of a question (default: all classes)"
    )
    parser.add_argument("--answer", choices=("text", "letter"), default="text", help="what to answer (default: text)")
    parser.add_argument(
        "--split", type=_shares, default={}, metavar="PART=SHARE,...", help="parts, such as train=0.8,test=0.2"
    )
    parser.add_argument(
        "--cannot-tell",
        action="store_true",
        help="add NAME_removed, from which the asked modality is removed, so that the option `cannot tell` is right",
    )
    parser.add_argument("--seed", type=int, default=42, help="of the partners and the parts (default: 42)")
    parser.set_defaults(run_pair=run_pair)


def run_pair(arguments: argparse.Namespace) -> int:
    """Build the benchmark, and print what is in it."""
    from ..clips.benchmark import Plan, build_benchmark

    if not _NAME.fullmatch(arguments.name):
        raise ModalityInterferenceError(
            f"`--name {arguments.name}` may hold letters, digits, `_`, `-` and `.`, and begins with a letter or digit."
        )

    plan = Plan(
        name=arguments.name,
        options=arguments.options,
        answer=arguments.answer,
        cannot_tell=arguments.cannot_tell,
        shares=arguments.split,
        seed=arguments.seed,
    )
    _print_paired(build_benchmark(arguments.manifest, arguments.output, plan), arguments)
    return 0


def _print_paired(benchmark: "Benchmark", arguments: argparse.Namespace) -> None:
    paint = Paint.for_stdout()
    for line, text in enumerate(_table(benchmark)):
        say(paint.bold(text) if line == 0 else text)

    for reason, number in benchmark.unused.items():
        say(f"Lines of {printable(arguments.manifest.name)} not used, as they are {reason}: {number}")

    folder = (arguments.output or arguments.manifest.parent).resolve()
    say(f"Datasets in {printable(str(folder))}: {', '.join(benchmark.datasets)}")
    if benchmark.media_dir is not None:
        say(f"The clips lie elsewhere; give your recipes `media_dir: {printable(str(benchmark.media_dir))}`.")


def _table(benchmark: "Benchmark") -> list[str]:
    """How many clips of each class every dataset has: seen / heard."""
    names = list(benchmark.parts)
    rows = [["class (seen / heard)", *names]]
    for label in benchmark.classes:
        cells = []
        for clips in benchmark.parts.values():
            seen = sum(clip.labels.visual == label for clip in clips)
            heard = sum(clip.labels.audio == label for clip in clips)
            cells.append(f"{seen} / {heard}")

        rows.append([printable(label), *cells])

    rows.append(["clips", *(str(len(clips)) for clips in benchmark.parts.values())])
    rows.append(["questions", *(str(2 * len(clips)) for clips in benchmark.parts.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _options(text: str) -> int | str:
    if text == "all":
        return text

    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError("must be `all`, or 2 or more")

    return value


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for item in text.split(","):
        name, _, share = item.partition("=")
        if not _NAME.fullmatch(name) or name in shares or not 0 < float(share) < 1:
            raise argparse.ArgumentTypeError(
                f"`{item}`: give every part a name of its own and a share between 0 and 1"
            )

        shares[name] = float(share)

    if abs(sum(shares.values()) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f"the shares add up to {sum(shares.values()):g}, and must add up to 1")

    return shares
