"""`modality-interference check`: all problems of a dataset folder, without model and network."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .dataset_folder import DatasetDir, checked_folder, stay_offline
from .terminal import say


if TYPE_CHECKING:
    from ..data.records import Reason
    from ..integration.offline import LocalDataset

DESCRIPTION = """\
Validate a dataset folder and list all problems. Looks at dataset_info.json, the card README.md, the files and pools,
and converts the first rows of every dataset whose data is in the folder, with their images, videos and audio. Works offline, opens nothing outside the
folder and runs none of its code. What `cutoff_len` would cut off needs a tokenizer and is not looked at. Exits with 1
if there is a problem."""
EXAMPLES = """\
modality-interference check data_recipes/modality_interference_train
modality-interference check my_data --rows 1000"""
SEED = 42  # any: a check looks at whether twins can be made


@dataclass
class Findings:
    """What was found out about a dataset folder.

    Attributes:
        notes: by dataset, what was tried.
        problems: what must be fixed.
    """

    notes: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def run(
    dataset_dir: DatasetDir,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="How many rows of each dataset to try.")] = 32,
) -> int:
    """Check, and print what was found."""
    folder = checked_folder(dataset_dir)
    stay_offline()
    findings = check_dataset_folder(folder, rows)
    _print(folder, findings)
    return 1 if findings.problems else 0


def check_dataset_folder(folder: Path, rows: int) -> Findings:
    """Look for everything that is wrong with a dataset folder.

    Args:
        folder: the dataset folder.
        rows: how many rows of each dataset to convert.
    """
    from ..dataset_dir.card import card_problems
    from ..dataset_dir.contents import content_problems
    from ..dataset_dir.info import read_info
    from ..integration.extensions import known_formats

    info = read_info(folder)
    findings = Findings(problems=[*info.problems, *card_problems(folder), *content_problems(folder)])
    formats = known_formats()
    for name, entry in info.datasets.items():
        _check_dataset(name, entry, folder, formats, rows, findings)

    return findings


def _check_dataset(name: str, entry: Any, folder: Path, formats: set[str], rows: int, findings: Findings) -> None:
    from ..dataset_dir.entry import absent_column_problems, dataset_problem, dataset_problems, remote_source
    from ..integration.offline import open_dataset

    findings.notes[name] = ["rows not tried, because of its problems"]
    if problems := dataset_problems(name, entry, folder, formats):
        findings.problems += problems
        return

    if elsewhere := remote_source(entry):
        findings.notes[name] = [f"data not checked: not on this machine ({elsewhere})"]
        return

    try:
        with open_dataset(name, entry, folder, SEED) as dataset:
            problems = absent_column_problems(entry, dataset.columns)
            if not problems:
                findings.notes[name], problems = _try_rows(dataset, rows)
    except ModalityInterferenceError as error:
        findings.problems.append(str(error))
    else:
        findings.problems += (dataset_problem(name, problem) for problem in problems)


def _try_rows(dataset: "LocalDataset", rows: int) -> tuple[list[str], list[str]]:
    """Convert the first rows; returns notes and problems."""
    from ..batching.dropped import REMARKS, summaries

    tried = min(rows, len(dataset.rows))
    twins, good = Counter[str](), 0
    dropped: list[tuple[str, int, list[Reason]]] = []
    remarked: list[tuple[str, int, list[Reason]]] = []
    problems: list[tuple[int, Reason]] = []
    for example in dataset.examples(range(tried)):
        problems += ((example.index, problem) for problem in example.problems)
        if reasons := [example.dropped] if example.dropped else example.dropped_twins:
            dropped.append((dataset.name, example.data_row, reasons))

        if not example.dropped and not example.problems:
            good += 1
            remarked.append((dataset.name, example.data_row, example.remarks))
            twins.update(twin.perturbation for twin in example.twins)

    made = ", ".join(f"{number} {label}" for label, number in twins.items()) or "none"
    note = f"{good} of {tried} rows tried are good ({len(dataset.rows):,} in all); twins: {made}"
    found = _by_kind(problems)
    if not good and not found:
        found.append(f"none of the first {tried} rows can be used")

    sizes = Counter({dataset.name: tried})
    return [note, *summaries(dropped, sizes), *summaries(remarked, sizes, REMARKS)], found


def _by_kind(problems: list[tuple[int, "Reason"]]) -> list[str]:
    """One text per kind of problem: the first row that has it, and how many there are."""
    rows: dict[str, list[int]] = {}
    first: dict[str, Reason] = {}
    for row, problem in problems:
        rows.setdefault(problem.kind, []).append(row)
        first.setdefault(problem.kind, problem)

    return [f"{problem} ({_named(sorted(set(rows[kind])))})" for kind, problem in first.items()]


def _named(rows: list[int]) -> str:
    return f"row {rows[0]}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")


def _print(folder: Path, findings: Findings) -> None:
    say(f"Dataset folder {printable(str(folder))}", "bold")
    for name, notes in findings.notes.items():
        say(f"  {printable(name)}", "bold")
        for note in notes:
            say(f"    {_line(note)}")

    if not findings.problems:
        say("No problems found.", "good")
        return

    say(f"{len(findings.problems)} problem{'s' if len(findings.problems) > 1 else ''}:", "bad")
    for problem in findings.problems:
        say(f"- {_line(problem)}")


def _line(text: str) -> str:
    """A text that may hold untrusted data as one line, which programs can search for."""
    text = printable(" ".join(text.split()))
    return text if text.endswith(".") else f"{text}."
