"""Models that the trainer's hooks refuse; what they do is in test_families.py."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForImageTextToText, Qwen3MoeConfig, Qwen3MoeForCausalLM

from modality_interference.errors import ModalityInterferenceError
from modality_interference.train.hooks import refuse_router_loss


MOE = "qwen3_vl_moe"


def loaded(checkpoint, tmp_path, **changed):
    """A model without weights, of a checkpoint whose config.json was edited."""
    config = json.loads((checkpoint(MOE) / "config.json").read_text())
    config["text_config"].update(changed.pop("text_config", {}))
    (tmp_path / "config.json").write_text(json.dumps(config | changed))
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(tmp_path))


def test_a_checkpoint_as_it_is(checkpoint, tmp_path):
    refuse_router_loss(loaded(checkpoint, tmp_path))
    refuse_router_loss(torch.nn.Linear(1, 1))  # a model without a config has no routers' loss either


@pytest.mark.parametrize("changed", [{"output_router_logits": True}, {"text_config": {"output_router_logits": True}}])
def test_the_routers_loss_in_config_json(checkpoint, tmp_path, changed):
    model = loaded(checkpoint, tmp_path, **changed)
    for one in (model, get_peft_model(model, LoraConfig(target_modules=["q_proj"]))):
        with pytest.raises(ModalityInterferenceError, match="config.json .* has `output_router_logits: true`.* false"):
            refuse_router_loss(one)


def test_a_model_of_text_alone():
    config = Qwen3MoeConfig(num_hidden_layers=1, output_router_logits=True)
    with torch.device("meta"):
        model = Qwen3MoeForCausalLM(config)

    with pytest.raises(ModalityInterferenceError, match="Qwen3MoeForCausalLM"):
        refuse_router_loss(model)
