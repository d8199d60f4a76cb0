"""`modality-interference diagnose`: from a file to a page, and the same figures as a recipe's."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from helpers.recipes import EXAMPLES, ROOT
from llamafactory.train.tuner import run_exp

from modality_interference.cli import main
from modality_interference.integration.diagnose import DiagnosisPlan, LocalModel, diagnosis_recipe
from modality_interference.results import read_diagnosis, read_rows


ROWS = EXAMPLES / "own_data" / "data" / "shapes.jsonl"


@pytest.fixture(scope="module")
def diagnosed(checkpoint, tmp_path_factory) -> Path:
    """The output folder of the shipped rows' diagnosis, of the bare file, and `said.txt`, what the command printed."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("diagnosed")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        model = str(checkpoint("qwen2_5_vl"))
        status = main(["diagnose", model, str(ROWS), "--relevant", "image", "-o", str(folder)])

    (folder / "said.txt").write_text(said.getvalue())
    assert status == 0
    return folder


def test_the_shipped_recipe_finds_the_same(diagnosed, checkpoint, tmp_path, monkeypatch):
    """The file's columns are recognised as the entry names them; `do_eval` of that entry gives the same rows and rates."""
    monkeypatch.chdir(ROOT)
    recipe = yaml.safe_load((EXAMPLES / "own_data" / "diagnosis.yaml").read_text())
    run_exp({**recipe, "model_name_or_path": str(checkpoint("qwen2_5_vl")), "output_dir": str(tmp_path)})
    assert read_diagnosis(tmp_path).datasets == read_diagnosis(diagnosed).datasets
    one, other = ({(row.row, row.perturbation): row for row in read_rows(folder)} for folder in (diagnosed, tmp_path))
    assert one.keys() == other.keys()
    for name, row in one.items():
        assert (row.answer, row.key, row.target) == (other[name].answer, other[name].key, other[name].target)


def test_what_is_said(diagnosed):
    lines = (diagnosed / "said.txt").read_text().splitlines()
    said = "\n".join(lines)
    assert "Template: qwen2_vl (by the model_type qwen2_5_vl)" in lines
    assert "images    image     images/red_circle.png" in said
    assert "Going on with these columns (no terminal to ask)." in said
    assert "20 rows. Answers depend on: image. Changed copies: misleading_text, unrelated_text." in said
    figures = read_diagnosis(diagnosed).datasets["shapes"].perturbations["misleading_text"].rates["flip_rate"]
    (line,) = [line for line in lines if line.split()[:2] == ["shapes", "misleading_text"]]
    assert f"{100 * figures.value:.1f}" in line
    assert lines[-1] == f"The page: {diagnosed / 'interference.html'}"


def test_the_output_folder_has_all_that_repeats_the_run(diagnosed):
    recipe = yaml.safe_load((diagnosed / "diagnosis.yaml").read_text())
    assert recipe["plugin"] == "modality_interference"
    assert (recipe["do_train"], recipe["do_eval"], recipe["eval_dataset"]) == (False, True, "shapes")
    info = json.loads((Path(recipe["dataset_dir"]) / "dataset_info.json").read_text())
    shipped = json.loads((ROWS.parent / "dataset_info.json").read_text())
    assert info["shapes"] == {**shipped["shapes"], "file_name": "shapes.parquet"}
    assert recipe["media_dir"] == str(ROWS.parent)


def test_a_run_that_fails_leaves_the_report(diagnosed, checkpoint, capsys):
    before = (diagnosed / "interference.json").read_bytes()
    model = str(checkpoint("qwen2_5_vl"))
    words = ["diagnose", model, str(ROWS), "--relevant", "image", "-o", str(diagnosed), "--template", "nonsense"]
    assert main(words) == 1
    assert "the run failed: ValueError: Template nonsense does not exist." in capsys.readouterr().err
    assert (diagnosed / "interference.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([str(ROWS)], "say what their answers depend on: `--relevant image`"),
        ([str(ROWS), "--relevant", "picture"], "allowed"),
        (
            [str(ROWS), "--relevant", "image", "--perturb", "black_image"],
            "changes image, which is relevant|black_image",
        ),
        ([str(ROWS), "--relevant", "image", "--perturb", "nonsense"], "`--perturb nonsense` is no perturbation"),
        ([f"{ROWS.parent}:shape"], "Did you mean `shapes`"),
        (["nowhere.csv"], "neither a file"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_before_a_model_is_loaded(words, found, tmp_path, capsys):
    assert main(["diagnose", "no/model", *words, "--template", "qwen2_vl", "-o", str(tmp_path / "out")]) in (1, 2)
    assert found.split("|")[-1] in capsys.readouterr().err


def test_an_entry_with_twins_is_used_where_it_is(tmp_path, monkeypatch, capsys):
    recipes = []
    monkeypatch.setattr(
        "modality_interference.integration.diagnose.run_recipe", lambda recipe, _: recipes.append(recipe)
    )
    monkeypatch.setattr("modality_interference.cli.diagnose.print_findings", lambda folder: None)
    shutil.copytree(ROWS.parent, tmp_path / "data")
    words = ["diagnose", "no/model", f"{tmp_path / 'data'}:shapes", "--template", "qwen2_vl", "-n", "7"]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    assert main([*words, "--perturb", "ocr_text,unrelated_text", "--perturb", "long_context"]) == 0
    as_it_is, changed = recipes
    assert as_it_is["dataset_dir"] == as_it_is["media_dir"] == str(tmp_path / "data")
    assert (as_it_is["max_samples"], as_it_is["output_dir"]) == (7, "saves/model/shapes")
    assert changed["dataset_dir"] == "saves/model/shapes/data"
    entry = json.loads((tmp_path / "saves/model/shapes/data/dataset_info.json").read_text())["shapes"]
    assert entry["twins"] == {"relevant": ["image"], "perturbations": ["ocr_text", "unrelated_text", "long_context"]}
    assert "7 rows. Answers depend on: image." in capsys.readouterr().out


@pytest.mark.parametrize(("visible", "used"), [(None, "0"), ("", ""), ("3", "3"), ("2,5", "2")])
def test_one_card_is_used(visible, used, monkeypatch):
    from modality_interference.cli.diagnose import _use_one_card

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")

    _use_one_card()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == used


def test_adapters_and_generated_answers():
    plan = DiagnosisPlan(Path("data"), ("a", "b"), Path("media"), 5, 3, "generate", Path("out"))
    recipe = diagnosis_recipe(plan, LocalModel("m", "qwen2_vl", "lora", 2))
    assert (recipe["adapter_name_or_path"], recipe["finetuning_type"]) == ("lora", "lora")
    assert (recipe["diagnosis_scoring"], recipe["predict_with_generate"]) == ("generate", True)
    assert recipe["diagnosis_free_answers"] == "exact"
    contained = diagnosis_recipe(replace(plan, free_answers="contained"), LocalModel("m", "qwen2_vl", None, 2))
    assert contained["diagnosis_free_answers"] == "contained"
    thinking = diagnosis_recipe(plan, LocalModel("m", "qwen3_vl", None, 2))
    assert (recipe["max_new_tokens"], thinking["max_new_tokens"]) == (64, 2048)
    assert (recipe["eval_dataset"], recipe["per_device_eval_batch_size"], recipe["seed"]) == ("a,b", 2, 3)


@pytest.mark.parametrize(("typed", "goes_on"), [("y\n", True), ("n\n", False), ("\n", True)])
def test_somebody_at_a_terminal_is_asked(typed, goes_on, tmp_path, monkeypatch):
    import io
    import sys

    from modality_interference.cli import recognised

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(recognised, "_show", lambda data: None)
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stdout", Terminal())
    if goes_on:
        recognised.confirm(None, yes=False)
    else:
        with pytest.raises(recognised.typer.Abort):
            recognised.confirm(None, yes=False)
