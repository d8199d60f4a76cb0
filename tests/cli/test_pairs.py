"""`modality-interference pairs`: what is refused, and what is left out and counted."""

import json

import pytest
from helpers.diagnoses import diagnosis, scored
from helpers.runs import write_datasets

from modality_interference.cli import main
from modality_interference.integration.offline import open_dataset
from modality_interference.results import write_results


@pytest.fixture
def data(tmp_path):
    return write_datasets(tmp_path / "data", rows=4)


@pytest.fixture
def run(data, tmp_path):
    """A diagnosis in which all four questions about images are turned from `right` to `wrong` by both twins."""
    entry = json.loads((data / "dataset_info.json").read_text())["pictures"]
    with open_dataset("pictures", entry, data, seed=7) as dataset:
        records = [example.record for example in dataset.examples(range(4))]

    keys = [record.key for record in records]
    clean = scored(correct=[True] * 4, answer=[record.choices[0] for record in records], key=keys)
    rows = [*clean]
    for place, label in enumerate(("misleading_text", "unrelated_text")):
        rows += scored(
            perturbation=label,
            correct=[False] * 4,
            answer=[record.choices[1] for record in records],
            key=keys,
            flipped=[True] * 4,
            target=[record.variants[place].target for record in records],
        )

    write_results(tmp_path / "run", diagnosis(data={"dataset_dir": str(data)}), rows)
    return tmp_path / "run"


def pairs(folder):
    return [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]


def test_pairs_and_what_is_left_out(data, run, tmp_path, capsys):
    rows = json.loads((data / "pictures.json").read_text())
    rows[0]["question"] = "Which colour is it?"  # another row than was diagnosed
    (data / rows[1]["images"][0]).unlink()
    (data / "pictures.json").write_text(json.dumps(rows[:3]))
    entries = json.loads((data / "dataset_info.json").read_text())
    entries["pictures"]["twins"]["perturbations"].pop()
    (data / "dataset_info.json").write_text(json.dumps(entries))
    assert main(["pairs", str(run), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[:5] == [
        "pairs: misled 1",
        "  left out: 2 x missing image",
        "  left out: 1 x row or twin that has changed since the diagnosis",
        "  left out: 2 x row that the dataset does not have now",
        "  left out: 2 x twin that the dataset's entry does not make now",
    ]
    (pair,) = pairs(tmp_path / "out")
    assert (pair["row"], pair["perturbation"]) == (2, "misleading_text")


def test_other_twins_than_the_diagnosed_ones_are_left_out(run, tmp_path, capsys):
    file = run / "interference.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"seed": 8}))
    assert main(["pairs", str(run), "-o", str(tmp_path / "out")]) == 0
    assert "changed since the diagnosis" in capsys.readouterr().out
    assert len([row for row in pairs(tmp_path / "out") if row["perturbation"] == "misleading_text"]) < 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["{run}", "-o", "{run}"], "holds files already. Name a new or an empty folder"),
        (["{data}", "-o", "{out}"], "cannot read {data}/interference.json"),
        (["{run}", "-o", "{out}", "--data", "{data}/absent"], "is not a folder. Name a dataset folder"),
        (["{run}", "-o", "{out}", "--data", "{run}"], "`dataset_info.json` is missing"),
        (
            ["{run}", "-o", "{out}", "--kinds", "invented"],
            "these diagnoses have nothing to make pairs of: no answers to rows whose evidence is gone",
        ),
    ],
)
def test_what_is_refused(data, run, tmp_path, capsys, options, message):
    places = {"run": run, "data": data, "out": tmp_path / "out"}
    assert main(["pairs", *(option.format(**places) for option in options)]) == 1
    assert message.format(**places) in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--name", "a b"], ["--abstention", " "], ["-n", "0"], ["--kinds", "all"]])
def test_wrong_usage(run, tmp_path, capsys, options):
    assert main(["pairs", str(run), "-o", str(tmp_path / "out"), *options]) == 2
    assert options[0] in capsys.readouterr().err


def test_nothing_that_can_be_made(data, run, tmp_path, capsys):
    for file in data.glob("*.png"):
        file.unlink()

    assert main(["pairs", str(run), "-o", str(tmp_path / "out")]) == 1
    assert "no pair can be made of these diagnoses:\n- 8 x missing image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
