"""Options and answers, in the ways that benchmarks write them."""

import json
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..errors import Unusable
from ..messages import shown


LETTERS = string.ascii_uppercase  # of the columns of `lettered_choice_twins`; `letter` names any option
MAX_OPTIONS = 1000


def letter(index: int) -> str:
    """The letter of an option, counted from 0: A to Z, then AA, AB, ..., as spreadsheets name columns."""
    name = ""
    while index >= 0:
        index, last = divmod(index, len(LETTERS))
        name, index = LETTERS[last] + name, index - 1

    return name


@cache
def letters(count: int) -> tuple[str, ...]:
    """The letters of so many options, in order."""
    return tuple(map(letter, range(count)))


def lettered(options: Sequence[str]) -> list[str]:
    """The lines of a list of options, each with its letter."""
    return [f"{letter(index)}: {option}" for index, option in enumerate(options)]


def options_at(text: str, options: Sequence[str]) -> int | None:
    """The last place where a text has all options, one after the other; None where it has none."""
    place = len(text)
    for option in reversed(options):
        place = text.rfind(option, 0, place)
        if place < 0:
            return None

    return place if options else None


@dataclass(frozen=True)
class Options:
    """The options of a row.

    Attributes:
        texts: what they say, in the order of their letters, see `letter`.
        labels: the names that the dataset itself gives them ("A" or "1"), where it does.
        values: as the dataset has them, before they became texts.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    values: tuple[Any, ...]


def parse_options(value: Any) -> Options:
    """Read the options of a row.

    Args:
        value: a list of options; a dict from letter to option; a dict `{"text": [...], "label": [...]}` as ARC and
            OpenBookQA have; or one of these as JSON. None counts as absent at the end of a list and in a dict.

    Returns:
        The options.

    Raises:
        Unusable: `fewer than two options`, `more than 1000 options`, `duplicated options`, or `options not understood`.
    """
    if isinstance(value, str) and value.strip():
        value = _from_json(value)

    if isinstance(value, Mapping) and "text" in value:
        values = _as_list(value["text"])
        labels = [str(label) for label in _as_list(value.get("label") or [])]
    elif isinstance(value, Mapping):
        pairs = [(str(label), option) for label, option in value.items() if option is not None]
        if all(len(label) == 1 or label in letters(MAX_OPTIONS) for label, _ in pairs):
            pairs.sort(key=lambda pair: (len(pair[0]), pair[0]))  # Arrow keeps the first row's order, not the letters'

        labels, values = [label for label, _ in pairs], [option for _, option in pairs]
    else:
        labels, values = [], _as_list(value if value is not None else [])

    while values and values[-1] is None:  # rows with fewer options than others, filled up
        values.pop()

    return _checked(values, labels[: len(values)])


def present(value: Any) -> Any:
    """The value of a cell; None where the cell says that there is none.

    Benchmarks that went through pandas have NaN there, or the text "nan" (MMBench's hints and options, say).
    """
    if isinstance(value, str):
        return None if value.strip() in ("", "nan") else value

    return None if isinstance(value, float) and math.isnan(value) else value


def whole(value: Any) -> Any:
    """The value of a cell, 4.0 as 4: Arrow and pandas make it so where another cell has a fraction, or nothing."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse_answer(value: Any, options: Options) -> int:
    """Find which option is the right one.

    A label that the dataset gives its options wins, then the exact text of an option, then a letter ("B", "(b)",
    "B."), then an index that starts at 0 (a number, or digits in a string), then the text in other case or spacing.
    A number is an option's text only where the options are numbers too.

    Args:
        value: the cell of the answer column.
        options: the row's options.

    Returns:
        The index of the right option.

    Raises:
        Unusable: `answer not among the options`.
    """
    value = whole(value)
    if isinstance(value, (int, float)):
        index = _find_number(value, options)
    else:
        index = _find_text(value, options) if isinstance(value, str) else None

    if index is None:
        raise Unusable("answer not among the options", f"answer {shown(value)}, options {shown(list(options.texts))}")

    return index


def _checked(values: list[Any], labels: list[str]) -> Options:
    if len(values) < 2:
        raise Unusable("fewer than two options", f"found {shown(values)}")

    if len(values) > MAX_OPTIONS:
        raise Unusable(f"more than {MAX_OPTIONS} options", f"found {len(values)}")

    texts = tuple(str(whole(option)).strip() for option in values if isinstance(option, (str, int, float)))
    if len(texts) < len(values) or not all(texts):
        raise Unusable("options not understood", f"an option is empty or neither text nor a number: {shown(values)}")

    if len(set(texts)) < len(texts):  # nobody could tell which of them is meant
        raise Unusable("duplicated options", f"found {shown(list(texts))}")

    if labels and (len(labels) != len(values) or len(set(labels)) != len(labels)):
        raise Unusable("options not understood", f"{len(values)} options with the labels {shown(labels)}")

    return Options(texts, tuple(labels), tuple(values))


def _find_number(value: float, options: Options) -> int | None:
    if str(value) in options.labels:
        return options.labels.index(str(value))

    if any(isinstance(option, (int, float)) and not isinstance(option, bool) for option in options.values):
        return options.values.index(value) if value in options.values else None

    if isinstance(value, bool):  # "True or false?"; as an index it would always be A or B
        return _position(str(value).casefold(), [text.casefold() for text in options.texts])

    return value if isinstance(value, int) and 0 <= value < len(options.texts) else None


def _find_text(value: str, options: Options) -> int | None:
    value = value.strip()
    for names in (options.labels, options.texts, tuple(map(str, options.values))):
        if value in names:
            return names.index(value)

    name = value.strip("().: ")
    name = name.upper() if len(name) == 1 else name  # "as" may be a word
    if name in letters(len(options.texts)):
        # The dataset's own letters have been looked at: where it has any, another letter names no option.
        return None if options.labels else letters(len(options.texts)).index(name)

    if value.isascii() and value.isdecimal() and len(value) <= 3 and not options.labels:
        return int(value) if int(value) < len(options.texts) else None

    return _position(_loose(value), [_loose(text) for text in options.texts])


def _loose(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _position(item: str, items: Sequence[str]) -> int | None:
    return items.index(item) if item in items else None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable("options not understood", f"neither a list nor JSON: {shown(text)}") from error


def _as_list(value: Any) -> list[Any]:
    if hasattr(value, "tolist"):  # a numpy array
        value = value.tolist()

    if not isinstance(value, (list, tuple)):
        raise Unusable("options not understood", f"expected a list or a dict, found {shown(value)}")

    return list(value)
