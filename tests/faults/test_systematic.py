"""Rows with a medium that all fail alike are a fault of the recipe or of versions, and stop a run; some of them are bad rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.loading import load_data
from helpers.runs import COLUMNS, recipe
from llamafactory.data.converter import DatasetConverter
from PIL import Image

from modality_interference.batching.dropped import MANY, MANY_OF_A_STREAM
from modality_interference.errors import ModalityInterferenceError
from modality_interference.media import image


TEXTS = 3
ENTRY = {
    "file_name": "rows.json",
    "formatting": "multiple_choice_twins",
    "columns": COLUMNS | {"videos": "videos"},
    "twins": {"relevant": ["text"], "answer": "text"},
}


def write(folder: Path, media: dict[str, list[str]], entry: dict[str, Any] = ENTRY) -> Path:
    """A dataset folder with rows that have these media, by column, and with `TEXTS` rows that have none."""
    folder.mkdir()
    row = {"question": "1 + 1?", "choices": ["2", "3"], "answer": "A", "images": [], "videos": []}
    row |= {"instruction": "1 + 1?", "input": "", "output": "2"}
    rows = [row | {column: [name]} for column, names in media.items() for name in names] + [row] * TEXTS
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": entry}))
    return folder


def load(checkpoint: Any, folder: Path, **keys: Any) -> Any:
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, folder.parent / "out", dataset="rows", **keys)
    return load_data(keys | {"cache_dir": str(folder.parent / "cache")}).train


def write_images(folder: Path, number: int) -> list[str]:
    for index in range(number):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(folder / f"{index}.png")

    return [f"{index}.png" for index in range(number)]


def stopped(checkpoint: Any, folder: Path, modality: str, kind: str, number: int = MANY) -> str:
    with pytest.raises(ModalityInterferenceError) as error:
        load(checkpoint, folder)

    said = str(error.value)
    assert said.startswith(
        f"Dataset rows: all {number} rows with {modality} are dropped for one and the same reason, which is rather a fault of the"
    )
    assert f"dropped {number} rows or twins of {number + TEXTS} rows: {number} x {kind} (first: row 0: " in said
    return said


def test_all_images_are_missing(checkpoint, tmp_path):
    """The recipe names another `media_dir`."""
    folder = write(tmp_path / "data", {"images": [f"{index}.png" for index in range(MANY)]})
    assert "Paths are relative to `media_dir`" in stopped(checkpoint, folder, "image", "missing image")


def test_all_videos_are_missing(checkpoint, tmp_path):
    folder = write(tmp_path / "data", {"videos": [f"{index}.mp4" for index in range(MANY)], "images": []})
    stopped(checkpoint, folder, "video", "missing video")


@pytest.mark.parametrize(("missing", "present"), [(MANY - 1, 0), (2 * MANY, 1)], ids=["few", "not all"])
def test_some_images_are_missing(checkpoint, tmp_path, missing, present):
    names = [f"absent_{index}.png" for index in range(missing)] + [f"{index}.png" for index in range(present)]
    folder = write(tmp_path / "data", {"images": names})
    write_images(folder, present)
    assert len(load(checkpoint, folder)) == present + TEXTS


def test_images_that_fail_in_two_ways(checkpoint, tmp_path):
    folder = write(tmp_path / "data", {"images": ["empty.png"] + [f"{index}.png" for index in range(MANY)]})
    (folder / "empty.png").touch()
    assert len(load(checkpoint, folder)) == TEXTS


@pytest.mark.parametrize("every", [1, 2])
def test_a_library_that_has_changed(checkpoint, tmp_path, monkeypatch, every):
    """Pillow's `open` with other arguments, for all images and for every second one."""
    folder = write(tmp_path / "data", {"images": [f"{index}.png" for index in range(2 * MANY)]})
    write_images(folder, 2 * MANY)
    real = Image.open

    def changed(path: Any, **keys: Any) -> Any:
        if int(Path(path).stem) % every == 0:
            raise TypeError("open() got an unexpected keyword argument 'formats'")

        return real(path, **keys)

    monkeypatch.setattr(image.Image, "open", changed)
    if every == 1:
        said = stopped(checkpoint, folder, "image", "broken image", 2 * MANY)
        assert "TypeError: open() got an unexpected keyword argument 'formats'" in said
    else:
        assert len(load(checkpoint, folder)) == MANY + TEXTS


def test_a_converter_that_has_changed(checkpoint, tmp_path, monkeypatch):
    """Rows that fail before anything is known of their media but that they have some."""

    def changed(self: Any, medias: Any) -> Any:
        if medias:
            raise TypeError("_find_medias() missing 1 required positional argument")

    entry = {"file_name": "rows.json", "columns": {"prompt": "instruction", "response": "output", "images": "images"}}
    folder = write(tmp_path / "data", {"images": [f"{index}.png" for index in range(MANY)]}, entry)
    monkeypatch.setattr(DatasetConverter, "_find_medias", changed)
    assert "TypeError: _find_medias() missing 1" in stopped(checkpoint, folder, "image", "unreadable row")


def test_a_stream(checkpoint, tmp_path):
    """Nobody knows what else will come of it."""
    names = [f"{index}.png" for index in range(MANY_OF_A_STREAM)]
    folder = write(tmp_path / "data", {"images": names[1:]})
    keys = {"streaming": True, "dataloader_num_workers": 1, "max_steps": 1}
    assert len(list(load(checkpoint, folder, **keys))) == TEXTS

    folder = write(tmp_path / "more", {"images": names})
    with pytest.raises(ModalityInterferenceError, match="all of the first 64 rows with image are dropped for one and"):
        list(load(checkpoint, folder, **keys))
