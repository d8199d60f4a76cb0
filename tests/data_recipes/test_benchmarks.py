"""Data recipes of other papers' benchmarks: the lines of each card, on rows in the schema that it gives, through `check` and a run's data path."""

import base64
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import Dataset, Features
from helpers.clip_files import write_audio, write_clip
from helpers.hub_datasets import SCIENCEQA, SCIENCEQA_ROWS, image
from helpers.loading import load_data
from helpers.runs import recipe

from modality_interference.cli import main
from modality_interference.dataset_dir.card import card_problems


RECIPES = Path(__file__).parents[2] / "data_recipes"
BENCHMARKS = ("i_scienceqa", "distract_bench", "mvi_bench", "xmodbench", "echobench")


def copy(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(RECIPES / name, folder / name))


def run_lines_of_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the card tells users to run in its folder, once the files are there."""
    (lines,) = re.findall(r"^```python\n(.+?)^```", (folder / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(folder)
    exec(compile(lines, "card", "exec"), {})


def rows_of(folder: Path, checkpoint: Path, datasets: str, **keys: Any) -> dict[str, list[tuple[str, str, list[str]]]]:
    """(prompt, answer, twins) of every row that a run would evaluate."""
    keys = dict(dataset=None, eval_dataset=datasets, do_train=False, do_eval=True, cutoff_len=10_000, **keys)
    loaded = load_data(recipe(checkpoint, "qwen2_vl", folder, folder / "out", **keys))
    found: dict[str, list[Any]] = {name: [] for name in datasets.split(",")}
    for row in loaded.evaluation:
        text = loaded.tokenizer.decode(row["input_ids"])
        prompt, answer = re.search(
            r"user\n(.*)<\|im_end\|>\n<\|im_start\|>assistant\n(.*)<\|im_end\|>", text, re.DOTALL
        ).groups()
        prompt = re.sub(r"<\|vision_start\|>.*<\|vision_end\|>", "<image>", prompt)
        found[row["dataset"]].append((prompt, answer, [twin["perturbation"] for twin in row["variants"]]))

    return found


def asked(text: str, *options: str) -> str:
    lines = [f"{letter}: {option}" for letter, option in zip("ABCD", options)]
    return "\n".join(["<image>Question:", text, "Option:", *lines, "Answer with the letter of the right option."])


def save_image(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image(colour)["bytes"])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_cards_are_complete(name):
    assert card_problems(RECIPES / name) == []


def test_i_scienceqa(checkpoint, tmp_path):
    """From the hub's subsets, as Parquet files."""
    folder = copy("i_scienceqa", tmp_path)
    info = json.loads((folder / "dataset_info.json").read_text())
    row = SCIENCEQA_ROWS[0] | {"hint": "Elm is a kind of tree."}
    for name, entry in info.items():
        subset = folder / entry.pop("subset")
        subset.mkdir(exist_ok=True)
        del entry["hf_hub_url"], entry["split"]
        entry["file_name"] = f"{subset.name}/test.parquet"
        Dataset.from_list([row], features=Features(SCIENCEQA)).to_parquet(subset / "test.parquet")

    (folder / "dataset_info.json").write_text(json.dumps(info))
    names = "i_scienceqa_hint_twins,i_scienceqa_insert_hint"
    twins, inserted = rows_of(folder, checkpoint("qwen2_5_vl"), names).values()
    town = ("Which town is nearer to the lake?", "Elm", "Oak")
    assert twins == [(asked(*town), "B", ["given_text"])]
    assert inserted == [(asked(f"Elm is a kind of tree.\n{town[0]}", *town[1:]), "B", [])]


def test_distract_bench(checkpoint, tmp_path, monkeypatch):
    folder = copy("distract_bench", tmp_path)
    rows = [
        {"options": ["$10$", "$15$"], "answer": "B", "question": "Which angle?\n<image1>"},
        {"options": "['True', 'Not sure']", "answer": "A", "question": "Is <image 1> round?"},
        {"options": [], "answer": "85", "question": "How much?"},
    ]
    for number, row in enumerate(rows, start=1):
        row |= {"final_id": str(number), "image": f"images/{number}.png"}
        save_image(folder / "raw" / "data" / "test" / f"{number}.png")

    (folder / "raw" / "data" / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run_lines_of_card(folder, monkeypatch)
    assert main(["check", str(folder), "--data-recipe"]) == 0
    found = rows_of(folder, checkpoint("qwen2_5_vl"), "distract_bench,distract_bench_free", media_dir=str(folder))
    assert found["distract_bench"] == [
        (asked("Which angle?", "$10$", "$15$"), "B", []),
        (asked("Is  round?", "True", "Not sure"), "A", []),
    ]
    assert found["distract_bench_free"] == [("<image>How much?", "85", [])]


def test_mvi_bench(checkpoint, tmp_path, monkeypatch):
    """The right option is the first in the file, and anywhere in the question."""
    folder = copy("mvi_bench", tmp_path)
    choices = ["a cat", "a dog", "a cow", "a fox"]
    row = {"category": "mirror", "question": "What is shown?", "choices": choices, "answer": "a cat"}
    rows = [
        row | {"image": f"mirror/{kind}_{number}.png", "type": kind, "question": f"What is shown in {number}?"}
        for kind in ("normal", "misleading")
        for number in range(8)
    ]
    for found in rows:
        save_image(folder / found["image"])

    (folder / "annotations.json").write_text(json.dumps(rows))
    run_lines_of_card(folder, monkeypatch)
    assert main(["check", str(folder), "--data-recipe"]) == 0
    names = "mvi_bench_normal,mvi_bench_misleading"
    for found in rows_of(folder, checkpoint("qwen2_5_vl"), names, media_dir=str(folder)).values():
        assert len(found) == 8
        assert len({answer for _, answer, _ in found}) > 1
        for prompt, answer, twins in found:
            assert f"{answer}: a cat" in prompt.splitlines()
            assert sorted(line[3:] for line in prompt.splitlines()[3:7]) == sorted(choices)
            assert twins == ["misleading_text", "unrelated_text"]


def test_xmodbench(tmp_path, monkeypatch):
    folder = copy("xmodbench", tmp_path)
    options = {
        letter: {"modality": "Text", "input": text}
        for letter, text in zip("ABCD", ("a bee", "a cat", "a dog", "a cow"))
    }
    sounds = {letter: {"modality": "Audio", "input": "./benchmark/Data/b.wav"} for letter in "ABCD"}
    conditions = [
        ("Audio", "./benchmark/Data/a.wav"),
        ("Image", "Data/a.png"),
        ("Video", "./Data/a.mp4"),
        ("Text", "a bee"),
    ]
    rows = [
        {
            "question": f"What is it, {name}?",
            "conditions": {"modality": name, "input": path},
            "options": options,
            "correct_answer": "C",
        }
        for name, path in conditions
    ]
    tasks = folder / "tasks" / "01_perception" / "natures"
    tasks.mkdir(parents=True)
    (tasks / "natures_questions_audio_text.json").write_text(json.dumps(rows[:1]))
    (tasks / "natures_questions_vision_text.json").write_text(json.dumps([*rows[1:], rows[1] | {"options": sounds}]))
    (tasks / "natures_questions_vision_audio.json").write_text(json.dumps([rows[1] | {"options": sounds}]))
    save_image(folder / "Data" / "a.png")
    write_audio(folder / "Data" / "a.wav")
    write_clip(folder / "Data" / "a.mp4")
    run_lines_of_card(folder, monkeypatch)
    lines = {name: (folder / f"{name}_text.jsonl").read_text().splitlines() for name in ("audio", "image", "video")}
    assert [len(found) for found in lines.values()] == [1, 1, 1]
    assert [json.loads(found[0])["media"] for found in lines.values()] == [
        ["Data/a.wav"],
        ["Data/a.png"],
        ["Data/a.mp4"],
    ]
    assert main(["check", str(folder), "--data-recipe"]) == 0


def test_echobench(checkpoint, tmp_path, monkeypatch):
    folder = copy("echobench", tmp_path)
    cell = base64.b64encode(image("navy")["bytes"]).decode()
    row = {"question": "What is seen?", "A": "a lung", "B": "a heart", "C": None, "answer": "B", "modality": "CT"}
    rows = [
        {"index": 1, "image": cell, "bias_type": "No Bias", "bias_prompt": None, "incorrect_option": None},
        {"index": 2, "image": "1", "bias_type": "Patient", "bias_prompt": "I think it is A.", "incorrect_option": "A"},
        {"index": 3, "image": "1", "bias_type": "Student", "bias_prompt": "My book says A.", "incorrect_option": "A"},
    ]
    pd.DataFrame([found | row for found in rows]).to_csv(folder / "EchoBench.tsv", sep="\t", index=False)
    run_lines_of_card(folder, monkeypatch)
    assert main(["check", str(folder), "--data-recipe"]) == 0
    (found,) = rows_of(folder, checkpoint("qwen2_5_vl"), "echobench", media_dir=str(folder))["echobench"]
    assert found == (asked("What is seen?", "a lung", "a heart"), "B", ["given_text", "given_text_2", "given_text_3"])
    assert os.listdir("images") == ["1.jpg"]
