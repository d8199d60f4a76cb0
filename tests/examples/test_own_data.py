"""examples/own_data: its images and rows are those that its script draws. tests/cli runs its recipes."""

import runpy
from pathlib import Path

from helpers.recipes import EXAMPLES
from PIL import Image

from modality_interference.cli.check import check_dataset_folder


FOLDER = EXAMPLES / "own_data"


def test_the_script_draws_what_is_shipped(tmp_path):
    runpy.run_path(str(FOLDER / "draw.py"))["main"](tmp_path)
    assert (tmp_path / "shapes.jsonl").read_text() == (FOLDER / "data" / "shapes.jsonl").read_text()
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == sorted(path.name for path in (FOLDER / "data" / "images").iterdir())
    for name in names:
        drawn, shipped = (pixels(folder / "images" / name) for folder in (tmp_path, FOLDER / "data"))
        assert drawn == shipped, name


def pixels(path: Path) -> tuple[tuple[int, int], bytes]:
    with Image.open(path) as image:
        return image.size, image.convert("RGB").tobytes()


def test_the_folder_has_no_problem_and_small_files():
    found = check_dataset_folder(FOLDER / "data", rows=32)
    assert found.problems == []
    assert found.notes["shapes"] == [
        "20 of 20 rows tried are good (20 in all); twins: 20 misleading_text, 20 unrelated_text"
    ]
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 30_000
