"""A suite as VLMEvalKit's TSV, read as VLMEvalKit (August 2026, `vlmeval/dataset/image_base.py`, `image_mcq.py`) reads it."""

import base64
import json
import string
from io import BytesIO

import pandas as pd
from helpers.runs import COLUMNS
from PIL import Image

from modality_interference.cli import main


def loaded(path):
    """What `ImageBaseDataset.__init__` makes of a file."""
    data = pd.read_csv(path, sep="\t")
    assert data["index"].is_unique and all(isinstance(name, str) for name in data["index"])
    if "image" not in data:
        return data, {}

    assert not data["image"].isna().any()  # or the row would be left out
    images = dict(zip(data["index"], data["image"]))
    for name, image in images.items():
        if len(image) <= 64:  # the index of the row that has it
            assert len(images[image]) > 64
            images[name] = images[image]

    return data, images


def prompt(line):
    """What `ImageMCQDataset.build_prompt` writes."""
    options = {cand: line[cand] for cand in string.ascii_uppercase if cand in line and not pd.isna(line[cand])}
    lines = "".join(f"{key}. {item}\n" for key, item in options.items())
    return (
        f"Question: {line['question']}\nOptions:\n{lines}Please select the correct answer from the options above. \n"
    )


def test_questions_options_and_images(pictures, export):
    folder = export(f"{pictures}:pictures", "vlmevalkit")
    data, images = loaded(folder / "pictures_twins.tsv")
    rows = [json.loads(line) for line in (folder / "suite_rows.jsonl").open()]
    assert data["index"].tolist() == [row["id"] for row in rows]
    for row, (_, line) in zip(rows, data.iterrows(), strict=True):
        written = prompt(line)
        assert "Which colour is shown?" in written and "Option:" not in written and "<image>" not in written
        assert all(f"{name}. {option}\n" in written for name, option in zip("ABCD", row["options"]))
        assert line[line["answer"]] == row["response"] and line["category"] == row["perturbation"]
        image = Image.open(BytesIO(base64.b64decode(images[row["id"]])))
        assert image.getpixel((0, 0)) == Image.new("RGB", (1, 1), row["options"][0]).getpixel((0, 0))

    sentence = f"This picture seems to depict a {rows[1]['target']}."
    assert data["question"][1] == f"{sentence}\nWhich colour is shown?"


def test_rows_without_images_are_a_file_of_their_own(pictures, export):
    folder = export(f"{pictures}:sums", "vlmevalkit")
    texts, _ = loaded(folder / "sums_twins_text.tsv")
    twins, _ = loaded(folder / "sums_twins.tsv")
    assert "image" not in texts and set(texts["perturbation"]) == {"clean"}
    assert set(twins["perturbation"]) == {"random_pixels", "black_image"} and len(twins) == 8


def test_what_it_cannot_ask(clips, tmp_path, capsys):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    row = {"question": "How many?", "choices": ["None", "1"], "answer": "A", "images": ["red.png", "red.png"]}
    many = row | {"choices": [f"number {n}" for n in range(30)], "images": ["red.png"]}
    plain = row | {"choices": ["one", "two"]}
    (tmp_path / "rows.json").write_text(json.dumps([row, many, plain]))
    entry = {"file_name": "rows.json", "formatting": "multiple_choice_twins", "columns": COLUMNS}
    twins = {"relevant": ["image"], "perturbations": ["misleading_text"]}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"rows": entry | {"twins": twins}}))
    assert main(["suite", "export", f"{tmp_path}:rows", "-o", str(tmp_path / "out"), "--to", "vlmevalkit"]) == 0
    said = capsys.readouterr().out
    assert "2 x a text that pandas reads as a missing value" in said and "2 x more than 26 options" in said
    data, images = loaded(tmp_path / "out" / "rows_twins.tsv")
    assert set(data["A"]) == {"one"}
    assert len(eval(images[data["index"][1]])) == 2  # as VLMEvalKit reads lists of images
    assert main(["suite", "export", f"{clips}:clips", "-o", str(tmp_path / "av"), "--to", "vlmevalkit"]) == 1
    assert "has video and audio, which VLMEvalKit's TSV cannot hold" in capsys.readouterr().err
    assert not (tmp_path / "av").exists()
