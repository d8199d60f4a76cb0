"""Answers of other tools become a diagnosis."""

import json
import os
import shutil
import zipfile

import pandas as pd
import pytest
from helpers.loading import load_data

from modality_interference.cli import main
from modality_interference.errors import ModalityInterferenceError
from modality_interference.results import COUNTERFACTUALS_FILE, read_diagnosis, read_rows
from modality_interference.suite import results
from modality_interference.suite.folder import read_suite


@pytest.fixture(scope="module")
def suite(pictures, export):
    folder = export(f"{pictures}:pictures", "lmms-eval")
    return folder, [json.loads(line) for line in (folder / "suite_rows.jsonl").open()]


def answers(rows):
    """Right, in other words each; a claimed option is believed by every other row; one answer says nothing."""
    said = ["{}", "The answer is {}.", "**{}**", "It is {}."]
    found = [
        said[row["row"]].format(row.get("target", row["response"]) if row["row"] % 2 else row["response"])
        for row in rows
    ]
    found[-1] = "I do not know."
    return found


def as_plain(folder, rows, responses):
    lines = [json.dumps({"id": row["id"], "response": text}) for row, text in zip(rows, responses)]
    (path := folder / "answers.jsonl").write_text("\n".join(lines))
    return path


def as_samples(folder, rows, responses):
    """As lmms-eval 0.7.3 writes them (`loggers/evaluation_tracker.py`)."""
    samples = [
        {
            "doc_id": index,
            "target": row["response"],
            "filtered_resps": text,
            "doc_hash": "0",
            f"accuracy_{row['perturbation']}": {"id": row["id"], "right": False},
            "input": "",
        }
        for index, (row, text) in enumerate(zip(rows, responses))
    ]
    samples[0] |= {"resps": [[responses[0]]], "filtered_resps": ""}  # where a filter has changed it
    (path := folder / "x_samples_pictures_twins.jsonl").write_text(
        "".join(json.dumps(item) + "\n" for item in samples)
    )
    return path


def as_predictions(folder, rows, responses):
    """As VLMEvalKit writes them, its TSV and what was answered."""
    data = pd.DataFrame({"index": [row["id"] for row in rows], "A": "1", "answer": "A", "prediction": responses})
    data.to_csv(path := folder / "model_pictures_twins.tsv", sep="\t", index=False)
    return path


def as_json(folder, rows, responses):
    records = [{"index": row["id"], "prediction": text} for row, text in zip(rows, responses)]
    (path := folder / "model_pictures_twins.json").write_text(json.dumps(records))
    return path


def as_sheet(folder, rows, responses):
    pytest.importorskip("openpyxl")
    data = pd.DataFrame({"index": [row["id"] for row in rows], "prediction": responses})
    data.to_excel(path := folder / "model_pictures_twins.xlsx", index=False)
    return path


@pytest.mark.parametrize("write", [as_plain, as_samples, as_predictions, as_json, as_sheet])
def test_every_kind_of_file_gives_the_same_rates(suite, tmp_path, capsys, write):
    folder, rows = suite
    path = write(tmp_path, rows, answers(rows))
    assert (
        main(["suite", "score", str(path), "--suite", str(folder), "-o", str(tmp_path / "out"), "--model", "m"]) == 0
    )
    found = read_diagnosis(tmp_path / "out")
    rates = {
        name: {rate: round(value.value, 3) for rate, value in figures.rates.items()}
        for name, figures in found.datasets["pictures"].perturbations.items()
    }
    assert rates == {
        "clean": {"accuracy": 1, "unparsable_rate": 0},
        "misleading_text": {
            "accuracy": 0.5,
            "flip_rate": 0.5,
            "misled_rate": 0.5,
            "excess_misled_rate": 0.5,
            "unparsable_rate": 0,
        },
        "unrelated_text": {"accuracy": 0.75, "flip_rate": 0.25, "unparsable_rate": 0.25},
    }
    assert found.model == {"name_or_path": "m"} and found.scoring == "generate" and found.seed == 42
    assert [flip.row for flip in found.gallery if flip.perturbation == "misleading_text"] == [1, 3]
    assert found.gallery[0].perturbed_prompt.startswith("<image>This picture seems to depict a ")
    said = capsys.readouterr().out
    assert "50.0 %" in said and (tmp_path / "out" / "interference.html").is_file()


def test_rows_are_those_of_a_run(suite, pictures, checkpoint, tmp_path):
    """Apart from the answers, a scored suite says of its rows what a run's diagnosis says of them."""
    from helpers.runs import recipe

    folder, rows = suite
    path = as_plain(tmp_path, rows, [row["response"] for row in rows])
    assert main(["suite", "score", str(path), "--suite", str(folder), "-o", str(tmp_path / "out")]) == 0
    keys = dict(do_train=False, do_eval=True, dataset=None, eval_dataset="pictures", seed=42)
    examples = load_data(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", pictures, tmp_path / "run", **keys)).evaluation
    expected = {
        (example["row"], twin.get("perturbation") or "clean"): (
            example["key"],
            twin["target"] or None,
            twin.get("family") or None,
        )
        for example in examples
        for twin in (example, *example["variants"])
    }
    found = {(row.row, row.perturbation): row for row in read_rows(tmp_path / "out")}
    assert {place: (row.key, row.target, row.family) for place, row in found.items()} == expected
    assert {row.medium for row in found.values()} == {"red_0.png", "green_1.png", "blue_2.png", "yellow_3.png"}
    assert all(row.correct and row.options == 4 and row.kind == "image" for row in found.values())


@pytest.mark.parametrize("to", ["lmms-eval", "hf", "vlmevalkit"])
def test_counterfactual_rows_are_exported_and_scored_apart(pictures, tmp_path, to):
    """Answers stay in rows 0 and 1 although the image is black; that of row 2 changes, that of row 3 is wrong when clean."""
    info = json.loads((pictures / "dataset_info.json").read_text())
    twins = info["pictures"]["twins"] | {"counterfactuals": ["black_image"]}
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    (data / "dataset_info.json").write_text(json.dumps({"pictures": info["pictures"] | {"twins": twins}}))
    folder = tmp_path / "suite"
    assert main(["suite", "export", f"{data}:pictures", "-o", str(folder), "--to", to]) == 0
    rows = [json.loads(line) for line in (folder / "suite_rows.jsonl").open()]
    label = "counterfactual_black_image"
    assert sum(row["perturbation"] == label for row in rows) == 4
    if to == "lmms-eval":
        task = (folder / "pictures_twins.yaml").read_text()
        metric = f"accuracy_{label}\n    aggregation: !function utils.share\n    higher_is_better: false"
        assert metric in task and task.count("higher_is_better: true") == 3
    elif to == "hf":
        assert f"`{label}` | 4" in (folder / "README.md").read_text()
        assert label not in (folder / "eval.yaml").read_text()

    def said(row):
        moved = row["row"] == 3 or (row["row"] == 2 and row["perturbation"] == label)
        return row["options"][1 if moved else 0]

    path = as_plain(tmp_path, rows, [said(row) for row in rows])
    assert main(["suite", "score", str(path), "--suite", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert {row.perturbation for row in read_rows(tmp_path / "out")} == {"clean", "misleading_text", "unrelated_text"}
    assert len(read_rows(tmp_path / "out", COUNTERFACTUALS_FILE)) == 4
    found = read_diagnosis(tmp_path / "out")
    rates = found.datasets["pictures"].counterfactuals[label].rates
    assert (rates["unchanged_rate"].value, rates["accuracy"].value) == (0.75, 0.5)
    assert [shown.row for shown in found.unmoved] == [0, 1]


def test_questions_without_options_are_misled_by_the_claimed_answer(export, tmp_path):
    rows = [{"ask": f"Number {index}?", "say": str(index)} for index in (3, 5, 7)]
    columns = {"prompt": "ask", "response": "say"}
    twins = {"relevant": ["text"], "perturbations": ["typographic_image"]}
    entry = {"file_name": "free.json", "formatting": "alpaca_twins", "columns": columns, "twins": twins}
    (tmp_path / "free.json").write_text(json.dumps(rows))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"free": entry}))
    folder = export(f"{tmp_path}:free", "lmms-eval")
    asked = [json.loads(line) for line in (folder / "suite_rows.jsonl").open()]
    path = as_plain(tmp_path, asked, [f"{row.get('target') or row['response']}." for row in asked])
    assert main(["suite", "score", str(path), "--suite", str(folder), "-o", str(tmp_path / "out")]) == 0
    found = read_diagnosis(tmp_path / "out")
    rates = found.datasets["free"].perturbations["typographic_image"].rates
    assert {name: rates[name].value for name in ("accuracy", "flip_rate", "misled_rate", "excess_misled_rate")} == {
        "accuracy": 0, "flip_rate": 1, "misled_rate": 1, "excess_misled_rate": 1,
    }  # fmt: skip
    assert found.free_answers == "exact"
    path = as_plain(tmp_path, asked, [f"I read {row.get('target') or row['response']} there" for row in asked])
    command = ["suite", "score", str(path), "--suite", str(folder), "-o", str(tmp_path / "out")]
    assert main([*command, "--free-answers", "contained"]) == 0
    rates = read_diagnosis(tmp_path / "out").datasets["free"].perturbations
    assert rates["clean"].rates["accuracy"].value == rates["typographic_image"].rates["misled_rate"].value == 1
    assert main(command) == 0
    assert read_diagnosis(tmp_path / "out").datasets["free"].perturbations["clean"].rates["accuracy"].value == 0


def test_missing_answers_are_counted_and_said(suite, tmp_path, capsys):
    folder, rows = suite
    responses = answers(rows)
    responses[0] = "Failed to obtain answer via API."  # the clean row of the first three
    path = as_predictions(tmp_path, rows[:-1], responses[:-1])
    assert main(["suite", "score", str(path), "--suite", str(folder), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    notes = read_diagnosis(tmp_path / "out").notes
    assert "Questions without an answer, which are left out: 1 of clean, 1 of unrelated_text." in notes
    assert "2 answers to twins are left out, because their clean rows have no answer." in notes
    assert "1 of clean, 1 of unrelated_text" in said and len(read_rows(tmp_path / "out")) == 8


def test_answers_to_other_questions_are_refused(suite, pictures, export, tmp_path, capsys):
    folder, rows = suite
    other = export(f"{pictures}:sums", "vlmevalkit")
    path = as_plain(tmp_path, rows, answers(rows))
    assert main(["suite", "score", str(path), "--suite", str(other), "-o", str(tmp_path / "out")]) == 1
    assert (
        "12 of 12 answers are to questions that the suite does not have, such as `0_clean_" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def line(**keys):
    return json.dumps(keys)


@pytest.mark.parametrize(
    "name, text, message",
    [
        (
            "a.jsonl",
            line(id="x", response="a") + "\n" + line(id="x", response="b"),
            "line 2: the question 'x' has another",
        ),
        ("a.jsonl", line(id=3, response="a"), "line 1 is no answer to a question of a suite"),
        ("a.jsonl", line(filtered_resps=[], accuracy=1), "line 1 is no answer"),
        ("a.jsonl", "[1]", "line 1 must be an object, found [1]"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("a.json", line(index="x", prediction="a"), "must be a list of predictions"),
        ("a.json", "nonsense", "a.json is not JSON"),
        ("a.tsv", "index\tanswer\nx\ty\n", "row 2 is no answer"),
        ("a.tsv", "", "a.tsv cannot be read: EmptyDataError"),
        ("a.xlsx", "nonsense", "a.xlsx cannot be read: BadZipFile"),
        ("a.pkl", "nonsense", "is none of the files that are read; allowed: .jsonl, .json, .tsv, .xlsx"),
    ],
)
def test_files_that_are_no_answers(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ModalityInterferenceError) as error:
        results.read_answers([tmp_path / name])

    assert message in str(error.value)


def test_only_regular_files_of_some_size_are_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "outside.jsonl").write_text("")
    (folder := tmp_path / "folder").mkdir()
    (folder / "link.jsonl").symlink_to("../outside.jsonl")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", " " * 1_000_001)

    monkeypatch.setattr(results, "MAX_SHEET_BYTES", 1_000_000)
    monkeypatch.setattr(results, "MAX_BYTES", 20_000)
    (tmp_path / "large.jsonl").write_text(" " * 20_001)
    for path, message in (
        (tmp_path / "pipe.jsonl", "not a regular file"),
        (folder / "link.jsonl", "is a link out of the"),
        (tmp_path / "large.jsonl", "larger than 20,000 bytes"),
        (tmp_path / "bomb.xlsx", "it unpacks to 1,000,001 bytes"),
        (tmp_path / "none.tsv", "is missing"),
    ):
        with pytest.raises(ModalityInterferenceError, match=message):
            results.read_answers([path])


def test_halves_of_surrogate_pairs_are_replaced(suite, tmp_path):
    folder, rows = suite
    path = as_plain(tmp_path, rows, ["\ud800"] * len(rows))
    assert main(["suite", "score", str(path), "--suite", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert {row.response for row in read_rows(tmp_path / "out")} == {"?"}


@pytest.mark.parametrize("change", [{"answer": 99}, {"answer": -1}, {"options": []}, {"dataset": "\ud800"}])
def test_rows_that_no_export_writes_are_refused(suite, tmp_path, change):
    folder, rows = suite
    (tmp_path / "suite.json").write_bytes((folder / "suite.json").read_bytes())
    (tmp_path / "suite_rows.jsonl").write_text(json.dumps(rows[0] | change) + "\n")
    with pytest.raises(ModalityInterferenceError, match="line 1 is not what an export writes"):
        read_suite(tmp_path)
