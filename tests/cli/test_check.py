"""`modality-interference check`: every kind of problem is found, none of them stops it, nothing leaves the folder."""

import gzip
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from helpers.clip_files import write_clip
from helpers.loading import load_data
from helpers.runs import COLUMNS, recipe, write_datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llamafactory.data.parser import DatasetAttr

from modality_interference.cli import main
from modality_interference.cli.check import LABEL_KINDS, Problem, check_dataset_folder
from modality_interference.dataset_dir.contents import data_problems
from modality_interference.dataset_dir.entry import PLAIN_COLUMNS, TAGS, Entry
from modality_interference.dataset_dir.info import read_info
from modality_interference.files import path_problem
from modality_interference.messages import shown


SCRIPT = Path(sys.executable).with_name("modality-interference")
CARD = "# A data recipe\n" + "".join(
    f"## {heading}\nSomething.\n" for heading in ("Source", "Licence", "Size", "Mapping", "Known problems")
)
CHOICE = {"formatting": "multiple_choice_twins", "columns": COLUMNS}
TWINS = {"relevant": ["image"], "perturbations": ["misleading_text"], "answer": "text"}


@pytest.fixture
def good(tmp_path):
    """The datasets of `runs`."""
    return write_datasets(tmp_path / "folder")


def add(folder: Path, name: str, entry: Any) -> None:
    path = folder / "dataset_info.json"
    info = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(info | {name: entry}))


def problems_of(folder: Path, rows: int = 32) -> list[str]:
    return check_dataset_folder(folder, rows).messages


def snapshot(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*")}


# good folders


def test_a_good_folder_through_the_script(good, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    before = snapshot(good)
    environment = {**os.environ, "HOME": str(home), "HF_HUB_OFFLINE": "0"}
    environment.pop("HF_HOME", None)
    found = subprocess.run([SCRIPT, "check", good], capture_output=True, text=True, env=environment, timeout=300)
    assert (found.returncode, found.stderr) == (0, "")
    lines = [line.strip() for line in found.stdout.splitlines()]
    assert lines[-1] == "No problems found."
    assert lines[lines.index("pictures") + 1] == (
        "8 of 8 rows tried are good (8 in all); twins: 8 misleading_text, 8 unrelated_text."
    )
    assert lines[lines.index("sums") + 1].endswith("twins: 8 random_pixels, 8 black_image.")
    assert lines[lines.index("both") + 1].endswith("twins: none.")
    assert lines[lines.index("plain") + 1].startswith("8 of 8 rows tried are good")
    assert snapshot(good) == before
    assert list(home.rglob("*.arrow")) == []  # the cache of the user's own runs stays as it is


def test_no_network(good, monkeypatch):
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    add(good, "hub", CHOICE | {"hf_hub_url": "owner/name", "twins": TWINS})
    add(good, "bucket", {"cloud_file_name": "s3://bucket/rows.json"})
    findings = check_dataset_folder(good, 4)
    assert findings.messages == []
    assert findings.notes["hub"] == ["data not checked: not on this machine (hub dataset `owner/name`)"]
    assert findings.notes["bucket"] == ["data not checked: not on this machine (`s3://bucket/rows.json`)"]


def test_what_passes_can_be_loaded_by_a_run(good, checkpoint, tmp_path):
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", good, tmp_path / "out", dataset="pictures,sums,both,plain")
    rows = load_data(keys).train
    notes = check_dataset_folder(good, 100).notes
    for name in ("pictures", "sums", "both"):
        mine = [row for row in rows if row["dataset"] == name]
        made = [variant["perturbation"] for row in mine for variant in row["variants"]]
        counted = ", ".join(f"{made.count(label)} {label}" for label in dict.fromkeys(made)) or "none"
        assert notes[name] == [f"{len(mine)} of 8 rows tried are good (8 in all); twins: {counted}"]


def test_classes_of_the_data_are_used(good):
    features = Features({"image": Image(), "label": ClassLabel(names=["red", "green", "blue"])})
    swatches = [PIL.Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    rows = {"image": swatches, "label": [0, 1, 2]}
    Dataset.from_dict(rows, features=features).to_parquet(good / "swatches.parquet")
    entry = {"file_name": "swatches.parquet", "formatting": "image_classification_twins"}
    entry |= {"columns": {"images": "image", "label": "label"}, "twins": TWINS}
    add(good, "swatches", entry)
    add(good, "miscounted", entry | {"twins": TWINS | {"classes": ["red", "green"]}})
    findings = check_dataset_folder(good, 2)
    assert findings.notes["swatches"] == ["2 of 2 rows tried are good (3 in all); twins: 2 misleading_text"]
    assert findings.messages == [
        "dataset `miscounted`: `twins.classes` has 2 names, but the ClassLabel column `label` has 3 classes. Give as "
        "many names, or remove the key."
    ]


# all problems at once

BAD_ENTRIES: dict[str, tuple[Any, list[str]]] = {
    "no object": (
        ["pets.json"],
        [
            'its entry in `dataset_info.json` must be an object such as {"file_name": "rows.json"}, found [\'pets.json\']'
        ],
    ),
    "absent": ({"file_name": "absent.json"}, ["`file_name` 'absent.json' does not exist in the dataset folder"]),
    "absolute": ({"file_name": "/etc/passwd"}, ["`file_name` '/etc/passwd' is absolute"]),
    "windows": ({"file_name": "C:\\data.json"}, ["`file_name` 'C:\\\\data.json' is absolute"]),
    "upwards": ({"file_name": "../secret.json"}, ["`file_name` '../secret.json' leads upwards"]),
    "linked": (
        {"file_name": "linked.json"},
        ["`file_name` 'linked.json' leads out of the dataset folder by a symbol"],
    ),
    "address": ({"file_name": "a::https://b/c.json"}, ["would be read as a pattern or an address"]),
    "pattern": ({"file_name": "*.json"}, ["`file_name` '*.json' would be read as a pattern or an address"]),
    "empty folder": ({"file_name": "nothing"}, ["`file_name` 'nothing' is an empty folder"]),
    "script": (
        {"script_url": "pets.py"},
        ["`script_url` names code, and a dataset folder holds data only: nothing in it is executed"],
    ),
    "nowhere": (
        {"formatting": "sharegpt"},
        ["it does not say where its data is; give one of `file_name`, `hf_hub_url`"],
    ),
    "reader": (
        {"hf_hub_url": "pandas", "folder": "/home"},
        ["`hf_hub_url` must be a name such as `owner/name`, found 'pandas'", "`folder` '/home' is absolute"],
    ),
    "hub folder": ({"hf_hub_url": "a/b", "folder": "/home"}, ["`folder` '/home' is absolute"]),
    "bucket": ({"cloud_file_name": "ftp://a/b.json"}, ["`cloud_file_name` must start with one of `s3://`, `gs://`"]),
    "format": (
        CHOICE | {"file_name": "pictures.json", "formatting": "multi_choice_twins"},
        ["Did you mean `multiple_c"],
    ),
    "typo": (
        {"file_nam": "pictures.json"},
        ["`file_nam` is no known key. Did you mean `file_name`?", "it does not say"],
    ),
    "huge": (
        {"file_name": "plain.json", "num_samples": 10**17},
        ["`num_samples` must be a whole number from 1 to 10,000"],
    ),
    "types": (
        {"file_name": 3, "split": None, "ranking": "yes", "columns": ["a"], "subset": {}},
        [
            "`file_name` must be the path of a file, or of a folder of files, found 3",
            "`split` must be a text, found None",
            "`ranking` must be true or false, found 'yes'",
            '`columns` must be an object of column names, such as {"images": "image"}, found [\'a\']',
            "`subset` must be a text, found {}",
        ],
    ),
    "columns": (
        CHOICE | {"file_name": "pictures.json", "twins": TWINS, "columns": {"question": "question", "answers": "x"}},
        [
            "`columns.answers` is not used here. Did you mean `answer`?",
            "`columns.choices` is missing, which the format `multiple_choice_twins` needs",
            "`columns.answer` is missing",
        ],
    ),
    "column names": (
        CHOICE
        | {"file_name": "pictures.json", "twins": TWINS, "columns": COLUMNS | {"images": "image", "distractors": "f"}},
        [
            "`columns.images` names the column 'image', which the data does not have. Did you mean `images`? Its columns",
            "`columns.distractors` names the column 'f', which the data does not have",
        ],
    ),
    "tags": ({"file_name": "plain.json", "tags": {"role": "from"}}, ["`tags.role` is not used here"]),
    "no twins": (CHOICE | {"file_name": "pictures.json"}, ["`twins` must be an object such as"]),
    "stray twins": (
        {"file_name": "plain.json", "twins": TWINS},
        ["it has a `twins` block, but `formatting: alpaca` makes"],
    ),
    "ranking": (
        CHOICE | {"file_name": "pictures.json", "twins": TWINS, "ranking": True},
        ["`ranking: true` is for pairs"],
    ),
    "twins": (
        CHOICE
        | {
            "file_name": "pictures.json",
            "twins": {
                "relevant": ["image"],
                "answers": "text",
                "answer": "number",
                "perturbations": [
                    "misleading_text",
                    "misleading_txt",
                    {"name": "long_context", "tokens": 0},
                    "black_image",
                    {"name": "ocr_text", "line": 3},
                ],
            },
        },
        [
            "`twins.answers` is no known key. Did you mean `answer`?",
            '`twins.answer` must be "letter" or "text", found \'number\'',
            "`twins.perturbations[1]` names the unknown perturbation 'misleading_txt'. Did you mean `misleading_text`?",
            "`twins.perturbations[2].tokens` must be a whole number from 1 to 500,000, found 0",
            "`twins.perturbations[3]`: `black_image` changes image, which is relevant",
            "`twins.perturbations[4].line` is no known key. Did you mean `lines`?",
        ],
    ),
    "pools": (
        CHOICE
        | {
            "file_name": "sums.json",
            "twins": {
                "relevant": ["text"],
                "perturbations": [
                    {"name": "irrelevant_image", "pool": "absent"},
                    {"name": "screenshot_image", "pool": "../.."},
                    {"name": "screenshot_image", "pool": "nothing"},
                    {"name": "screenshot_image", "pool": "/tmp"},
                ],
            },
        },
        [
            "pool `absent` is missing: there is no folder",
            "pool `../..` leads out of `dataset_dir`",
            "pool `nothing` is empty",
            "pool `/tmp` must be a path relative to `dataset_dir`",
        ],
    ),
    "missing picture": (
        CHOICE | {"file_name": "lost.json", "twins": TWINS},
        ["answer not among the options: answer 'mauve'", "none of the first 2 rows can be used"],
    ),
    "foreign picture": (
        CHOICE | {"file_name": "foreign.json", "twins": TWINS},
        [
            "path outside the media folder: '{outside}/secret.png' leads out of `media_dir` ({folder}); copy the file there",
            "link out of the media folder: '{folder}/linked.png' is a symbolic link, or in a linked folder, and leads to",
        ],
    ),
    "stops": (
        {"file_name": "plain.json", "formatting": "sharegpt"},
        ["`columns.messages` names the column `conversations`, which the dataset does not have"],
    ),
    "broken": ({"file_name": "broken.json"}, ["broken.json' cannot be read: it is no JSON from line 1, "]),
    "deep": ({"file_name": "deep.json"}, ["`file_name` 'deep.json' is nested more than 100 levels deep"]),
    "no rows": ({"file_name": "none.jsonl"}, ["none.jsonl' cannot be read: no row is in it"]),
    "kind": (
        {"file_name": "README.md"},
        ["`file_name` 'README.md' is no data file. Allowed: files that end in `.arrow`, `.csv`"],
    ),
    "split": (
        {"file_name": "plain.json", "split": "test"},
        ["`split` is 'test', and files have the split `train` alone, or parts of it such as `train[:100]`"],
    ),
    "a, comma": ({"file_name": "plain.json"}, ["a run cannot name it; give it a name without commas"]),
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A dataset folder with every kind of problem, among which `pictures` and `plain` are good; and what was found in it."""
    outside = tmp_path_factory.mktemp("outside")
    folder = write_datasets(tmp_path_factory.mktemp("bad") / "folder")
    info = json.loads((folder / "dataset_info.json").read_text())
    info |= {name: entry for name, (entry, _) in BAD_ENTRIES.items()}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "README.md").write_text("# A data recipe\n## Source\nSomewhere.\n## Size\n\n## License\nFree.\n")
    (folder / "nothing").mkdir()
    (folder / "build.py").write_text("raise SystemExit('executed')")
    (folder / "start").write_text("#!/bin/sh\ntouch executed\n")
    (folder / "weights.pkl").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    (outside / "secret.json").write_text('[{"instruction": "a", "input": "", "output": "b"}]')
    PIL.Image.new("RGB", (8, 8)).save(outside / "secret.png")
    (folder / "linked.json").symlink_to(outside / "secret.json")
    (folder / "linked.png").symlink_to(outside / "secret.png")
    (folder / "linked").symlink_to(outside)
    row = json.loads((folder / "pictures.json").read_text())[0]
    (folder / "lost.json").write_text(json.dumps([row | {"images": ["lost.png"]}, row | {"answer": "mauve"}]))
    foreign = [row | {"images": [str(outside / "secret.png")]}, row | {"images": ["linked.png"]}]
    (folder / "foreign.json").write_text(json.dumps(foreign))
    (folder / "broken.json").write_text('[{"instruction": "a"')
    (folder / "deep.json").write_text('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}")
    (folder / "none.jsonl").write_text("")
    return folder, outside, check_dataset_folder(folder, 8, data_recipe=True)


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_every_problem_of_a_dataset_is_named(bad, name):
    folder, outside, findings = bad
    found = [problem for problem in findings.messages if problem.startswith(f"dataset `{name}`: ")]
    expected = BAD_ENTRIES[name][1]
    assert len(found) == len(expected)
    for wording in expected:
        assert any(
            wording.replace("{outside}", str(outside)).replace("{folder}", str(folder)) in problem for problem in found
        ), (wording, found)


def test_good_datasets_among_bad_ones(bad):
    notes = bad[2].notes
    assert notes["pictures"][0].startswith("8 of 8 rows tried are good")
    assert notes["plain"][0].startswith("8 of 8 rows tried are good")
    (_, dropped) = notes["missing picture"]
    assert dropped.startswith("Dataset missing picture: dropped 2 rows or twins of 2 rows: 1 x missing image")
    assert "1 x answer not among the options (first: row 1: " in dropped


def test_problems_of_the_folder(bad):
    folder, _, findings = bad
    found = [problem for problem in findings.messages if not problem.startswith("dataset ")]
    assert sorted(found) == [
        "'build.py' is code, and a dataset folder holds data only; move it out of the folder",
        "'linked' is a symbolic link out of the dataset folder; copy what it names there",
        "'linked.json' is a symbolic link out of the dataset folder; copy what it names there",
        "'linked.png' is a symbolic link out of the dataset folder; copy what it names there",
        "'start' is code, and a dataset folder holds data only; move it out of the folder",
        "'weights.pkl' is code, and a dataset folder holds data only; move it out of the folder",
        "`README.md` has no heading `Known problems`",
        "`README.md` has no heading `Mapping`",
        "`README.md` says nothing under the heading `Size`",
    ]
    assert not (folder / "executed").exists()


def test_the_script_lists_all_problems(bad):
    folder, _, findings = bad
    found = subprocess.run(
        [SCRIPT, "check", folder, "--rows", "8", "--data-recipe"], capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 1 and found.stderr == ""
    lines = found.stdout.splitlines()
    start = lines.index(f"{len(findings.messages)} problems:")
    assert len(lines[start + 1 :]) == len(findings.messages) > 60
    assert all(line.startswith("- ") and line.endswith(".") for line in lines[start + 1 :])


# rows


def test_dropped_rows_are_counted_and_wrong_labels_are_problems(good):
    rows = json.loads((good / "pictures.json").read_text())
    rows[1]["answer"] = "mauve"
    rows[2]["images"] = ["absent.png"]
    rows[3]["images"] = []
    (good / "pictures.json").write_text(json.dumps(rows))
    findings = check_dataset_folder(good, 3)
    assert findings.problems == [
        Problem(
            "dataset `pictures`: answer not among the options: answer 'mauve', options ['green', 'blue', 'yellow', "
            "'purple'] (row 1)",
            dataset="pictures",
            row=1,
        )
    ]
    assert findings.notes["pictures"][0] == (
        "1 of 3 rows tried are good (8 in all); twins: 1 misleading_text, 1 unrelated_text"
    )
    assert "dropped 2 rows or twins of 3 rows: " in findings.notes["pictures"][1]
    assert "1 x answer not among the options (first: row 1: " in findings.notes["pictures"][1]
    assert "there is no such file" in findings.notes["pictures"][1]


@pytest.mark.parametrize(
    "kind", sorted(LABEL_KINDS - {"label outside the class list", "swapped clip of the same class"})
)
def test_a_row_that_is_dropped_by_its_label_is_a_problem(good, kind):
    change = {
        "answer contradicts the response": {"response": "green", "choices": ["red", "green"], "answer": "A"},
        "answer not among the options": {"answer": "mauve"},
        "context not understood": {"context": {"title": "x"}},
        "duplicated options": {"choices": ["red", "red"]},
        "fewer than two options": {"choices": ["red"]},
        "options not understood": {"choices": ["red", " "]},
        "relevant not understood": {"kind": "smell"},
    }[kind]
    rows = [row | {"kind": "image"} for row in json.loads((good / "pictures.json").read_text())]
    rows = [row | {"context": None, "response": "It is."} for row in rows]
    rows[3] |= change
    (good / "pictures.json").write_text(json.dumps(rows))
    entry, twins = CHOICE | {"columns": CHOICE["columns"] | {"context": "context"}}, TWINS | {"relevant": "kind"}
    if "response" in change:
        columns = {
            "prompt": "question",
            "response": "response",
            "images": "images",
            "choices": "choices",
            "answer": "answer",
        }
        entry = {"formatting": "alpaca_twins", "columns": columns}
        twins = {key: value for key, value in twins.items() if key != "answer"}

    add(good, "pictures", entry | {"file_name": "pictures.json", "twins": twins})
    (problem,) = check_dataset_folder(good, 8).problems
    assert (problem.dataset, problem.key, problem.row) == ("pictures", None, 3)
    assert problem.message.startswith(f"dataset `pictures`: {kind}: ") and problem.message.endswith(" (row 3)")


def test_labels_that_are_texts_need_no_classes(good):
    names = ["cat", "dog ", "bird", "dog", None, ""]
    rows = [{"image": f"red_{0}.png", "label": name} for name in names]
    (good / "animals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"file_name": "animals.jsonl", "formatting": "image_classification_twins", "twins": TWINS}
    add(good, "animals", entry | {"columns": {"images": "image", "label": "label"}})
    findings = check_dataset_folder(good, 8)
    assert findings.messages == [
        "dataset `animals`: label outside the class list: label None, 3 classes: ('bird', 'cat', 'dog') (row 4 and 1 more)"
    ]
    assert findings.notes["animals"][0].startswith("4 of 6 rows tried are good")
    (good / "animals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:1]))
    (message,) = problems_of(good)
    assert "the label column `label` has the class 'cat' alone. Give a list" in message


def test_own_folders_need_no_card(good, capsys):
    assert main(["check", str(good)]) == 0
    assert main(["check", str(good), "--data-recipe"]) == 1
    assert "`README.md` is missing" in capsys.readouterr().out
    (good / "README.md").write_text(CARD)
    assert main(["check", str(good), "--data-recipe"]) == 0


# media outside of the dataset folder


@pytest.fixture
def apart(good, tmp_path):
    """The datasets of `runs`, their images in another folder, and a link to that."""
    (tmp_path / "images").mkdir()
    for image in good.glob("*.png"):
        image.rename(tmp_path / "images" / image.name)

    (tmp_path / "link").symlink_to("images")
    return good, tmp_path / "images", tmp_path / "link"


@pytest.mark.parametrize("named", ["images", "link", "link/../images"])
def test_a_media_folder_is_followed_as_in_a_run(apart, checkpoint, tmp_path, named):
    folder, media = apart[0], tmp_path / named
    assert "8 x missing image" in check_dataset_folder(folder, 8).notes["pictures"][1]
    findings = check_dataset_folder(folder, 8, media.resolve())
    assert findings.problems == [] and findings.notes["pictures"][0].startswith("8 of 8 rows tried are good")
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset="pictures")
    assert len(load_data(keys | {"media_dir": str(media)}).train) == 8


def test_links_inside_of_the_data_stay_refused(apart, checkpoint, tmp_path, warnings):
    folder, images, _ = apart
    (tmp_path / "secret.png").write_bytes((images / "red_0.png").read_bytes())
    row = json.loads((folder / "pictures.json").read_text())[0]
    rows = [
        row | {"images": [name]} for name in ("red_0.png", "out.png", "../secret.png", str(tmp_path / "secret.png"))
    ]
    (images / "out.png").symlink_to("../secret.png")
    (folder / "pictures.json").write_text(json.dumps(rows))
    (folder / "shortcut").symlink_to(images)
    findings = check_dataset_folder(folder, 8, images)
    assert [problem.row for problem in findings.problems] == [1, 2]
    assert [message.split(":")[1] for message in findings.messages] == [
        " link out of the media folder", " path outside the media folder"
    ]  # fmt: skip
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset="pictures")
    assert len(load_data(keys | {"media_dir": str(images)}).train) == 1
    (said,) = [text for text in warnings if "dropped" in text]
    assert said == f"{findings.notes['pictures'][1]}"
    assert "'shortcut' is a symbolic link out of the dataset folder; copy what it names there" in problems_of(folder)


# for programs


def test_json(bad, capsys):
    folder, _, findings = bad
    assert main(["check", str(folder), "--rows", "8", "--data-recipe", "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == "" and list(found) == ["dataset_dir", "datasets", "problems"]
    assert found["dataset_dir"] == str(folder) and list(found["datasets"]) == list(findings.notes)
    assert len(found["problems"]) == len(findings.problems)
    places = {(problem["dataset"], problem["key"], problem["row"]) for problem in found["problems"]}
    assert {
        (None, None, None),
        ("absent", "file_name", None),
        ("typo", None, None),
        ("columns", "columns.answers", None),
        ("twins", "twins.answer", None),
        ("twins", "twins.perturbations[2].tokens", None),
        ("foreign picture", None, 1),
    } <= places


def test_json_of_names_from_strangers(good, capsys):
    add(good, "\x1b[2J\ud800\x7f", {"file_name": "\x1b]0;x\x07\udfff"})
    assert main(["check", str(good), "--json"]) == 1
    text = capsys.readouterr().out
    assert text.isascii() and not set(text) & set(map(chr, [*range(10), *range(11, 32)]))
    assert "\x1b[2J\ud800\x7f" in json.loads(text)["datasets"]


def test_json_of_a_good_folder_and_of_none(good, capsys):
    assert main(["check", str(good), "--rows", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == [] and set(found["datasets"]) == {"pictures", "sums", "both", "plain"}
    assert main(["check", str(good / "absent"), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "is not a folder" in captured.err


# more rows


def test_a_broken_image_of_a_pool_drops_twins(good):
    (good / "pool").mkdir()
    (good / "pool" / "broken.png").write_bytes((good / "red_0.png").read_bytes()[:40])
    twins = {"relevant": ["text"], "perturbations": [{"name": "irrelevant_image", "pool": "pool"}, "black_image"]}
    add(good, "sums", CHOICE | {"file_name": "sums.json", "twins": twins})
    notes = check_dataset_folder(good, 5).notes["sums"]
    assert notes[0] == "5 of 5 rows tried are good (8 in all); twins: 5 black_image"
    assert "5 x irrelevant_image twin, not an image (first: row 0: " in notes[1]


def test_images_inside_of_objects_stay_closed(good):
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"  # for which PIL would start Ghostscript
    features = Features({"instruction": Value("string"), "input": Value("string"), "output": Value("string")})
    features["held"] = {"picture": Image()}
    held = {"picture": {"bytes": postscript, "path": None}}
    rows = [{"instruction": "a", "input": "", "output": "b", "held": held}]
    Dataset.from_list(rows, features=features).to_parquet(good / "held.parquet")
    add(good, "held", {"file_name": "held.parquet"})
    assert problems_of(good) == []  # a column that the entry does not name is not read


def test_an_embedded_path_is_not_opened(good, tmp_path):
    features = Features({"question": Value("string"), "choices": [Value("string")], "answer": Value("string")})
    features["images"] = Image()
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    row = json.loads((good / "pictures.json").read_text())[0]
    rows = [row | {"images": {"bytes": None, "path": str(tmp_path / "secret.png")}}]
    Dataset.from_list(rows, features=features).to_parquet(good / "path.parquet")
    add(good, "path", CHOICE | {"file_name": "path.parquet", "twins": TWINS})
    assert problems_of(good) == [
        f"dataset `path`: path outside the media folder: {shown(str(tmp_path / 'secret.png'))} leads out of `media_dir` ({good}); copy "
        "the file there, or set `media_dir` to a folder that holds it (row 0)"
    ]


def test_videos_must_be_there_and_be_read(good):
    columns = {"prompt": "instruction", "query": "input", "response": "output", "videos": "videos"}
    row = {"instruction": "<video>What?", "input": "", "output": "b"}
    write_clip(good / "here.mp4", audio=None, seconds=1)
    (good / "broken.mp4").write_bytes(b"0")
    rows = [row | {"videos": [name]} for name in ("here.mp4", "lost.mp4", "../out.mp4", "broken.mp4")]
    (good / "clips.json").write_text(json.dumps(rows))
    add(good, "clips", {"file_name": "clips.json", "columns": columns})
    findings = check_dataset_folder(good, 4)
    assert findings.notes["clips"][0].startswith("1 of 4 rows tried are good")
    assert "1 x missing video (first: row 1: " in findings.notes["clips"][1]
    assert "1 x broken video (first: row 3: " in findings.notes["clips"][1]
    (problem,) = findings.messages
    assert problem.startswith("dataset `clips`: path outside the media folder: '../out.mp4' leads out of `media_dir`")
    assert problem.endswith(" (row 2)")


def test_clips_that_an_edit_leaves_as_they_are(good):
    """Of a clip that stands still frames have no other order, and a second of sound cannot be shifted by two."""
    write_clip(good / "moving.mp4", seconds=3, fps=4)
    write_clip(good / "still.mp4", seconds=1, fps=4, times=[0.0])
    rows = [
        {"q": "What happens?", "o": ["a", "b"], "a": "A", "clip": name, "sound": name}
        for name in ("moving.mp4", "still.mp4")
    ]
    (good / "clips.json").write_text(json.dumps(rows))
    columns = {"question": "q", "choices": "o", "answer": "a", "videos": "clip", "audios": "sound"}
    twins = {"relevant": ["video", "audio"], "counterfactuals": ["shuffled_frames", "frozen_frames", "shifted_audio"]}
    add(good, "clips", {"file_name": "clips.json", **CHOICE, "columns": columns, "twins": twins})
    findings = check_dataset_folder(good, 4)
    assert not findings.messages
    notes = "\n".join(findings.notes["clips"])
    for name in ("shuffled_frames", "frozen_frames"):
        assert f"1 x counterfactual_{name} row, video that stands still (first: row 1: " in notes

    assert "1 x counterfactual_shifted_audio row, audio too short to shift (first: row 1: " in notes


def test_no_json_reader_meets_what_would_crash_it(tmp_path):
    def deep(text: str) -> bool:
        (tmp_path / "x.json").write_text(text)
        return bool(data_problems(tmp_path, "x.json"))

    assert deep('{"a":' * 101 + "1" + "}" * 101) and not deep('{"a":' * 100 + "1" + "}" * 100)
    assert deep("[\n" * 101 + "]\n" * 101) and not deep("[\n" * 100 + "]\n" * 100)
    assert not deep(json.dumps(["[[{" * 1000, '\\"[[[' * 1000] * 5))  # brackets in texts
    assert not deep('{"a": []}\n' * 5000)


# hostile dataset_info.json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "`dataset_info.json` is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff\xfe{", "`dataset_info.json` is not UTF-8 text (byte 0); save it as UTF-8"),
        (b"\xef\xbb\xbf{}", "`dataset_info.json` is not JSON: Unexpected UTF-8 BOM"),
        (b"[]", "`dataset_info.json` must be an object of datasets by name, found []"),
        (b"{}", "`dataset_info.json` names no dataset"),
        (b'{"a": NaN}', "`dataset_info.json` holds 'NaN', which is no JSON number"),
        (b'{"a": -Infinity}', "`dataset_info.json` holds '-Infinity', which is no JSON number"),
        (b'{"a": 1e999}', "`dataset_info.json` holds the number '1e999', which is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "`dataset_info.json` holds the number '9999"),
        (b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "`dataset_info.json` is nested more than 32 levels deep"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "`dataset_info.json` is nested more than 32 levels deep"),
        (b'{"a": ' * 10_000 + b"1" + b"}" * 10_000, "`dataset_info.json` is nested more than 32 levels deep"),
        (b" " * 50_000_000, "`dataset_info.json` is larger than 1,000,000 bytes"),
        (gzip.compress(b"{}", mtime=0), "`dataset_info.json` is not UTF-8 text (byte 1)"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
def test_a_hostile_file(content, message, tmp_path, capsys):
    (tmp_path / "dataset_info.json").write_bytes(content)
    assert main(["check", str(tmp_path)]) == 1
    found = capsys.readouterr()
    assert f"- {message}" in found.out and "1 problem:" in found.out and found.err == ""


def test_a_key_that_stands_twice(good):
    path = good / "dataset_info.json"
    path.write_text(path.read_text().replace('"sums"', '"pictures"', 1))
    assert problems_of(good) == ["`dataset_info.json` has the key 'pictures' twice in one object; remove one of them"]


def test_a_file_that_is_no_file(tmp_path):
    assert problems_of(tmp_path) == ["`dataset_info.json` is missing, or is not a regular file"]
    os.mkfifo(tmp_path / "dataset_info.json")
    assert problems_of(tmp_path) == ["`dataset_info.json` is missing, or is not a regular file"]
    (tmp_path / "dataset_info.json").unlink()
    (tmp_path / "dataset_info.json").symlink_to("/etc/hostname")
    assert "`dataset_info.json` is a link out of the dataset folder; copy the file there" in problems_of(tmp_path)


def test_names_are_harmless_for_the_terminal(good, capsys):
    add(good, "\x1b[2J\ud800", {"file_name": "\x1b]0;x\x07\udfff"})
    assert main(["check", str(good)]) == 1
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\x07" not in text and "dataset `\\x1b[2J\\ud800`" in text


# fuzzing

_KEYS = sorted({*Entry.model_fields, *COLUMNS, "relevant", "perturbations", "name", "pool", "size", "text"})
_TEXTS = ["pictures.json", "multiple_choice_twins", "alpaca_twins", "image_classification_twins", "sharegpt", "train"]
_TEXTS += [
    "image",
    "text",
    "black_image",
    "misleading_text",
    "irrelevant_image",
    "question",
    "../x",
    "/etc",
    "a/b",
    "",
]
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(_TEXTS)
    | st.text(st.characters(), max_size=8)
    | st.just("x" * 5000)
)


def _node(children: st.SearchStrategy) -> st.SearchStrategy:
    keys = st.sampled_from(_KEYS) | st.text(st.characters(), max_size=4)
    return st.lists(children, max_size=4) | st.dictionaries(keys, children, max_size=6)


_TREES = st.recursive(_LEAVES, _node, max_leaves=12)
_ENTRIES = _TREES | st.fixed_dictionaries(
    {},
    optional={
        "file_name": st.sampled_from(["pictures.json", "sums.json", "red_0.png", "."]) | _TREES,
        "formatting": st.sampled_from(["multiple_choice_twins", "alpaca_twins", "image_classification_twins"])
        | _TREES,
        "columns": st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(["question", "choices", "answer"]) | _TREES)
        | st.just(COLUMNS)
        | _TREES,
        "tags": _TREES,
        "split": _TREES,
        "num_samples": _TREES,
        "twins": st.just(TWINS)
        | st.fixed_dictionaries({"relevant": st.just(["text"]) | _TREES}, optional={"perturbations": st.lists(_TREES)})
        | _TREES,
    },
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return write_datasets(tmp_path_factory.mktemp("fuzzed"))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(entry=_ENTRIES, name=st.text(st.characters(), max_size=5))
def test_any_entry_gives_a_list_of_problems(fuzzed, entry, name):
    (fuzzed / "dataset_info.json").write_text(json.dumps({name: entry}))
    findings = check_dataset_folder(fuzzed, 2)
    assert all(isinstance(problem, str) and problem for problem in findings.messages)
    good = (
        isinstance(entry, dict)
        and "hf_hub_url" not in entry
        and entry.get("file_name") in ("pictures.json", "sums.json")
    )
    assert findings.messages or good


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=60) | st.text(st.sampled_from('{}[]",:aN1e9-. \n\\u'), max_size=40).map(str.encode))
def test_any_file_gives_a_list_of_problems(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("file", numbered=True)
    (folder / "dataset_info.json").write_bytes(content)
    info = read_info(folder)
    assert info.datasets or info.problems


@given(name=st.text(st.characters(), max_size=12) | st.text(st.sampled_from("./\\:*a\0"), max_size=12))
def test_a_path_without_a_problem_is_inside(name, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    if path_problem(folder, name) is None:
        assert Path(os.path.abspath(folder / name)).is_relative_to(folder) and not os.path.isabs(name)


# against LLaMA-Factory


def test_columns_and_tags_are_those_that_llamafactory_reads():
    class Recorder(dict):
        read: set[str] = set()

        def get(self, key: str, default: Any = None) -> Any:
            self.read.add(key)
            return super().get(key, default)

    class Columns(Recorder):
        read: set[str] = set()

    class Tags(Recorder):
        read: set[str] = set()

    top = Recorder(columns=Columns(), tags=Tags())
    DatasetAttr("file", dataset_name="x").join(top)
    assert Columns.read == set(PLAIN_COLUMNS) and Tags.read == set(TAGS)
    assert Recorder.read <= set(Entry.model_fields)


def test_text_that_is_not_utf8_is_dropped_as_in_a_run(good):
    rows = json.loads((good / "pictures.json").read_text())
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (good / "pictures.json").write_bytes(lines.replace(b"Which colour is shown?", b"Which colour \xff is shown?", 1))
    findings = check_dataset_folder(good, 3)
    assert findings.messages == []
    assert "1 x invalid UTF-8 (first: row 0: " in findings.notes["pictures"][1]
