"""Which rows of a diagnosis make pairs: right answers that a twin turned wrong, and answers that nothing speaks for."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import ModalityInterferenceError
from ..modality import CLEAN
from ..results import COUNTERFACTUALS_FILE, Diagnosis, ScoredRow, read_diagnosis, read_rows


Kind = Literal["misled", "invented"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Source:
    """Where the rows of a diagnosis, and their twins, can be made again.

    Attributes:
        folder: the dataset folder.
        dataset: the name in its dataset_info.json.
        seed: of the twins.
        max_samples: the run's; media of other rows that twins borrow are of these rows. None for all.
    """

    folder: Path
    dataset: str
    seed: int
    max_samples: int | None


@dataclass(frozen=True)
class Wanted:
    """A scored answer that a pair rejects.

    Attributes:
        kind: `misled`, where the twin of a row with a right answer is answered wrongly; `invented`, where an answer was given though
            its evidence is gone.
        source: of the row.
        row: as the diagnosis scored it.
    """

    kind: Kind
    source: Source
    row: ScoredRow


def wanted_rows(runs: Sequence[Path], folder: Path | None, kinds: Collection[Kind]) -> list[Wanted]:
    """The answers of diagnoses that pairs reject, each once.

    Args:
        runs: the folders of the diagnoses.
        folder: the dataset folder; None for the one that each diagnosis names.
        kinds: which to take.

    Raises:
        ModalityInterferenceError: a run is no diagnosis, or its dataset folder is not known.
    """
    found: dict[tuple[Source, int, str, Kind, str | None], Wanted] = {}
    for run in runs:
        diagnosis = read_diagnosis(run)
        for kind, row in _rejected(run, kinds):
            source = _source(run, diagnosis, folder, row.dataset)
            found.setdefault((source, row.row, row.perturbation, kind, row.answer), Wanted(kind, source, row))

    return list(found.values())


def drawn(wanted: Sequence[Wanted], most: int | None, seed: int) -> list[Wanted]:
    """At most so many of them, drawn at random and in their order; with one seed, fewer are a part of more."""
    order = list(range(len(wanted)))
    random.Random(seed).shuffle(order)
    return [wanted[place] for place in sorted(order[:most])]


def _rejected(run: Path, kinds: Collection[Kind]) -> Iterator[tuple[Kind, ScoredRow]]:
    rows = read_rows(run)
    right = {(row.dataset, row.row) for row in rows if row.perturbation == CLEAN and row.correct}
    for row in rows:
        if row.answer is None or row.correct:
            continue

        if row.right is not None and row.right == row.abstention:  # of clips whose asked modality was removed
            if "invented" in kinds:
                yield "invented", row
        elif "misled" in kinds and row.perturbation != CLEAN and (row.dataset, row.row) in right:
            yield "misled", row

    if "invented" in kinds and (run / COUNTERFACTUALS_FILE).exists():
        gone = read_rows(run, COUNTERFACTUALS_FILE)
        yield from (("invented", row) for row in gone if row.answer is not None and not row.abstained)


def _source(run: Path, diagnosis: Diagnosis, folder: Path | None, dataset: str) -> Source:
    named = diagnosis.data.get("dataset_dir")
    if folder is None and not (isinstance(named, str) and Path(named).is_dir()):
        raise ModalityInterferenceError(
            f"{run}: the diagnosis names the dataset folder {named!r}, which is not here. Name the folder by `--data`."
        )

    most = diagnosis.data.get("max_samples")
    where = folder if folder is not None else Path(str(named))
    return Source(where.resolve(), dataset, diagnosis.seed, most if isinstance(most, int) and most > 0 else None)
