"""A `dataset_info.json` comes from strangers: what a run must not follow is refused before any data is opened."""

from pathlib import Path
from typing import Any

from ..errors import ModalityInterferenceError
from ..recipes.dataset import about
from ..recipes.entry import Entry, comes_from, entry_problems, split_entry
from ..recipes.info import read_info
from ..recipes.paths import path_problem
from ..twins.messages import shown
from ..twins.registry import formats


def refuse_unsafe(names: list[str], folder: Path) -> None:
    """Look at the file, and at the entries of the datasets that bring twins.

    Other datasets are LLaMA-Factory's business; `modality-interference check` looks at them all, and at the data.

    Args:
        names: the datasets of the run.
        folder: `dataset_dir`.

    Raises:
        ModalityInterferenceError: naming everything that is wrong.
    """
    info = read_info(folder)
    problems = list(info.problems)
    for name in names:
        problems += [about(name, problem) for problem in _problems(info.datasets.get(name), folder)]

    if problems:
        raise ModalityInterferenceError(f"`{folder}` cannot be used as `dataset_dir`: " + ". ".join(problems) + ".")


def _problems(entry: Any, folder: Path) -> list[str]:
    if entry is None:  # LLaMA-Factory says that it is undefined
        return []

    if not isinstance(entry, dict):
        return [f"its entry must be an object, found {shown(entry)}"]

    good, _ = split_entry(entry)
    if "twins" not in entry and good.get("formatting") not in formats():
        return []

    # LLaMA-Factory passes over unknown keys, and so does this: they may be somebody's notes
    _, problems = split_entry({key: value for key, value in entry.items() if key in Entry.model_fields})
    problems += entry_problems(good, entry, folder)
    if "file_name" in good and comes_from(entry) is None and (why := path_problem(folder, good["file_name"])):
        problems.append(f"`file_name` {why}")

    return problems
