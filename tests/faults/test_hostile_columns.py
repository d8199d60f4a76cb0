"""Columns that a Parquet file declares to be media: a run reads those that the entry names, and decodes none by itself."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from datasets import Audio, Dataset, Features, Image, List, Value, Video
from helpers.loading import load_data
from helpers.runs import recipe


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"  # PIL starts Ghostscript for it
TEXTS = {name: Value("string") for name in ("instruction", "input", "output")}


@pytest.fixture
def traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake Ghostscript, a pipe that blocks its reader, and sockets that fail the test; returns where `gs` leaves a mark."""
    mark, binaries = tmp_path / "started", tmp_path / "bin"
    binaries.mkdir()
    (binaries / "gs").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (binaries / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(binaries), prepend=os.pathsep)
    os.mkfifo(tmp_path / "pipe.png")

    def connect(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return mark


@pytest.mark.parametrize("formatting", ["alpaca", "alpaca_twins"])
def test_columns_that_nobody_named_stay_closed(checkpoint, tmp_path, traps, formatting):
    folder = tmp_path / "data"
    folder.mkdir()
    held = [
        {"bytes": EPS, "path": None},
        {"bytes": None, "path": str(tmp_path / "pipe.png")},
        {"bytes": None, "path": "/etc/passwd"},
        {"bytes": None, "path": "http://127.0.0.1:9/picture.png"},
    ]
    columns = {
        "picture": (Image(), held),
        "nested": ({"deep": List(Image())}, [{"deep": [item]} for item in held]),
        "sound": (Audio(), held),
        "clip": (Video(), held),
        "_clip": (Value("int64"), [1, 2, 3, 4]),
        "_invalid_text": (Value("bool"), [True, False, True, False]),
    }
    rows = [{"instruction": f"Say {i}.", "input": "", "output": str(i)} for i in range(len(held))]
    features = Features(TEXTS | {name: feature for name, (feature, _) in columns.items()})
    stored = Features({name: _storage(feature) for name, feature in features.items()})
    filled = [row | {name: cells[index] for name, (_, cells) in columns.items()} for index, row in enumerate(rows)]
    table = Dataset.from_list(
        filled, features=stored
    ).data.table  # made without the features' own encoders, which open files
    Dataset(table.replace_schema_metadata(features.arrow_schema.metadata)).to_parquet(folder / "rows.parquet")
    twins = {"twins": {"relevant": ["text"], "perturbations": []}} if formatting == "alpaca_twins" else {}
    (folder / "dataset_info.json").write_text(
        json.dumps({"rows": {"file_name": "rows.parquet", "formatting": formatting} | twins})
    )
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset="rows")
    assert len(load_data(keys | {"cache_dir": str(tmp_path / "cache")}).train) == len(rows)
    assert not traps.exists()


def _storage(feature: Any) -> Any:
    """What Arrow holds in place of media."""
    if isinstance(feature, dict):
        return {name: _storage(item) for name, item in feature.items()}

    if isinstance(feature, List):
        return List(_storage(feature.feature))

    return {"bytes": Value("binary"), "path": Value("string")} if hasattr(feature, "decode") else feature
