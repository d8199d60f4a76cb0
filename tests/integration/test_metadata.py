"""What a report says of its run."""

import json
from types import SimpleNamespace

import pytest
from helpers.runs import recipe
from llamafactory.hparams import get_train_args

from modality_interference.integration.metadata import metadata_of, tuning_of
from modality_interference.report.text import tuned
from modality_interference.results import Tuning


LORA, FULL = SimpleNamespace(finetuning_type="lora"), SimpleNamespace(finetuning_type="full")


@pytest.fixture
def folder(tmp_path):
    """What a training and its last checkpoint leave behind."""
    for name, step in (("saves", 30), ("saves/checkpoint-20", 20)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(json.dumps({"global_step": step}))

    (tmp_path / "saves" / "README.md").write_text("---\nbase_model: models/base\n---\n# A card\n")
    return tmp_path / "saves"


def test_adapters(folder):
    found = tuning_of("models/base", ["first", str(folder)], LORA)
    assert found == Tuning(
        base="models/base", method="lora", adapters=["first", str(folder)], steps=30, folder=str(folder)
    )
    assert tuned(found) == f"from models/base with the adapter first and {folder} (lora, 30\N{NO-BREAK SPACE}steps)"


def test_a_checkpoint_of_all_weights(folder):
    found = tuning_of(str(folder / "checkpoint-20"), [], FULL)
    assert found == Tuning(base="models/base", steps=20, folder=str(folder / "checkpoint-20"))
    assert tuned(found).startswith("from models/base (20\N{NO-BREAK SPACE}steps), saved in ")


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"global_step": -1}', '{"global_step": "<b>"}', "[" * 10_000])
def test_what_a_folder_does_not_say_is_left_out(tmp_path, state):
    (tmp_path / "trainer_state.json").write_text(state)
    (tmp_path / "README.md").write_text("---\nbase_model: [\n---\n")
    assert tuning_of(str(tmp_path), [], FULL) == Tuning(folder=str(tmp_path))


def test_a_model_from_elsewhere(tmp_path):
    (tmp_path / "README.md").write_text("---\nbase_model: Qwen/Qwen2.5-VL-3B\n---\n")
    assert tuning_of(str(tmp_path), [], FULL) is None
    assert tuning_of("Qwen/Qwen2.5-VL-3B-Instruct", [], LORA) is None


@pytest.mark.parametrize("elsewhere", [False, True])
def test_where_media_start_is_said_where_it_is_elsewhere(checkpoint, datasets, tmp_path, elsewhere):
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / "out")
    model_args, data_args, training_args, finetuning_args, _ = get_train_args(
        keys | ({"media_dir": str(tmp_path)} if elsewhere else {})
    )
    data = metadata_of(model_args, data_args, training_args, finetuning_args).data
    assert data["dataset_dir"] == str(datasets) and data.get("media_dir") == (str(tmp_path) if elsewhere else None)
