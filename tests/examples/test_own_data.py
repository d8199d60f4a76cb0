"""examples/own_data: its images and rows are those that its script draws. tests/cli runs its recipes."""

import runpy
from pathlib import Path

from helpers.recipes import EXAMPLES
from PIL import Image

from modality_interference.cli.check import check_dataset_folder
from modality_interference.integration.training_recipe import training_recipe


FOLDER = EXAMPLES / "own_data"


def test_the_script_draws_what_is_shipped(tmp_path):
    runpy.run_path(str(FOLDER / "draw.py"))["main"](tmp_path)
    assert (tmp_path / "shapes.jsonl").read_text() == (FOLDER / "data" / "shapes.jsonl").read_text()
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == sorted(path.name for path in (FOLDER / "data" / "images").iterdir())
    for name in names:
        drawn, shipped = (pixels(folder / "images" / name) for folder in (tmp_path, FOLDER / "data"))
        assert drawn == shipped, name


def test_the_recipe_is_the_one_that_init_writes():
    path = Path("examples/own_data/finetune.yaml")
    folders = (Path("examples/own_data/data"), None, "shapes_train", Path("saves/shapes/tuned"))
    written = training_recipe(path, "Qwen/Qwen2.5-VL-3B-Instruct", "qwen2_vl", *folders)
    assert (FOLDER / "finetune.yaml").read_text() == written, "the plugin's keys have changed; write it again"


def pixels(path: Path) -> tuple[tuple[int, int], bytes]:
    with Image.open(path) as image:
        return image.size, image.convert("RGB").tobytes()


def test_the_folder_has_no_problem_and_small_files():
    found = check_dataset_folder(FOLDER / "data", rows=32)
    assert found.problems == []
    good = "20 of 20 rows tried are good (20 in all); twins: 20 misleading_text{0}, 20 unrelated_text{0}"
    assert found.notes == {"shapes": [good.format("")], "shapes_train": [good.format("_7_families")]}
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 30_000
