"""Cells of data files that no format reads as they are: options in one text, images as base64, contents in parts."""

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..data.options import LETTERS, MAX_OPTIONS, cell_text, parse_answer, parse_options, present, whole
from ..errors import Unusable
from ..files import check_is_path


_ENOUGH = 0.9  # of the rows must be read well for a way of reading them to be chosen
_DATA_URI = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]*)*?;base64,", re.ASCII)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
# possessive, so that the time is linear also where a quote is not closed
_LIST = re.compile(rf"\[(?:[ ,\t\r\n]*+(?:{_QUOTED.pattern}))*+[ ,\t\r\n]*+\]", re.DOTALL)
# text whose every quote is closed: in any other, `_TOKEN` would look from each quote to the end
_CLOSED = re.compile(rf"(?:[^'\"]++|{_QUOTED.pattern})*+", re.DOTALL)
_WORDS = {"None": "null", "True": "true", "False": "false"}  # of Python, as JSON has them
_TOKEN = re.compile(rf"{_QUOTED.pattern}|\b(?:{'|'.join(_WORDS)})\b", re.DOTALL)
_LETTER = re.compile(r"(?:^|(?<=[\s;,|]))\(?([A-Z])[.):]\s")


@dataclass(frozen=True)
class Reading:
    """How the cells of a column are made what a format reads.

    Attributes:
        words: what is done, as people are told it.
        convert: a cell to what takes its place; never raises for what the cell holds.
    """

    words: str
    convert: Callable[[Any], Any]


# Options.


def _quoted_items(text: str) -> list[str] | None:
    """The items of a list of texts as Python or numpy print it: `['cat', 'dog']`, `["cat" 'dog']`."""
    text = text.strip()
    if not _LIST.fullmatch(text):
        return None

    return [_unescaped(one or other) for one, other in _QUOTED.findall(text)]


def _printed(text: str) -> list[str | None] | dict[str, list[Any]] | None:
    """Options as Python or numpy print a list or a dict of them, in types that all rows can share; None of anything else."""
    text = text.strip()
    if not text.startswith(("[", "{")) or not _CLOSED.fullmatch(text):
        return None

    found = _as_json(_TOKEN.sub(lambda token: _WORDS.get(token[0]) or json.dumps(_unescaped(token[0][1:-1])), text))
    found = _quoted_items(text) if found is None else found
    if not isinstance(found, (list, dict)):
        return None

    values = list(found.values() if isinstance(found, dict) else found)
    if any(isinstance(value, (list, dict)) for value in values):
        return None

    texts = [cell_text(value) for value in values]
    return texts if isinstance(found, list) else {"text": texts, "label": list(found)}


def _unescaped(text: str) -> str:
    """What a text stands for that Python has quoted and escaped."""
    try:
        found = text.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in text else text
        found.encode()
        return found
    except UnicodeError:  # half of an escape, or of a surrogate pair
        return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _lettered_items(text: str) -> list[str] | None:
    """The items of `A. cat B. dog` or `(A) cat` and `(B) dog` on lines of their own."""
    marks: list[re.Match[str]] = []
    for mark in _LETTER.finditer(text):
        if mark[1] == LETTERS[len(marks)] and (marks or not text[: mark.start()].strip()):
            marks.append(mark)
            if len(marks) == len(LETTERS):
                break

    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [text[mark.end() : end].strip(" \t\r\n;,|") for mark, end in zip(marks, ends)] or None


def _at(separator: str) -> Callable[[str], list[str] | None]:
    """Splits a text; one that begins as a list or a dict is none that a separator splits."""
    return lambda text: (
        None
        if text.lstrip().startswith(("[", "{"))
        else [item.strip() for item in text.split(separator) if item.strip()]
    )


_SPLITS: dict[str, Callable[[str], Any]] = {
    "a list written as text": _printed,
    "split at A., B., ...": _lettered_items,
    "split at line breaks": _at("\n"),
    "split at `|`": _at("|"),
    "split at `;`": _at(";"),
    "split at commas": _at(","),
}


def options_reading(cells: Sequence[Any], answers: Sequence[Any]) -> Reading | None:
    """How options that stand in one text are split: so that the answers are among them.

    Args:
        cells: of the column of options, of some rows.
        answers: of the same rows.

    Returns:
        None where they are lists, or JSON, which formats read as they are; or where no way fits.
    """
    texts = [(cell, answer) for cell, answer in zip(cells, answers) if isinstance(cell, str) and cell.strip()]
    if not texts or _share(_fits(_as_json(text), answer) for text, answer in texts) >= _ENOUGH:
        return None

    for words, split in _SPLITS.items():
        if _share(_fits(split(text), answer) for text, answer in texts) >= _ENOUGH:
            return Reading(words, partial(_split, split))

    return None


def _split(split: Callable[[str], Any], cell: Any) -> Any:
    return split(cell) if isinstance(cell, str) else None


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fits(options: Any, answer: Any) -> bool:
    """Whether an answer is among options; they may be counted from 1."""
    try:
        parsed = parse_options(options)
        if _number(answer) != len(parsed.texts):
            parse_answer(answer, parsed)
    except Unusable:
        return False

    return True


def _share(found: Any) -> float:
    every = list(found)
    return sum(every) / len(every) if every else 0.0


# Answers.


def answer_reading(answers: Sequence[Any], options: Sequence[Sequence[Any]]) -> Reading | None:
    """How answers are read that count the options from 1: none is 0, and one is the number of its options.

    Args:
        answers: of some rows.
        options: of the same rows, as lists.
    """
    numbers = [_number(answer) for answer in answers if present(answer) is not None]
    if not numbers or any(number is None or number < 1 for number in numbers):
        return None

    pairs = [(_number(answer), own) for answer, own in zip(answers, options) if present(answer) is not None]
    texts = {str(item).strip() for _, own in pairs for item in own}
    counted = any(number == len(own) for number, own in pairs) and all(
        number is not None and number <= len(own) for number, own in pairs
    )
    if not counted or texts & {str(number) for number in numbers}:
        return None

    return Reading("numbers from 1", _from_one)


def _from_one(cell: Any) -> int | None:
    number = _number(cell)
    return None if number is None else number - 1


def _number(value: Any) -> int | None:
    value = whole(value)
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal() and len(value) < 6:
        return int(value)

    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_OPTIONS else None


# Images.


def images_reading(cells: Sequence[Any], media_dir: str) -> Reading | None:
    """How images are read that are base64, or lists written as text; None where formats read them as they are.

    Args:
        cells: of the column of images, of some rows.
        media_dir: from where paths start that stand among images as base64.
    """
    items = [item for cell in cells for item in _image_items(cell)]
    if any(isinstance(item, str) and _is_base64(item) for item in items):
        return Reading("base64, decoded", lambda cell: _embedded(cell, media_dir))

    if any(isinstance(cell, str) and _quoted_items(cell) for cell in cells):
        return Reading("a list written as text", lambda cell: _image_items(cell) or None)

    return None


def _image_items(cell: Any) -> list[Any]:
    if isinstance(cell, str):
        return _quoted_items(cell) or ([cell] if present(cell) is not None else [])

    return list(cell) if isinstance(cell, (list, tuple)) else [] if cell is None else [cell]


def _is_base64(text: str) -> bool:
    try:
        check_is_path(text)
    except Unusable as error:
        return error.kind.startswith("base64")

    return False


def is_image_index(cell: Any) -> bool:
    """Whether a cell among images as base64 names another row's image by its index, as VLMEvalKit's files do."""
    return isinstance(cell, str) and cell.strip().isascii() and cell.strip().isdecimal() and len(cell) <= 64


def _embedded(cell: Any, media_dir: str) -> list[dict[str, Any]] | None:
    found = [_image(item, media_dir) for item in _image_items(cell)]
    return [image for image in found if image is not None] or None


def _image(item: Any, media_dir: str) -> dict[str, Any] | None:
    if isinstance(item, Mapping):
        data, path = item.get("bytes"), item.get("path")
        good = isinstance(data, (bytes, type(None))) and isinstance(path, (str, type(None)))
        return {"bytes": data, "path": path} if good else None

    if isinstance(item, bytes):
        return {"bytes": item, "path": None}

    if not isinstance(item, str):
        return None

    if not _is_base64(item):
        return {"bytes": None, "path": os.path.join(media_dir, item)}

    try:
        return {"bytes": base64.b64decode(_DATA_URI.sub("", item, count=1)), "path": None}
    except (binascii.Error, ValueError):  # the run says what is wrong with it, and counts it
        return {"bytes": None, "path": item}


# Turns of conversations.


_PLACEHOLDERS = {"image": "<image>", "video": "<video>", "audio": "<audio>"}


def messages_reading(cells: Sequence[Any]) -> Reading | None:
    """How turns are read whose contents are lists of parts; None where formats read them as they are.

    Args:
        cells: of the column of turns, of some rows.
    """
    turns = [turn for cell in cells if isinstance(cell, (list, tuple)) for turn in cell if isinstance(turn, Mapping)]
    if not any(isinstance(turn.get("content"), (list, tuple)) for turn in turns):
        return None

    return Reading("parts joined, media as placeholders", _joined_turns)


def _joined_turns(cell: Any) -> Any:
    if not isinstance(cell, (list, tuple)):
        return None

    return [
        {"role": str(turn.get("role")), "content": _joined_parts(turn.get("content"))}
        for turn in cell
        if isinstance(turn, Mapping)
    ]


def _joined_parts(content: Any) -> str:
    if not isinstance(content, (list, tuple)):
        return content if isinstance(content, str) else ""

    texts = []
    for part in content:
        kind = str(part.get("type") or "text") if isinstance(part, Mapping) else "text"
        medium = next((name for name in _PLACEHOLDERS if name in kind), None)
        text = part.get("text") if isinstance(part, Mapping) else part
        texts.append(_PLACEHOLDERS[medium] if medium else text if isinstance(text, str) else "")

    return "".join(texts)
