"""One real `run_exp` step against a plain reference (`helpers/reference_step.py`): total loss and every parameter gradient."""

import pytest
from helpers.av_data import write_clips
from helpers.reference_step import compare_step
from helpers.runs import recipe, write_turns


DEFAULTS = dict(
    disable_shuffling=True, max_grad_norm=0.0, adversarial_step_size=0.01, adversarial_epsilon=0.02, share_prefix=True
)  # fmt: skip
CASES = [
    *[dict(consistency_method=method, consistency_weight=1.0) for method in ("none", "kl", "reverse_kl", "js", "mse")],
    dict(consistency_method="kl", consistency_weight=0.5, consistency_temperature=2.0, finetuning_type="lora"),
    dict(consistency_method="js", consistency_weight=0.5, gradient_accumulation_steps=2),
    dict(finetuning_type="lora", gradient_accumulation_steps=2, adversarial_weight=0.3, lora_target="all"),
    dict(adversarial_method="none"),
    dict(adversarial_method="gaussian", adversarial_epsilon=0.1),
    dict(adversarial_method="fgsm", adversarial_epsilon=0.05),
    dict(adversarial_update="sign", adversarial_step_size=0.01, adversarial_epsilon=0.02),
    dict(adversarial_update="normalized", adversarial_epsilon=0.05, adversarial_steps=3),
    dict(adversarial_method="freelb", adversarial_steps=3, adversarial_epsilon=0.05),
    dict(adversarial_method="freelb", gradient_accumulation_steps=2, adversarial_epsilon=0.05, finetuning_type="lora"),
    dict(freeze_vision_tower=True),  # trainable projector: the frozen blocks are replayed
    dict(freeze_vision_tower=True, freeze_multi_modal_projector=True),
    dict(finetuning_type="freeze", freeze_trainable_layers=1),
    dict(disable_gradient_checkpointing=True),
    dict(flash_attn="disabled"),  # LLaMA-Factory's name for eager attention
    dict(adversarial_rows_per_pass=2),
    dict(share_prefix=False),
    dict(share_prefix="auto"),
    dict(share_prefix=False, adversarial_method="freelb", adversarial_epsilon=0.05, adversarial_rows_per_pass=3),
]
CLIP_CASES = [
    dict(adversarial_method="none", consistency_method="none"),
    dict(consistency_method="js", consistency_weight=0.5),
    dict(finetuning_type="lora", lora_target="q_proj,v_proj", consistency_method="kl", gradient_accumulation_steps=2),
    dict(freeze_vision_tower=True),  # of Qwen2.5-Omni also the whole audio tower
    dict(freeze_vision_tower=True, freeze_multi_modal_projector=True, use_audio_in_video=True),
    dict(adversarial_method="freelb", adversarial_epsilon=0.05, use_audio_in_video=True),
    dict(share_prefix=False, use_audio_in_video=True),
]


def name_of(case):
    return "-".join(str(value) for value in case.values())


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_loss_and_gradients_equal_the_reference(case, checkpoint, datasets, tmp_path):
    sampling = dict(mix_strategy="interleave_under", interleave_probs="0.4,0.4,0.2", per_device_train_batch_size=3)
    compare_step(
        recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / "out", **sampling, **DEFAULTS | case)
    )


def test_several_turns_with_skipped_thoughts(checkpoint, tmp_path):
    """A twin's second question differs, or the image before its first; the template writes a thought into every turn."""
    case = dict(
        dataset="turns,talks", default_system="Look well.", consistency_weight=1.0, per_device_train_batch_size=4
    )
    mixed = dict(mix_strategy="interleave_under", interleave_probs="0.5,0.5")
    folder = write_turns(tmp_path / "data")
    compare_step(recipe(checkpoint("qwen2_5_vl"), "qwen3_vl", folder, tmp_path / "out", **mixed, **DEFAULTS | case))


@pytest.mark.parametrize("case", CLIP_CASES, ids=name_of)
def test_a_model_that_sees_and_hears(case, checkpoint, clips, tmp_path):
    sampling = dict(dataset="clips,read", mix_strategy="interleave_under", interleave_probs="0.6,0.4")
    checkpoint = checkpoint("qwen2_5_omni")
    compare_step(recipe(checkpoint, "qwen2_omni", clips, tmp_path / "out", **sampling, **DEFAULTS | case))
