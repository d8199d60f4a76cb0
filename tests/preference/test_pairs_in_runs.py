"""Pairs of a real diagnosis: against its rows and the data, by hand; and LLaMA-Factory's own DPO trains on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import recipe, write_datasets
from llamafactory.train.tuner import run_exp
from PIL import Image
from trl import import_utils

from modality_interference.cli import main


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Questions about images, answered by texts (`pictures`) and by letters (`lettered`)."""
    folder = write_datasets(tmp_path_factory.mktemp("pairs") / "data")
    info = json.loads((folder / "dataset_info.json").read_text())
    info["pictures"]["twins"]["counterfactuals"] = ["black_image"]
    info["lettered"] = info["pictures"] | {"twins": info["pictures"]["twins"] | {"answer": "letter"}}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


@pytest.fixture(scope="module")
def diagnosis(checkpoint, data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("diagnosis") / "out"
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", data, out, dataset=None, do_train=False, do_eval=True)
    run_exp(keys | {"eval_dataset": "pictures,lettered"})
    return out


@pytest.fixture(scope="module")
def pairs(diagnosis, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pairs") / "out"
    assert main(["pairs", str(diagnosis), "-o", str(out)]) == 0
    return out


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_pair_is_that_of_its_row(data, diagnosis, pairs):
    rows, gone = (read(diagnosis / f"interference_{name}.jsonl") for name in ("rows", "counterfactuals"))
    right = {(row["dataset"], row["row"]) for row in rows if row["perturbation"] == "clean" and row["correct"]}
    turned = [row for row in rows if (row["dataset"], row["row"]) in right and not row["correct"]]
    rejected = {(row["dataset"], row["row"], row["perturbation"]): row["answer"] for row in [*turned, *gone]}
    made = {(row["dataset"], row["row"], row["perturbation"]): row for row in read(pairs / "pairs.jsonl")}
    assert len(turned) > 1 and len(gone) == 16 and made.keys() == rejected.keys()
    questions = json.loads((data / "pictures.json").read_text())
    for (dataset, row, perturbation), pair in made.items():
        question = questions[row]
        texts = question["choices"]
        written = dict(zip(texts, texts if dataset == "pictures" else "ABCD"))
        invented = perturbation == "counterfactual_black_image"
        assert pair["kind"] == ("invented" if invented else "misled")
        assert pair["rejected"] == {"role": "assistant", "content": written[rejected[dataset, row, perturbation]]}
        assert pair["chosen"]["content"] == ("I cannot tell from what I am given." if invented else written[texts[0]])
        (turn,), (name,) = pair["messages"], pair["images"]
        assert (
            turn["role"] == "user"
            and turn["content"].count("<image>") == 1
            and question["question"] in turn["content"]
        )
        assert ("seems to depict" in turn["content"]) == (perturbation == "misleading_text")
        shown, own = (
            np.asarray(Image.open(file).convert("RGB")) for file in (pairs / name, data / question["images"][0])
        )
        assert (shown == (0 if invented else own)).all() and shown.shape == own.shape


def test_rows_that_were_misled_are_there_once_as_they_are_for_twins(data, diagnosis, pairs):
    questions = json.loads((data / "pictures.json").read_text())
    misled = [row for row in read(pairs / "pairs.jsonl") if row["kind"] == "misled"]
    rows = {(row["dataset"], row["row"]): row for row in read(pairs / "pairs_twins.jsonl")}
    assert rows.keys() == {(row["dataset"], row["row"]) for row in misled} and len(rows) == len(
        read(pairs / "pairs_twins.jsonl")
    )
    for pair in misled:
        row, question = rows[pair["dataset"], pair["row"]], questions[pair["row"]]
        assert row["chosen"] == pair["chosen"] and row["withheld"] == "I cannot tell from what I am given."
        assert row["messages"][0]["content"].startswith(f"<image>Question:\n{question['question']}")
        assert (row["relevant"], row["choices"], row["answer"]) == (
            ["image"],
            question["choices"],
            question["choices"][0],
        )
        assert (
            np.asarray(Image.open(pairs / row["images"][0])) == np.asarray(Image.open(data / question["images"][0]))
        ).all()


def test_the_folder_passes_the_check(pairs, capsys):
    assert main(["check", str(pairs)]) == 0
    said = capsys.readouterr().out
    count = len(read(pairs / "pairs_twins.jsonl"))
    twins = f"{count} misleading_text_7_families, {count} unrelated_text_7_families"
    assert f"{count} of {count} rows tried are good ({count} in all); twins: {twins}" in said


def test_fewer_are_a_part_of_more(diagnosis, pairs, tmp_path):
    some = [tmp_path / name for name in ("three", "two")]
    for folder, count in zip(some, "32"):
        arguments = ["-n", count, "--seed", "1", "--kinds", "invented", "--abstention", "No idea.", "--name", "few"]
        assert main(["pairs", str(diagnosis), "-o", str(folder), *arguments]) == 0

    three, two = (read(folder / "few.jsonl") for folder in some)
    assert (len(three), len(two)) == (3, 2) and all(row in three for row in two)
    assert {row["chosen"]["content"] for row in three} == {"No idea."}


@pytest.fixture
def importable_trl(monkeypatch):
    """Trl 0.24 takes what transformers 5 says of absent packages, `(False, None)`, for true, and then imports them."""
    for name, value in vars(import_utils).copy().items():
        if name.endswith("_available") and isinstance(value, tuple):
            monkeypatch.setattr(import_utils, name, value[0])


@pytest.mark.usefixtures("importable_trl")
def test_llama_factory_trains_on_them_without_the_plugin(checkpoint, pairs, tmp_path):
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", pairs, tmp_path / "out", plugin=None, dataset="pairs")
    run_exp(keys | {"stage": "dpo", "max_steps": 2, "finetuning_type": "lora", "lora_target": "q_proj,v_proj"})
    log = json.loads((tmp_path / "out" / "trainer_state.json").read_text())["log_history"]
    assert {"rewards/chosen", "rewards/rejected", "rewards/margins"} <= log[0].keys() and "loss_sft" not in log[0]
    assert log[0]["loss"] == pytest.approx(np.log(2), abs=1e-3)  # the adapter begins as the reference model
    assert log[1]["loss"] != log[0]["loss"]
