"""Pairs as a dataset folder in LLaMA-Factory's ranking format: one dataset without the plugin, and one whose rows get twins."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.registry import WITHHELD
from ..data.standard import STANDARD
from ..dataset_dir.info import INFO_FILE
from ..files import write_bytes, write_text
from ..modality import MEDIA
from .rows import CleanRow, Pair, PairPrompt


MEDIA_FOLDER = "media"
TWINS_SUFFIX = "_twins"
_RELEVANT = "relevant"
_ORIGIN = ("kind", "dataset", "row", "perturbation")  # columns that nothing reads but people
_USED = (*MEDIA.values(), "system", "tools", "choices", "answer")  # columns that an entry names where rows have any
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function",
}


class PairsFolder:
    """A folder that is being filled: media are written pair by pair, rows and entries at the end.

    Args:
        folder: a new or an empty one.
        name: of the dataset.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._rows: list[dict[str, Any]] = []
        self._clean: dict[tuple[str, int], dict[str, Any]] = {}  # by dataset and row: several twins may mislead

    def add(self, pair: Pair) -> None:
        """Add a pair; files of the same content are written once.

        Raises:
            ModalityInterferenceError: the folder cannot be written.
        """
        self._rows.append(self._question(pair.question) | _answers(pair) | _origin(pair))
        if pair.clean is not None and (pair.dataset, pair.row) not in self._clean:
            row = self._question(pair.clean.question) | _answers(pair) | _for_twins(pair, pair.clean) | _origin(pair)
            self._clean[pair.dataset, pair.row] = row

    def _question(self, question: PairPrompt) -> dict[str, Any]:
        """The columns of what is asked, its media written."""
        for files in question.media.values():
            for file in files:
                path = self._folder / MEDIA_FOLDER / file.name
                if not path.exists():
                    write_bytes(path, file.data)

        media = {
            MEDIA[modality]: [f"{MEDIA_FOLDER}/{file.name}" for file in files]
            for modality, files in question.media.items()
        }
        return {"messages": question.prompt, **media, "system": question.system, "tools": question.tools}

    def finish(self) -> None:
        """Write the rows, and last `dataset_info.json`, by which the folder is known.

        Raises:
            ModalityInterferenceError: the folder cannot be written.
        """
        entries = {self._name: self._write(self._name, self._rows, ())}
        if self._clean:
            name, rows = f"{self._name}{TWINS_SUFFIX}", list(self._clean.values())
            entry = self._write(name, rows, (WITHHELD,))
            twins = {"relevant": _RELEVANT, "perturbations": STANDARD}
            entries[name] = entry | {"formatting": "sharegpt_twins", "twins": twins}

        text = json.dumps(entries, ensure_ascii=False, indent=2)
        write_text(self._folder / INFO_FILE, f"{text}\n")

    def _write(self, name: str, rows: Sequence[dict[str, Any]], more: tuple[str, ...]) -> dict[str, Any]:
        """Write a file of pairs; returns its entry, which LLaMA-Factory reads without the plugin."""
        unused = [column for column in _USED if not any(row.get(column) for row in rows)]
        lines = (
            json.dumps({key: value for key, value in row.items() if key not in unused}, ensure_ascii=False)
            for row in rows
        )
        write_text(self._folder / f"{name}.jsonl", "".join(f"{line}\n" for line in lines))
        used = [column for column in _USED if column not in unused]
        return {
            "file_name": f"{name}.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {column: column for column in ("messages", "chosen", "rejected", *used, *more)},
            "tags": _TAGS,
        }


def _answers(pair: Pair) -> dict[str, Any]:
    return {name: {"role": "assistant", "content": getattr(pair, name)} for name in ("chosen", "rejected")}


def _origin(pair: Pair) -> dict[str, Any]:
    return {name: getattr(pair, name) for name in _ORIGIN}


def _for_twins(pair: Pair, clean: CleanRow) -> dict[str, Any]:
    """What the plugin's format reads beside a pair; its three answers must differ."""
    return {
        WITHHELD: pair.withheld if pair.withheld.strip() not in (pair.chosen.strip(), pair.rejected.strip()) else None,
        _RELEVANT: [modality.value for modality in clean.relevant],
        "choices": list(clean.choices) or None,
        "answer": clean.answer,
    }
