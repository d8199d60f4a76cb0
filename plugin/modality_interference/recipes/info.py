"""Read a stranger's `dataset_info.json`: small, UTF-8, flat, and every key once."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModalityInterferenceError
from ..twins.messages import shown
from .paths import is_inside


INFO_FILE = "dataset_info.json"  # LLaMA-Factory's DATA_CONFIG
MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_DIGITS = 18  # what fits into 64 bits


@dataclass
class Info:
    """A recipe's datasets.

    Attributes:
        datasets: entries by name; they are of any JSON type.
        problems: what is wrong with the file itself.
    """

    datasets: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_info(folder: Path) -> Info:
    """Read `dataset_info.json` of a recipe folder; never raises for what it holds."""
    info = Info()
    try:
        value = _decode(read_text(folder, INFO_FILE, MAX_BYTES), info.problems)
    except ModalityInterferenceError as error:
        info.problems.append(str(error))
        return info

    if not isinstance(value, dict):
        info.problems.append(f"`{INFO_FILE}` must be an object of datasets by name, found {shown(value)}")
    elif not value:
        info.problems.append(f"`{INFO_FILE}` names no dataset")
    elif _is_deep(value):
        info.problems.append(_too_deep())
    else:
        info.datasets = value

    return info


def read_text(folder: Path, name: str, limit: int) -> str:
    """Read a small text file of a recipe.

    Args:
        folder: the recipe.
        name: the file.
        limit: its largest size in bytes.

    Raises:
        ModalityInterferenceError: it is missing, no plain file, outside the folder, too large or not UTF-8.
    """
    path = folder / name
    if not is_inside(path, folder):
        raise ModalityInterferenceError(f"`{name}` is a link out of the recipe folder; copy the file there")

    if not path.is_file():  # a pipe would block for ever
        raise ModalityInterferenceError(f"`{name}` is missing, or is no plain file")

    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ModalityInterferenceError(f"`{name}` cannot be read: {error.strerror}") from error

    if len(content) > limit:
        raise ModalityInterferenceError(f"`{name}` is larger than {limit:,} bytes")

    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModalityInterferenceError(
            f"`{name}` is not UTF-8 text (byte {error.start:,}); save it as UTF-8"
        ) from error


def _decode(text: str, problems: list[str]) -> Any:
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
        raise ModalityInterferenceError(_too_deep()) from error
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


def _too_deep() -> str:
    return f"`{INFO_FILE}` is nested more than {MAX_DEPTH} levels deep"
