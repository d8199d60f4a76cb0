"""The recipe for MMA-Bench: every step of its card, on clips that the test draws, up to the tokenized rows."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.clip_files import CLASSES, write_labelled
from helpers.loading import load_data
from helpers.runs import recipe

from modality_interference.cli import main
from modality_interference.modality import Modality


RECIPE = Path(__file__).parents[2] / "data_recipes" / "mma_bench"
NAMES = sorted(CLASSES)[:3]
CLIPS = {"test": 2, "train": 3}  # of a class
TRAINING = {
    "mma_bench_alignment": {"swapped_audio", "swapped_video"},
    "mma_bench_twins": {"swapped_audio", "swapped_video", "silence", "black_frames", "misleading_caption"},
}
ABSTENTION = "None of the above"
VIDEO, AUDIO = Modality.VIDEO.bit, Modality.AUDIO.bit
CHANGES_VIDEO = {"swapped_video", "black_frames"}
CHANGES_AUDIO = {"swapped_audio", "silence"}


def info(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))


def commands(card: str) -> list[list[str]]:
    """The card's commands, without the options in brackets."""
    blocks = "".join(re.findall(r"```bash\n(.*?)```", card, flags=re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(re.sub(r"\[.*?\]", "", line))[1:] for line in blocks.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the recipe, after the steps of its card."""
    home = tmp_path_factory.mktemp("mma_bench")
    copied = Path(shutil.copytree(RECIPE, home / "data_recipes" / "mma_bench"))
    for part, number in CLIPS.items():
        write_labelled(home / f"raw_{part}", NAMES, per_class=number)

    for words in commands((copied / "README.md").read_text(encoding="utf-8")):
        words = [str(home / word) if word.startswith(("raw", "data_recipes")) else word for word in words]
        assert main([*words, *(["--size", "64", "--workers", "1"] if "prepare" in words else [])]) == 0

    entries = info(copied)
    for name in (*TRAINING, "mma_bench_grounded"):  # as the card tells
        entries[name]["twins"]["classes"] = entries["mma_bench_train"]["twins"]["classes"]

    (copied / "dataset_info.json").write_text(json.dumps(entries))
    return copied


def load(folder: Path, checkpoint: Path, output: Path, key: str, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    keys = {"dataset": None, key: ",".join(names), "cutoff_len": 100_000, "media_dir": None}
    keys |= {} if key == "dataset" else {"do_train": False, "do_eval": True}
    loaded = load_data(recipe(checkpoint, "qwen2_omni", folder, output, **keys))
    found = loaded.train if key == "dataset" else loaded.evaluation
    return {name: [row for row in found if row["dataset"] == name] for name in names}


def lines(folder: Path, part: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / f"mma_bench_{part}.jsonl").read_text().splitlines()]


def check_rows(rows: list[dict[str, Any]], clips: list[dict[str, str]], perturbations: set[str]) -> None:
    """Two questions per clip; a twin never changes the modality that its question asks for."""
    assert len(rows) == 2 * len(clips)
    for row in rows:
        clip = clips[row["clip"]]
        seen = row["relevant"] == VIDEO
        assert seen or row["relevant"] == AUDIO
        assert row["choices"][row["answer"]] == clip["visual_label" if seen else "audio_label"]
        assert sorted(row["choices"]) == NAMES
        twins = {twin["perturbation"]: twin["target"] for twin in row["variants"]}
        assert set(twins) == perturbations - (CHANGES_VIDEO if seen else CHANGES_AUDIO)
        swapped = ("swapped_audio", "swapped_audio_label") if seen else ("swapped_video", "swapped_visual_label")
        assert twins[swapped[0]] == clip[swapped[1]] != row["choices"][row["answer"]]


def test_training_rows(folder: Path, checkpoint: Callable[[str], Path], tmp_path: Path):
    found = load(folder, checkpoint("qwen2_5_omni"), tmp_path, "dataset", list(TRAINING))
    for name, perturbations in TRAINING.items():
        check_rows(found[name], lines(folder, "train"), perturbations)


def test_rows_without_the_asked_modality(folder: Path, checkpoint: Callable[[str], Path], tmp_path: Path):
    keys = dict(dataset="mma_bench_grounded", cutoff_len=100_000, media_dir=None, counterfactual_weight=1.0)
    rows = load_data(recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", folder, tmp_path, **keys)).train
    assert len(rows) == 2 * 9
    for row in rows:
        asked = "video" if row["relevant"] == VIDEO else "audio"
        assert row["abstention"] == ABSTENTION == row["choices"][-1] and row["choices"][row["answer"]] in NAMES
        (gone,) = row["counterfactuals"]
        removed = {"video": "black_frames", "audio": "silence"}[asked]
        assert gone["perturbation"] == f"counterfactual_{removed}"
        assert gone[f"{asked}_references"] == ["removed:row:0"]


def test_test_rows(folder: Path, checkpoint: Callable[[str], Path], tmp_path: Path):
    names = ["mma_bench_test", "mma_bench_test_removed"]
    found = load(folder, checkpoint("qwen2_5_omni"), tmp_path, "eval_dataset", names)
    check_rows(found[names[0]], lines(folder, "test"), TRAINING["mma_bench_twins"] | {"long_context"})
    for row in found[names[1]]:
        (asked, label) = ("video", "visual_label") if row["relevant"] == VIDEO else ("audio", "audio_label")
        assert row["choices"][row["answer"]] == lines(folder, "test")[row["clip"]][label]
        assert sorted(row["choices"]) == NAMES and row[f"{asked}_references"] == ["removed:row:0"]
        assert not row["variants"]


def test_the_benchmarks_clips_are_not_trained_on(folder: Path):
    for part, number in CLIPS.items():
        clips = lines(folder, part)
        assert len(clips) == 3 * number
        assert {clip[key].split("/")[0] for clip in clips for key in ("video", "swapped_video")} == {f"clips_{part}"}


def test_entries_are_those_that_pair_writes(folder: Path):
    shipped, written = info(RECIPE), info(folder)
    for name in (name for name in shipped if name not in TRAINING):
        assert written[name]["twins"].pop("classes") == NAMES
        assert written[name] == shipped[name]

    for name in TRAINING:
        assert {key: value for key, value in shipped[name].items() if key != "twins"} == {
            key: value for key, value in written["mma_bench_train"].items() if key != "twins"
        }
        assert shipped[name]["twins"]["question"] == written["mma_bench_train"]["twins"]["question"]


def test_check_finds_nothing_once_the_steps_are_done(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(folder), "--data-recipe"]) == 0, capsys.readouterr().out


def test_check_asks_for_nothing_but_the_files_to_bring(capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(RECIPE), "--data-recipe"]) == 1
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert len(problems) == len(info(RECIPE))
    assert all(re.search(r"'mma_bench_(train|test)\.jsonl' does not exist", line) for line in problems)


def test_the_card_speaks_of_every_dataset():
    card = (RECIPE / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in card for name in info(RECIPE))
