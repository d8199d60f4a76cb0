"""Hostile inputs at every door, in short; `make fuzz` opens them on 20,000. And that the traps catch what they are there for."""

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from helpers.fuzz import campaign
from helpers.fuzz.campaign import Batch, run_batches
from helpers.fuzz.doors import DOORS, FAMILY, Door, Models, row_processor
from helpers.fuzz.media import good_files
from helpers.fuzz.rows import GOOD, converter, outcome
from PIL import Image

from modality_interference.errors import ModalityInterferenceError


SEED = 1
MORE_SEEDS = (2, 3)  # where a door refuses all of a batch by chance: `check` accepts about one input of fourteen


@pytest.fixture(scope="module")
def models(checkpoint) -> Models:
    good_files()  # before processes are forked
    return Models(checkpoint("qwen2_5_vl"), checkpoint(FAMILY))


def opened(door: str, count: int, models: Models, folder: Path, seed: int = SEED) -> Batch:
    batch = Batch(door, seed, count, folder / door)
    for _ in run_batches([batch], models, processes=1):
        pass

    return batch


@pytest.mark.parametrize("door", DOORS)
def test_no_input_crashes_escapes_hangs_or_starts_anything(door, models, tmp_path):
    for seed in (SEED, *MORE_SEEDS):
        batch = opened(door, DOORS[door].short, models, tmp_path, seed)
        assert not batch.findings, "\n".join(
            f"{found.kind} of input {found.number}: {found.text}" for found in batch.findings
        )
        assert batch.done == DOORS[door].short
        if batch.used:
            break

    assert 0 < batch.used < batch.done, "it refuses all, or nothing"


# what the traps catch


def _fault(act: Callable) -> Door:
    return Door("", lambda models, traps: lambda data, traps: lambda: act(traps) is None, 0.0, 1)


def _open_natively(traps) -> None:
    av.open(str(traps.outside / "secret.wav")).close()


def _follow_link(traps) -> None:
    (traps.temporary / "link").symlink_to(traps.outside / "secret.json")
    (traps.temporary / "link").read_text()


def _start(traps) -> None:
    subprocess.run(["gs", "--version"], check=False)


def _start_natively(traps) -> None:
    ctypes.CDLL(None).system(b"gs --version")


def _connect(traps) -> None:
    socket.create_connection(traps.address.split(":"), timeout=1)


def _connect_natively(traps) -> None:
    with suppress(av.FFmpegError):
        av.open(f"tcp://{traps.address}", timeout=1.0)


def _read_pipe(traps) -> None:
    os.mkfifo(traps.inside / "pipe")
    (traps.inside / "pipe").read_bytes()


def _write_beside_the_input(traps) -> None:
    (traps.inside / "new.txt").write_text("x")


def _run_code_of_the_folder(traps) -> None:
    exec(compile("1 + 1", str(traps.inside / "code.py"), "exec"))


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("escape", lambda traps: (traps.outside / "secret.json").read_text()),
        ("escape", lambda traps: list((traps.outside).iterdir())),
        ("escape", lambda traps: (traps.outside / "secret.json").unlink()),
        ("escape", lambda traps: open("/etc/passwd").close()),
        ("escape", _follow_link),
        ("escape", _open_natively),
        ("escape", _write_beside_the_input),
        ("escape", _run_code_of_the_folder),
        ("process", _start),
        ("process", _start_natively),
        ("connection", _connect),
        ("connection", _connect_natively),
        ("crash", lambda traps: [].pop()),
        ("crash", lambda traps: ctypes.string_at(0)),
        ("crash", lambda traps: bytearray(8 << 30)),
        ("hang", _read_pipe),
        ("hang", lambda traps: time.sleep(1000)),
    ],
)
def test_a_fault_is_found_and_its_input_kept(kind, act, models, tmp_path, monkeypatch):
    if kind == "hang":
        monkeypatch.setattr(campaign, "HANG", 3.0)

    monkeypatch.setitem(DOORS, "faulty", _fault(act))
    batch = opened("faulty", 1, models, tmp_path)
    assert batch.done == 1 and kind in {found.kind for found in batch.findings}
    assert all(Path(found.kept).stat().st_size for found in batch.findings)


# the rows that are changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    Image.new("RGB", (28, 28), "red").save(folder / "red.png")
    return folder


@pytest.fixture(scope="module")
def processor(models, folder):
    return row_processor(models, SimpleNamespace(inside=folder, output=folder))


@pytest.mark.parametrize("formatting", GOOD)
def test_the_rows_that_are_changed_are_good(formatting, folder, processor):
    block = {"relevant": ["image"], "perturbations": ["unrelated_text"]}
    assert outcome(converter(formatting, folder, block), processor, GOOD[formatting]) == ""


@pytest.mark.parametrize(
    "template", ["{", "{}", "{0}", "{option.__class__}", "{option!r:>9999999999}", "{option}{option}"]
)
def test_a_template_is_no_program(folder, processor, template):
    block = {"relevant": ["image"], "perturbations": [{"name": "misleading_text", "template": template}]}
    row = GOOD["multiple_choice_twins"]
    try:
        convert = converter("multiple_choice_twins", folder, block)
    except ModalityInterferenceError:
        return

    (twin,) = convert(row, 0)["_twins"]["variants"]
    assert template.replace("{option}", "green") in twin["prompt"][0]["content"]
