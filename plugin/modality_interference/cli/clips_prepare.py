"""`modality-interference clips prepare`: short square clips with sound, out of video files."""

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModalityInterferenceError
from .arguments import add_command, count
from .terminal import Paint, printable, say


if TYPE_CHECKING:
    from ..clips.folder import Outcome
    from ..clips.manifest import ClipRecord

EXAMPLES = """\
  modality-interference clips prepare downloads clips --workers 8
  modality-interference clips prepare downloads clips --labels labels.csv --keep-sound"""
_INTERRUPTED = 130  # as shells have it
_SIZES = (16, 4096)


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "prepare",
        "Make short square clips with sound out of video files. Of every video in IN_DIR and its sub-folders, OUT_DIR "
        "gets an MP4 without sound (centre-cropped, at a constant frame rate) and a WAV of the same length (mono, 16 "
        "kHz, 16 bits); OUT_DIR/clips.jsonl gets a line that names both, or says why there is no clip. Labels are the "
        "names of IN_DIR's sub-folders, or come from a CSV file. Run the same command again after an interruption, or "
        "when videos were added: it only does what is missing or has changed. Exits with 1 if there is no good clip.",
        EXAMPLES,
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prepare, and say what became of the videos."""
    from ..clips.folder import prepare_folder
    from ..clips.settings import Settings

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
        say(f"  {outcome.done_before} of them were done by an earlier run and left as they are.")

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
