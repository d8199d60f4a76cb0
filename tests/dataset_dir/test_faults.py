"""Data files that `datasets` cannot read: the message names the row and the column, and how to fix it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from modality_interference.dataset_dir.faults import explain_fault, header_problem


ROW = {"question": "1 + 1?", "choices": ["2", "3"], "answer": "A", "scores": {"right": 1}}
TABLE = pa.table({"question": ["a", "b", "c"], "answer": ["x", "y", "z"]})
READERS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow"}


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def array(*rows: Any) -> bytes:
    return json.dumps(rows).encode()


def table(*rows: tuple[Any, ...]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("question", "answer"), *rows])
    return text.getvalue().encode()


def parquet(data: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(data, stream, **options)
    return stream.getvalue()


def arrow(data: pa.Table) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, data.schema) as writer:
        writer.write_table(data)

    return stream.getvalue()


def twice(data: pa.Table) -> pa.Table:
    return pa.Table.from_arrays([*data.columns, data.column(1)], [*data.column_names, "answer"])


def damaged(content: bytes) -> bytes:
    """The second group's data of a Parquet file, overwritten."""
    metadata = pq.read_metadata(io.BytesIO(content)).row_group(1).column(0)
    start = metadata.dictionary_page_offset or metadata.data_page_offset
    return content[: start + 24] + b"\xff" * 12 + content[start + 36 :]


def explained(tmp_path: Path, **contents: bytes) -> str:
    """What is said of files (`name_suffix`) on which the real reader fails."""
    files = []
    for name, content in contents.items():
        files.append(tmp_path / name.replace("_", "."))
        files[-1].write_bytes(content)

    kind, paths = READERS[files[0].suffix], [str(file) for file in files]
    with pytest.raises(Exception) as error:
        load_dataset(kind, data_files=paths, split="train", cache_dir=str(tmp_path / "cache"))

    return explain_fault(files, error.value.__cause__ or error.value).replace(f"{tmp_path}/", "")


OF_ROWS = {
    "another type": (ROW | {"answer": 1}, "has a number (1) in `answer`, and row 0* has text. All rows must have one"),
    "in a list": (ROW | {"choices": ["4", 5]}, "has a number (5) in `choices[]`, and row 0* has text."),
    "in an object": (ROW | {"scores": {"right": "1"}}, "has text ('1') in `scores.right`, and row 0* has a number."),
    "no list": (ROW | {"choices": "2"}, "has text ('2') in `choices`, and row 0* has a list."),
    "true": (
        ROW | {"scores": {"right": True}},
        "has true or false (True) in `scores.right`, and row 0* has a number.",
    ),
    "no row": ([1, 2], "is a list ([1, 2]). A row is an object such as"),
}


@pytest.mark.parametrize("write", [lines, array])
@pytest.mark.parametrize("name", OF_ROWS)
def test_a_row_of_another_type(tmp_path, write, name):
    odd, message = OF_ROWS[name]
    first, place = ("row 0 (line 1)", "row 3 (line 4)") if write is lines else ("row 0", "row 3")
    said = explained(tmp_path, rows_json=write(ROW, ROW | {"answer": None}, ROW, odd, ROW))
    assert said.startswith(f"'rows.json' cannot be read: {place} {message.replace('row 0*', first)}"), said
    assert "(The reader says: " in said


def test_the_row_is_that_of_the_file(tmp_path):
    """The reader counts anew in every block."""
    said = explained(tmp_path, rows_jsonl=lines(*[ROW] * 20_000, ROW | {"answer": 1}))
    assert "row 20000 (line 20001) has a number (1) in `answer`, and row 0 (line 1) has text." in said


BIG = 10**30
FILES = {
    "byte order mark": (
        {"a_json": b"\xef\xbb\xbf" + array(ROW)},
        "it begins with a byte order mark (BOM). Save it as",
    ),
    "utf-16": ({"a_jsonl": lines(ROW).decode().encode("utf-16")}, "it is UTF-16 or UTF-32. Save it as UTF-8"),
    "utf-16 table": ({"a_csv": table(("a", "b")).decode().encode("utf-16")}, "it is UTF-16 or UTF-32. Save it as"),
    "latin-1": ({"a_csv": table(("a", "b")) + b"\xe9,b\n"}, "line 3, byte 0: it is not UTF-8 text. Save it as UTF-8"),
    "latin-1 array": ({"a_json": array(ROW).replace(b"1 +", b"\xe9 +")}, "line 1, byte 15: it is not UTF-8 text."),
    "nul": (
        {"a_jsonl": lines(ROW) + lines(ROW).replace(b"1 +", b"1\0+")},
        "line 2 is no complete JSON object: Invalid con",
    ),
    "cut": ({"a_jsonl": lines(ROW, ROW)[:-20]}, "line 2 is no complete JSON object: "),
    "cut array": ({"a_json": array(ROW, ROW)[:-20]}, "it is no JSON from line 1, character "),
    "key twice": (
        {"a_jsonl": lines(ROW, ROW).replace(b'"answer": "A"', b'"answer": "A", "answer": "B"', 2)},
        "row 0 (line 1): an object has the key 'answer' twice. Remove one of them",
    ),
    "surrogate": (
        {"a_jsonl": lines(ROW, ROW | {"answer": "\ud800"})},
        "row 1 (line 2) has half of a surrogate pair in",
    ),
    "big number": (
        {"a_json": array({"answer": 1}, {"answer": BIG})},
        "row 1 has a number of more than 64 bits in `answer`",
    ),
    "nothing": ({"a_jsonl": b"\n\n"}, "no row is in it"),
    "no rows": ({"a_json": b"[]"}, "no row is in it"),
    "a header": ({"a_csv": table()}, "no row is in it"),
    "no header": ({"a_csv": b""}, "it is empty"),
    "a long row": (
        {"a_csv": table(("a", "b"), ("a", "b", "c"))},
        "Expected 2 fields in line 3, saw 3. Put cells with com",
    ),
    "cut Parquet": ({"a_parquet": parquet(TABLE)[:-9]}, "it is no whole Parquet file. Copy or download it again"),
    "damaged Parquet": (
        {"a_parquet": damaged(parquet(TABLE, row_group_size=2))},
        "`question` is damaged in the rows 2 to 2. Copy or download it again",
    ),
    "column twice": ({"a_parquet": parquet(twice(TABLE))}, "it has the column `answer` 2 times. Rename all but one"),
    "cut Arrow": ({"a_arrow": arrow(TABLE)[:200]}, "it is no whole Arrow file. Copy or download it again"),
    "empty Arrow": ({"a_arrow": b""}, "it is no whole Arrow file. Copy or download it again"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file(tmp_path, name):
    contents, message = FILES[name]
    said = explained(tmp_path, **contents)
    assert said.startswith(f"'{next(iter(contents)).replace('_', '.')}' cannot be read: {message}"), said
    assert "he reader says: " in said


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (lines(ROW | {"answer": 1}), lines(ROW), "'b.jsonl' cannot be read: row 0 (line 1) has text ('A') in `answer`, and row 0 "
         "(line 1) of 'a.jsonl' has a number."),
        (lines({"question": "1 + 1?"}), lines(ROW), "'b.jsonl' and 'a.jsonl' differ in the columns `answer`, `choices`, `scores`."),
    ],
    ids=["types", "columns"],
)  # fmt: skip
def test_files_of_one_dataset(tmp_path, first, second, message):
    assert explained(tmp_path, a_jsonl=first, b_jsonl=second).startswith(message)


def test_files_of_one_dataset_with_types(tmp_path):
    numbers = pa.table({"question": ["a"], "answer": [pa.scalar([1])]})
    said = explained(tmp_path, a_parquet=parquet(TABLE), b_parquet=parquet(numbers))
    assert "it has list<element: int64> in `answer`, and 'a.parquet' has string." in said


def test_what_is_not_found_is_what_the_reader_says(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(ROW))
    said = explain_fault([tmp_path / "a.jsonl"], ValueError("no luck  today"))
    assert said == f"'{tmp_path}/a.jsonl' cannot be read: ValueError: no luck today"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b,a\n1,2,3\n", "has two columns 'a' in its first line; rename one of them"),
        (b'\xef\xbb\xbfa,"b\nc", "b\nc"\n', "has two columns 'b\\nc' in its first line; rename one of them"),
        (b"a,b\n\n1,2,\n", "has a comma at the end of its rows and none at the end of its first line"),
        (b"a,b\na,a\n", None),
        (b'"a","b"\n"row 1",1,2\n', None),  # as R writes names of rows
        (b"a,b\n", None),
        (b"", None),
    ],
)
def test_the_first_lines_of_a_csv(tmp_path, content, expected):
    (tmp_path / "a.csv").write_bytes(content)
    problem = header_problem(tmp_path / "a.csv")
    assert problem is None if expected is None else problem.startswith(expected)
