"""`modality-interference clips pair`: the benchmark of conflicts, out of prepared clips."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModalityInterferenceError
from .arguments import add_command
from .terminal import Paint, printable, say


if TYPE_CHECKING:
    from ..clips.benchmark import Benchmark

EXAMPLES = """\
  modality-interference clips pair clips/clips.jsonl
  modality-interference clips pair clips/clips.jsonl --split train=0.8,test=0.2 --options 4 --cannot-tell"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a recipe lists datasets with commas between them


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "pair",
        "Build the benchmark of conflicts from prepared clips. Every good clip with labels gets a partner of another "
        "class, and every clip is a partner exactly once. A row becomes two questions, what is seen and what is "
        "heard; their twins have the partner's sound or picture, silence, black frames, a misleading caption or a "
        "long text beside them. Writes NAME.jsonl and an entry in dataset_info.json, whose other entries stay.",
        EXAMPLES,
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
        help="add NAME_removed, from which the asked sense is removed, so that the option `cannot tell` is right",
    )
    parser.add_argument("--seed", type=int, default=42, help="of the partners and the parts (default: 42)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
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
