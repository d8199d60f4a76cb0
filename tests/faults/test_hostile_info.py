"""A hostile `dataset_info.json` ends a run with a clear error, and nothing outside of its folder is opened."""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.loading import load_data
from helpers.runs import COLUMNS, recipe

from modality_interference.errors import ModalityInterferenceError


TWINS = {"relevant": ["text"], "perturbations": ["black_image"]}
ENTRY = {"file_name": "rows.json", "formatting": "multiple_choice_twins", "columns": COLUMNS, "twins": TWINS}
ROWS = [{"question": "1 + 1?", "choices": ["2", "3"], "answer": "A", "images": []}] * 4


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (tmp_path / "secret.json").write_text(json.dumps(ROWS))
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "many").mkdir()
    (folder / "many" / "rows.json").write_text(json.dumps(ROWS))
    (folder / "many" / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "packed.json").write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    (folder / "deep.json").write_text("[" * 20_000 + "]" * 20_000)
    (tmp_path / "private" / "notes").mkdir(parents=True)
    (tmp_path / "private" / "notes" / "secret.json").write_text(json.dumps(ROWS))
    return folder


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths that Python opens."""
    paths: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:  # an audit hook stays until the process ends
        if watching and event in ("open", "os.listdir", "os.scandir"):
            paths.append(str(arguments[0]))

    sys.addaudithook(watch)
    yield paths
    watching.clear()


def run(checkpoint: Any, folder: Path, content: str) -> Any:
    (folder / "dataset_info.json").write_text(content)
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, folder.parent / "out", dataset="rows")
    return load_data(keys | {"cache_dir": str(folder.parent / "cache")}).train


def test_a_good_one(checkpoint, folder, opened):
    noted = ENTRY | {"comment": "LLaMA-Factory passes over what it does not know"}
    assert len(run(checkpoint, folder, json.dumps({"rows": noted}))) == 4
    assert any(path.endswith("rows.json") for path in opened)


HOSTILE = [
    ({"file_name": "../secret.json"}, "`file_name` '../secret.json' leads upwards"),
    ({"file_name": "link.json"}, "`file_name` 'link.json' leads out of the dataset folder by a symbolic link"),
    ({"file_name": "ABSOLUTE"}, "is absolute; put the data into the dataset folder"),
    ({"file_name": "*.json"}, "would be read as a pattern or an address"),
    ({"file_name": "many"}, "`file_name` 'many/link.json' leads out of the dataset folder by a symbolic link"),
    ({"file_name": "packed.json"}, "`file_name` 'packed.json' is a gzip archive, which would be unpacked"),
    ({"file_name": "deep.json"}, "`file_name` 'deep.json' is nested more than 100 levels deep"),
    ({"hf_hub_url": "private/notes"}, "`hf_hub_url` 'private/notes' is a folder of the working directory"),
    ({"file_name": "zip://secret.json::x.zip"}, "would be read as a pattern or an address"),
    ({"file_name": ["rows.json"]}, "`file_name` must be the path of a file, or of a folder of files"),
    ({"file_name": 7}, "`file_name` must be the path of a file"),
    (
        {"script_url": "code.py"},
        "`script_url` names code, and a dataset folder holds data only: nothing in it is executed",
    ),
    ({"hf_hub_url": "json"}, "`hf_hub_url` must be a name such as `owner/name`, found 'json'"),
    ({"folder": "../.."}, "`folder` '../..' leads upwards"),
    ({"num_samples": 10**17}, "`num_samples` must be a whole number from 1 to 10,000,000"),
    ({"columns": ["question"]}, "`columns` must be an object of column names"),
    ({"formatting": ["multiple_choice_twins"]}, "`formatting` must be the name of a format"),
    ({"formatting": "alpaca"}, "it has a `twins` block, but `formatting: alpaca` makes no twins"),
    ({"split": {"a": 1}}, "`split` must be a text"),
]
PLAIN = {"file_name": "rows.json"}
OF_EVERY_ENTRY = {"file_name", "hf_hub_url", "script_url"}
CASES = [
    (entry, *case) for entry in (ENTRY, PLAIN) for case in HOSTILE if entry is ENTRY or OF_EVERY_ENTRY & set(case[0])
]


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    CASES,
    ids=[f"{'twins' if entry is ENTRY else 'plain'}-{json.dumps(change)}" for entry, change, _ in CASES],
)
def test_a_hostile_entry(checkpoint, folder, opened, entry, change, message, monkeypatch):
    monkeypatch.chdir(folder.parent)
    change = {
        key: str(folder.parent / "secret.json") if value == "ABSOLUTE" else value for key, value in change.items()
    }
    with pytest.raises(ModalityInterferenceError) as error:
        run(checkpoint, folder, json.dumps({"rows": entry | change}))

    assert message in str(error.value)
    assert f"`{folder}` cannot be used as `dataset_dir`: dataset `rows`: " in str(error.value)
    # by name: installed packages may be called so in part
    assert not [path for path in opened if Path(path).name in ("secret.json", "code.py")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"rows": ' * 40 + "1" + "}" * 40, "nested more than 32 levels deep"),
        ('{"rows": ' + "[" * 20_000 + "]" * 20_000 + "}", "nested more than 32 levels deep"),
        ('{"rows": 1' + "0" * 5000 + "}", "which is too large"),
        ('{"rows": NaN}', "is no JSON number"),
        ('{"rows": []}', "its entry in `dataset_info.json` must be an object"),
        ('["rows"]', "must be an object of datasets by name"),
        (" " * 1_000_001, "is larger than 1,000,000 bytes"),
        ("{", "is not JSON"),
    ],
    ids=range(8),
)
def test_a_hostile_file(checkpoint, folder, content, message):
    with pytest.raises(ModalityInterferenceError, match=message):
        run(checkpoint, folder, content)
