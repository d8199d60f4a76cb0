"""Presets in recipes, whichever way these come: which keys count as written, and where the values are seen."""

import json
import logging
import sys
from typing import Any

import pytest
import yaml
from helpers.runs import recipe
from llamafactory.hparams import get_train_args
from llamafactory.train.tuner import run_exp

from modality_interference.errors import ModalityInterferenceError


PRESET = {"plugin": "modality_interference", "preset": "paper/qwen2.5-vl-7b/only_adversarial/args_full_RG"}
WRITTEN = {"adversarial_epsilon": 0.001, "batch_mix": None}  # the first is what gaussian has without the preset's


@pytest.fixture
def stock(checkpoint, datasets, tmp_path) -> dict[str, Any]:
    """A recipe on the tiny Qwen2.5-VL without keys of the plugin."""
    return recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / "out", plugin=None)


@pytest.mark.parametrize("way", ["dict", "yaml", "overrides", "words"])
def test_keys_that_are_written_win(stock, way, monkeypatch, tmp_path):
    given, file = None, tmp_path / "recipe.yaml"
    if way == "dict":  # as Ray's workers and Python's callers have it
        given = stock | PRESET | WRITTEN
    elif way == "yaml":  # as LlamaBoard writes it, extra arguments included
        file.write_text(yaml.safe_dump(stock | PRESET | WRITTEN))
        monkeypatch.setattr(sys, "argv", ["train", str(file)])
    elif way == "overrides":
        file.write_text(yaml.safe_dump(stock | PRESET))
        monkeypatch.setattr(sys, "argv", ["train", str(file), "adversarial_epsilon=0.001", "batch_mix=null"])
    else:  # a word may be abbreviated, and cannot say that a key is unset
        words = [f"--{key}={value}" for key, value in (stock | PRESET).items()]
        words += ["--adversarial_eps", "0.001", "--batch_mix=image=1,text=1"]
        monkeypatch.setattr(sys, "argv", ["train", *words])

    arguments = get_train_args(given)[3]
    assert (arguments.consistency_method, arguments.adversarial_method) == ("none", "gaussian")
    assert arguments.adversarial_epsilon == 0.001
    assert arguments.batch_mix == ("image=1,text=1" if way == "words" else None)


def test_the_mix_of_a_preset_can_be_left_out(stock):
    with pytest.raises(
        ModalityInterferenceError, match=r"adds up to 8 .* or write `batch_mix: null` .* `preset: paper/qwen2"
    ):
        get_train_args(stock | PRESET)


def test_an_unknown_preset_is_refused(stock):
    with pytest.raises(ModalityInterferenceError, match="`preset` is 'recomended'.*Did you mean `recommended`"):
        get_train_args(stock | {"plugin": "modality_interference", "preset": "recomended"})


def test_results_say_what_the_preset_became(stock, tmp_path, caplog):
    plugin = {"plugin": "modality_interference", "preset": "recommended", "consistency_weight": 0.5}
    library = logging.getLogger("llamafactory")  # which does not propagate
    library.addHandler(caplog.handler)
    run_exp(stock | plugin | {"do_train": False, "do_eval": True, "dataset": None, "eval_dataset": "pictures"})
    library.removeHandler(caplog.handler)
    values = {
        "preset": "recommended",
        "consistency_method": "js",
        "consistency_weight": 0.5,
        "consistency_temperature": 1.0,
        "adversarial_method": "none",
        "twins_per_example": "all",
    }
    found = json.loads((tmp_path / "out" / "interference.json").read_text())["run"]
    assert values.items() <= found.items()
    assert any(
        text.startswith("`preset: recommended`: consistency_method: js, consistency_weight: 0.5")
        for text in caplog.messages
    )
