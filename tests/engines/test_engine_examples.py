"""The engines' examples: they parse as written, differ in their engine only, and are in the index."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.engines.launching import ENGINES, EXAMPLES
from llamafactory.hparams import get_ray_args, get_train_args


FOLDER = EXAMPLES / "engines"
# what each engine asks of a recipe; FSDP2 is asked for in `accelerate launch`'s configuration
OF_THE_ENGINE = {
    "ddp": {},
    "zero2": {"deepspeed": "examples/deepspeed/ds_z2_config.json"},
    "zero3": {"deepspeed": "examples/deepspeed/ds_z3_config.json"},
    "zero3_offload": {"deepspeed": "examples/deepspeed/ds_z3_offload_config.json"},
    "fsdp2": {},
    "ray": {"ray_num_workers": 2},
}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def test_every_engine_has_an_example():
    assert set(OF_THE_ENGINE) == set(ENGINES)
    recipes = {path.stem for path in FOLDER.glob("*.yaml")} - {"fsdp2_accelerate"}
    assert recipes == set(ENGINES)


@pytest.mark.parametrize("name", ENGINES)
def test_examples_differ_in_the_engine_only(name: str):
    base = read("ddp")
    assert read(name) == base | {"output_dir": f"saves/engines/{name}"} | OF_THE_ENGINE[name]


@pytest.mark.parametrize("name", ENGINES)
def test_example_parses(name: str, checkpoint, datasets, tmp_path: Path):
    own = {"model_name_or_path": str(checkpoint("qwen2_5_vl")), "output_dir": str(tmp_path), "use_cpu": True}
    written = read(name)
    assert get_ray_args({**written, **own}).ray_num_workers == OF_THE_ENGINE[name].get("ray_num_workers", 1)
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
    config = json.loads((EXAMPLES.parent / read(name)["deepspeed"]).read_text())
    assert config["zero_optimization"]["stage"] == stage
    assert ("offload_param" in config["zero_optimization"]) == offload
    assert ENGINES[name].deepspeed == read(name)["deepspeed"].removeprefix("examples/")


def test_accelerate_configuration():
    config = yaml.safe_load((FOLDER / "fsdp2_accelerate.yaml").read_text())
    assert config["distributed_type"] == "FSDP"
    assert config["fsdp_config"]["fsdp_version"] == 2
    assert config["mixed_precision"] == "no"  # as in the recipe


@pytest.mark.parametrize("name", ENGINES)
def test_the_index_names_recipe_and_command(name: str):
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}.yaml`" in index
    (command,) = re.findall(rf"`([^`]*examples/engines/{name}\.yaml)`", index)
    own = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[1].removeprefix("# ")
    assert own.replace(" NPROC_PER_NODE=2", "") == command
