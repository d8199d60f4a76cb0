"""Engines, and how two CPU processes are started on each through LLaMA-Factory's own ways in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file
from torch import Tensor

from helpers.recipes import EXAMPLES


HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
TIMEOUT = 900  # seconds; a hang must fail, not stall
TORCHRUN = (str(BIN / "torchrun"), "--standalone", "--nproc_per_node", "2")
RAY_ON_CPUS = {"num_cpus": 20, "include_dashboard": False}  # ten to each worker, by LLaMA-Factory's wish


@dataclass(frozen=True)
class Engine:
    """An engine of the table.

    Attributes:
        title: its name in the table.
        wrapper: a class that the model it trains must be of.
        command: what starts `worker.py`; the accelerate configuration goes where it says `{config}`.
        keys: recipe keys.
        variables: environment variables.
        zero_stage: DeepSpeed's stage.
        deepspeed: its configuration below `examples/`.
        sharded: whether all parameters must be DTensors.
    """

    title: str
    wrapper: str
    command: tuple[str, ...] = TORCHRUN
    keys: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    zero_stage: int | None = None
    deepspeed: str | None = None
    sharded: bool = False


ACCELERATE = (
    str(BIN / "accelerate"), "launch", "--config_file", "{config}", "--main_process_port", "0",
)  # fmt: skip
ENGINES = {
    "ddp": Engine("DDP", "DistributedDataParallel", keys={"use_cpu": True}),
    "zero2": Engine("DeepSpeed ZeRO-2", "DeepSpeedEngine", zero_stage=2, deepspeed="deepspeed/ds_z2_config.json"),
    "zero3": Engine("DeepSpeed ZeRO-3", "DeepSpeedEngine", zero_stage=3, deepspeed="deepspeed/ds_z3_config.json"),
    "zero3_offload": Engine(
        "DeepSpeed ZeRO-3, CPU offload",
        "DeepSpeedEngine",
        zero_stage=3,
        deepspeed="deepspeed/ds_z3_offload_config.json",
    ),
    "fsdp2": Engine("FSDP2", "FSDPModule", ACCELERATE, {"use_cpu": True}, sharded=True),
    "ray": Engine(
        "Ray",
        "DistributedDataParallel",
        (sys.executable,),
        {"use_cpu": True, "ray_num_workers": 2, "ray_init_kwargs": RAY_ON_CPUS},
        {"USE_RAY": "1"},
    ),
}
SINGLE = Engine("one process", "Qwen2_5_VLForConditionalGeneration", (sys.executable,), {"use_cpu": True})


def launch(engine: Engine, recipes: list[dict[str, Any]], folder: Path) -> None:
    """Train recipes on an engine, in one launch.

    Raises:
        AssertionError: with the end of the launch's output, where it failed.
        subprocess.TimeoutExpired: where it hangs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = dict(engine.keys)
    if engine.deepspeed is not None:
        keys["deepspeed"] = str(_deepspeed_on_cpu(EXAMPLES / engine.deepspeed, folder))

    job = folder / "job.json"
    job.write_text(json.dumps([{**recipe, **keys} for recipe in recipes]))
    command = [word.format(config=folder / "accelerate.yaml") for word in engine.command]
    if command != list(engine.command):
        _accelerate_on_cpu(EXAMPLES / "accelerate" / "fsdp2_config.yaml", folder)

    variables = {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "DS_ACCELERATOR": "cpu",
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(
            os.pathsep
        ),  # of `helpers`
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    log = folder / "launch.txt"
    with open(log, "w") as output:
        ended = subprocess.run(
            [*command, str(HERE / "worker.py"), str(job)],
            env=os.environ | variables | engine.variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
        )

    assert ended.returncode == 0, log.read_text()[-6000:]


def _deepspeed_on_cpu(config: Path, folder: Path) -> Path:
    """The checked-in configuration, without pinned memory and without a C++ optimizer that would have to be compiled."""
    content = json.loads(config.read_text())
    for key in ("offload_optimizer", "offload_param"):
        if key in content["zero_optimization"]:
            content["zero_optimization"][key]["pin_memory"] = False
            content["zero_force_ds_cpu_optimizer"] = False

    changed = folder / config.name
    changed.write_text(json.dumps(content))
    return changed


def _accelerate_on_cpu(config: Path, folder: Path) -> None:
    """The checked-in configuration in float32."""
    content = yaml.safe_load(config.read_text()) | {"mixed_precision": "no"}
    (folder / "accelerate.yaml").write_text(yaml.safe_dump(content))


def wrappers(output_dir: Path) -> Iterator[dict[str, Any]]:
    """How each rank of a run had its model wrapped."""
    for path in sorted(output_dir.glob("wrapper_*.json")):
        yield json.loads(path.read_text())


def weights(output_dir: Path) -> dict[str, Tensor]:
    """What a run has saved, all weights or the adapter's."""
    (path,) = output_dir.glob("*model.safetensors")
    return load_file(path)


def logged(output_dir: Path) -> list[dict[str, float]]:
    """The lines of `trainer_log.jsonl` that report a loss."""
    lines = [json.loads(line) for line in (output_dir / "trainer_log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]
