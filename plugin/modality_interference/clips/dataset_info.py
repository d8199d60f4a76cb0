"""Add entries to a `dataset_info.json` that has others, which stay as they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..diagnose.results import write_text
from ..errors import ModalityInterferenceError
from ..recipes.info import INFO_FILE, read_info
from .manifest import JOURNAL, MANIFEST


def check_names(folder: Path, entries: Mapping[str, Mapping[str, Any]], formatting: str) -> None:
    """Look at whether entries and their files would overwrite something that is not theirs.

    Args:
        folder: the dataset_dir.
        entries: to be added, by name; each has a `file_name`.
        formatting: theirs; an entry of the same name, format and file is an earlier version and may be replaced.

    Raises:
        ModalityInterferenceError: naming what is in the way.
    """
    present = _read(folder)
    for name, entry in entries.items():
        file = entry["file_name"]
        if file in (MANIFEST, JOURNAL):
            raise ModalityInterferenceError(
                f"`--name {name}` would overwrite the list of clips, {file}. Choose another name."
            )

        other = present.get(name)
        ours = isinstance(other, dict) and other.get("formatting") == formatting and other.get("file_name") == file
        if other is not None and not ours:
            raise ModalityInterferenceError(
                f"{folder / INFO_FILE} has another dataset `{name}`. Choose another `--name`, or remove that entry."
            )

        users = [user for user, its in present.items() if isinstance(its, dict) and its.get("file_name") == file]
        if (folder / file).exists() and not set(users) & set(entries):
            raise ModalityInterferenceError(
                f"{folder / file} exists, and is not this dataset's. Choose another `--name`, or move the file away."
            )


def merge_entries(folder: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to `dataset_info.json`, or replace earlier versions of them; all others stay.

    Raises:
        ModalityInterferenceError: the file that is there cannot be read, or the folder cannot be written.
    """
    text = json.dumps({**_read(folder), **entries}, ensure_ascii=False, indent=2)
    write_text(folder / INFO_FILE, text + "\n")


def _read(folder: Path) -> dict[str, Any]:
    """The entries that are there. Nothing may be wrong with the file, as what cannot be read would be lost."""
    if not (folder / INFO_FILE).exists() or not (folder / INFO_FILE).read_bytes().strip(b" \t\r\n{}"):
        return {}

    info = read_info(folder)
    if info.problems:
        raise ModalityInterferenceError(f"{folder / INFO_FILE} cannot be added to: {info.problems[0]}. Mend it first.")

    return info.datasets
