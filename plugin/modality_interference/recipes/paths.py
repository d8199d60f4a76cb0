"""Paths that a recipe names: relative, and inside its folder."""

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..twins.messages import shown


# `datasets` reads these in a path as a pattern, as an archive's member or as an address on the network.
_NOT_PLAIN = re.compile(r"[*?\[\]]|::|://")


def path_problem(folder: Path, name: str) -> str | None:
    """Say why a recipe may not name this path.

    Args:
        folder: the recipe.
        name: the path as the recipe has it.

    Returns:
        What is wrong and how to mend it; None where nothing is. Whether something is there is another question.
    """
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    if not name.strip() or "\0" in name or not _is_encodable(name):
        return f"{shown(name)} is no path; name a file of the recipe folder"

    if _NOT_PLAIN.search(name):
        return f"{shown(name)} would be read as a pattern or an address; rename it without `*`, `?`, `[`, `]` and `::`"

    if os.path.isabs(name) or PureWindowsPath(name).anchor:
        return f"{shown(name)} is absolute; put the data into the recipe folder and name the path from there"

    if ".." in parts:
        return f"{shown(name)} leads upwards; put the data into the recipe folder"

    if not is_inside(folder / name, folder):
        return f"{shown(name)} leads out of the recipe folder by a symbolic link; copy the data there"

    return None


def is_inside(path: str | os.PathLike[str], folder: Path) -> bool:
    """Whether a path lies in a folder once all links are followed; it need not exist."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except (OSError, ValueError):  # too long, a null character, a surrogate
        return False


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False

    return True
