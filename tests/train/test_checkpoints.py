"""Checkpoints: which are deleted, and what is said of those that cannot be written or bring no optimizer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import TrainingArguments

from modality_interference.errors import ModalityInterferenceError
from modality_interference.train.checkpoints import (
    begin,
    choose_checkpoint,
    choose_direction,
    explained,
    finish,
    last_complete,
    rotate,
)


def write(folder: Path, *steps: int) -> list[Path]:
    """Complete checkpoints; the clock went backwards between them."""
    folders = [folder / f"checkpoint-{step}" for step in steps]
    for age, checkpoint in enumerate(folders):
        begin(checkpoint)
        finish(checkpoint)
        os.utime(checkpoint, (10**9 - age, 10**9 - age))

    return folders


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("checkpoint-*"))


@pytest.mark.parametrize("limit", [None, 0, 1, 2, 5])
def test_the_newest_by_step_stay_whatever_the_clock_says(tmp_path, limit):
    *_, newest = write(tmp_path, 2, 4, 10)
    rotate(newest, limit, best=None)
    assert steps(tmp_path) == ([2, 4, 10][-limit:] if limit else [2, 4, 10])


def test_the_best_stays(tmp_path):
    best, *_, newest = write(tmp_path, 2, 4, 6, 8)
    rotate(newest, 1, best=str(best))
    assert steps(tmp_path) == [2, 8]


def test_checkpoints_of_an_earlier_run_and_torn_ones_go_first(tmp_path):
    write(tmp_path, 4, 90)
    begin(tmp_path / "checkpoint-6")
    (newest,) = write(tmp_path, 8)
    rotate(newest, 3, best=None)
    assert steps(tmp_path) == [4, 8, 90]
    rotate(newest, 2, best=None)
    assert steps(tmp_path) == [4, 8]


def test_a_deletion_that_is_cut_short_leaves_no_checkpoint(tmp_path, monkeypatch):
    oldest, newest = write(tmp_path, 2, 4)
    (oldest / "model.safetensors").touch()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # the process is killed here
        rotate(newest, 1, best=None)

    assert steps(tmp_path) == [4] and last_complete(tmp_path) == newest
    assert list(tmp_path.glob(".deleted-*"))
    rotate(newest, 1, best=None)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]


PROGRAM = """
import resource, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from modality_interference.train.checkpoints import explained

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
folder = Path(sys.argv[1])
with explained(folder):
    if sys.argv[2] == "torch":
        torch.save({"weight": torch.zeros(100_000)}, folder / "optimizer.pt")
    else:
        save_file({"weight": torch.zeros(100_000)}, folder / "model.safetensors")
"""


@pytest.mark.parametrize("library", ["safetensors", pytest.param("torch", marks=pytest.mark.engines)])
def test_a_disk_that_takes_no_more(tmp_path, library):
    whole, torn = write(tmp_path, 2, 4)
    begin(torn)
    done = subprocess.run([sys.executable, "-c", PROGRAM, torn, library], capture_output=True, text=True, check=False)
    *_, message = [line for line in done.stderr.splitlines() if "ModalityInterferenceError" in line]
    assert f"Cannot write the checkpoint {torn}: " in message
    assert f"Free some space or make the folder writable, and start again: the run continues from {whole}." in message


def test_other_errors_pass(tmp_path):
    with pytest.raises(RuntimeError, match="of the model"), explained(tmp_path / "checkpoint-2"):
        raise RuntimeError("of the model")


@pytest.mark.parametrize("state", ["optimizer.pt", "global_step2", None])
def test_a_checkpoint_without_an_optimizer_is_said_to_start_it_anew(tmp_path, warnings, state):
    (checkpoint,) = write(tmp_path, 2)
    if state:
        (checkpoint / state).touch()

    arguments = SimpleNamespace(do_train=True, resume_from_checkpoint=str(checkpoint), output_dir=str(tmp_path))
    choose_checkpoint({"output_dir": str(tmp_path)}, arguments)
    assert arguments.resume_from_checkpoint == str(checkpoint)
    said = [text for text in warnings if f"{checkpoint} holds no state of the optimizer" in text]
    assert len(said) == (state is None)
    assert all("the learning-rate schedule" in text for text in said)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, False),
        ({"resume_from_checkpoint": None}, False),  # as LLaMA-Factory's own recipes say
        ({"resume_from_checkpoint": "out/checkpoint-4"}, True),
        (["--output_dir", "out"], False),
        (["--resume_from_checkpoint", "out/checkpoint-4"], True),
    ],
)
def test_a_torn_checkpoint_is_skipped_unless_the_user_names_it(tmp_path, given, named):
    whole, torn = write(tmp_path, 2, 4)
    begin(torn)
    arguments = SimpleNamespace(do_train=True, resume_from_checkpoint=str(torn), output_dir=str(tmp_path))
    if named:
        with pytest.raises(
            ModalityInterferenceError, match="was not written to its end. Use `resume_from_checkpoint: "
        ):
            choose_checkpoint(given, arguments)
    else:
        choose_checkpoint(given, arguments)
        assert arguments.resume_from_checkpoint == str(whole)


@pytest.mark.parametrize(
    ("metric", "greater"),
    [
        ("eval_pictures_misleading_text_flip_rate", False),
        ("pictures_black_image_causal_effect", False),
        ("eval_d_misleading_text_misled_rate", False),
        ("eval_d_misleading_text_excess_misled_rate", False),
        ("eval_d_swapped_video_other_modality_rate", False),
        ("eval_d_clean_ece", False),
        ("eval_d_counterfactual_black_image_unchanged_rate", False),
        ("eval_d_clean_unparsable_rate", False),
        ("eval_d_clean_false_abstention_rate", False),
        ("eval_rewards/flip_rate_misleading_text", False),
        ("eval_d_silence_abstention_rate", True),
        ("eval_d_misleading_text_accuracy", True),
        ("eval_d_clean_accuracy_norm", True),
        ("eval_rewards/accuracies", True),
        ("loss", False),  # transformers' own rule
    ],
)
def test_of_rates_that_are_better_the_less_there_is_the_least_is_best(tmp_path, metric, greater):
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, metric_for_best_model=metric)
    assert arguments.greater_is_better is (not metric.endswith("loss"))
    choose_direction({"metric_for_best_model"}, arguments)
    assert arguments.greater_is_better is greater


def test_the_most_flips_are_not_asked_for(tmp_path):
    keys = dict(metric_for_best_model="eval_d_misleading_text_flip_rate", greater_is_better=True, use_cpu=True)
    with pytest.raises(
        ModalityInterferenceError, match="`greater_is_better: true` with .* keeps the worst checkpoint"
    ):
        choose_direction(keys.keys(), TrainingArguments(str(tmp_path), **keys))

    arguments = TrainingArguments(str(tmp_path), **keys | {"greater_is_better": False})
    choose_direction(keys.keys(), arguments)
    assert arguments.greater_is_better is False


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(ModalityInterferenceError, match="Cannot write the checkpoint .*: Not a directory"):
        begin(tmp_path / "out" / "checkpoint-2")
