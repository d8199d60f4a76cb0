"""Answers of other tools, from files that may come from anyone: lmms-eval's samples, VLMEvalKit's predictions, plain JSON lines."""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import ModalityInterferenceError
from ..files import read_bytes, read_text
from ..messages import shown


MAX_BYTES = 2_000_000_000
MAX_SHEET_BYTES = 1_000_000_000  # of an .xlsx, unpacked
_SUFFIXES = (".jsonl", ".json", ".tsv", ".xlsx")
# what VLMEvalKit writes in place of an answer (`vlmeval/inference.py`)
_NO_ANSWER = "Failed to obtain answer"


@dataclass
class Answers:
    """What models answered.

    Attributes:
        responses: by the id of the question.
        failed: ids of questions that the tool says it got no answer to.
    """

    responses: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


def read_answers(paths: Iterable[Path]) -> Answers:
    """Read files of answers.

    Args:
        paths: of the files; a suite's answers may be in several.

    Raises:
        ModalityInterferenceError: a file is not a regular one, too large, or none of those that are read, or a question has two
            answers; names the file and the line.
    """
    answers = Answers()
    for path in paths:
        for where, name, response in _entries(path):
            if response.startswith(_NO_ANSWER):
                answers.failed.add(name)
                continue

            if answers.responses.setdefault(name, response) != response:
                raise ModalityInterferenceError(
                    f"{where}: the question {shown(name)} has another answer before. Score one model's answers at a time, each "
                    "question once."
                )

    answers.failed -= set(answers.responses)
    return answers


def _entries(path: Path) -> Iterator[tuple[str, str, str]]:
    """(where, id, response) of every answer of a file."""
    kind = path.suffix.lower()
    if kind not in _SUFFIXES:
        raise ModalityInterferenceError(
            f"{path} is none of the files that are read; allowed: {', '.join(_SUFFIXES)} (lmms-eval's `*_samples_*.jsonl`, "
            "VLMEvalKit's predictions, JSON lines of `id` and `response`)."
        )

    read = {".jsonl": _lines, ".json": _records, ".tsv": _tsv, ".xlsx": _sheet}[kind]
    for where, record in read(path):
        if not isinstance(record, Mapping):
            raise ModalityInterferenceError(f"{where} must be an object, found {shown(record)}.")

        name, response = _answer(where, record)
        yield where, name, response.encode("utf-8", "replace").decode()  # JSON can escape halves of surrogate pairs


def _answer(where: str, record: Mapping[str, Any]) -> tuple[str, str]:
    if "filtered_resps" in record or "resps" in record:
        name, response = _sample_id(record), _first_text(record.get("resps") or record.get("filtered_resps"))
    elif "prediction" in record:
        name, response = record.get("index"), record["prediction"]
    else:
        name, response = record.get("id"), record.get("response")

    if not isinstance(name, str) or not isinstance(response, str):
        raise ModalityInterferenceError(
            f"{where} is no answer to a question of a suite: found {shown(dict(list(record.items())[:8]))}. Allowed: a sample of "
            "lmms-eval for an exported task, a prediction of VLMEvalKit (`index`, `prediction`), or `id` and `response`, all "
            "of them texts."
        )

    return name, response


def _sample_id(sample: Mapping[str, Any]) -> Any:
    """What the task's `process_results` has kept."""
    found = (
        value.get("id") for key, value in sample.items() if key.startswith("accuracy_") and isinstance(value, dict)
    )
    return next(found, None)


def _first_text(value: Any) -> Any:
    """The first answer of nested lists."""
    while isinstance(value, list) and value:
        value = value[0]

    return value


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield (where := f"{path}, line {number}"), _json(line, where)


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    found = _json(_text(path), str(path))
    if not isinstance(found, list):
        raise ModalityInterferenceError(f"{path} must be a list of predictions, found {shown(found)}.")

    for number, record in enumerate(found, start=1):
        yield f"{path}, record {number}", record


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModalityInterferenceError(f"{where} is not JSON: {str(error)[:200]}.") from error


def _tsv(path: Path) -> Iterator[tuple[str, Any]]:
    text = _text(path)
    yield from _rows(path, lambda: pd.read_csv(StringIO(text), sep="\t", dtype=str, keep_default_na=False))


def _sheet(path: Path) -> Iterator[tuple[str, Any]]:
    data = _checked(path, lambda: read_bytes(path.parent, path.name, MAX_BYTES))

    def read() -> pd.DataFrame:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if (size := sum(item.file_size for item in archive.infolist())) > MAX_SHEET_BYTES:
                raise ValueError(f"it unpacks to {size:,} bytes, and {MAX_SHEET_BYTES:,} are allowed")

        return pd.read_excel(BytesIO(data), dtype=str, keep_default_na=False)

    yield from _rows(path, read)


def _rows(path: Path, read: Any) -> Iterator[tuple[str, Any]]:
    try:
        table = read()
    except ImportError as error:
        raise ModalityInterferenceError(
            f"{path}: reading .xlsx needs openpyxl; run `pip install openpyxl`, or let VLMEvalKit write a .tsv (PRED_FORMAT=tsv)."
        ) from error
    except Exception as error:  # pandas, zipfile and openpyxl raise whatever a damaged file makes them raise
        raise ModalityInterferenceError(
            f"{path} cannot be read: {type(error).__name__}: {str(error)[:200]}."
        ) from error

    for number, record in enumerate(table.to_dict("records"), start=2):
        yield f"{path}, row {number}", record


def _text(path: Path) -> str:
    return _checked(path, lambda: read_text(path.parent, path.name, MAX_BYTES))


def _checked(path: Path, read: Any) -> Any:
    try:
        return read()
    except ModalityInterferenceError as error:
        raise ModalityInterferenceError(f"cannot read {path}: {error}.") from error
