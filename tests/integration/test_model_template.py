"""The chat template of a model, from LLaMA-Factory's tables and transformers' configs."""

import json

import pytest
from helpers.family_cases import ALL
from helpers.tiny_models import make_tokenizer

from modality_interference.batching.templates import TEMPLATES
from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration import model_template
from modality_interference.integration.model_template import require_model, template_of


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2_vl"),
        ("qwen/qwen3-vl-8b-thinking", "qwen3_vl"),
        ("llava-hf/llava-1.5-7b-hf", "llava"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama3"),
        ("somebody/Qwen3-VL-8B-Instruct", "qwen3_vl_nothink"),
    ],
)
def test_names_of_the_hub(name, template):
    assert template_of(name)[0] == template


def test_every_template_of_the_table_is_one_that_the_compatibility_page_lists():
    assert {name for names in model_template._TEMPLATES.values() for name in names} <= set(TEMPLATES)


def test_every_family_that_is_tested_has_its_template_among_those_of_its_type(tmp_path):
    """A folder may be called anything: its config.json tells, as far as it can."""
    for name, family in ALL.items():
        config, _ = family.builder(make_tokenizer(family))
        (tmp_path / "config.json").write_text(json.dumps(config.to_dict(), default=str))
        kinds = model_template._model_types(str(tmp_path))
        known = next(model_template._TEMPLATES[kind] for kind in kinds if kind in model_template._TEMPLATES)
        assert family.template in known, name


@pytest.fixture
def folder(tmp_path):
    def make(**config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        return str(tmp_path)

    return make


def test_of_models_that_think_and_those_that_do_not_the_own_chat_template_tells(folder, tmp_path):
    model = folder(model_type="qwen3_vl")
    assert template_of(model)[0] == "qwen3_vl_nothink"
    (tmp_path / "chat_template.jinja").write_text("...<think>...")
    assert template_of(model)[0] == "qwen3_vl"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "llava_next"}, "fits several: `llava_next`.*`granite3_vision`.*`--template`"),
        ({"model_type": "new_one"}, "`new_one` is none that is known here.*`--template`"),
        ({"model_type": ["x"]}, "is none that is known here"),
    ],
)
def test_a_type_that_does_not_tell(folder, config, words):
    with pytest.raises(ModalityInterferenceError, match=words):
        template_of(folder(**config))


def test_no_model(tmp_path):
    with pytest.raises(ModalityInterferenceError, match="is a folder with a config.json, or a name on the hub"):
        template_of(str(tmp_path))


def test_an_adapter_in_place_of_its_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}')
    with pytest.raises(ModalityInterferenceError, match="is an adapter. .*`--adapter`"):
        template_of(str(tmp_path))


@pytest.mark.parametrize("name", ["nope", "./nope/model", "/nope", "a/b/c", "~/model"])
def test_what_is_neither_a_folder_nor_a_hub_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModalityInterferenceError, match="there is no folder"):
        require_model(name)

    require_model("nobody/such-a-model")  # for the hub to say
    require_model(str(tmp_path))
