"""Pairs as a dataset folder in LLaMA-Factory's ranking format."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..dataset_dir.info import INFO_FILE
from ..files import write_bytes, write_text
from ..modality import MEDIA, Modality
from .rows import Pair


MEDIA_FOLDER = "media"
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function",
}


class PairsFolder:
    """A folder that is being filled: media are written pair by pair, rows and entry at the end.

    Args:
        folder: a new or an empty one.
        name: of the dataset.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._rows: list[dict[str, Any]] = []

    def add(self, pair: Pair) -> None:
        """Add a pair; files of the same content are written once.

        Raises:
            ModalityInterferenceError: the folder cannot be written.
        """
        for files in pair.media.values():
            for file in files:
                path = self._folder / MEDIA_FOLDER / file.name
                if not path.exists():
                    write_bytes(path, file.data)

        self._rows.append(_row(pair))

    def finish(self) -> None:
        """Write the rows, and last `dataset_info.json`, by which the folder is known.

        Raises:
            ModalityInterferenceError: the folder cannot be written.
        """
        used = [column for column in (*MEDIA.values(), "system", "tools") if any(row[column] for row in self._rows)]
        kept = ("messages", "chosen", "rejected", *used, "kind", "dataset", "row", "perturbation")
        lines = (json.dumps({name: row[name] for name in kept}, ensure_ascii=False) for row in self._rows)
        write_text(self._folder / f"{self._name}.jsonl", "".join(f"{line}\n" for line in lines))
        entry = ranking_entry(f"{self._name}.jsonl", used)
        text = json.dumps({self._name: entry}, ensure_ascii=False, indent=2)
        write_text(self._folder / INFO_FILE, f"{text}\n")


def ranking_entry(file_name: str, used: Sequence[str]) -> dict[str, Any]:
    """The entry of a file of pairs, which LLaMA-Factory reads without the plugin.

    Args:
        file_name: of the file.
        used: columns of media, `system` and `tools` that it has.
    """
    return {
        "file_name": file_name,
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {name: name for name in ("messages", "chosen", "rejected", *used)},
        "tags": _TAGS,
    }


def _row(pair: Pair) -> dict[str, Any]:
    return {
        "messages": pair.prompt,
        "chosen": {"role": "assistant", "content": pair.chosen},
        "rejected": {"role": "assistant", "content": pair.rejected},
        **{MEDIA[modality]: _paths(pair, modality) for modality in MEDIA},
        "system": pair.system,
        "tools": pair.tools,
        "kind": pair.kind,
        "dataset": pair.dataset,
        "row": pair.row,
        "perturbation": pair.perturbation,
    }


def _paths(pair: Pair, modality: Modality) -> list[str]:
    return [f"{MEDIA_FOLDER}/{file.name}" for file in pair.media[modality]]
