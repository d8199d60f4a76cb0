"""Run folders, read for a comparison, and what a page says of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModalityInterferenceError
from ..evaluation.rates import unique_rows
from ..results import COUNTERFACTUALS_FILE, Diagnosis, ScoredRow, read_diagnosis, read_rows
from .compared import Run
from .text import described, encodable, tuned


@dataclass(frozen=True)
class LoadedRun:
    """A run folder, read.

    Attributes:
        name: unique among the runs.
        folder: where it was read from.
        diagnosis: its figures.
        rows: its answers.
        counterfactuals: its answers to rows without their evidence.
    """

    name: str
    folder: Path
    diagnosis: Diagnosis
    rows: list[ScoredRow]
    counterfactuals: list[ScoredRow]


def load_runs(folders: Sequence[Path], names: Sequence[str] | None) -> list[LoadedRun]:
    """Read the run folders.

    Args:
        folders: two or more.
        names: one each; unset: the folders' names.

    Raises:
        ModalityInterferenceError: too few folders, too few or too many names, or a folder without a diagnosis.
    """
    if len(folders) < 2:
        raise ModalityInterferenceError(
            f"A comparison needs two run folders or more, the first of them the reference; found {len(folders)}."
        )

    if names is not None and len(names) != len(folders):
        raise ModalityInterferenceError(
            f"Found {len(names)} names for {len(folders)} run folders; give one name each, in the same order, or none."
        )

    unique = _numbered([encodable(name) for name in names or _folder_names(folders)])
    return [_loaded(name, folder) for name, folder in zip(unique, folders)]


def _loaded(name: str, folder: Path) -> LoadedRun:
    gone = read_rows(folder, COUNTERFACTUALS_FILE) if (folder / COUNTERFACTUALS_FILE).exists() else []
    return LoadedRun(name, folder, read_diagnosis(folder), unique_rows(read_rows(folder)), unique_rows(gone))


def _folder_names(folders: Sequence[Path]) -> list[str]:
    """Each folder's name, with as many of its parents as tell all of them apart."""
    parts = [folder.resolve().parts for folder in folders]
    longest = max(map(len, parts))
    for depth in range(1, longest + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break

    return names


def _numbered(names: list[str]) -> list[str]:
    """The names, with a number where one is repeated."""
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            number += 1
            candidate = f"{name} ({number})"

        found.append(candidate)

    return found


def described_run(run: LoadedRun) -> Run:
    """What the page says of where a run's figures come from."""
    diagnosis = run.diagnosis
    return Run(
        name=run.name,
        folder=encodable(str(run.folder)),
        created=diagnosis.created,
        model=described({**diagnosis.model, "tuned": diagnosis.tuning and tuned(diagnosis.tuning)}),
        seed=diagnosis.seed,
        scoring=diagnosis.scoring,
        prompt=diagnosis.prompt,
        decoding=diagnosis.decoding,
        calibration=encodable(str(diagnosis.calibration)) if diagnosis.calibration else None,
    )
