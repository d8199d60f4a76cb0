"""Where the media of a row may lie: paths in a dataset come from strangers."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .messages import shown
from .row import BadRow


_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter before the colon is a drive


@dataclass(frozen=True)
class MediaFolders:
    """The folders that media files lie in, all links followed.

    Attributes:
        media_dir: what relative paths start from.
        roots: the real paths of all folders in which files may be opened.
    """

    media_dir: str
    roots: tuple[str, ...]

    def check(self, medium: Any) -> None:
        """Look at the paths of a medium; what is embedded has none.

        Args:
            medium: as LLaMA-Factory has found it: a path, a `{"bytes", "path"}` dict, a list of frames, ...

        Raises:
            BadRow: `address in place of a path`, or `path outside the media folder`.
        """
        if isinstance(medium, (list, tuple)):
            for frame in medium:
                self.check(frame)
        elif isinstance(medium, Mapping):
            self.check(medium.get("path") if medium.get("bytes") is None else None)
        elif isinstance(medium, str):
            self._check_path(medium)

    def _check_path(self, path: str) -> None:
        if _ADDRESS.match(path):
            raise BadRow("address in place of a path", f"{shown(path)}; download the file, and name it by its path")

        try:  # LLaMA-Factory opens what is not in `media_dir` relative to the working directory
            elsewhere = not os.path.isabs(path) and os.path.isfile(path)
            real = _real_path(path if elsewhere else os.path.join(self.media_dir, path))
        except (OSError, ValueError) as error:  # a null character, a surrogate, too long
            raise BadRow("medium not understood", f"{shown(path)} is no path") from error

        if not any(real == root or real.startswith(os.path.join(root, "")) for root in self.roots):
            raise BadRow(
                "path outside the media folder",
                f"{shown(path)} leads out of `media_dir` ({self.media_dir}); copy the file there, or set `media_dir` to "
                "a folder that holds it",
            )


def _real_path(path: str) -> str:
    """The path with all links followed; folders are looked up once, as they hold many files."""
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
