"""How clips are prepared, and from which media files: nothing outside the input folder is opened."""

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import ModalityInterferenceError
from ..files import is_inside


SAMPLE_RATE = 16_000  # what the sound encoders of omni models (Whisper's) take
_VERSION = 1  # of the preparation; another one makes all clips anew


@dataclass(frozen=True)
class Settings:
    """How clips are prepared.

    Attributes:
        seconds: the longest that a clip may be; the rest is cut off.
        size: side of the square picture, in pixels; an even number.
        fps: frames per second.
        min_seconds: shorter clips are skipped.
        silent_below: clips whose sound's RMS is below this level (dB of full scale) are skipped as silent.
        keep_sound: whether the MP4 gets a sound track, too.
    """

    seconds: float = 10.0
    size: int = 504
    fps: int = 8
    min_seconds: float = 1.0
    silent_below: float = -60.0
    keep_sound: bool = False

    def fingerprint(self, source: os.stat_result) -> str:
        """What tells whether a clip has to be prepared again: it changes with the file and with the settings.

        Args:
            source: `stat` of the file that the clip is made of.
        """
        facts = [_VERSION, asdict(self), source.st_size, source.st_mtime_ns]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
)


@dataclass(frozen=True)
class Source:
    """A file that a clip is to be made of.

    Attributes:
        path: where it is.
        name: the path in the input folder, with slashes.
        refused: why it must not be opened; None as a rule.
    """

    path: Path
    name: str
    refused: str | None = None

    def fingerprint(self, settings: Settings) -> str:
        """See `Settings.fingerprint`; empty where the file cannot even be looked at."""
        try:
            return settings.fingerprint(self.path.stat())
        except OSError:
            return ""


@dataclass
class Found:
    """What is in an input folder.

    Attributes:
        sources: the media files, sorted by name.
        others: how many files were left alone, as their suffix is none of `SUFFIXES`.
        links: folders behind symbolic links, which are not followed.
    """

    sources: list[Source]
    others: int
    links: list[str]


def find_sources(folder: Path, out: Path) -> Found:
    """Look for media files, in sub-folders, too. Hidden ones and those of the output folder are left out.

    Args:
        folder: the input folder, all links followed.
        out: the output folder, likewise; it may lie in the input folder.

    Raises:
        ModalityInterferenceError: a folder cannot be listed.
    """
    found = Found([], 0, [])
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        here = Path(place)
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


def _source(path: Path, folder: Path) -> Source:
    name = _name(path, folder)
    return Source(path, name, _refusal(path, folder))


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

    return None if regular else "unreadable: no plain file"


def _name(path: Path, folder: Path) -> str:
    """With bytes that are no UTF-8 written as backslash escapes, as JSON can hold no others."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _unreadable(error: OSError) -> None:
    raise ModalityInterferenceError(f"cannot list `{error.filename}`: {error.strerror}. Make the folder readable.")
