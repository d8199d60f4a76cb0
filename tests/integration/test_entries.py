"""CSV files are read as what is written in them, against Python's own `csv`."""

import csv
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from datasets import Value
from hypothesis import given, settings
from hypothesis import strategies as st

from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration.offline import open_rows


def read(**files: str) -> tuple[list[dict], dict]:
    """Rows of CSV files, and the types of their columns."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        for name, text in files.items():
            (data / f"{name}.csv").write_text(text, encoding="utf-8", newline="")

        with open_rows("pets", {"file_name": "data"}, Path(folder)) as rows:
            names = [name for name in rows.column_names if not name.startswith("_")]
            return rows.select_columns(names).to_list(), {name: rows.features[name] for name in names}


WRITTEN = "None NA N/A null NULL nan 1.50 007 1e3 TRUE -0 +1 12345678901234567890".split()


@pytest.mark.parametrize("text", WRITTEN)
def test_an_option_is_what_is_written(text):
    rows, types = read(a=f"A,B\n{text},x\n,y\n")
    assert (rows, types["A"]) == ([{"A": text, "B": "x"}, {"A": None, "B": "y"}], Value("string"))


def test_whole_numbers_are_numbers_in_spite_of_gaps():
    rows, types = read(a='A,B,C\n1, 2,x\n,-30,"7"\n')
    assert rows == [{"A": 1, "B": 2, "C": "x"}, {"A": None, "B": -30, "C": "7"}]
    assert types == {"A": Value("int64"), "B": Value("int64"), "C": Value("string")}


def test_a_text_after_ten_thousand_numbers():
    """Where pandas would read part by part, each with types of its own."""
    rows, _ = read(a="A,B\n" + "1,x\n" * 10_001 + "1.5,x\n")
    assert (rows[0]["A"], rows[-1]["A"]) == ("1", "1.5")


def test_the_type_is_that_of_all_files():
    rows, _ = read(a="A,B\n1,x\n", b="A,B\none,x\n")
    assert sorted(row["A"] for row in rows) == ["1", "one"]


def test_files_that_differ_in_their_columns():
    with pytest.raises(ModalityInterferenceError, match="differ in the columns `C`"):
        read(a="A,B\n1,x\n", b="A,B,C\n1,x,y\n")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
CELL = st.one_of(TEXT, st.integers().map(str), st.sampled_from([*WRITTEN, "", "a,b", 'say "a"', "two\nlines"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_any_table_is_read_as_pythons_csv_reads_it(table):
    text = io.StringIO()
    csv.writer(text).writerows([("A", "B"), *table])
    expected = list(csv.DictReader(io.StringIO(text.getvalue(), newline=""), skipinitialspace=True))
    rows, types = read(a=text.getvalue())
    for column in "AB":
        cells = [row[column] for row in expected]
        found = [row[column] for row in rows]
        assert [cell if cell is None else str(cell) for cell in found] == [cell or None for cell in cells]
        whole = all(re.fullmatch("0|-?[1-9][0-9]{0,17}", cell) for cell in cells if cell) and any(cells)
        assert types[column] == Value("int64" if whole else "string")
