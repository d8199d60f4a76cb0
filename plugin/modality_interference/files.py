"""Files and paths that may come from untrusted places: containment in folders, small texts, atomic writes."""

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from .errors import ModalityInterferenceError, Unusable
from .messages import shown


def is_inside(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether a path is in a folder, or the folder itself, once all links are followed; it need not exist."""
    try:
        return _is_under(os.path.realpath(path), os.path.realpath(folder))
    except (OSError, ValueError):  # too long, a null character, a surrogate
        return False


def _is_under(real_path: str, real_folder: str) -> bool:
    """The containment check behind all others, of paths whose links have been followed."""
    return real_path == real_folder or real_path.startswith(os.path.join(real_folder, ""))


# `datasets` reads these in a path as a pattern, as an archive's member or as an address on the network.
_NOT_PLAIN = re.compile(r"[*?\[\]]|::|://")


def path_problem(folder: Path, name: str) -> str | None:
    """Say why a file of a dataset folder may not name this path.

    Args:
        folder: the dataset folder.
        name: the path as the file has it.

    Returns:
        What is wrong and how to fix it; None where nothing is. Whether something is there is another question.
    """
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    if not name.strip() or "\0" in name or not _is_encodable(name):
        return f"{shown(name)} is not a path; name a file of the dataset folder"

    if _NOT_PLAIN.search(name):
        return f"{shown(name)} would be read as a pattern or an address; rename it without `*`, `?`, `[`, `]` and `::`"

    if os.path.isabs(name) or PureWindowsPath(name).anchor:
        return f"{shown(name)} is absolute; put the data into the dataset folder and name the path from there"

    if ".." in parts:
        return f"{shown(name)} leads upwards; put the data into the dataset folder"

    if not is_inside(folder / name, folder):
        return f"{shown(name)} leads out of the dataset folder by a symbolic link; copy the data there"

    return None


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False

    return True


_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{64,}={0,2}\s*")
_MEDIA_AS_BASE64 = (
    "iVBORw0KGgo",
    "/9j/",
    "R0lGOD",
    "UklGR",
    "SUkq",
    "TU0A",
    "Qk",
    "AAAA",
    "GkXfo",
    "SUQz",
    "T2dn",
    "ZkxhQ",
)
# kinds of media that may not be opened
OUTSIDE, LINK_OUT = "path outside the media folder", "link out of the media folder"
_LONGEST_NAME = 255  # characters; no file system has longer names
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter before the colon is a drive


@dataclass(frozen=True)
class MediaFolders:
    """The folders in which media files may be opened.

    Attributes:
        media_dir: what relative paths start from.
        roots: the real paths of the folders, all links followed.
    """

    media_dir: str
    roots: tuple[str, ...]

    def check(self, medium: Any) -> None:
        """Look at the paths of a medium; an embedded one has none.

        Args:
            medium: as LLaMA-Factory has found it: a path, a `{"bytes", "path"}` dict, a list of frames, ...

        Raises:
            Unusable: see `check_is_path`; or `path outside the media folder`, `link out of the media folder`, `medium not
                understood`.
        """
        if isinstance(medium, (list, tuple)):
            for frame in medium:
                self.check(frame)
        elif isinstance(medium, Mapping):
            self.check(medium.get("path") if medium.get("bytes") is None else None)
        elif isinstance(medium, str):
            self._check_path(medium)

    def _check_path(self, path: str) -> None:
        check_is_path(path)
        try:  # LLaMA-Factory opens what is not in `media_dir` relative to the working directory
            elsewhere = not os.path.isabs(path) and os.path.isfile(path)
            real = _real_path(path if elsewhere else os.path.join(self.media_dir, path))
        except (OSError, ValueError) as error:  # a null character, a surrogate, too long
            raise Unusable("medium not understood", f"{shown(path)} is not a path", path) from error

        if any(_is_under(real, root) for root in self.roots):
            return

        written = os.path.abspath(path if elsewhere else os.path.join(self.media_dir, path))
        if any(_is_under(written, root) for root in (os.path.abspath(self.media_dir), *self.roots)):
            detail = (
                f"{shown(path)} is a symbolic link, or in a linked folder, and leads to {shown(real)}, out of `media_dir` "
                f"({self.media_dir}); copy the file there, or set `media_dir` to a folder that holds it"
            )
            raise Unusable(LINK_OUT, detail, path)

        detail = (
            f"{shown(path)} leads out of `media_dir` ({self.media_dir}); copy the file there, or set `media_dir` to a folder "
            "that holds it"
        )
        raise Unusable(OUTSIDE, detail, path)


def check_is_path(text: str) -> None:
    """Refuse what stands in place of a medium's path.

    Raises:
        Unusable: `address in place of a path`, or `base64 in place of a path`.
    """
    if _ADDRESS.match(text):
        raise Unusable(
            "address in place of a path", f"{shown(text)}; download the file, and name it by its path", text
        )

    if text.startswith("data:") or _is_base64(text):
        detail = (
            f"{len(text):,} characters that begin with {shown(text[:24])}; decode them into a file and name it by its path, or "
            "keep the bytes in a Parquet file"
        )
        raise Unusable("base64 in place of a path", detail, text)


def _is_base64(text: str) -> bool:
    begins = text.startswith(_MEDIA_AS_BASE64) or len(text) > _LONGEST_NAME
    return begins and _BASE64.fullmatch(text) is not None and not os.path.isfile(text)


def _real_path(path: str) -> str:
    """The path with all links followed; a folder is looked up once, as it holds many files."""
    folder, name = os.path.split(path)
    if name in ("", ".", "..") or os.path.islink(path):
        return os.path.realpath(path)

    if "\0" in name:
        raise ValueError("a path may not hold a null character")

    os.fsencode(name)
    return os.path.join(_real_folder(folder), name)


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def read_text(folder: Path, name: str, limit: int) -> str:
    """Read a small text file of a dataset folder.

    Args:
        folder: the dataset folder.
        name: the file.
        limit: its largest size in bytes.

    Raises:
        ModalityInterferenceError: it is missing, not a regular file, outside the folder, too large or not UTF-8.
    """
    content = read_bytes(folder, name, limit)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModalityInterferenceError(
            f"`{name}` is not UTF-8 text (byte {error.start:,}); save it as UTF-8"
        ) from error


def read_bytes(folder: Path, name: str, limit: int) -> bytes:
    """`read_text`, of any small file."""
    path = folder / name
    if not is_inside(path, folder):
        raise ModalityInterferenceError(f"`{name}` is a link out of the dataset folder; copy the file there")

    if not path.is_file():  # a pipe would block for ever
        raise ModalityInterferenceError(f"`{name}` is missing, or is not a regular file")

    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ModalityInterferenceError(f"`{name}` cannot be read: {error.strerror}") from error

    if len(content) > limit:
        raise ModalityInterferenceError(f"`{name}` is larger than {limit:,} bytes")

    return content


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: after a failure the old file is there, never half of the new one.

    Raises:
        ModalityInterferenceError: naming the path and what to do.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """`write_text`, of bytes."""
    partial = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:  # not `tempfile`, whose files are private whatever the umask allows
            file.write(data)

        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)

        raise ModalityInterferenceError(
            f"cannot write {path}: {error.strerror or error}. Free some space or make the folder writable, or choose "
            "another output folder, and run again; an earlier file at this path is unchanged."
        ) from error


def check_new(folder: Path) -> None:
    """Refuse to write among other files, some of which might be read as parts of what is written.

    Raises:
        ModalityInterferenceError: the path is a file, or a folder that holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModalityInterferenceError(
            f"{folder} holds files already. Name a new or an empty folder, so that nothing else becomes a part of what is written."
        )


_PARTIAL = ".modality-interference.partial"
_PARTIAL_NAME = re.compile(rf"\..+\.[0-9a-f]{{16}}{re.escape(_PARTIAL)}")


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed `write_bytes` left in a folder, and nothing else."""
    for file in folder.glob(f".*{_PARTIAL}"):
        if _PARTIAL_NAME.fullmatch(file.name) and not file.is_dir():
            file.unlink(missing_ok=True)
