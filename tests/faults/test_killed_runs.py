"""Runs that are killed at any moment continue as if nothing had happened."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from datasets import load_from_disk
from helpers.loading import load_data
from helpers.runs import recipe, write_datasets
from llamafactory.hparams import get_train_args
from llamafactory.train.tuner import run_exp
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from modality_interference.errors import ModalityInterferenceError
from modality_interference.train.checkpoints import MARK, begin, finish, last_complete


FAMILY, TEMPLATE = "qwen2_5_vl", "qwen2_vl"
STEPS = 40
RUN: dict[str, Any] = dict(
    dataset="pictures,sums,plain",
    batch_mix="image=1,text=1,plain=1",
    per_device_train_batch_size=3,
    twins_per_example=1,
    max_steps=STEPS,
    save_strategy="steps",
    save_steps=2,
    save_total_limit=2,
)


# what a killed run has to bring back beside the steps of the plain one
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "freelb": dict(adversarial_method="freelb"),
    "accumulation": dict(gradient_accumulation_steps=2),
    "one checkpoint": dict(save_total_limit=1),
}
ALL_TOGETHER = {key: value for case in CASES.values() for key, value in case.items()}


class Fork:
    """A training in a fork of this process, which has everything imported."""

    def __init__(self, keys: dict[str, Any]) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=run_exp, args=(keys,))
        self._process.start()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        assert self._process.exitcode == -signal.SIGKILL, "it has finished before"

    def end(self) -> None:
        self._process.join()
        assert self._process.exitcode == 0


class TwoRanks:
    """A training on two processes under DDP; every second one is killed as a whole, the others by one of their ranks."""

    kills = 0

    def __init__(self, keys: dict[str, Any]) -> None:
        self._output = Path(keys["output_dir"])
        file = self._output.with_suffix(".yaml")
        file.write_text(yaml.safe_dump(keys))
        self._log = self._output.with_suffix(".txt")
        cli = Path(sys.executable).parent / "llamafactory-cli"
        path = os.pathsep.join([str(cli.parent), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2", "OMP_NUM_THREADS": "1"}
        with open(self._log, "w") as log:
            self._process = subprocess.Popen([cli, "train", file], env=environment, stdout=log, stderr=log)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        assert self.is_alive(), "it has finished before"
        TwoRanks.kills += 1
        everyone = psutil.Process(self._process.pid).children(recursive=True)
        if TwoRanks.kills % 2:
            ranks = [process for process in everyone if is_rank(process) and not is_rank(process.parent())]
            assert len(ranks) == 2  # whose own children have their environment
            random.Random(TwoRanks.kills).choice(ranks).kill()
        else:
            for process in everyone:
                process.kill()

        assert self._process.wait(timeout=120) != 0  # where a rank dies, torchrun ends the other

    def end(self) -> None:
        assert self._process.wait(timeout=600) == 0, self._log.read_text()[-3000:]


def is_rank(process: psutil.Process) -> bool:
    return "LOCAL_RANK" in process.environ()


def step_of(folder: Path | None) -> int:
    return 0 if folder is None else int(folder.name.split("-")[1])


def wait_until(condition, process: Fork | TwoRanks) -> None:
    deadline = time.monotonic() + 300
    while not condition() and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def being_written(output: Path) -> bool:
    return any(output.glob(f"checkpoint-*/{MARK}"))


def logged(output: Path) -> dict[int, float]:
    """The loss of every step, of which a resumed run writes some again."""
    lines = [
        json.loads(line) for line in (output / "trainer_log.jsonl").read_text().splitlines() if line.endswith("}")
    ]
    return {line["current_steps"]: line["loss"] for line in lines if "loss" in line}


def same_tensors(one: Any, other: Any) -> bool:
    """Whether two nests of tensors and numbers are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)

    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_tensors(one[key], other[key]) for key in one)

    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_tensors, one, other))

    return one == other


def kill_and_compare(start: type[Fork] | type[TwoRanks], keys: dict[str, Any], kills: int) -> None:
    """SIGKILL at random moments of training and in the middle of writing checkpoints, in turns; then compare with a calm run."""
    output = Path(keys["output_dir"])
    calm_folder = output.with_name("calm")
    start(keys | {"output_dir": str(calm_folder)}).end()
    rng, torn = random.Random(0), 0
    for number in range(kills):
        begun = step_of(last_complete(output))
        process = start(keys)
        wait_until(lambda: step_of(last_complete(output)) > begun, process)
        if number % 2:
            wait_until(lambda: being_written(output), process)
            time.sleep(rng.uniform(0, 0.03))
        else:
            time.sleep(rng.uniform(0, 0.15))

        process.kill()
        torn += being_written(output)

    assert torn >= 1, "no kill hit a checkpoint that was being written"
    start(keys).end()
    assert same_tensors(load_file(calm_folder / "model.safetensors"), load_file(output / "model.safetensors"))
    newest = f"checkpoint-{keys['max_steps']}"
    optimizers = [torch.load(folder / newest / "optimizer.pt") for folder in (calm_folder, output)]
    assert same_tensors(*optimizers)
    assert len(list(output.glob("checkpoint-*"))) == keys["save_total_limit"]
    losses, again = logged(calm_folder), logged(output)
    assert set(losses) == set(range(1, keys["max_steps"] + 1)) and losses == again


@pytest.fixture
def keys(checkpoint, datasets, tmp_path):
    return lambda **overrides: recipe(checkpoint(FAMILY), TEMPLATE, datasets, tmp_path / "killed", **RUN | overrides)


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_like_one_that_was_not(keys):
    kill_and_compare(Fork, keys(), kills=10)


@pytest.mark.engines
def test_the_same_with_everything_that_a_step_may_have(keys):
    kill_and_compare(Fork, keys(max_steps=24, **ALL_TOGETHER), kills=2)


@pytest.mark.engines
@pytest.mark.parametrize("case", list(CASES)[1:])
def test_the_same_in_every_case(keys, case):
    kill_and_compare(Fork, keys(**CASES[case]), kills=10)


@pytest.mark.engines
@pytest.mark.parametrize("case", CASES)
def test_the_same_on_two_ranks(keys, case):
    """A killed rank, and a killed job."""
    kill_and_compare(TwoRanks, keys(max_steps=200, save_steps=5, **CASES[case]), kills=4)


def prepare(keys: dict[str, Any]) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=load_data, args=(keys,))
    process.start()
    return process


def finish_preparing(keys: dict[str, Any]) -> None:
    process = prepare(keys)
    process.join()
    assert process.exitcode == 0


def test_a_tokenized_path_that_was_being_written(checkpoint, tmp_path):
    """Killed at any moment, the same command writes it whole."""
    folder = write_datasets(tmp_path / "data", rows=100)

    def keys(name: str) -> dict[str, Any]:
        paths = {"tokenized_path": str(tmp_path / name), "cache_dir": str(tmp_path / "cache")}
        return recipe(checkpoint(FAMILY), TEMPLATE, folder, tmp_path / "out", dataset="pictures", **paths)

    finish_preparing(keys("calm"))
    rng, torn = random.Random(0), 0
    partial = tmp_path / ".killed.partial"
    for _ in range(5):
        shutil.rmtree(partial, ignore_errors=True)
        process = prepare(keys("killed"))
        while not partial.exists() and process.is_alive():
            time.sleep(0.0002)

        time.sleep(rng.uniform(0, 0.002))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        torn += partial.exists()
        if (tmp_path / "killed").exists():  # the kill came too late
            assert not partial.exists()
            shutil.rmtree(tmp_path / "killed")

    assert torn >= 1, "no kill hit the folder while it was being written"
    finish_preparing(keys("killed"))  # beside what is left of the last
    assert not partial.exists()
    finish_preparing(keys("killed"))  # read from there
    calm, killed = (load_from_disk(tmp_path / name)["train"].to_list() for name in ("calm", "killed"))
    assert len(calm) == 100 and calm == killed


@pytest.mark.slow
def test_resuming_on_two_ranks_is_exact(checkpoint, datasets, tmp_path):
    cli = Path(sys.executable).parent / "llamafactory-cli"
    path = os.pathsep.join([str(cli.parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2", "OMP_NUM_THREADS": "1"}

    def run(name: str, **overrides: Any) -> Path:
        changed = RUN | dict(max_steps=6, save_steps=3) | overrides
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(recipe(checkpoint(FAMILY), TEMPLATE, datasets, tmp_path / name, **changed)))
        done = subprocess.run([cli, "train", file], env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return tmp_path / name

    whole = run("whole")
    rest = run("rest", resume_from_checkpoint=str(whole / "checkpoint-3"))
    assert same_tensors(load_file(whole / "model.safetensors"), load_file(rest / "model.safetensors"))
    halfway = load_file(whole / "checkpoint-3" / "model.safetensors")
    assert not same_tensors(halfway, load_file(whole / "model.safetensors"))
    losses = logged(whole)
    assert logged(rest) == {step: losses[step] for step in (4, 5, 6)}


def test_weights_in_float32_beside_a_frozen_tower_in_bfloat16_come_back_as_they_were(checkpoint, datasets, tmp_path):
    """A checkpoint names one type for all of its weights, which is that of the tower."""
    base = tmp_path / "base"
    shutil.copytree(checkpoint(FAMILY), base)
    AutoModelForImageTextToText.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)

    def run(name: str, **overrides: Any) -> Path:
        changed = RUN | dict(max_steps=4, save_steps=2, bf16=True, freeze_vision_tower=True) | overrides
        run_exp(recipe(base, TEMPLATE, datasets, tmp_path / name, **changed))
        return tmp_path / name

    whole = run("whole")
    halfway = load_file(whole / "checkpoint-2" / "model.safetensors")
    assert {tensor.dtype for tensor in halfway.values()} == {torch.float32, torch.bfloat16}
    assert json.loads((whole / "checkpoint-2" / "config.json").read_text())["dtype"] == "bfloat16"
    rest = run("rest", resume_from_checkpoint=str(whole / "checkpoint-2"))
    assert same_tensors(load_file(whole / "model.safetensors"), load_file(rest / "model.safetensors"))


def test_the_newest_whole_checkpoint(tmp_path):
    assert last_complete(tmp_path / "nowhere") is None
    for step in (2, 10, 8):
        begin(tmp_path / f"checkpoint-{step}")

    assert last_complete(tmp_path) is None
    finish(tmp_path / "checkpoint-2")
    finish(tmp_path / "checkpoint-8")
    assert last_complete(tmp_path) == tmp_path / "checkpoint-8"
    finish(tmp_path / "checkpoint-10")
    assert last_complete(tmp_path) == tmp_path / "checkpoint-10"


def test_what_a_recipe_resumes_from(checkpoint, datasets, tmp_path, warnings):
    """The newest checkpoint, if whole; else the one before; a torn one by name is refused."""
    keys = recipe(checkpoint(FAMILY), TEMPLATE, datasets, tmp_path / "out", **RUN)
    for step in (4, 6):
        begin(tmp_path / "out" / f"checkpoint-{step}")
        (tmp_path / "out" / f"checkpoint-{step}" / "optimizer.pt").touch()

    whole, torn = (tmp_path / "out" / f"checkpoint-{step}" for step in (4, 6))

    def resumed_from(**overrides: Any) -> str | None:
        return get_train_args(keys | overrides)[2].resume_from_checkpoint

    assert resumed_from() is None
    finish(whole)
    assert resumed_from() == str(whole) == resumed_from(resume_from_checkpoint="true")
    with pytest.raises(ModalityInterferenceError, match=f"{torn} was not written to its end. Use .*{whole}`"):
        resumed_from(resume_from_checkpoint=str(torn))

    finish(torn)
    assert resumed_from() == resumed_from(resume_from_checkpoint=str(torn)) == str(torn)
    assert not any("overwrite_output_dir" in text for text in warnings)
    assert resumed_from(overwrite_output_dir=True) is None
    assert any(f"starts from the beginning, and {torn} will be deleted" in text for text in warnings)
