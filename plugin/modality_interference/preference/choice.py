"""Which rows of a diagnosis make pairs: right answers that a twin turned wrong, and answers that nothing speaks for."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import ModalityInterferenceError
from ..messages import shown
from ..modality import CLEAN
from ..results import COUNTERFACTUALS_FILE, Diagnosis, ScoredRow, read_diagnosis, read_rows


Kind = Literal["misled", "invented"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Source:
    """Where the rows of a diagnosis, and their twins, can be made again.

    Attributes:
        folder: the dataset folder.
        media_dir: from where paths of media start; None for the dataset folder.
        dataset: the name in its dataset_info.json.
        seed: of the twins.
        max_samples: the run's; media of other rows that twins borrow are of these rows. None for all.
    """

    folder: Path
    media_dir: Path | None
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


def wanted_rows(
    runs: Sequence[Path], folder: Path | None, media_dir: Path | None, kinds: Collection[Kind]
) -> list[Wanted]:
    """The answers of diagnoses that pairs reject, each once.

    Args:
        runs: the folders of the diagnoses.
        folder: the dataset folder; None for the one that each diagnosis names.
        media_dir: from where paths of media start; None for where each diagnosis says that, and where `folder` is given for that.
        kinds: which to take.

    Raises:
        ModalityInterferenceError: a run is no diagnosis, or its dataset folder is not known.
    """
    found: dict[tuple[Source, int, str, Kind, str | None], Wanted] = {}
    for run in runs:
        diagnosis = read_diagnosis(run)
        for kind, row in _rejected(run, kinds):
            source = _source(run, diagnosis, folder, media_dir, row.dataset)
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


def _source(run: Path, diagnosis: Diagnosis, folder: Path | None, media_dir: Path | None, dataset: str) -> Source:
    if folder is None:
        folder = _named_folder(run, diagnosis, "dataset_dir", "--data")
        if media_dir is None and diagnosis.data.get("media_dir") is not None:
            media_dir = _named_folder(run, diagnosis, "media_dir", "--media-dir")

    most = diagnosis.data.get("max_samples")
    return Source(folder, media_dir, dataset, diagnosis.seed, most if isinstance(most, int) and most > 0 else None)


def _named_folder(run: Path, diagnosis: Diagnosis, key: str, option: str) -> Path:
    """A folder that a diagnosis names.

    Raises:
        ModalityInterferenceError: it is not here.
    """
    named = diagnosis.data.get(key)
    if isinstance(named, str) and Path(named).is_dir():
        return Path(named).resolve()

    raise ModalityInterferenceError(
        f"{run}: the diagnosis names {shown(named)} as `{key}`, and there is no such folder here. Name the folder by `{option}`."
    )
