"""Why a data file cannot be read: the file, the row and the column, where pyarrow and pandas name neither.

Looked for only once reading has failed, so that files that can be read cost nothing.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ModalityInterferenceError
from ..messages import listed, shown


MAX_REASON = 300  # characters of what a library says
_NAMED = 5  # files, whose paths are never shortened: they must be found
_DEEPEST = 8  # levels of a row in which types are compared
CSV: dict[str, Any] = {"keep_default_na": False, "na_values": [""], "skipinitialspace": True}  # read_csv's keys
_CSV_ROWS = 10_000
_BOM = b"\xef\xbb\xbf"  # of UTF-8


class _Fault(ModalityInterferenceError):
    """What is wrong, and how to fix it; without the file."""


def explain_fault(files: Sequence[Path], error: BaseException) -> str:
    """Say why data files of one dataset cannot be read.

    Args:
        files: of the dataset, of one type.
        error: what the reader raised.

    Returns:
        The file, the row and the column as far as they can be found, how to fix it, and what the reader said.
    """
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_REASON]}"
    types = _Types()
    for file in sorted(files):
        read = _READERS.get(file.suffix, _nothing)
        try:
            read(file, types)
        except _Fault as fault:
            return f"{str(file)!r} cannot be read: {fault}. (The reader says: {said})"
        except (OSError, ValueError, RecursionError, pa.ArrowException) as failed:
            return f"{str(file)!r} cannot be read: {type(failed).__name__}: {str(failed)[:MAX_REASON]}. ({said})"

    names = ", ".join(repr(str(file)) for file in files[:_NAMED]) + (", ..." if len(files) > _NAMED else "")
    if types.columns and not types.rows:
        return f"{names} cannot be read: no row is in it. (The reader says: {said})"

    if difference := types.columns_differ():
        return f"{difference}. (The reader says: {said})"

    return f"{names} cannot be read: {said}"


class _Types:
    """What was seen in the files of a dataset, which must all have the same columns, of the same types.

    Attributes:
        columns: of each file, by its name.
        rows: how many there are in all files.
    """

    def __init__(self) -> None:
        self.columns: dict[str, set[str]] = {}
        self.rows = 0
        self._file = ""
        self._kinds: dict[str, tuple[str, str, str]] = {}

    def open(self, file: Path, columns: Iterable[str] = ()) -> None:
        """Go on with a file."""
        self._file = file.name
        self.columns[file.name] = set(columns)

    def row(self, columns: Iterable[str], number: int = 1) -> None:
        """Note rows of the file that is open."""
        self.columns[self._file].update(columns)
        self.rows += number

    def add(self, column: str, kind: str, where: str, value: Any) -> None:
        """Note the type of a cell; refuse another one than was seen before."""
        seen, place, file = self._kinds.setdefault(column, (kind, where, self._file))
        if seen != kind:
            found = kind if value is None else f"{kind} ({shown(value)})"
            place += f" of {shown(file)}" if file != self._file and place else ""
            raise _Fault(
                f"{where or 'it'} has {found} in `{column[:80]}`, and {place or shown(file)} has {seen}. All rows must have one "
                "type there"
            )

    def columns_differ(self) -> str | None:
        """Which file has columns that another one does not have."""
        (first, expected), *others = self.columns.items() if self.columns else [("", set[str]())]
        for name, found in others:
            if found != expected:
                return (
                    f"{shown(name)} and {shown(first)} differ in the columns {listed(sorted(found ^ expected))}. All files of a "
                    "dataset must have the same columns"
                )

        return None


def _nothing(file: Path, types: _Types) -> None:
    pass


def _json(file: Path, types: _Types) -> None:
    """Look at JSON, or at lines of JSON, row by row."""
    types.open(file)
    for where, row in _json_rows(file):
        if not isinstance(row, dict):
            raise _Fault(f"{where} is {_kind(row)} ({shown(row)}). A row is an object such as {{'question': ...}}")

        types.row(row)
        for column, value in row.items():
            _cell(column, value, where, types)


def _json_rows(file: Path) -> Iterator[tuple[str, Any]]:
    """Every row, and how a message calls it."""
    with file.open("rb") as stream:
        start = stream.read(1 << 10)
        _check_text(start)
        stream.seek(0)
        if not start.removeprefix(_BOM).lstrip().startswith(b"["):
            yield from _json_lines(stream)
            return

        if start.startswith(_BOM):
            raise _Fault("it begins with a byte order mark (BOM). Save it as UTF-8 without one")

        text = _decoded(stream.read(), "")

    try:
        rows = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _Fault(f"it is no JSON from line {error.lineno}, character {error.colno} on: {error.msg}") from error

    yield from ((f"row {index}", row) for index, row in enumerate(rows))


def _json_lines(lines: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    index = 0
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix(_BOM) if number == 1 else line
        if not line.strip():
            continue

        where = f"row {index} (line {number})"
        try:
            yield where, json.loads(_decoded(line, f"line {number}, "), object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            raise _Fault(
                f"line {number} is no complete JSON object: {error.msg} (character {error.colno}). Write one object a line, or one "
                "list of objects in the whole file"
            ) from error
        except _Fault as fault:
            raise fault if str(fault).startswith("line") else _Fault(f"{where}: {fault}") from fault

        index += 1


def _check_text(start: bytes) -> None:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:4]:
        raise _Fault("it is UTF-16 or UTF-32. Save it as UTF-8")


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = where or f"line {line}, "
        raise _Fault(f"{place}byte {error.start:,}: it is not UTF-8 text. Save it as UTF-8") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise _Fault(f"an object has the key {shown(twice)} twice. Remove one of them")

    return row


def _cell(column: str, value: Any, where: str, types: _Types, depth: int = 0) -> None:
    if value is None or depth > _DEEPEST:
        return

    types.add(column, _kind(value), where, value)
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _Fault(f"{where} has half of a surrogate pair in `{column}` ({shown(value)}). Replace it") from error
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise _Fault(f"{where} has a number of more than 64 bits in `{column}` ({shown(value)}). Write it as text")
    elif isinstance(value, list):
        for item in value:
            _cell(f"{column}[]", item, where, types, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _cell(f"{column}.{key}", item, where, types, depth + 1)


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def _csv(file: Path, types: _Types) -> None:
    """Look at the text and at the number of cells; all of them are read as texts."""
    types.open(file)
    with file.open("rb") as stream:
        _check_text(stream.read(4))
        stream.seek(0)
        for number, line in enumerate(stream, start=1):
            _decoded(line, f"line {number}, ")

    try:
        for part in pd.read_csv(file, chunksize=_CSV_ROWS, dtype=str, **CSV):
            types.row(map(str, part.columns), len(part))
    except pd.errors.EmptyDataError as error:
        raise _Fault("it is empty") from error
    except pd.errors.ParserError as error:
        reason = str(error).rpartition("C error: ")[2].strip()
        raise _Fault(f"{reason}. Put cells with commas or line breaks into double quotes, and close these") from error


def _parquet(file: Path, types: _Types) -> None:
    try:
        opened = pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise _Fault("it is no whole Parquet file. Copy or download it again") from error

    with opened:
        _schema(file, opened.schema_arrow, opened.metadata.num_rows, types)
        start = 0
        for group in range(opened.num_row_groups):
            rows = opened.metadata.row_group(group).num_rows
            for column in opened.schema_arrow.names:
                try:
                    opened.read_row_group(group, columns=[column])
                except (OSError, pa.ArrowException) as error:
                    raise _Fault(
                        f"`{column}` is damaged in the rows {start} to {start + rows - 1}. Copy or download it again"
                    ) from error

            start += rows


def _arrow(file: Path, types: _Types) -> None:
    for read in (pa.ipc.open_stream, pa.ipc.open_file):
        try:
            with pa.memory_map(str(file)) as source, read(source) as reader:
                table = reader.read_all()
        except (OSError, pa.ArrowException):
            continue

        _schema(file, table.schema, len(table), types)
        return

    raise _Fault("it is no whole Arrow file. Copy or download it again")


def invalid_arrow(file: Path) -> str | None:
    """What is wrong with the layout of an Arrow file, which pyarrow maps into memory and reads from without a look at it.

    Offsets that lead out of the file make it crash. A file that cannot be opened, or not to its end, is left to the reader,
    which says so.
    """
    with file.open("rb") as source:  # as `datasets` opens it
        try:
            try:
                batches: Iterable[pa.RecordBatch] = pa.ipc.open_stream(source)
            except (OSError, pa.ArrowInvalid):
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(number) for number in range(reader.num_record_batches))

            for batch in batches:
                try:
                    batch.validate(full=True)
                except pa.ArrowInvalid as error:
                    return " ".join(str(error).split())[:MAX_REASON]
        except (OSError, ValueError, pa.ArrowException):
            return None

    return None


def _schema(file: Path, schema: pa.Schema, rows: int, types: _Types) -> None:
    types.open(file, schema.names)
    types.row((), rows)
    for name, number in Counter(schema.names).items():
        if number > 1:
            raise _Fault(f"it has the column `{name[:80]}` {number} times. Rename all but one of them")

    for field in schema:
        if not pa.types.is_null(field.type):
            types.add(field.name, str(field.type), "", None)


_READERS: dict[str, Callable[[Path, _Types], None]] = {
    ".json": _json,
    ".jsonl": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".arrow": _arrow,
}


def header_problem(file: Path) -> str | None:
    """What the first lines of a CSV file have that pandas would read otherwise than it is meant, and the fix.

    It reads a name that is there twice as `name` and `name.1`, and takes the first cell of a row that is longer than the header
    for the row's name, as R writes it, also where the last cell is the nothing behind a comma.
    """
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        try:
            lines = csv.reader(stream, skipinitialspace=True)
            header, first = next(lines, []), next(filter(None, lines), [])
        except csv.Error:  # a cell of a hundred thousand characters; the reader of the data reports it
            return None

    twice = next((name for name, number in Counter(header).items() if number > 1), None)
    if twice is not None:
        return f"has two columns {shown(twice)} in its first line; rename one of them"

    if len(first) > len(header) and not first[-1]:
        return (
            "has a comma at the end of its rows and none at the end of its first line; add one there, or remove them"
        )

    return None
