"""The loss on counterfactual rows: whole steps against a plain reference in float64, its guards, and what it leaves alone."""

import json
from pathlib import Path
from statistics import mean

import pytest
import torch
from helpers.av_data import write_clips
from helpers.reference_counterfactuals import log_p
from helpers.reference_step import Row, compare_step
from helpers.runs import recipe, write_evidence, write_turns
from llamafactory.train.tuner import run_exp
from transformers import TrainerCallback


FAMILY, TEMPLATE = "qwen2_5_vl", "qwen2_vl"
STEP = dict(disable_shuffling=True, max_grad_norm=0.0, counterfactual_weight=0.7)
MIXED = dict(dataset="texts,letters,free", mix_strategy="interleave_under", interleave_probs="0.4,0.3,0.3")
CASES = {
    "contrast with all else": dict(
        consistency_weight=0.5, adversarial_step_size=0.01, adversarial_epsilon=0.02, counterfactual_beta=1.5
    ),
    "contrast, nothing shared": dict(
        adversarial_method="freelb", adversarial_epsilon=0.05, share_prefix=False, gradient_accumulation_steps=2
    ),
    "uniform": dict(adversarial_method="none", counterfactual_method="uniform", finetuning_type="lora"),
}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Path:
    return write_evidence(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def learned(checkpoint, evidence, tmp_path_factory) -> Path:
    """A model that gives the right answers with and without their evidence."""
    folder = tmp_path_factory.mktemp("learned")
    keys = dict(
        dataset="texts,letters,free", max_steps=30, learning_rate=8e-3, lr_scheduler_type="constant_with_warmup"
    )
    keys |= dict(warmup_steps=5, per_device_train_batch_size=6, consistency_method="none")
    run_exp(recipe(checkpoint(FAMILY), TEMPLATE, evidence, folder, adversarial_method="none", **keys))
    return folder


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_whole_step_equals_the_reference(case, checkpoint, learned, evidence, tmp_path):
    """Likelihoods without evidence are lowered in the model that has learned them; in the one that has not, they are at chance."""
    knows = "share_prefix" not in case
    keys = dict(per_device_train_batch_size=3, share_prefix=True) | MIXED | STEP | case
    compared = compare_step(recipe(learned if knows else checkpoint(FAMILY), TEMPLATE, evidence, tmp_path, **keys))
    assert len(compared.terms) >= 2
    if "counterfactual_method" not in case:
        assert (not knows) in compared.guarded


@pytest.mark.parametrize("method", ["contrast", "uniform"])
def test_several_turns_with_skipped_thoughts(method, checkpoint, tmp_path):
    """The answer of every other row is free; the template writes a thought into every turn."""
    folder = write_turns(tmp_path / "data")
    info = json.loads((folder / "dataset_info.json").read_text())
    info["turns"]["twins"]["counterfactuals"] = ["white_image"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    keys = dict(
        dataset="turns", per_device_train_batch_size=4, adversarial_method="none", counterfactual_method=method
    )
    compared = compare_step(recipe(checkpoint(FAMILY), "qwen3_vl", folder, tmp_path / "out", **STEP | keys))
    assert len(compared.terms) == (4 if method == "contrast" else 2)


def test_abstention_of_clips(checkpoint, tmp_path):
    gone = ["black_frames", "silence"]
    twins = {"perturbations": ["swapped_audio"], "counterfactuals": gone, "abstention": "None of these"}
    asked = {f"by_{answer}": {"twins": twins | {"answer": answer}} for answer in ("letter", "text")}
    data = write_clips(tmp_path / "data", clips=2, **asked)
    keys = dict(dataset="by_letter,by_text", mix_strategy="interleave_under", interleave_probs="0.5,0.5")
    keys |= dict(adversarial_method="none", counterfactual_method="abstain", per_device_train_batch_size=3)
    compared = compare_step(recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", data, tmp_path / "out", **STEP | keys))
    assert len(compared.terms) == 3  # of each question the asked modality alone is removed


class Likelihoods(TrainerCallback):
    """Before and after a training, the mean probability of the right answer to images and to black ones."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.unseen: list[float] = []

    @torch.no_grad()
    def on_train_begin(self, args, state, control, model=None, train_dataloader=None, **kwargs):
        model.eval()
        seen, unseen = [], []
        for example in train_dataloader.dataset:
            clean = Row(model, train_dataloader.collate_fn, example, example, 0)
            seen.append(log_p(clean).sum().exp().item())
            black, _ = example["counterfactuals"]
            row = Row(model, train_dataloader.collate_fn, example, black, 0)
            unseen.append(log_p(row).sum().exp().item())

        model.train()
        self.seen.append(mean(seen))
        self.unseen.append(mean(unseen))

    on_train_end = on_train_begin


def test_a_run_lets_go_of_answers_without_evidence(learned, evidence, tmp_path):
    likelihoods = Likelihoods()
    keys = dict(dataset="letters", max_steps=25, learning_rate=3e-3, per_device_train_batch_size=4)
    keys |= dict(counterfactual_weight=1.0, adversarial_method="none", plot_loss=True)
    run_exp(recipe(learned, TEMPLATE, evidence, tmp_path, **keys), callbacks=[likelihoods])
    assert min(likelihoods.seen) > 0.7 < likelihoods.unseen[0] and likelihoods.unseen[1] < 0.4  # chance is 0.25
    lines = [json.loads(line) for line in (tmp_path / "trainer_log.jsonl").read_text().splitlines()]
    margins = [line["evidence_margin"] for line in lines if "loss" in line]
    assert sum(margins[-3:]) > sum(margins[:3])
    for figure in ("loss_counterfactual", "evidence_margin"):
        assert (tmp_path / f"training_{figure}.png").stat().st_size > 1000
