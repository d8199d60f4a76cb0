"""All that is wrong with one dataset of a recipe before its rows are read."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..twins.messages import shown
from ..twins.registry import formats
from .columns import column_problems
from .data_files import data_problems
from .entry import comes_from, entry_problems, split_entry
from .twins_block import twins_problems


def dataset_problems(name: str, entry: Any, folder: Path, known_formats: Collection[str]) -> list[str]:
    """Look at the entry and at the files that it names.

    Args:
        name: of the dataset.
        entry: its value in `dataset_info.json`, of any JSON type.
        folder: the recipe.
        known_formats: LLaMA-Factory's formats, and those of twins.

    Returns:
        all problems, each naming the dataset.
    """
    if not isinstance(entry, dict):
        return [about(name, f"its entry must be an object, found {shown(entry)}")]

    good, problems = split_entry(entry)
    problems += entry_problems(good, entry, folder)
    if not name.strip() or "," in name or name != name.strip() or not name.isprintable():
        problems.append("a run cannot name it; give it a name without commas, outer spaces and control characters")

    readable = {"formatting", "columns"} & set(entry) <= set(good)
    columns = column_problems(good, known_formats) if readable else []
    problems += columns
    if "file_name" in good and comes_from(entry) is None:
        problems += data_problems(folder, good["file_name"])

    found = [about(name, problem) for problem in problems]
    if good.get("formatting") in formats():
        found += twins_problems(name, good, folder if readable and not columns else None)

    return found


def about(name: str, problem: str) -> str:
    """A problem that names its dataset, in the words of `twins`."""
    return f"dataset {f'`{name}`' if len(name) <= 80 else shown(name)}: {problem}"
