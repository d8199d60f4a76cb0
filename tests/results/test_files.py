"""The files of a diagnosis: round trips, failures that lose nothing, untrusted files."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modality_interference.errors import ModalityInterferenceError
from modality_interference.files import write_text
from modality_interference.results import (
    JSON_FILE,
    ROWS_FILE,
    CurvePoint,
    DatasetResult,
    Diagnosis,
    Flip,
    PerturbationResult,
    Rate,
    ScoredRow,
    read_diagnosis,
    read_rows,
    write_results,
)


ROWS = [
    ScoredRow(dataset="pets", row=0, key=2**62, kind="image", perturbation="clean", answer="chat <é>", correct=True),
    ScoredRow(
        dataset="pets", row=0, key=2**62, kind="image", perturbation="ocr_text", correct=False,
        flipped=True, causal_effect=0.125, misled=False,
    ),
]  # fmt: skip
DIAGNOSIS = Diagnosis(
    created="2026-11-21T10:00:00+00:00",
    model={"name_or_path": "tiny"},
    data={"eval_dataset": ["pets"]},
    run={"output_dir": "out"},
    versions={"torch": "2"},
    seed=1,
    scoring="likelihood",
    resamples=2000,
    datasets={
        "pets": DatasetResult(
            examples=1,
            kind="image",
            perturbations={
                "clean": PerturbationResult(rows=1, rates={"accuracy": Rate(value=1, low=1, high=1)}),
                "ocr_text": PerturbationResult(rows=1, rates={"flip_rate": Rate(value=0.5, low=0, high=1)}),
            },
        ),
        "clips": DatasetResult(
            examples=2,
            kind="mixed",
            perturbations={"clean": PerturbationResult(rows=2, rates={})},
            kinds={"video": {"clean": PerturbationResult(rows=1, rates={"abstention_rate": Rate(value=1, low=1, high=1)})}},
        ),
    },
    notes=["a note"],
    gallery=[
        Flip(
            dataset="pets", row=0, perturbation="ocr_text", prompt="?", perturbed_prompt="x?", right_answer="cat",
            clean_answer="cat", perturbed_answer=None,
        )
    ],
)  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    write_results(tmp_path / "deep" / "run", DIAGNOSIS, ROWS)
    assert read_diagnosis(tmp_path / "deep" / "run") == DIAGNOSIS
    assert read_rows(tmp_path / "deep" / "run") == ROWS
    assert sorted(os.listdir(tmp_path / "deep" / "run")) == [JSON_FILE, ROWS_FILE]  # no temporary file stays
    assert json.loads((tmp_path / "deep" / "run" / JSON_FILE).read_text())["schema_version"] == 3


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "report.html", "old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ModalityInterferenceError, match="report.html: No space left on device.*unchanged"):
        write_text(tmp_path / "report.html", "new")

    assert (tmp_path / "report.html").read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ModalityInterferenceError, match="cannot write .*run.*another output folder"):
        write_results(tmp_path / "run", DIAGNOSIS, ROWS)


def test_no_diagnosis_here(tmp_path):
    with pytest.raises(ModalityInterferenceError, match=r"cannot read .*interference.json.*do_eval: true"):
        read_diagnosis(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": {"pets": {"examples": -1, "kind": "image", "perturbations": {}}}}, "datasets.pets.examples"),
        ({"scoring": "vibes"}, "scoring"),
        ({"seed": "x"}, "seed"),
        ({"datasets": []}, "datasets"),
    ],
)
def test_untrusted_rates_are_checked(tmp_path, change, message):
    content = json.loads(DIAGNOSIS.model_dump_json()) | change
    (tmp_path / JSON_FILE).write_text(json.dumps(content))
    with pytest.raises(ModalityInterferenceError, match=f"`{message}`"):
        read_diagnosis(tmp_path)


@pytest.mark.parametrize("version", [1, 2, 10**30])
def test_another_schema_version_says_what_to_do(tmp_path, version):
    content = json.loads(DIAGNOSIS.model_dump_json()) | {"schema_version": version, "seed": "of another layout"}
    (tmp_path / JSON_FILE).write_text(json.dumps(content))
    with pytest.raises(
        ModalityInterferenceError, match=rf"json has schema version {version}, .* reads version 3. Run"
    ) as caught:
        read_diagnosis(tmp_path)

    # not within another message, which would cut it
    assert str(caught.value).startswith(f"{tmp_path / JSON_FILE} has")
    assert str(caught.value).endswith("or read the file with the release that wrote it.")


def test_a_bad_line_is_named(tmp_path):
    (tmp_path / ROWS_FILE).write_text(ROWS[0].model_dump_json() + "\n\n{}\n")
    with pytest.raises(ModalityInterferenceError, match=r"interference_rows.jsonl, line 3"):
        read_rows(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"null", b'{"seed": NaN}', b""])
def test_what_is_no_json_object(tmp_path, content):
    (tmp_path / JSON_FILE).write_bytes(content)
    with pytest.raises(ModalityInterferenceError, match="interference.json"):
        read_diagnosis(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(list(Diagnosis.model_fields)), JSON)
def test_any_value_of_any_key_is_read_or_refused(tmp_path_factory, key, value):
    folder = tmp_path_factory.mktemp("any")
    content = json.loads(DIAGNOSIS.model_dump_json()) | {key: value}
    (folder / JSON_FILE).write_text(json.dumps(content))
    try:
        read_diagnosis(folder)
    except ModalityInterferenceError as error:
        assert JSON_FILE in str(error)


def test_lone_surrogates_become_question_marks(tmp_path):
    write_results(tmp_path, DIAGNOSIS, ROWS)
    for file in (tmp_path / JSON_FILE, tmp_path / ROWS_FILE):
        file.write_text(file.read_text(encoding="utf-8").replace("pets", r"a\uD800 \ud83d\ude00"), encoding="utf-8")

    assert "a? \N{GRINNING FACE}" in read_diagnosis(tmp_path).datasets
    assert {row.dataset for row in read_rows(tmp_path)} == {"a? \N{GRINNING FACE}"}


def test_line_separators_in_answers(tmp_path):
    """Unicode's are not escaped by JSON, and break no line of a file."""
    row = ScoredRow(
        dataset="d", row=0, key=1, kind="image", perturbation="clean", correct=True, answer="a\u2028b\u0085c"
    )
    (tmp_path / ROWS_FILE).write_text(row.model_dump_json() + "\n", encoding="utf-8")
    assert read_rows(tmp_path) == [row]


@pytest.mark.parametrize("name", [JSON_FILE, ROWS_FILE])
@pytest.mark.parametrize("kind", ["pipe", "device", "link out", "folder"])
def test_what_is_no_file_of_the_folder_stays_closed(tmp_path, name, kind):
    """A pipe would block for ever, and /dev/zero never ends."""
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to({"device": "/dev/zero", "link out": tmp_path / "secret"}[kind])

    with pytest.raises(ModalityInterferenceError, match=f"cannot read .*{name}: .*A diagnosis writes it") as found:
        (read_diagnosis if name == JSON_FILE else read_rows)(folder)

    assert "secret" not in str(found.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    "change",
    [{"options": 10**400}, {"confidence": 7.5}, {"causal_effect": 1e308}, {"options": -1}, {"confidence": -0.5}],
)
def test_a_row_with_numbers_that_cannot_be(change):
    with pytest.raises(ValidationError):
        ScoredRow.model_validate({**ROWS[1].model_dump(), **change})


@pytest.mark.parametrize("model", [PerturbationResult, CurvePoint])
def test_counts_without_end(model):
    keys = dict(rows=10**400, rates={}, step=10**400, value=0.5, low=0.5, high=0.5)
    with pytest.raises(ValidationError, match="less than or equal to"):
        model.model_validate(keys)
