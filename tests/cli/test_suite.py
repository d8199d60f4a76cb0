"""`modality-interference suite`: what is refused before anything is written, and suites that were tampered with."""

import json

import pytest
from helpers.runs import write_datasets

from modality_interference.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_datasets(tmp_path_factory.mktemp("suite_cli") / "colours", rows=2)


@pytest.mark.parametrize(
    "data, options, message",
    [
        ("pictures", [], "`pictures` does not name a dataset; write the dataset folder and the name"),
        ("{}:picture", [], "has no dataset `picture`. Did you mean `pictures`?"),
        ("{}:pictures", ["--perturb", "misleading"], "misleading"),
        ("{}:pictures", ["--perturb", "black_image"], "black_image"),
        ("{}:plain", ["--perturb", "misleading_text"], "`--perturb` needs an entry with a `twins` block"),
        ("{}:pictures", ["--license", "my own"], "`--license my own` is no identifier"),
        ("{}:pictures", ["-o", "{}"], "holds files already. Name a new or an empty folder"),
    ],
)
def test_what_is_refused(folder, tmp_path, capsys, data, options, message):
    arguments = [data.format(folder), "-o", str(tmp_path / "out"), "--to", "hf", *(o.format(folder) for o in options)]
    assert main(["suite", "export", *arguments]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_rows_and_perturbations_are_chosen(folder, tmp_path, capsys):
    arguments = ["-n", "1", "--perturb", "ocr_text,long_context", "--to", "lmms-eval", "-o", str(tmp_path / "out")]
    assert main(["suite", "export", f"{folder}:pictures", *arguments]) == 0
    assert "pictures: clean 1, long_context 1, ocr_text 1" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "out" / "suite_rows.jsonl").open()]
    assert [row["perturbation"] for row in rows] == ["clean", "ocr_text", "long_context"]


def test_suites_that_were_tampered_with(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["suite", "export", f"{folder}:pictures", "-n", "1", "--to", "hf", "-o", str(out)]) == 0
    (tmp_path / "a.jsonl").write_text("")
    for name, text, message in (
        ("suite_rows.jsonl", '{"id": 1}\n', "suite_rows.jsonl, line 1 is not what an export writes (`id`"),
        ("suite.json", '{"schema_version": 9}', "is not what an export writes"),
        ("suite.json", "[" * 100_000, "is not what an export writes"),
    ):
        before = (out / name).read_text()
        (out / name).write_text(text)
        assert main(["suite", "score", str(tmp_path / "a.jsonl"), "--suite", str(out), "-o", str(tmp_path / "r")]) == 1
        assert message in capsys.readouterr().err
        (out / name).write_text(before)

    assert (
        main(["suite", "score", str(tmp_path / "a.jsonl"), "--suite", str(tmp_path), "-o", str(tmp_path / "r")]) == 1
    )
    assert "`modality-interference suite export` writes it" in capsys.readouterr().err
    assert main(["suite", "score", str(tmp_path / "a.jsonl"), "--suite", str(out), "-o", str(tmp_path / "r")]) == 1
    assert "no question of the suite has an answer" in capsys.readouterr().err
