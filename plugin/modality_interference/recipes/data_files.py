"""The files behind a `file_name`, before a reader opens them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..twins.messages import shown
from .paths import path_problem


MAX_DEPTH = 100  # pyarrow's JSON reader crashes on thousands
_JSON = (".json", ".jsonl")
_BLOCK = 1 << 24  # bytes
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def data_problems(folder: Path, file_name: str) -> list[str]:
    """Look at the file, or at the files of the folder, that an entry names.

    Args:
        folder: the recipe.
        file_name: the path in the entry.
    """
    if why := path_problem(folder, file_name):
        return [f"`file_name` {why}"]

    path = folder / file_name
    if not os.path.exists(path):
        return [f"`file_name` {shown(file_name)} does not exist in the recipe folder"]

    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if not files:
        return [f"`file_name` {shown(file_name)} is an empty folder"]

    return [problem for file in files if (problem := _problem(folder, file)) is not None]


def _problem(folder: Path, file: Path) -> str | None:
    name = str(file.relative_to(folder))
    if why := path_problem(folder, name):
        return f"`file_name` {why}"

    if not file.is_file():
        return f"`file_name` {shown(name)} is no plain file; a folder of data holds nothing but data files"

    try:
        if file.suffix in _JSON and _is_deep(file):
            return f"`file_name` {shown(name)} is nested more than {MAX_DEPTH} levels deep"
    except OSError as error:
        return f"`file_name` {shown(name)} cannot be read: {error.strerror}"

    return None


def _is_deep(file: Path) -> bool:
    """Whether JSON, or lines of JSON, are nested deeper than `MAX_DEPTH`; broken JSON is its reader's business."""
    unclosed = b""
    for block in _blocks(file):
        brackets = unclosed + _STRING.sub(b"", block).translate(None, _NO_BRACKETS)
        for _ in range(MAX_DEPTH + 1):
            shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")  # takes the innermost level away
            if shorter == brackets:
                break

            brackets = shorter
        else:
            return True

        unclosed = brackets
        if len(unclosed) > MAX_DEPTH:
            return True

    return False


def _blocks(file: Path) -> Iterator[bytes]:
    """Blocks of whole lines: JSON has no string that goes over a line's end."""
    with file.open("rb") as stream:
        while lines := stream.readlines(_BLOCK):
            yield b"".join(lines)
