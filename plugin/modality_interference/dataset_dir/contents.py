"""The files of a dataset folder: data and a card, and nothing that runs or that leads out of the folder."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import ModalityInterferenceError
from ..files import is_inside, path_problem, read_text
from ..messages import shown


# Code, and data that runs code when it is loaded.
_CODE: tuple[str, ...] = (
    ".bash",
    ".bat",
    ".cmd",
    ".com",
    ".dll",
    ".dylib",
    ".exe",
    ".ipynb",
    ".jar",
    ".js",
    ".joblib",
    ".pickle",
    ".pkl",
)
_CODE += (".ps1", ".py", ".pyc", ".pyd", ".pyw", ".sh", ".so", ".vbs", ".zsh")
_CODE_STARTS = (b"#!", b"\x7fELF")


def content_problems(folder: Path) -> list[str]:
    """Look at every file of the folder, without following links and without reading more than its first bytes."""
    return [problem for path in _walk(folder) if (problem := _problem(path, folder)) is not None]


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):  # does not follow links to folders
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        yield from (Path(parent, name) for name in sorted([*files, *links]))
        folders[:] = sorted(name for name in folders if name != ".git")  # a cloned recipe: git's own files are no data


def _problem(path: Path, folder: Path) -> str | None:
    name = shown(os.path.relpath(path, folder))
    if not is_inside(path, folder):
        return f"{name} is a symbolic link out of the recipe folder; copy what it names there"

    if path.suffix.lower() in _CODE or _starts_as_code(path):
        return f"{name} is code, and a recipe is data; move it out of the folder"

    return None


def _starts_as_code(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would block; a link's target is looked at by itself
            return False

        with path.open("rb") as file:
            return file.read(4).startswith(_CODE_STARTS)
    except OSError:
        return False


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

    return [problem for file in files if (problem := _data_problem(folder, file)) is not None]


def _data_problem(folder: Path, file: Path) -> str | None:
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


CARD_FILE = "README.md"
MAX_BYTES = 1_000_000
HEADINGS = ("Source", "Licence", "Size", "Mapping", "Known problems")
_SPELLINGS = {"license": "licence"}
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r" {0,3}(```|~~~)")


def card_problems(folder: Path) -> list[str]:
    """Look for the card and for something under each of `HEADINGS`."""
    try:
        text = read_text(folder, CARD_FILE, MAX_BYTES)
    except ModalityInterferenceError as error:
        return [f"{error}. A recipe needs a card with the headings {', '.join(HEADINGS)}"]

    sections = _sections(text)
    problems = []
    for heading in HEADINGS:
        name = heading.lower()
        if name not in sections:
            problems.append(f"`{CARD_FILE}` has no heading `{heading}`")
        elif not sections[name]:
            problems.append(f"`{CARD_FILE}` says nothing under the heading `{heading}`")

    return problems


def _sections(text: str) -> dict[str, bool]:
    """Whether there is text under each heading, by its name in lower case; subsections count for their section."""
    found: dict[str, bool] = {}
    open_sections: list[tuple[int, str]] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.fullmatch(line)
        if heading is not None:
            level, name = len(heading[1]), heading[2].lower()
            name = _SPELLINGS.get(name, name)
            open_sections = [section for section in open_sections if section[0] < level] + [(level, name)]
            found.setdefault(name, False)
        elif line.strip():
            found |= {name: True for _, name in open_sections}

    return found
