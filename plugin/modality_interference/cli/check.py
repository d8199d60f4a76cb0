"""`modality-interference check`: all problems of a dataset folder, without model and network."""

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .dataset_folder import DatasetDir, MediaDir, checked_folder, checked_media_dir, stay_offline
from .terminal import say


if TYPE_CHECKING:
    from ..data.records import Reason
    from ..integration.offline import LocalDataset

DESCRIPTION = """\
Validate a dataset folder and list all problems. Looks at dataset_info.json, the files and pools, and converts the first
rows of every dataset whose data is in the folder, with their images, videos and audio. A row whose label cannot be
right is a problem, and so is a path that leads out of the folder and of `--media-dir`; a medium that cannot be read is
counted as a run counts it. Works offline, opens nothing outside these folders and runs none of their code. What
`cutoff_len` would cut off needs a tokenizer and is not looked at. Exits with 1 if there is a problem."""
EXAMPLES = """\
modality-interference check my_data --rows 1000
modality-interference check my_data --media-dir /data/images
modality-interference check my_data --json
modality-interference check data_recipes/modality_interference_train --data-recipe"""
SEED = 42  # any: a check looks at whether twins can be made
# Kinds of dropped rows that are problems, whatever else a dataset holds: what a row says of its answer is wrong, which is
# rather a mistake in the entry or the data than a lost file.
LABEL_KINDS = frozenset(
    {
        "answer contradicts the response",
        "answer not among the options",
        "context not understood",
        "duplicated options",
        "fewer than two options",
        "label outside the class list",
        "options not understood",
        "relevant not understood",
        "swapped clip of the same class",
    }
)
_KEY = re.compile(r"`([a-z_]+[\w.\[\]]*)`")  # what a problem is about stands first in it


@dataclass(frozen=True)
class Problem:
    """Something that must be fixed.

    Attributes:
        message: all of it, as the terminal shows it.
        dataset: the dataset that has it; None where the folder has it.
        key: of the dataset's entry, dotted, such as `twins.answer`; None where it is about something else.
        row: of the dataset, from 0; the first one where several have it.
    """

    message: str
    dataset: str | None = None
    key: str | None = None
    row: int | None = None


@dataclass
class Findings:
    """What was found out about a dataset folder.

    Attributes:
        notes: by dataset, what was tried.
        problems: what must be fixed.
    """

    notes: dict[str, list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def messages(self) -> list[str]:
        """The problems as texts."""
        return [problem.message for problem in self.problems]


def run(
    dataset_dir: DatasetDir,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="How many rows of each dataset to try.")] = 32,
    media_dir: MediaDir = None,
    data_recipe: Annotated[
        bool, typer.Option("--data-recipe", help="Look at the card README.md, too, which a shared data recipe has.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, for programs.")] = False,
) -> int:
    """Check, and print what was found."""
    folder = checked_folder(dataset_dir)
    media = checked_media_dir(media_dir)
    stay_offline()
    findings = check_dataset_folder(folder, rows, media, data_recipe)
    if as_json:
        print(_as_json(folder, findings))
    else:
        say(f"Dataset folder {printable(str(folder))}", "bold")
        say_findings(findings)

    return 1 if findings.problems else 0


def check_dataset_folder(
    folder: Path, rows: int, media_dir: Path | None = None, data_recipe: bool = False
) -> Findings:
    """Look for everything that is wrong with a dataset folder.

    Args:
        folder: the dataset folder.
        rows: how many rows of each dataset to convert.
        media_dir: a run's `media_dir`; None for the dataset folder.
        data_recipe: whether it must have a card.
    """
    from ..dataset_dir.card import card_problems
    from ..dataset_dir.contents import content_problems
    from ..dataset_dir.info import read_info
    from ..integration.extensions import known_formats

    info = read_info(folder)
    problems = [*info.problems, *(card_problems(folder) if data_recipe else ()), *content_problems(folder, media_dir)]
    findings = Findings(problems=[Problem(text) for text in problems])
    formats = known_formats()
    for name, entry in info.datasets.items():
        findings.notes[name], problems_of_it = check_dataset(name, entry, folder, media_dir, formats, rows)
        findings.problems += problems_of_it

    return findings


def check_dataset(
    name: str, entry: Any, folder: Path, media_dir: Path | None, formats: set[str], rows: int
) -> tuple[list[str], list[Problem]]:
    """Look for everything that is wrong with one dataset; see `check_dataset_folder`.

    Args:
        name: in `dataset_info.json`.
        entry: its entry.
        folder: the dataset folder.
        media_dir: a run's `media_dir`; None for the dataset folder.
        formats: that there are.
        rows: how many rows to convert.

    Returns:
        notes on what was tried, and problems.
    """
    from ..dataset_dir.entry import absent_column_problems, dataset_problem, dataset_problems, remote_source
    from ..integration.offline import open_dataset

    untried = ["rows not tried, because of its problems"]
    if problems := dataset_problems(name, entry, folder, formats):
        return untried, [_entry_problem(name, text) for text in problems]

    if elsewhere := remote_source(entry):
        return [f"data not checked: not on this machine ({elsewhere})"], []

    try:
        with open_dataset(name, entry, folder, SEED, media_dir) as dataset:
            if absent := absent_column_problems(entry, dataset.columns):
                return untried, [_entry_problem(name, dataset_problem(name, text)) for text in absent]

            return _try_rows(dataset, rows)
    except ModalityInterferenceError as error:
        return untried, [_entry_problem(name, str(error))]


def _entry_problem(name: str, message: str) -> Problem:
    """A problem of an entry, with the key that its message names first."""
    from ..dataset_dir.entry import Entry, dataset_problem

    found = _KEY.match(message.removeprefix(dataset_problem(name, "")))
    key = found[1] if found and re.split(r"[.\[]", found[1])[0] in Entry.model_fields else None
    return Problem(message, name, key)


def _try_rows(dataset: "LocalDataset", rows: int) -> tuple[list[str], list[Problem]]:
    """Convert the first rows; returns notes and problems."""
    from ..batching.dropped import REMARKS, summaries
    from ..dataset_dir.entry import dataset_problem
    from ..files import LINK_OUT, OUTSIDE

    problem_kinds = LABEL_KINDS | {OUTSIDE, LINK_OUT}
    tried = min(rows, len(dataset.rows))
    twins, gone, good = Counter[str](), Counter[str](), 0
    dropped: list[tuple[str, int, list[Reason]]] = []
    remarked: list[tuple[str, int, list[Reason]]] = []
    problems: list[tuple[int, Reason]] = []
    for example in dataset.examples(range(tried)):
        problems += ((example.data_row, problem) for problem in example.problems)
        if reasons := [example.dropped] if example.dropped else example.dropped_twins:
            dropped.append((dataset.name, example.data_row, reasons))
            problems += ((example.data_row, reason) for reason in reasons if reason.kind in problem_kinds)

        if not example.dropped and not example.problems:
            good += 1
            remarked.append((dataset.name, example.data_row, example.remarks))
            twins.update(twin.perturbation for twin in example.twins)
            gone.update(row.perturbation for row in example.counterfactuals)

    note = f"{good} of {tried} rows tried are good ({len(dataset.rows):,} in all); twins: {_counts(twins)}"
    note += f"; counterfactual rows: {_counts(gone)}" if gone else ""
    found = [Problem(dataset_problem(dataset.name, text), dataset.name, row=row) for text, row in _by_kind(problems)]
    if not good and len({row for row, _ in problems}) < tried:
        text = f"none of the first {tried} rows can be used"
        found.append(Problem(dataset_problem(dataset.name, text), dataset.name))

    sizes = Counter({dataset.name: tried})
    return [note, *summaries(dropped, sizes), *summaries(remarked, sizes, REMARKS)], found


def _counts(made: Counter[str]) -> str:
    return ", ".join(f"{number} {label}" for label, number in made.items()) or "none"


def _by_kind(problems: list[tuple[int, "Reason"]]) -> list[tuple[str, int]]:
    """One text per kind of problem, and the first row that has it; the text says how many there are."""
    rows: dict[str, list[int]] = {}
    first: dict[str, Reason] = {}
    for row, problem in problems:
        rows.setdefault(problem.kind, []).append(row)
        first.setdefault(problem.kind, problem)

    return [(f"{problem} ({_named(sorted(set(rows[kind])))})", rows[kind][0]) for kind, problem in first.items()]


def _named(rows: list[int]) -> str:
    return f"row {rows[0]}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")


def _as_json(folder: Path, findings: Findings) -> str:
    """What was found, for programs; what comes from data is escaped."""
    found = {
        "dataset_dir": str(folder),
        "datasets": {name: {"notes": [_line(note) for note in notes]} for name, notes in findings.notes.items()},
        "problems": [asdict(problem) | {"message": _line(problem.message)} for problem in findings.problems],
    }
    return json.dumps(found, indent=2)


def say_findings(findings: Findings) -> None:
    """Print the notes and problems of datasets."""
    for name, notes in findings.notes.items():
        say(f"  {printable(name)}", "bold")
        for note in notes:
            say(f"    {_line(note)}")

    if not findings.problems:
        say("No problems found.", "good")
        return

    say(f"{len(findings.problems)} problem{'s' if len(findings.problems) > 1 else ''}:", "bad")
    for problem in findings.problems:
        say(f"- {_line(problem.message)}")


def _line(text: str) -> str:
    """A text that may hold untrusted data as one line, which programs can search for."""
    text = printable(" ".join(text.split()))
    return text if text.endswith(".") else f"{text}."
