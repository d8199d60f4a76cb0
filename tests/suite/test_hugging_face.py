"""A suite as a Hugging Face dataset folder."""

import json
import shutil
from io import BytesIO

import datasets
import yaml
from huggingface_hub import DatasetCard
from PIL import Image

from modality_interference.cli import main
from modality_interference.cli.preview import preview_rows
from modality_interference.dataset_dir.card import card_problems


def test_datasets_loads_the_folder(pictures, export, tmp_path):
    folder = export(f"{pictures}:pictures", "hf", "--license", "cc-by-4.0")
    rows = datasets.load_dataset(str(folder), split="test", cache_dir=str(tmp_path))
    shown, _ = preview_rows(pictures, "pictures", 4, 42)
    assert len(rows) == 12 and rows.unique("perturbation") == ["clean", "misleading_text", "unrelated_text"]
    for row in rows:
        preview = shown[row["row"]]
        twin = next((twin for twin in preview.twins if twin.perturbation == row["perturbation"]), None)
        prompt = preview.prompt if twin is None else "".join(p.text for p in twin.pieces if p.change != "removed")
        assert [turn["content"] for turn in row["prompt"]] == [prompt]
        assert row["target"] == (None if twin is None else twin.target)
        assert row["answer"] == row["options"][row["label"]] == preview.answer
        assert [image.size for image in row["images"]] == [preview.images[0].size]

    colours = [row["images"][0].convert("RGB").getpixel((0, 0)) for row in rows if row["perturbation"] == "clean"]
    assert colours == [Image.new("RGB", (1, 1), row["answer"]).getpixel((0, 0)) for row in rows.select(range(4))]
    twins = datasets.load_dataset(str(folder), "misleading_text", split="test", cache_dir=str(tmp_path))
    assert twins.unique("perturbation") == ["misleading_text"] and twins["key"] == rows["key"][:4]


def test_card_and_benchmark(pictures, export, tmp_path):
    folder = export(f"{pictures}:pictures", "hf", "--license", "cc-by-4.0")
    assert card_problems(folder) == []
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "cc-by-4.0" and card.data.size_categories == ["n<1K"]
    assert [config["config_name"] for config in card.data.to_dict()["configs"]][0] == "default"
    benchmark = yaml.safe_load((folder / "eval.yaml").read_text())
    configs = datasets.get_dataset_config_names(str(folder))
    assert [task["config"] for task in benchmark["tasks"]] == configs[1:] == [t["id"] for t in benchmark["tasks"]]
    assert {task["split"] for task in benchmark["tasks"]} == {"test"}


def test_two_exports_are_the_same_bytes_wherever_they_are_made(pictures, export, tmp_path):
    """Of the dataset folder itself, and of a copy elsewhere; of another seed they differ."""
    elsewhere = shutil.copytree(pictures, tmp_path / "elsewhere")
    for format in ("hf", "lmms-eval", "vlmevalkit"):
        first = export(f"{pictures}:pictures", format)
        assert main(["suite", "export", f"{elsewhere}:pictures", "-o", str(tmp_path / format), "--to", format]) == 0
        files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
        assert files == sorted(path.relative_to(tmp_path / format) for path in (tmp_path / format).rglob("*.*"))
        for name in files:
            data = (first / name).read_bytes()
            assert data == (tmp_path / format / name).read_bytes(), name
            assert str(pictures).encode() not in data

    other = export(f"{pictures}:pictures", "vlmevalkit", "--seed", "7")
    ids = [{json.loads(line)["id"] for line in (one / "suite_rows.jsonl").open()} for one in (first, other)]
    assert {name for name in ids[0] if "clean" in name} <= ids[0] & ids[1] < ids[0]  # the sentences of twins differ


def test_stored_jpegs_are_kept_and_their_metadata_is_not(pictures, export, tmp_path):
    folder = shutil.copytree(pictures, tmp_path / "data")
    noise = Image.effect_noise((40, 40), 64).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    noise.save(folder / "red_0.png", "JPEG")
    noise.save(folder / "green_1.png", "JPEG", exif=exif)
    rows = datasets.load_dataset(
        str(export(f"{folder}:pictures", "hf")), "clean", split="test", cache_dir=str(tmp_path)
    )
    images = [row[0] for row in rows.cast_column("images", datasets.List(datasets.Image(decode=False)))["images"][:2]]
    assert images[0]["bytes"] == (folder / "red_0.png").read_bytes() and images[0]["path"].endswith(".jpg")
    assert b"taken at home" in (folder / "green_1.png").read_bytes() and b"taken" not in images[1]["bytes"]
    assert Image.open(BytesIO(images[1]["bytes"])).tobytes() == Image.open(folder / "green_1.png").tobytes()
