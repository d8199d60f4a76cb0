"""`interference.json` and `interference_rows.jsonl`: written at once or not at all, read as untrusted."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from ..errors import ModalityInterferenceError
from ..files import read_text, write_text
from ..messages import explain, shown
from .diagnosis import SCHEMA, Diagnosis
from .rows import ScoredRow


JSON_FILE = "interference.json"
ROWS_FILE = "interference_rows.jsonl"
PAGE_FILE = "interference.html"
MAX_JSON_BYTES = 200_000_000  # pictures of the gallery included
MAX_ROWS_BYTES = 4_000_000_000  # about ten million rows
Model = TypeVar("Model", bound=BaseModel)


def write_results(folder: Path, diagnosis: Diagnosis, rows: Iterable[ScoredRow]) -> None:
    """Write both files, each at once or not at all.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    write_text(folder / ROWS_FILE, "".join(row.model_dump_json(exclude_none=True) + "\n" for row in rows))
    write_text(folder / JSON_FILE, diagnosis.model_dump_json(indent=2) + "\n")


def read_diagnosis(folder: Path) -> Diagnosis:
    """Read `interference.json` of a run.

    Raises:
        ModalityInterferenceError: it is missing, of another schema version or not what a diagnosis writes; names the
            file and the key.
    """
    return _parse(Diagnosis, _read(folder, JSON_FILE, MAX_JSON_BYTES), str(folder / JSON_FILE))


def read_rows(folder: Path) -> list[ScoredRow]:
    """Read `interference_rows.jsonl` of a run.

    Raises:
        ModalityInterferenceError: it is missing or not what a diagnosis writes; names the file and the line.
    """
    path, text = folder / ROWS_FILE, _read(folder, ROWS_FILE, MAX_ROWS_BYTES)
    lines = enumerate(text.split("\n"), start=1)  # `splitlines` would split at U+2028, too
    return [_parse(ScoredRow, line, f"{path}, line {number}") for number, line in lines if line.strip()]


def _read(folder: Path, name: str, limit: int) -> str:
    try:
        return read_text(folder, name, limit)
    except ModalityInterferenceError as error:
        raise ModalityInterferenceError(
            f"cannot read {folder / name}: {error}. A diagnosis writes it: run `llamafactory-cli train` with "
            "`plugin: modality_interference` and `do_eval: true`, and name its output_dir."
        ) from error


def _parse(model: type[Model], text: str, where: str) -> Model:
    try:
        content = json.loads(text)
        if "\\ud" in text.lower():  # escapes can bring lone surrogates, which no file can hold
            content = json.loads(json.dumps(content, ensure_ascii=False).encode(errors="replace"))

        _check_schema(content, where)
        return model.model_validate(content)
    except ModalityInterferenceError:  # of another schema version: the message says all
        raise
    except (ValueError, RecursionError) as error:
        raise ModalityInterferenceError(
            f"{where} is not what a diagnosis writes ({explain(error, model)[:300]}). Run the diagnosis again."
        ) from error


def _check_schema(content: Any, where: str) -> None:
    found = content.get("schema_version", SCHEMA) if isinstance(content, dict) else SCHEMA
    if isinstance(found, int) and found != SCHEMA:
        raise ModalityInterferenceError(
            f"{where} has schema version {shown(found)}, and this release reads version {SCHEMA}. Run the diagnosis "
            "again, or read the file with the release that wrote it."
        )
