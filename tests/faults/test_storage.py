"""A disk that takes no more, and folders that cannot be written: the message names the path and what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import recipe, write_datasets


LIMIT = 40_000  # bytes per file; the datasets need more
PROGRAM = """
import json, resource, sys
from llamafactory.data import get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from llamafactory.train.sft import workflow
from modality_interference.errors import ModalityInterferenceError

model_args, data_args, training_args, _, _ = get_train_args(json.loads(sys.argv[1]))
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


def test_the_same_recipe_is_prepared_where_there_is_room(checkpoint, many_rows, tmp_path):
    tokenized = tmp_path / "tokenized"
    assert prepare(checkpoint, many_rows, tmp_path, tokenized_path=str(tokenized)) == "PREPARED"
    assert max(file.stat().st_size for file in tokenized.rglob("*.arrow")) > LIMIT


def test_a_file_that_cannot_grow(checkpoint, many_rows, tmp_path):
    line = prepare(checkpoint, many_rows, tmp_path, LIMIT, preprocessing_num_workers=2)
    assert line.startswith("REFUSED Cannot write ")
    assert "the file is larger than the system allows" in line
    assert (
        f"the cache of datasets (`cache_dir` in the recipe, or the variable HF_DATASETS_CACHE) is `{tmp_path}" in line
    )
    assert "GB free" in line and "Make room or give write permission there, or name another folder" in line


@pytest.mark.parametrize("key", ["cache_dir", "tokenized_path"])
def test_a_file_in_the_way_of_a_folder(checkpoint, many_rows, tmp_path, key):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "folder"
    line = prepare(checkpoint, many_rows, tmp_path, **{key: str(path)})
    assert line.startswith(f"REFUSED Cannot write `{tmp_path / 'file'}")
    assert "a file is where a folder must be" in line
    assert f"`{key}`" in line and f"is `{path}`" in line
