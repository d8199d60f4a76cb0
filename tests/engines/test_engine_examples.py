"""The engines' table of examples/README.md: its commands parse as written, differ in their engine only, and name every engine."""

import json
from pathlib import Path

import pytest
import yaml
from helpers.engines.launching import ENGINES
from helpers.recipes import EXAMPLES, ROOT, Recipe, engines
from llamafactory.hparams import get_ray_args, get_train_args


COMMANDS = engines()
TORCHRUN = ["FORCE_TORCHRUN=1", "llamafactory-cli", "train"]
# how each engine is started, and what it asks of a recipe; FSDP2 is asked for in the configuration of `accelerate launch`
OF_THE_ENGINE = {
    "ddp": (TORCHRUN, {}),
    "zero2": (TORCHRUN, {"deepspeed": "examples/deepspeed/ds_z2_config.json"}),
    "zero3": (TORCHRUN, {"deepspeed": "examples/deepspeed/ds_z3_config.json"}),
    "zero3_offload": (TORCHRUN, {"deepspeed": "examples/deepspeed/ds_z3_offload_config.json"}),
    "fsdp2": (
        [
            "accelerate",
            "launch",
            "--config_file",
            "examples/accelerate/fsdp2_config.yaml",
            "-m",
            "llamafactory.launcher",
        ],
        {},
    ),
    "ray": (["USE_RAY=1", "llamafactory-cli", "train"], {"ray_num_workers": 2}),
}


def recipe(name: str) -> Recipe:
    return COMMANDS[ENGINES[name].title][1]


def test_every_engine_is_in_the_table():
    assert set(OF_THE_ENGINE) == set(ENGINES)
    assert list(COMMANDS) == [engine.title for engine in ENGINES.values()]


@pytest.mark.parametrize("name", ENGINES)
def test_commands_differ_in_the_engine_only(name: str):
    start, keys = OF_THE_ENGINE[name]
    assert COMMANDS[ENGINES[name].title][0] == start
    base = Recipe("engines", EXAMPLES / "engines.yaml").keys
    assert recipe(name).keys == base | {"output_dir": f"saves/engines/{name}"} | keys


@pytest.mark.parametrize("name", ENGINES)
def test_command_parses(name: str, checkpoint, tmp_path: Path):
    own = {"model_name_or_path": str(checkpoint("qwen2_5_vl")), "output_dir": str(tmp_path), "use_cpu": True}
    written = recipe(name).keys
    assert get_ray_args({**written, **own}).ray_num_workers == OF_THE_ENGINE[name][1].get("ray_num_workers", 1)
    # DeepSpeed is refused outside of a distributed launch, which `test_engines.py` is
    parsed = get_train_args({**written, **own, "deepspeed": None})
    for key in written.keys() - {*own, "deepspeed"}:
        values = [getattr(owner, key) for owner in parsed if hasattr(owner, key)]
        assert values, key
        values = [getattr(value, "value", value) for value in values]  # of enumerations
        texts = [",".join(value) if isinstance(value, list) else str(value) for value in values]
        assert str(written[key]) in texts or written[key] == "none", key


@pytest.mark.parametrize(
    ("name", "stage", "offload"), [("zero2", 2, False), ("zero3", 3, False), ("zero3_offload", 3, True)]
)
def test_deepspeed_configurations(name: str, stage: int, offload: bool):
    path = recipe(name).keys["deepspeed"]
    config = json.loads((ROOT / path).read_text())
    assert config["zero_optimization"]["stage"] == stage
    assert ("offload_param" in config["zero_optimization"]) == offload
    assert ENGINES[name].deepspeed == path.removeprefix("examples/")


def test_accelerate_configuration():
    config = yaml.safe_load((EXAMPLES / "accelerate" / "fsdp2_config.yaml").read_text())
    assert config["distributed_type"] == "FSDP"
    assert config["fsdp_config"]["fsdp_version"] == 2
    assert config["mixed_precision"] == "no"  # as in the recipe
