"""Read an untrusted `dataset_info.json`: small, UTF-8, not deeply nested, every key once. Add entries to one."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModalityInterferenceError
from ..files import read_text, write_text
from ..messages import shown


INFO_FILE = "dataset_info.json"  # LLaMA-Factory's DATA_CONFIG
MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_DIGITS = 18  # what fits into 64 bits


@dataclass
class DatasetInfo:
    """The datasets of a folder.

    Attributes:
        datasets: entries by name; they are of any JSON type.
        problems: what is wrong with the file itself.
    """

    datasets: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_info(folder: Path) -> DatasetInfo:
    """Read `dataset_info.json` of a dataset folder; never raises for what it holds."""
    info = DatasetInfo()
    try:
        value = _parsed(read_text(folder, INFO_FILE, MAX_BYTES), info.problems)
    except ModalityInterferenceError as error:
        info.problems.append(str(error))
        return info

    if not isinstance(value, dict):
        info.problems.append(f"`{INFO_FILE}` must be an object of datasets by name, found {shown(value)}")
    elif not value:
        info.problems.append(f"`{INFO_FILE}` names no dataset")
    elif _is_deep(value):
        info.problems.append(_depth_problem())
    else:
        info.datasets = value

    return info


def _parsed(text: str, problems: list[str]) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                problems.append(f"`{INFO_FILE}` has the key {shown(key)} twice in one object; remove one of them")

            found[key] = value

        return found

    def refuse(text: str) -> float:
        raise ModalityInterferenceError(f"`{INFO_FILE}` holds {shown(text)}, which is no JSON number")

    def integer(digits: str) -> int:
        return int(digits) if len(digits.lstrip("-")) <= MAX_DIGITS else int(_huge(digits))

    def decimal(digits: str) -> float:
        return float(digits) if math.isfinite(float(digits)) else _huge(digits)

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=refuse, parse_int=integer, parse_float=decimal)
    except RecursionError as error:
        raise ModalityInterferenceError(_depth_problem()) from error
    except json.JSONDecodeError as error:
        raise ModalityInterferenceError(f"`{INFO_FILE}` is not JSON: {error}") from error


def _huge(digits: str) -> float:
    raise ModalityInterferenceError(f"`{INFO_FILE}` holds the number {shown(digits)}, which is too large")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        lists = [item for item in level if isinstance(item, list)]
        level = [child for item in level if isinstance(item, dict) for child in item.values()]
        level += [child for item in lists for child in item]

    return bool(level)


def _depth_problem() -> str:
    return f"`{INFO_FILE}` is nested more than {MAX_DEPTH} levels deep"


def check_names(folder: Path, entries: Mapping[str, Mapping[str, Any]], formatting: str) -> None:
    """Refuse entries that would overwrite other entries or files.

    Args:
        folder: the dataset_dir.
        entries: to be added, by name; each has a `file_name`.
        formatting: theirs; an entry of the same name, format and file is an earlier version and may be replaced.

    Raises:
        ModalityInterferenceError: naming the entry or file that would be overwritten.
    """
    present = _present_entries(folder)
    for name, entry in entries.items():
        file = entry["file_name"]
        other = present.get(name)
        ours = isinstance(other, dict) and other.get("formatting") == formatting and other.get("file_name") == file
        if other is not None and not ours:
            raise ModalityInterferenceError(
                f"{folder / INFO_FILE} has another dataset `{name}`. Choose another `--name`, or remove that entry."
            )

        users = [user for user, its in present.items() if isinstance(its, dict) and its.get("file_name") == file]
        if (folder / file).exists() and not set(users) & set(entries):
            raise ModalityInterferenceError(
                f"{folder / file} exists, and is not this dataset's. Choose another `--name`, or move the file away."
            )


def merge_entries(folder: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to `dataset_info.json`, or replace earlier versions of them; all others stay.

    Raises:
        ModalityInterferenceError: the file that is there cannot be read, or the folder cannot be written.
    """
    text = json.dumps({**_present_entries(folder), **entries}, ensure_ascii=False, indent=2)
    write_text(folder / INFO_FILE, text + "\n")


def _present_entries(folder: Path) -> dict[str, Any]:
    """The entries that are there. The file must have no problem: what cannot be read would be lost."""
    if not (folder / INFO_FILE).exists() or not (folder / INFO_FILE).read_bytes().strip(b" \t\r\n{}"):
        return {}

    info = read_info(folder)
    if info.problems:
        raise ModalityInterferenceError(f"{folder / INFO_FILE} cannot be added to: {info.problems[0]}. Fix it first.")

    return info.datasets
