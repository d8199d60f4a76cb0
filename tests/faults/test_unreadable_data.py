"""Data and entries that cannot be read: a run says what `modality-interference check` says."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.loading import load_data
from helpers.runs import COLUMNS, recipe
from PIL import Image

from modality_interference.cli.check import check_dataset_folder
from modality_interference.errors import ModalityInterferenceError


ROW = {"question": "1 + 1?", "choices": ["2", "3"], "answer": "A", "images": []}
ENTRY = {"formatting": "multiple_choice_twins", "columns": COLUMNS, "twins": {"relevant": ["text"]}}


def check(folder: Path) -> list[str]:
    """What `check` finds."""
    return check_dataset_folder(folder, 8).messages


def run(checkpoint: Any, folder: Path) -> str:
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, folder.parent / "out", dataset="rows")
    with pytest.raises(ModalityInterferenceError) as error:
        load_data(keys | {"cache_dir": str(folder.parent / "cache")})

    return str(error.value)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A dataset folder of a good row."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    return folder


def png_bytes() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, "PNG")
    return file.getvalue()


def write_info(folder: Path, entry: Any) -> None:
    (folder / "dataset_info.json").write_text(json.dumps({"rows": entry}))


@pytest.mark.parametrize("plain", [False, True])
def test_a_row_of_another_type(checkpoint, folder, plain):
    rows = [{"instruction": "Say a.", "input": "", "output": "a"}] if plain else [ROW]
    rows += [rows[0] | {"output" if plain else "answer": 1}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_info(folder, {"file_name": "rows.jsonl"} if plain else ENTRY | {"file_name": "rows.jsonl"})
    (said,) = check(folder)
    column = "output" if plain else "answer"
    assert said.startswith(
        f"dataset `rows`: '{folder}/rows.jsonl' cannot be read: row 1 (line 2) has a number (1) in `{column}`"
    )
    assert run(checkpoint, folder) == said


def test_a_torn_file(checkpoint, folder):
    pq.write_table(pa.table({"question": ["a"]}), folder / "rows.parquet")
    (folder / "rows.parquet").write_bytes((folder / "rows.parquet").read_bytes()[:-9])
    write_info(folder, ENTRY | {"file_name": "rows.parquet"})
    (said,) = check(folder)
    assert said.startswith(f"dataset `rows`: '{folder}/rows.parquet' cannot be read: it is no whole Parquet file.")
    assert run(checkpoint, folder) == said


def files_of_several_types(folder: Path) -> None:
    (folder / "many").mkdir()
    (folder / "many" / "a.jsonl").write_text(json.dumps(ROW))
    (folder / "many" / "b.csv").write_text("question\n")


def a_header_with_a_name_twice(folder: Path) -> None:
    (folder / "rows.csv").write_text("question,answer,answer\na,b,c\n")


def a_type_nobody_knows(folder: Path) -> None:
    (folder / "rows.xml").write_text("<rows/>")


def nothing(folder: Path) -> None:
    pass


NO_OBJECT = 'its entry in `dataset_info.json` must be an object such as {"file_name": "rows.json"}, found '


@pytest.mark.parametrize(
    ("prepare", "entry", "message"),
    [
        (nothing, None, NO_OBJECT + "None"),
        (nothing, [1], NO_OBJECT + "[1]"),
        (nothing, "rows.jsonl", NO_OBJECT + "'rows.jsonl'"),
        (nothing, ENTRY | {"file_name": None}, "`file_name` must be the path of a file, or of a folder of files, found None"),
        (files_of_several_types, ENTRY | {"file_name": "many"}, "holds files of several types ('a.jsonl', 'b.csv')"),
        (a_header_with_a_name_twice, ENTRY | {"file_name": "rows.csv"}, "has two columns 'answer' in its first line"),
        (a_type_nobody_knows, ENTRY | {"file_name": "rows.xml"}, "'rows.xml' is no data file. Allowed: files that end in"),
    ],
    ids=["null", "list", "text", "null name", "several types", "header", "unknown type"],
)  # fmt: skip
def test_an_entry(checkpoint, folder, prepare, entry, message):
    prepare(folder)
    write_info(folder, entry)
    said = check(folder)
    assert said[0].startswith("dataset `rows`: ") and message in said[0]
    assert run(checkpoint, folder) == f"`{folder}` cannot be used as `dataset_dir`: {'. '.join(said)}."


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("hf_hub_url", "the connection, and your access to it"),
        ("ms_hub_url", "`modelscope[dataset]`"),
        ("om_hub_url", "`openmind`"),
    ],
)
def test_a_hub_that_cannot_be_reached_or_imported(checkpoint, folder, key, fix, monkeypatch):
    """None of the three works here: no network, no `addict`, which ModelScope needs, and no `openmind`."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_info(folder, ENTRY | {key: "nobody/no-such-rows"})
    said = run(checkpoint, folder)
    assert said.startswith("dataset `rows`: 'nobody/no-such-rows' cannot be loaded: ")
    assert fix in said


@pytest.mark.parametrize("layout", [pa.ipc.new_file, pa.ipc.new_stream])
def test_an_arrow_file_whose_offsets_lead_out_of_it(checkpoint, folder, layout):
    """Pyarrow reads such a file without a look at it, and its next user dies with signal 11."""
    table = pa.Table.from_pylist([ROW | {"images": ["red.png"]}] * 2)
    with pa.OSFile(str(folder / "rows.arrow"), "wb") as sink, layout(sink, table.schema) as writer:
        writer.write_table(table)

    good = (folder / "rows.arrow").read_bytes()
    offsets = struct.pack("<3i", 0, 6, 12)  # of "1 + 1?", twice
    assert good.count(offsets) == 1
    (folder / "rows.arrow").write_bytes(good.replace(offsets, struct.pack("<3i", 0, 1_532_713_819, 12)))
    write_info(folder, ENTRY | {"file_name": "rows.arrow"})
    (said,) = check(folder)
    assert said.startswith("dataset `rows`: `file_name` 'rows.arrow' is damaged (In column 0: Invalid: Offset")
    assert said in run(checkpoint, folder)

    (folder / "rows.arrow").write_bytes(good)
    (folder / "red.png").write_bytes(png_bytes())
    assert check(folder) == []
