"""`interference.json`, `interference_rows.jsonl` and the rows without evidence: written at once or not at all, read as untrusted."""

import json
from collections.abc import Iterable, Sequence
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
COUNTERFACTUALS_FILE = "interference_counterfactuals.jsonl"  # a file of its own: their answers are not to be kept
MAX_JSON_BYTES = 200_000_000  # pictures of the gallery included
MAX_ROWS_BYTES = 4_000_000_000  # about ten million rows
Model = TypeVar("Model", bound=BaseModel)


def write_results(
    folder: Path, diagnosis: Diagnosis, rows: Iterable[ScoredRow], counterfactuals: Sequence[ScoredRow] = ()
) -> None:
    """Write all files, each at once or not at all.

    Args:
        folder: where to.
        diagnosis: the figures.
        rows: clean rows and twins.
        counterfactuals: rows without their evidence; without any, there is no such file.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    write_text(folder / ROWS_FILE, _lines(rows))
    if counterfactuals:
        write_text(folder / COUNTERFACTUALS_FILE, _lines(counterfactuals))
    else:
        (folder / COUNTERFACTUALS_FILE).unlink(missing_ok=True)  # of an earlier diagnosis

    write_text(folder / JSON_FILE, diagnosis.model_dump_json(indent=2) + "\n")


def _lines(rows: Iterable[ScoredRow]) -> str:
    return "".join(row.model_dump_json(exclude_none=True) + "\n" for row in rows)


def read_diagnosis(folder: Path) -> Diagnosis:
    """Read `interference.json` of a run.

    Raises:
        ModalityInterferenceError: it is missing, of another schema version or not what a diagnosis writes; names the
            file and the key.
    """
    return _parse(Diagnosis, _read(folder, JSON_FILE, MAX_JSON_BYTES), str(folder / JSON_FILE))


def read_rows(folder: Path, name: str = ROWS_FILE) -> list[ScoredRow]:
    """Read `interference_rows.jsonl` of a run, or `interference_counterfactuals.jsonl`.

    Raises:
        ModalityInterferenceError: it is missing or not what a diagnosis writes; names the file and the line.
    """
    path, text = folder / name, _read(folder, name, MAX_ROWS_BYTES)
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
