"""`modality-interference report`: the page of one run or of several, and a reader that closes the pipe."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modality_interference.cli import main
from modality_interference.results import Diagnosis, ScoredRow, write_results


SCRIPT = Path(sys.executable).with_name("modality-interference")


def write_run(folder: Path, flips: int) -> Path:
    rows = []
    for index in range(20):
        common = dict(dataset="pets", row=index, key=index, kind="image")
        rows.append(ScoredRow(**common, perturbation="clean", answer="cat", correct=True))
        flipped = index < flips
        twin = dict(perturbation="misleading_text", answer="dog" if flipped else "cat", correct=not flipped)
        rows.append(ScoredRow(**common, **twin, flipped=flipped, causal_effect=float(flipped), misled=flipped))

    rate = {"value": 1 - flips / 20, "low": 0.0, "high": 1.0}
    results = {"clean": {"rows": 20, "rates": {"accuracy": {"value": 1.0, "low": 1.0, "high": 1.0}}}}
    results["misleading_text"] = {"rows": 20, "rates": {"accuracy": rate}}
    metadata = dict(created="2025-01-01T00:00:00Z", model={"name_or_path": folder.name}, data={}, run={}, versions={})
    datasets = {"pets": {"examples": 20, "kind": "image", "perturbations": results}}
    write_results(folder, Diagnosis(**metadata, seed=1, scoring="likelihood", resamples=1000, datasets=datasets), rows)
    return folder


def test_report_of_one_run(tmp_path, capsys):
    run = write_run(tmp_path / "saves" / "tuned", 3)
    assert main(["report", str(run), "-o", str(tmp_path / "page")]) == 0
    page = Path(capsys.readouterr().out.removeprefix("The page: ").strip())
    assert page.parent == tmp_path / "page" and page.suffix == ".html"
    text = page.read_text()
    assert "misleading_text" in text and "pets" in text
    assert sorted(file.name for file in run.iterdir()) == ["interference.json", "interference_rows.jsonl"]


def test_report_of_several_runs(tmp_path, capsys):
    runs = [str(write_run(tmp_path / name, flips)) for name, flips in (("one", 16), ("two", 2))]
    assert main(["report", *runs, "-o", str(tmp_path / "page"), "--names", "before,after"]) == 0
    page = Path(capsys.readouterr().out.removeprefix("The page: ").strip())
    text = page.read_text()
    assert page.parent == tmp_path / "page" and "before" in text and "after" in text


@pytest.mark.parametrize(
    ("names", "runs", "message"),
    [
        ("base", 1, "`--names` is for several runs"),
        ("base", 2, "must give each of the 2 runs a name"),
        ("base,base", 2, "must give each of the 2 runs a name"),
        ("base,", 2, "must give each of the 2 runs a name"),
    ],
)
def test_wrong_names(names, runs, message, tmp_path, capsys):
    folders = [str(write_run(tmp_path / str(index), 1)) for index in range(runs)]
    assert main(["report", *folders, "-o", str(tmp_path / "page"), "--names", names]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "page").exists()


def test_report_of_something_else(tmp_path, capsys):
    (tmp_path / "interference.json").write_text(json.dumps({"seed": "x"}))
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "page")]) == 1
    assert "is not what a diagnosis writes" in capsys.readouterr().err


def test_a_closed_pipe_is_no_crash(tmp_path):
    command = [SCRIPT, "report", write_run(tmp_path / "run", 3), "-o", tmp_path / "page"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(timeout=60) == 1
