"""`modality-interference report`: the page of a run, or of several side by side."""

import argparse
from pathlib import Path
from typing import Any

from ..errors import ModalityInterferenceError
from .arguments import add_command
from .terminal import printable, say


EXAMPLES = """\
  modality-interference report saves/plugin -o page
  modality-interference report saves/base saves/plain saves/plugin -o comparison --names base,plain,plugin"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "report",
        "Build the page of a diagnosis, or compare several. A run is an output_dir with the files that a diagnosis "
        "wrote (interference.json, interference_rows.jsonl). With one run its page and plots are built anew, with "
        "several they are set side by side, with differences on the examples that they share.",
        EXAMPLES,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="output_dir of a run with a diagnosis")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="folder for the page")
    parser.add_argument("--names", metavar="A,B,...", help="what to call the runs (default: their folders' names)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    names = _names(arguments.names, len(arguments.runs))
    say(f"The page: {printable(str(_write(arguments.runs, arguments.output, names).resolve()))}")
    return 0


def _names(text: str | None, runs: int) -> list[str] | None:
    if text is None:
        return None

    names = [name.strip() for name in text.split(",")]
    if runs == 1:
        raise ModalityInterferenceError("`--names` is for several runs; remove it, or name more than one RUN_DIR.")

    if len(names) != runs or not all(names) or len(set(names)) < runs:
        raise ModalityInterferenceError(
            f"`--names {text}` must give each of the {runs} runs a name of its own, such as `--names base,plain`."
        )

    return names


def _write(runs: list[Path], output: Path, names: list[str] | None) -> Path:
    if len(runs) > 1:
        from ..report.comparison import compare_runs

        return compare_runs(runs, output, names)

    from ..report.page import write_report
    from ..results import read_diagnosis, read_rows

    files = write_report(output, read_diagnosis(runs[0]), read_rows(runs[0]))
    return next(file for file in files if file.suffix == ".html")
