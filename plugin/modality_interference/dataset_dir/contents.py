"""The files of a dataset folder: data, and nothing that runs or that leads out of the folder."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ..files import is_inside, path_problem
from ..messages import listed, shown
from .faults import header_problem, invalid_arrow


# Code, and data that runs code when it is loaded.
_CODE_SUFFIXES = frozenset(
    ".bash .bat .cmd .com .dll .dylib .exe .ipynb .jar .joblib .js .pickle .pkl .ps1 .py .pyc .pyd .pyw .sh .so .vbs "
    ".zsh".split()
)
_CODE_STARTS = (b"#!", b"\x7fELF")


def content_problems(folder: Path, media_dir: Path | None = None) -> list[str]:
    """Files that are code or links out of the folder. Links are not followed, and only the first bytes are read.

    Args:
        folder: the dataset folder.
        media_dir: another folder that its user has named, into which links may lead.
    """
    roots = [folder] if media_dir is None else [folder, media_dir]
    return [problem for path in _files(folder) if (problem := _file_problem(path, folder, roots)) is not None]


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):  # does not follow links to folders
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        yield from (Path(parent, name) for name in sorted([*files, *links]))
        folders[:] = sorted(name for name in folders if name != ".git")  # git's own files are not data


def _file_problem(path: Path, folder: Path, roots: list[Path]) -> str | None:
    name = shown(os.path.relpath(path, folder))
    if not any(is_inside(path, root) for root in roots):
        return f"{name} is a symbolic link out of the dataset folder; copy what it names there"

    if path.suffix.lower() in _CODE_SUFFIXES or _starts_as_code(path):
        return f"{name} is code, and a dataset folder holds data only; move it out of the folder"

    return None


def _starts_as_code(path: Path) -> bool:
    try:
        # A pipe would block. The target of a link inside of the folder is checked as a file of its own.
        if not stat.S_ISREG(path.lstat().st_mode):
            return False

        with path.open("rb") as file:
            return file.read(4).startswith(_CODE_STARTS)
    except OSError:
        return False


MAX_DEPTH = 100  # pyarrow's JSON reader crashes on thousands
_JSON = (".json", ".jsonl")
# LLaMA-Factory's FILEEXT2TYPE
DATA_TYPES = {
    ".arrow": "arrow",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".txt": "text",
}
_BLOCK = 1 << 24  # bytes
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def data_problems(folder: Path, file_name: str) -> list[str]:
    """Problems of the file, or of the files of the folder, that an entry names.

    Args:
        folder: the dataset folder.
        file_name: the path in the entry.
    """
    if why := path_problem(folder, file_name):
        return [f"`file_name` {why}"]

    path = folder / file_name
    if not os.path.exists(path):
        return [f"`file_name` {shown(file_name)} does not exist in the dataset folder"]

    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if not files:
        return [f"`file_name` {shown(file_name)} is an empty folder"]

    found = [problem for file in files if (problem := _data_problem(folder, file)) is not None]
    return found or _type_problems(file_name, files)


def _type_problems(file_name: str, files: list[Path]) -> list[str]:
    """What LLaMA-Factory says without a name: files of no type that it knows, or of several."""
    allowed = listed(DATA_TYPES)
    unknown = [file.name for file in files if file.suffix not in DATA_TYPES]
    if unknown:
        which = f": {shown(unknown[0])}" if unknown != [os.path.basename(file_name)] else ""
        return [f"`file_name` {shown(file_name)}{which} is no data file. Allowed: files that end in {allowed}"]

    kinds = {DATA_TYPES[file.suffix]: file.name for file in files}
    if len(kinds) > 1:
        names = ", ".join(map(shown, kinds.values()))
        return [
            f"`file_name` {shown(file_name)} holds files of several types ({names}); leave those of one type in it"
        ]

    return []


def _data_problem(folder: Path, file: Path) -> str | None:
    name = str(file.relative_to(folder))
    if why := path_problem(folder, name):
        return f"`file_name` {why}"

    if not file.is_file():
        return f"`file_name` {shown(name)} is no plain file; a folder of data holds nothing but data files"

    try:
        if (archive := _archive(file)) is not None:
            return f"`file_name` {shown(name)} is a {archive} archive, which would be unpacked; name the data in it"

        if file.suffix in _JSON and _is_deep(file):
            return f"`file_name` {shown(name)} is nested more than {MAX_DEPTH} levels deep"

        if file.suffix == ".csv" and (problem := header_problem(file)) is not None:
            return f"`file_name` {shown(name)} {problem}"

        if file.suffix == ".arrow" and (fault := invalid_arrow(file)) is not None:
            return f"`file_name` {shown(name)} is damaged ({fault}); write or download it again"
    except OSError as error:
        return f"`file_name` {shown(name)} cannot be read: {error.strerror}"

    return None


def _archive(file: Path) -> str | None:
    """As what `datasets` would unpack the file, whatever its name says; a small one may hold more than the disk."""
    from datasets.utils.extract import Extractor  # here: the other checks do without

    return Extractor.infer_extractor_format(file)


def _is_deep(file: Path) -> bool:
    """Whether JSON, or lines of JSON, are nested deeper than `MAX_DEPTH`; other faults are left to the reader of JSON."""
    unclosed = b""
    for block in _blocks(file):
        brackets = unclosed + _STRING.sub(b"", block).translate(None, _NO_BRACKETS)
        for _ in range(MAX_DEPTH + 1):
            shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")  # removes the innermost level
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
    """Blocks of complete lines: no JSON string continues on the next line."""
    with file.open("rb") as stream:
        while lines := stream.readlines(_BLOCK):
            yield b"".join(lines)
