"""`modality-interference init`: an entry and a recipe that start as they are."""

import base64
import json
import re
import shutil

import pytest
import yaml
from helpers.diagnoses import image_uri
from helpers.recipes import EXAMPLES
from llamafactory.train.tuner import run_exp

from modality_interference.arguments import PLUGIN_KEYS
from modality_interference.cli import main
from modality_interference.cli.check import check_dataset_folder


DATA = EXAMPLES / "own_data" / "data"


@pytest.fixture
def folder(tmp_path):
    """The shipped rows and images, without an entry, beside another dataset."""
    shutil.copytree(DATA, tmp_path / "data")
    (tmp_path / "data" / "other.json").write_text('[{"instruction": "a", "input": "", "output": "b"}]')
    (tmp_path / "data" / "dataset_info.json").write_text('{"other": {"file_name": "other.json"}}')
    return tmp_path / "data"


def init(*words, model="Qwen/Qwen2.5-VL-3B-Instruct"):
    return main(["init", *map(str, words), "--relevant", "image", "--model", str(model), "--yes"])


def problems(folder):
    return check_dataset_folder(folder, rows=32).messages


def test_the_recipe_starts_as_it_is(folder, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert init("data/shapes.jsonl", model=checkpoint("qwen2_5_vl")) == 0
    entries = json.loads((folder / "dataset_info.json").read_text())
    shipped = json.loads((DATA / "dataset_info.json").read_text())
    assert entries == {"other": {"file_name": "other.json"}, "shapes": shipped["shapes_train"]}
    assert problems(folder) == []
    assert "llamafactory-cli train data/shapes_finetune.yaml" in capsys.readouterr().out

    run_exp(yaml.safe_load((folder / "shapes_finetune.yaml").read_text()) | {"max_steps": 1, "plot_loss": False})
    assert (tmp_path / "saves" / "shapes" / "adapter_config.json").exists()
    found = json.loads((tmp_path / "saves" / "shapes" / "interference.json").read_text())
    texts = {"misleading_text_7_families", "unrelated_text_7_families"}
    assert set(found["datasets"]["shapes"]["perturbations"]) == {"clean"} | texts


def test_every_key_of_the_plugin_is_explained_in_a_line(folder):
    assert init(folder / "shapes.jsonl") == 0
    text = (folder / "shapes_finetune.yaml").read_text()
    lines = re.findall(r"^# (\w+): (\S+)    # (\S.*)$", text, re.MULTILINE)
    assert [name for name, _, _ in lines if name in PLUGIN_KEYS] == list(PLUGIN_KEYS)
    uncommented = yaml.safe_load(
        re.sub(r"^# (\w+: )", r"\1", text, flags=re.MULTILINE).replace("Start it", "# Start it")
    )
    assert set(PLUGIN_KEYS) <= set(uncommented)


def test_the_shipped_recipe_is_what_it_writes(folder):
    assert init(folder / "shapes.jsonl") == 0
    written, shipped = (
        yaml.safe_load(path.read_text()) for path in (folder / "shapes_finetune.yaml", DATA.parent / "finetune.yaml")
    )
    differ = {"dataset_dir": "examples/own_data/data", "dataset": "shapes_train", "output_dir": "saves/shapes/tuned"}
    assert written | differ == shipped


def test_a_second_time_and_names_that_are_taken(folder, capsys):
    assert init(folder / "shapes.jsonl") == 0
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert init(folder / "shapes.jsonl") == 0
    assert init(folder / "shapes.jsonl", "--perturb", "ocr_text") == 1
    assert "has another dataset `shapes`. Choose another `--name`" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert init(folder / "shapes.jsonl", "--perturb", "ocr_text", "--name", "second") == 0
    assert list(json.loads((folder / "dataset_info.json").read_text())) == ["other", "shapes", "second"]


def test_another_folder_has_the_rows_and_the_recipe_says_where_the_images_are(folder, tmp_path, capsys):
    assert init(folder / "shapes.jsonl", "-o", tmp_path / "out") == 0
    recipe = yaml.safe_load((tmp_path / "out" / "shapes_finetune.yaml").read_text())
    assert (recipe["dataset_dir"], recipe["media_dir"]) == (str(tmp_path / "out"), str(folder))
    assert f"check {tmp_path / 'out'} --media-dir {folder}" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "out"), "--media-dir", str(folder)]) == 0
    assert "20 of 20 rows tried are good" in capsys.readouterr().out


def test_names_that_are_no_names(folder, capsys):
    assert init(folder / "shapes.jsonl", "--name", "../a") == 2
    assert "may hold letters, digits" in capsys.readouterr().err
    assert not (folder / "shapes_finetune.yaml").exists()


def test_rows_that_cannot_be_right_are_said_at_once(tmp_path, capsys):
    rows = [{"question": "Which?", "choices": ["cat", "dog"], "answer": "cow", "image": "cat.png"}] * 2
    (tmp_path / "pets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert init(tmp_path / "pets.jsonl") == 1
    out = capsys.readouterr().out
    assert "0 of 2 rows tried are good" in out
    assert "answer not among the options: answer 'cow', options ['cat', 'dog'] (row 0 and 1 more)" in out
    assert "llamafactory-cli train" not in out


def test_a_tsv_with_base64_becomes_a_folder_of_its_own(tmp_path):
    image = image_uri("red").split(",")[1]
    assert base64.b64decode(image)
    rows = "".join(f"Which {n}?\tred\tblue\tA\t{image}\n" for n in range(3))
    (tmp_path / "a.tsv").write_text(f"question\tA\tB\tanswer\timage\n{rows}")
    assert init(tmp_path / "a.tsv", "-o", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.parquet",
        "a_finetune.yaml",
        "dataset_info.json",
    ]
    assert problems(tmp_path / "out") == []
    assert yaml.safe_load((tmp_path / "out" / "a_finetune.yaml").read_text())["media_dir"] == str(tmp_path)
