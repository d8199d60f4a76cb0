"""A disk that takes no more, and folders that cannot be written: the message names the path and what to do."""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import recipe, write_datasets
from llamafactory.hparams import get_train_args
from llamafactory.train.tuner import run_exp

from modality_interference.errors import ModalityInterferenceError


LIMIT = 40_000  # bytes per file; the datasets need more
PROGRAM = """
import json, resource, sys
from llamafactory.data import get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from llamafactory.train.sft import workflow
from modality_interference.errors import ModalityInterferenceError

try:
    model_args, data_args, training_args, _, _ = get_train_args(json.loads(sys.argv[1]))
except ModalityInterferenceError as error:
    print("REFUSED", error)
    sys.exit()

tokenizer_module = load_tokenizer(model_args)
template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
if int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))

try:
    workflow.get_dataset(template, model_args, data_args, training_args, stage="sft", **tokenizer_module)
except ModalityInterferenceError as error:
    print("REFUSED", error)
else:
    print("PREPARED")
"""


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory) -> Path:
    return write_datasets(tmp_path_factory.mktemp("storage"), rows=200)


def prepare(checkpoint: Any, folder: Path, tmp_path: Path, limit: int = 0, **keys: Any) -> str:
    """Prepare the data in a process of its own, whose files may grow to `limit` bytes; what it says at the end."""
    keys = {"cache_dir": str(tmp_path / "cache")} | keys
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset="pictures", **keys)
    command = [sys.executable, "-c", PROGRAM, json.dumps(keys), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {"TQDM_DISABLE": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(("REFUSED", "PREPARED"))]
    return line


def test_the_same_recipe_is_prepared_where_there_is_room(checkpoint, many_rows, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tokenized = tmp_path / "tokenized"
    assert prepare(checkpoint, many_rows, tmp_path, tokenized_path="~/tokenized") == "PREPARED"
    assert max(file.stat().st_size for file in tokenized.rglob("*.arrow")) > LIMIT


def test_a_file_that_cannot_grow(checkpoint, many_rows, tmp_path):
    line = prepare(checkpoint, many_rows, tmp_path, LIMIT, preprocessing_num_workers=2)
    assert line.startswith("REFUSED Cannot write ")
    assert "the file is larger than the system allows" in line
    assert (
        f"the cache of datasets (`cache_dir` in the recipe, or the variable HF_DATASETS_CACHE) is `{tmp_path}" in line
    )
    assert "GB free" in line and "Make room or give write permission there, or name another folder" in line


def test_a_file_in_the_way_of_the_cache(checkpoint, many_rows, tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "folder"
    line = prepare(checkpoint, many_rows, tmp_path, cache_dir=str(path))
    assert line.startswith(f"REFUSED Cannot write `{tmp_path / 'file'}")
    assert "a file is where a folder must be" in line
    assert f"`cache_dir` in the recipe, or the variable HF_DATASETS_CACHE) is `{path}" in line


def unloadable(output_dir: Path, **keys: Any) -> dict[str, Any]:
    """A recipe that fails in its own way as soon as data or the model are looked at."""
    return recipe(Path("/no/such/model"), "qwen2_vl", Path("/no/such/data"), output_dir, **keys)


def refusal(keys: dict[str, Any]) -> str:
    with pytest.raises(ModalityInterferenceError) as error:
        run_exp(keys)

    assert "Make room or give write permission there, or name another folder" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("key", ["output_dir", "tokenized_path"])
@pytest.mark.parametrize("path", ["file", "file/saves/run", "link"])
def test_a_file_in_the_way_is_found_before_anything_is_loaded(tmp_path, key, path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    message = refusal(unloadable(tmp_path / "out") | {key: str(tmp_path / path)})
    place = tmp_path / path.partition("/")[0]
    assert f"`{key}` is `{tmp_path / path}`, and nothing can be written in `{place}`" in message
    assert "a file is where a folder must be" in message


def test_a_disk_that_takes_no_more_is_found_before_anything_is_loaded(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        message = refusal(unloadable(tmp_path / "saves" / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert f"nothing can be written in `{tmp_path}` (" in message and "GB free)" in message
    assert "the file is larger than the system allows" in message
    assert list(tmp_path.iterdir()) == []  # no trace of the attempt, or of the folder


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """The superuser may write everywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)

    yield
    os.seteuid(user)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not: one to write in, and one to read."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        for folder, mode in (("writable", 0o777), ("read_only", 0o555)):
            Path(name, folder).mkdir()
            Path(name, folder).chmod(mode)

        yield Path(name)


def test_a_read_only_folder_is_found_before_anything_is_loaded(public, as_nobody):
    for folder in (public / "read_only", public / "read_only" / "saves" / "out"):
        message = refusal(unloadable(folder))
        assert f"`output_dir` is `{folder}`, and nothing can be written in `{public / 'read_only'}`" in message
        assert "permission denied" in message

    get_train_args(unloadable(public / "writable" / "saves" / "out"))
    assert list((public / "writable").iterdir()) == []


PARSE = """
import json, os, sys
from llamafactory.hparams import get_train_args
from modality_interference.errors import ModalityInterferenceError

try:
    get_train_args(json.loads(sys.argv[1]))
except ModalityInterferenceError as error:
    print(f"{os.environ['RANK']} REFUSED {error}", flush=True)
else:
    print(f"{os.environ['RANK']} PARSED", flush=True)
"""


@pytest.mark.engines
def test_only_the_process_that_writes_needs_a_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "parse.py").write_text(PARSE)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launcher, str(tmp_path / "parse.py"), json.dumps(unloadable(tmp_path / "file" / "out"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    lines = sorted(line for line in done.stdout.splitlines() if re.match(r"\d (REFUSED|PARSED)", line))
    assert [line.split(" `")[0] for line in lines] == ["0 REFUSED", "1 PARSED"], done.stderr[-3000:]
