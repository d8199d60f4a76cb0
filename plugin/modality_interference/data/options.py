"""Options and answers, in the ways that benchmarks write them."""

import datetime
import json
import math
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from ..errors import Unusable
from ..messages import shown


LETTERS = string.ascii_uppercase  # of the columns of `lettered_choice_twins`; `letter` names any option
MAX_OPTIONS = 1000
_AROUND = "().: "  # what stands around a letter


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
            OpenBookQA have; or one of these as JSON. None and NaN count as absent at the end of a list, and in a dict what
            `present` finds missing.

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
        pairs = [(str(label), option) for label, option in value.items() if present(option) is not None]
        if all(len(label) == 1 or label in letters(MAX_OPTIONS) for label, _ in pairs):
            pairs.sort(key=lambda pair: (len(pair[0]), pair[0]))  # Arrow keeps the first row's order, not the letters'

        labels, values = [label for label, _ in pairs], [option for _, option in pairs]
    else:
        labels, values = [], _as_list(value if value is not None else [])

    # rows with fewer options than others are filled up
    while values and not isinstance(values[-1], str) and present(values[-1]) is None:
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


def cell_text(value: Any) -> str | None:
    """A cell as text: tables have numbers, truth values and dates where a text looks like one; None of anything else."""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()  # Arrow makes times of dates

    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()

    return str(whole(value)) if isinstance(value, (str, int, float)) else None


class AnswersAre(StrEnum):
    """What the answers of a dataset are, where a row alone does not tell: "B" or 1 may be an option's text, too."""

    TEXTS = "texts"
    PLACES = "places"  # letters, or indices from 0


def parse_answer(value: Any, options: Options, answers: AnswersAre | None = None) -> int:
    """Find which option is the right one.

    A label that the dataset gives its options wins. Then come the exact text of an option and its place: a letter ("B", "(b)",
    "B.") or an index that starts at 0 (a number, or digits in a string). Then the text in other case or spacing.

    Args:
        value: the cell of the answer column.
        options: the row's options.
        answers: whether texts or places win. Where nobody knows, texts do, but a number is an option's text only where
            options are numbers too.

    Returns:
        The index of the right option.

    Raises:
        Unusable: `answer not among the options`.
    """
    value = whole(value)
    by_label, by_text, by_place = _by_label(value, options), _by_text(value, options), _by_place(value, options)
    if answers is None and isinstance(value, (int, float)) and not isinstance(value, bool):
        numbers = any(isinstance(option, (int, float)) and not isinstance(option, bool) for option in options.values)
        by_text, by_place = (by_text, None) if numbers else (None, by_place)

    first, second = (by_place, by_text) if answers is AnswersAre.PLACES else (by_text, by_place)
    found = [index for index in (by_label, first, second, _loosely(value, options)) if index is not None]
    if not found:
        raise Unusable("answer not among the options", f"answer {shown(value)}, options {shown(list(options.texts))}")

    return found[0]


def possible_answers(value: str, options: Options) -> set[int]:
    """The options that a response may mean: by label, text or letter. As an index it means none: a prompt may count from 1."""
    ways = (_by_label, _by_text, _loosely) if value.strip().isdecimal() else (_by_label, _by_text, _by_place, _loosely)
    return {index for way in ways if (index := way(value, options)) is not None}


def what_answers_are(rows: Iterable[tuple[Any, Options]]) -> AnswersAre | None:
    """Tell from the rows that can be read in one way only whether a dataset's answers are texts or places.

    Args:
        rows: the cell of the answer column, and the options.

    Returns:
        None where no row tells, or as many tell the one as the other.
    """
    texts = places = 0
    for cell, options in rows:
        value = whole(cell)
        by_text, by_place = _by_text(value, options), _by_place(value, options)
        if _by_label(value, options) is None and (by_text is None) != (by_place is None):
            texts, places = texts + (by_place is None), places + (by_text is None)

    if texts == places:
        return None

    return AnswersAre.TEXTS if texts > places else AnswersAre.PLACES


def _checked(values: list[Any], labels: list[str]) -> Options:
    if len(values) < 2:
        raise Unusable("fewer than two options", f"found {shown(values)}")

    if len(values) > MAX_OPTIONS:
        raise Unusable(f"more than {MAX_OPTIONS} options", f"found {len(values)}")

    texts = tuple((cell_text(option) or "").strip() for option in values)
    if not all(texts):
        raise Unusable("options not understood", f"an option is empty or neither text nor a number: {shown(values)}")

    if len(set(texts)) < len(texts):  # nobody could tell which of them is meant
        raise Unusable("duplicated options", f"found {shown(list(texts))}")

    if labels and (len(labels) != len(values) or len(set(labels)) != len(labels)):
        raise Unusable("options not understood", f"{len(values)} options with the labels {shown(labels)}")

    return Options(texts, tuple(labels), tuple(values))


def _by_label(value: Any, options: Options) -> int | None:
    """The option that the dataset's own label names, in other case and with punctuation where that is no other label."""
    name = (cell_text(value) or "").strip()
    if name in options.labels:
        return options.labels.index(name)

    return _position(_bare(name), [label.casefold() for label in options.labels]) if isinstance(value, str) else None


def _by_text(value: Any, options: Options) -> int | None:
    text = (cell_text(value) or "").strip()
    values = [str(option) for option in options.values]  # 10.0, where the text is 10
    return next((names.index(text) for names in (list(options.texts), values) if text in names), None)


def _by_place(value: Any, options: Options) -> int | None:
    """The option with a letter or an index; the dataset's own labels, where it has any, leave neither."""
    count = len(options.texts)
    if options.labels or isinstance(value, bool):
        return None

    if isinstance(value, int):
        return value if 0 <= value < count else None

    if not isinstance(value, str):
        return None

    text = value.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 3:
        return int(text) if int(text) < count else None

    name = text.strip(_AROUND)
    name = name.upper() if len(name) == 1 else name  # "as" may be a word
    return letters(count).index(name) if name in letters(count) else None


def _loosely(value: Any, options: Options) -> int | None:
    """The option with a text in other case or spacing. Of a truth value, which as an index would always be A or B, too."""
    if not isinstance(value, (str, bool)):
        return None

    return _position(_loose(str(value)), [_loose(text) for text in options.texts])


def _bare(name: str) -> str:
    return name.strip(_AROUND).casefold()


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
