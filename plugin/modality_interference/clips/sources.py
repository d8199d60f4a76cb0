"""Find the media files to prepare clips from; nothing outside the input folder is opened."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModalityInterferenceError
from ..files import is_inside


SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
)


@dataclass(frozen=True)
class SourceFile:
    """A file that a clip is to be made of.

    Attributes:
        path: where it is.
        name: the path in the input folder, with slashes.
        refused: why it must not be opened; None as a rule.
    """

    path: Path
    name: str
    refused: str | None = None


@dataclass
class Found:
    """What is in an input folder.

    Attributes:
        sources: the media files, sorted by name.
        others: how many files were not looked at, as their suffix is not one of `SUFFIXES`.
        links: folders behind symbolic links, which are not followed.
    """

    sources: list[SourceFile]
    others: int
    links: list[str]


def find_sources(folder: Path, out: Path) -> Found:
    """Look for media files, in sub-folders, too. Hidden ones and those of the output folder are left out.

    Args:
        folder: the input folder, all links followed.
        out: the output folder, likewise; it may be in the input folder.

    Raises:
        ModalityInterferenceError: a folder cannot be listed.
    """
    found = Found([], 0, [])
    for parent, folders, files in os.walk(folder, onerror=_unreadable):
        here = Path(parent)
        found.links += (_name(here / name, folder) for name in folders if (here / name).is_symlink())
        folders[:] = [name for name in folders if not name.startswith(".") and here / name != out]
        for name in files:
            if name.startswith("."):
                continue

            if Path(name).suffix.lower() in SUFFIXES:
                found.sources.append(_source(here / name, folder))
            else:
                found.others += 1

    found.sources.sort(key=lambda source: source.name)
    return found


def _source(path: Path, folder: Path) -> SourceFile:
    name = _name(path, folder)
    return SourceFile(path, name, _refusal(path, folder))


def _refusal(path: Path, folder: Path) -> str | None:
    if not is_inside(path, folder):
        return "link: a symbolic link out of the input folder; copy the file there"

    try:
        os.fsencode(path.name).decode("utf-8")
        regular = stat.S_ISREG(path.stat().st_mode)
    except UnicodeDecodeError:
        return "unreadable: the name is not UTF-8; rename the file"
    except OSError as error:
        return f"unreadable: {error.strerror}"

    return None if regular else "unreadable: not a regular file"


def _name(path: Path, folder: Path) -> str:
    """With bytes that are not UTF-8 written as backslash escapes, as JSON can hold no others."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _unreadable(error: OSError) -> None:
    raise ModalityInterferenceError(f"cannot list `{error.filename}`: {error.strerror}. Make the folder readable.")
