"""The files of a recipe: data, and nothing that runs or that leads out of the folder."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..twins.messages import shown
from .paths import is_inside


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
