"""All that is wrong with a `twins` block, as far as it can be told without the data."""

from pathlib import Path
from typing import Any

from ..errors import ModalityInterferenceError
from ..twins.formats import make_converter
from ..twins.registry import formats
from ..twins.spec import MAX_PERTURBATIONS, TwinsSpec


_STAND_IN = {"relevant": ["text"]}  # while another key is looked at
_ANY = {"relevant": "relevant"}  # a column: no perturbation contradicts it


def twins_problems(name: str, entry: dict[str, Any], folder: Path | None) -> list[str]:
    """Validate a block key by key and perturbation by perturbation, so that one mistake does not hide the next.

    Args:
        name: of the dataset.
        entry: the good keys of its entry; its format makes twins.
        folder: the recipe, where pools lie; None where `columns` has problems of its own, and only the block is read.
    """
    block = entry.get("twins")
    if not isinstance(block, dict):
        return [problem for problem in [_problem(name, entry, block, folder)] if problem]

    # what perturbations may not change; a format that asks about one modality after the other has no `relevant`
    said, stand_in, anything = (
        ("asked", {}, {}) if formats()[entry["formatting"]].asks else ("relevant", _STAND_IN, _ANY)
    )
    relevant = {key: value for key, value in block.items() if key == said}
    wrong = _problem(name, entry, relevant, folder)
    others = [stand_in | {key: value} for key, value in block.items() if key not in (said, "perturbations")]
    problems = [wrong, *(_problem(name, entry, piece, folder) for piece in others)]

    items = block.get("perturbations", [])
    if not isinstance(items, list) or len(items) > MAX_PERTURBATIONS:
        problems.append(_problem(name, entry, anything | {"perturbations": items}, folder))
    else:
        for index, item in enumerate(items):
            problem = _problem(name, entry, (anything if wrong else relevant) | {"perturbations": [item]}, folder)
            problems.append(problem and problem.replace("twins.perturbations[0]", f"twins.perturbations[{index}]", 1))

    return list(dict.fromkeys(problem for problem in problems if problem))


def _problem(name: str, entry: dict[str, Any], block: Any, folder: Path | None) -> str | None:
    try:
        spec = TwinsSpec.parse(block, name, entry["formatting"])
        if folder is not None:
            _make_converter(name, entry, spec, folder)
    except ModalityInterferenceError as error:
        return str(error)

    return None


def _make_converter(name: str, entry: dict[str, Any], spec: TwinsSpec, folder: Path) -> None:
    """Make the converter as if the data had every column that the entry names, and classes where the block has none."""
    columns = entry.get("columns") or formats()[entry["formatting"]].defaults
    column_names = [column for column in (*columns.values(), spec.relevant_column) if column is not None]
    make_converter(
        formatting=entry["formatting"],
        spec=spec,
        columns=columns,
        dataset_name=name,
        column_names=column_names,
        dataset_dir=str(folder),
        class_names={} if spec.classes is not None else dict.fromkeys(column_names, ("one", "two")),
        other_rows=(),
    )
