"""Templates that the method cannot work with are refused by name, before anything is loaded."""

import re
from types import SimpleNamespace

import pytest

from modality_interference.batching.templates import TEMPLATES
from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration.validation import check_recipe


@pytest.mark.parametrize("template", [name for name, support in TEMPLATES.items() if support.refused])
def test_templates_are_refused_by_name(template):
    reason = re.escape(TEMPLATES[template].refused)
    recipe = [SimpleNamespace(), SimpleNamespace(template=template), SimpleNamespace(), SimpleNamespace(stage="sft")]
    with pytest.raises(ModalityInterferenceError, match=f"`template: {template}`.*{reason}.*docs/compatibility.md"):
        check_recipe(*recipe)


def test_the_auxiliary_loss_of_routers_is_refused():
    model = SimpleNamespace(moe_aux_loss_coef=0.01)
    recipe = [model, SimpleNamespace(template="qwen3_omni"), SimpleNamespace(), SimpleNamespace(stage="sft")]
    with pytest.raises(
        ModalityInterferenceError, match="`moe_aux_loss_coef: 0.01`.*auxiliary loss of routers.*remove it"
    ):
        check_recipe(*recipe)


def finetuning(**keys: object) -> SimpleNamespace:
    """A plain diagnosis by likelihoods, but for these keys."""
    plain = dict(diagnosis_scoring="likelihood", diagnosis_prompt="none", diagnosis_decoding="standard")
    plain |= dict(
        preference_counterfactual="none", attention_probe=False, calibration_on="attention_calibration" in keys
    )
    return SimpleNamespace(**{**plain, "stage": "sft", "batch_mix": None, **keys})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"diagnosis_prompt": "chain_of_thought"},
            "`diagnosis_prompt: chain_of_thought` needs `diagnosis_scoring: generate`",
        ),
        ({"diagnosis_prompt": "ignore_irrelevant"}, "`diagnosis_prompt: ignore_irrelevant`.*`tokenized_path`"),
        ({"diagnosis_decoding": "vcd", "attention_probe": True}, "`diagnosis_decoding: vcd`.*`attention_probe`"),
        (
            {"diagnosis_decoding": "vcd", "attention_calibration": 1.5},
            "`attention_calibration: 1.5`.*`diagnosis_decoding: vcd`.*two forwards",
        ),
    ],
)
def test_prompts_and_decodings_that_cannot_be_told_apart_are_refused(keys, message):
    data = SimpleNamespace(template="qwen2_vl", tokenized_path="cache")
    training = SimpleNamespace(predict_with_generate=False, accelerator_config=None, fsdp=None, fsdp_config=None)
    training.do_train, training.do_eval = False, True
    with pytest.raises(ModalityInterferenceError, match=message):
        check_recipe(SimpleNamespace(), data, training, finetuning(**keys))


def test_calibration_without_an_evaluation_is_refused():
    training = SimpleNamespace(predict_with_generate=False, accelerator_config=None, fsdp=None, fsdp_config=None)
    training.do_train, training.do_eval = True, False
    data = SimpleNamespace(template="qwen2_vl", tokenized_path=None)
    with pytest.raises(
        ModalityInterferenceError, match="`attention_calibration: -2`.*this run has none.*`do_eval: true`"
    ):
        check_recipe(SimpleNamespace(), data, training, finetuning(attention_calibration=-2))

    training.do_eval = True
    check_recipe(SimpleNamespace(), data, training, finetuning(attention_calibration=-2))


def test_metrics_of_generated_answers_beside_likelihoods_are_refused():
    """They would replace the diagnosis; prediction, which has no diagnosis, is not."""
    training = SimpleNamespace(
        predict_with_generate=True, do_eval=True, accelerator_config=None, fsdp=None, fsdp_config=None
    )
    recipe = [SimpleNamespace(), SimpleNamespace(template="qwen2_vl"), training, finetuning()]
    with pytest.raises(
        ModalityInterferenceError, match="`predict_with_generate: true`.*`diagnosis_scoring: generate`"
    ):
        check_recipe(*recipe)

    training.do_eval = False
    check_recipe(*recipe)
