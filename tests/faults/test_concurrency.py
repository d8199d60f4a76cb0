"""Workers, streams and runs beside each other make the same data."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.bad_rows import write_bad_rows
from helpers.loading import load_data
from helpers.runs import recipe


NAMES = "questions,embedded,chats"
PROGRAM = """
import hashlib, json, sys, time
from pathlib import Path
from helpers.loading import load_data

keys, ready, go = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
ready.touch()
while not go.exists():
    time.sleep(0.01)

rows = load_data(keys).train.to_list()
print("ROWS", len(rows), hashlib.sha256(repr(rows).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Rows of several files, bad ones among them."""
    folder = tmp_path_factory.mktemp("concurrency") / "data"
    write_bad_rows(folder, {"questions": 200, "embedded": 60, "chats": 40})
    return folder


@pytest.fixture
def keys(checkpoint, folder, tmp_path):
    def make(**overrides: Any) -> dict[str, Any]:
        changed = {"dataset": NAMES, "cache_dir": str(tmp_path / "cache")} | overrides
        return recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", **changed)

    return make


def test_any_number_of_workers_makes_the_same_dataset(keys, tmp_path):
    one, two, eight = (
        load_data(keys(preprocessing_num_workers=workers, cache_dir=str(tmp_path / f"cache{workers}"))).train
        for workers in (1, 2, 8)
    )
    assert len(one) == 200 and one.features == two.features == eight.features
    rows = one.to_list()
    assert rows == two.to_list() and rows == eight.to_list()


def test_a_stream_brings_the_same_twins(keys):
    """All that `chats` has; files with invalid UTF-8 cannot be streamed."""
    whole = load_data(keys(dataset="chats")).train.to_list()
    stream = list(load_data(keys(dataset="chats", streaming=True, dataloader_num_workers=2)).train)
    assert len(whole) == 31 and sorted(row["key"] for row in stream) == sorted(row["key"] for row in whole)
    variants = {row["row"]: row["variants"] for row in whole}
    assert {row["row"]: row["variants"] for row in stream} == variants


def test_two_runs_may_share_a_cache(keys, tmp_path):
    """Both start at the same moment with an empty cache, and once more with the cache that they have left."""

    def together() -> list[str]:
        go = tmp_path / "go"
        go.unlink(missing_ok=True)
        ready = [tmp_path / f"ready{index}" for index in range(2)]
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        runs = []
        for file in ready:
            file.unlink(missing_ok=True)
            command = [sys.executable, "-c", PROGRAM, json.dumps(keys()), str(file), str(go)]
            pipe = subprocess.PIPE
            environment = os.environ | {"PYTHONPATH": path}
            runs.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment))

        while not all(file.exists() for file in ready):
            assert all(run.poll() is None for run in runs), [run.communicate() for run in runs]

        go.touch()
        outputs = [run.communicate(timeout=300) for run in runs]
        assert [run.returncode for run in runs] == [0, 0], outputs
        return [line for out, _ in outputs for line in out.splitlines() if line.startswith("ROWS")]

    first = together()
    assert len(first) == 2 and len(set(first)) == 1
    assert together() == first
    (tmp_path / "ready").touch()
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    alone = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(keys(cache_dir=str(tmp_path / "own"))), *[str(tmp_path / "ready")] * 2],
        capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert [line for line in alone.stdout.splitlines() if line.startswith("ROWS")] == first[:1]
