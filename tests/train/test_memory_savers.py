"""What people turn on to train in less memory: quantized base models (QLoRA), and noise that needs none (NEFTune)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import recipe
from llamafactory.hparams import get_train_args, parser
from llamafactory.train.tuner import run_exp
from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig

from modality_interference.errors import ModalityInterferenceError


FAMILY, TEMPLATE = "qwen2_5_vl", "qwen2_vl"
FIGURES = ("loss", "loss_sft", "loss_adversarial", "loss_consistency", "adversarial_gain", "grad_norm")


def figures(folder: Path, **keys: Any) -> list[dict[str, float]]:
    """What each step of a run logs."""
    run_exp(recipe(output_dir=folder, template=TEMPLATE, max_steps=3, **keys))
    lines = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [{name: line[name] for name in FIGURES} for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def bitsandbytes():
    return pytest.importorskip("bitsandbytes")


def dequantized(checkpoint: Path, folder: Path, bitsandbytes: Any, double: bool) -> Path:
    """The checkpoint with the weights that its 4-bit ones stand for."""
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double)
    quantized = AutoModelForImageTextToText.from_pretrained(checkpoint, quantization_config=config, device_map="cpu")
    plain = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
    layers = {
        name: module for name, module in quantized.named_modules() if isinstance(module, bitsandbytes.nn.Linear4bit)
    }
    assert any("language_model" in name for name in layers)
    for name, layer in layers.items():
        weight = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        target = plain.get_submodule(name).weight
        assert not torch.equal(weight.float(), target)
        target.data.copy_(weight)

    plain.save_pretrained(folder)
    AutoProcessor.from_pretrained(checkpoint).save_pretrained(folder)
    return folder


@pytest.mark.usefixtures("unpacked_4bit_weights")
@pytest.mark.parametrize("share", ["true", pytest.param("false", marks=pytest.mark.engines)])
def test_qlora_trains_as_lora_on_the_weights_that_it_stands_for(share, checkpoint, datasets, tmp_path, bitsandbytes):
    keys = dict(dataset_dir=datasets, finetuning_type="lora", share_prefix=share, adversarial_epsilon=0.05)
    found = figures(tmp_path / "4bit", checkpoint=checkpoint(FAMILY), quantization_bit=4, **keys)
    folder = dequantized(checkpoint(FAMILY), tmp_path / "model", bitsandbytes, double=True)
    expected = figures(tmp_path / "plain", checkpoint=folder, **keys)
    assert len(found) == 3
    for one, other in zip(found, expected):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)

    whole = figures(tmp_path / "whole", checkpoint=checkpoint(FAMILY), **keys)
    assert whole[0]["loss"] != pytest.approx(expected[0]["loss"], rel=1e-5)  # the reference is not just any model


@pytest.mark.engines
def test_neftune_adds_noise_to_training_only(checkpoint, datasets, tmp_path):
    keys = dict(checkpoint=checkpoint(FAMILY), dataset_dir=datasets, eval_dataset="pictures", do_eval=True)
    runs = {
        name: (tmp_path / name, figures(tmp_path / name, neftune_noise_alpha=alpha, learning_rate=1e-12, **keys))
        for name, alpha in (("plain", None), ("noise", 5.0), ("again", 5.0))
    }
    (plain, without), (noise, found), (_, again) = runs.values()
    assert found == again
    assert all(one["loss_sft"] != other["loss_sft"] for one, other in zip(found, without))
    # the noise is of mean 0, and nothing was learnt
    assert [line["loss_sft"] for line in found] == pytest.approx([line["loss_sft"] for line in without], rel=0.1)
    rates = [json.loads((folder / "eval_results.json").read_text()) for folder in (plain, noise)]
    figures_of = [
        {key: value for key, value in rate.items() if "accuracy" in key or "effect" in key} for rate in rates
    ]
    assert figures_of[0] == pytest.approx(figures_of[1], abs=1e-6) and figures_of[0]


@pytest.mark.parametrize("key", ["enable_liger_kernel", "use_unsloth_gc"])
def test_what_needs_a_gpu_and_was_never_tried_is_refused(key, checkpoint, datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(parser, "check_version", lambda *args, **keys: None)  # of packages that are not installed here
    with pytest.raises(ModalityInterferenceError, match=f"`{key}: true` cannot be used"):
        get_train_args(recipe(checkpoint(FAMILY), TEMPLATE, datasets, tmp_path, **{key: True}))
