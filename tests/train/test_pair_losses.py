"""Preference tuning with twins: `run_exp` against a plain reference in float64, and its losses against those of TRL.

The reference is the objective of docs/method.md, one row at a time, without hooks, sharing and batches.
"""

import copy
import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.runs import recipe, write_pairs
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from llamafactory.train.tuner import run_exp
from safetensors.torch import load_file
from torch import Tensor
from transformers import TrainerCallback

from modality_interference.compat import let_trl_import
from modality_interference.errors import ModalityInterferenceError
from modality_interference.media.image import load_image
from modality_interference.train.losses import RunningMeans
from modality_interference.train.pair_losses import PAIR_MEANS, Scores, margin_divergences, pair_losses


FAMILY, TEMPLATE = "qwen2_5_vl", "qwen2_vl"
KEYS = dict(
    stage="dpo",
    adversarial_method="none",
    disable_shuffling=True,
    max_grad_norm=0.0,
    max_steps=2,
    pref_beta=0.5,
    consistency_weight=3.0,
    learning_rate=2.0e-3,
    lr_scheduler_type="constant",
    dataset="cards,facts,plain",
    mix_strategy="interleave_under",
    interleave_probs="0.5,0.3,0.2",
    per_device_train_batch_size=2,
)


let_trl_import()  # as a run does


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def likelihood(
    model: Any, collator: Any, example: dict, variant: dict, answer: list[int] | None
) -> tuple[Tensor, int]:
    """The log-likelihood of an answer to the prompt of a row, and its tokens; None for the row's own answer."""
    labels = [label for label in variant["labels"] if label != -100]
    answer = labels if answer is None else answer
    ids = variant["input_ids"][: len(variant["input_ids"]) - len(labels)] + answer
    images = [
        load_image(name, example["images"] or [], example["twin_images"] or []) for name in variant["image_references"]
    ]
    stock = SFTDataCollatorWith4DAttentionMask(
        template=collator.template, model=collator.model, tokenizer=collator.tokenizer, processor=collator.processor
    )
    feature = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids, "images": images, "videos": []}
    inputs = stock([feature | {"audios": []}])
    del inputs["labels"]
    logits = model(**inputs).logits[0, len(ids) - len(answer) - 1 : len(ids) - 1].double()
    return logits.log_softmax(dim=-1)[range(len(answer)), answer].sum(), len(answer)


def divergence(method: str, clean: Tensor, twin: Tensor, temperature: float) -> Tensor:
    """D between the probabilities that the chosen answer is preferred, written out over the two answers."""
    p, q = torch.sigmoid(clean.detach() / temperature), torch.sigmoid(twin / temperature)
    p, q = torch.stack([p, 1 - p]), torch.stack([q, 1 - q])
    mixture = (p + q) / 2
    found = {
        "kl": (p * (p / q).log()).sum(),
        "reverse_kl": (q * (q / p).log()).sum(),
        "js": ((p * (p / mixture).log()).sum() + (q * (q / mixture).log()).sum()) / 2,
        "mse": ((p - q) ** 2).mean(),
    }
    return found[method] * temperature**2


def reference_loss(policy: Any, reference: Any, collator: Any, examples: list[dict], keys: dict) -> Tensor:
    loss_type, beta = keys.get("pref_loss", "sigmoid"), keys["pref_beta"]
    averaged, free = loss_type in ("ipo", "orpo", "simpo"), loss_type in ("orpo", "simpo")
    preferences, consistencies, gone_terms = [], [], []

    def reward(example: dict, variant: dict, answer: list[int] | None) -> tuple[Tensor, Tensor]:
        total, count = likelihood(policy, collator, example, variant, answer)
        with (
            torch.no_grad(),
            reference.disable_adapter() if hasattr(reference, "disable_adapter") else torch.no_grad(),
        ):
            base = 0 if free else likelihood(reference, collator, example, variant, answer)[0]

        return beta * (total - base) / (count if averaged else 1), total / count

    def preferred(margin: Tensor) -> Tensor:
        return torch.log1p(torch.exp(-margin))

    for example in examples:
        margins = []
        for variant in (example, *example["variants"]):
            better, mean = reward(example, variant, None)
            worse, other = reward(example, variant, example["rejected_ids"])
            margin = better - worse
            margins.append(margin)
            odds = (mean - torch.log(1 - mean.exp())) - (other - torch.log(1 - other.exp()))
            smoothing = keys.get("dpo_label_smoothing", 0.0)
            loss = {
                "sigmoid": (1 - smoothing) * preferred(margin) + smoothing * preferred(-margin),
                "hinge": torch.clamp(1 - margin, min=0),
                "ipo": (margin / beta - 1 / (2 * beta)) ** 2,
                "simpo": preferred(margin - keys.get("simpo_gamma", 0.5)),
                "orpo": -mean + beta * preferred(odds),
            }[loss_type]
            preferences.append(loss - keys.get("pref_ftx", 0.0) * mean)

        method, temperature = keys.get("consistency_method", "js"), keys.get("consistency_temperature", 1.0)
        found = [divergence(method, margins[0], margin, temperature) for margin in margins[1:] if method != "none"]
        consistencies += [sum(found) / len(found)] if found else []
        for gone in example["counterfactuals"]:
            chosen = reward(example, gone, None)[0]
            if keys.get("preference_counterfactual") == "mdpo":
                gone_terms.append(preferred(reward(example, example, None)[0] - chosen))
            else:
                withheld = example["withheld_ids"]
                gone_terms.append(preferred(reward(example, gone, withheld)[0] - chosen))
                clean = reward(example, example, None)[0] - reward(example, example, withheld)[0]
                gone_terms.append(preferred(clean))

    loss = sum(preferences) / len(preferences)
    if consistencies:
        loss = loss + keys["consistency_weight"] * sum(consistencies) / len(consistencies)

    return loss + sum(gone_terms) / len(gone_terms) if gone_terms else loss


class Compare(TrainerCallback):
    """In the second step, when policy and reference model differ, computes the reference and keeps both gradients."""

    def __init__(self, keys: dict[str, Any]) -> None:
        self.keys = keys
        self.logs: list[dict[str, float]] = []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.start = None if hasattr(model, "disable_adapter") else copy.deepcopy(model).double()

    def on_pre_optimizer_step(self, args, state, control, model=None, train_dataloader=None, **kwargs):
        if state.global_step != 1:
            return

        self.gradients = {n: p.grad.double() for n, p in model.named_parameters() if p.grad is not None}
        policy = copy.deepcopy(model).double().eval()
        count = self.keys["per_device_train_batch_size"] * self.keys.get("gradient_accumulation_steps", 1)
        examples = [train_dataloader.dataset[index] for index in range(count, 2 * count)]
        self.kinds = [(example["dataset"], len(example["variants"])) for example in examples]
        reference = policy if self.start is None else self.start
        loss = reference_loss(policy, reference, train_dataloader.collate_fn, examples, self.keys)
        parameters = {name: value for name, value in policy.named_parameters() if value.requires_grad}
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        self.reference = {name: grad for name, grad in zip(parameters, found) if grad is not None}
        self.loss = loss.item()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.logs.append(logs)


class Encoded(TrainerCallback):
    """Counts how often the vision tower encodes in each step."""

    calls: list[int]

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.calls, self.found = [], 0

        def count(*_: Any) -> None:
            self.found += 1

        model.get_base_model().model.visual.register_forward_hook(count)

    def on_step_begin(self, args, state, control, **kwargs):
        self.found = 0

    def on_step_end(self, args, state, control, **kwargs):
        self.calls.append(self.found)


CASES = [
    dict(consistency_method="js", dpo_label_smoothing=0.1),
    dict(consistency_method="kl", consistency_temperature=2.0, pref_loss="ipo", gradient_accumulation_steps=2),
    dict(
        finetuning_type="lora",
        lora_target="all",
        consistency_method="reverse_kl",
        pref_ftx=0.3,
        preference_counterfactual="symmpo",
    ),  # fmt: skip
    dict(pref_loss="simpo", consistency_method="mse", share_prefix=True, freeze_vision_tower=True),
    dict(pref_loss="orpo", finetuning_type="lora", preference_counterfactual="symmpo", consistency_method="none"),
    dict(preference_counterfactual="mdpo", pref_loss="hinge", share_prefix=False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_loss_and_gradients_equal_the_reference(case, checkpoint, pairs, tmp_path):
    keys = KEYS | case
    compare = Compare(keys)
    run_exp(recipe(checkpoint(FAMILY), TEMPLATE, pairs, tmp_path / "out", **keys), callbacks=[compare])
    assert any(twins for _, twins in compare.kinds)
    assert compare.logs[1]["loss"] == pytest.approx(compare.loss, rel=1e-4)
    assert compare.gradients.keys() == compare.reference.keys()
    scale = max(gradient.abs().max() for gradient in compare.reference.values())
    for name, gradient in compare.reference.items():
        torch.testing.assert_close(compare.gradients[name], gradient, atol=2e-5 * float(scale), rtol=2e-3, msg=name)

    weight = keys["consistency_weight"] * compare.logs[1].get("loss_consistency", 0)
    terms = ("loss_preference", "loss_preference_counterfactual")
    total = weight + sum(compare.logs[1].get(name, 0) for name in terms)
    assert compare.logs[1]["loss"] == pytest.approx(total, rel=1e-4)


def test_the_second_step_compares_margins_that_differ(checkpoint, pairs, tmp_path):
    """What the cases above rest on; and what is logged, plotted, evaluated and saved."""
    folder = tmp_path / "out"
    keys = KEYS | dict(preference_counterfactual="symmpo", plot_loss=True, do_eval=True, eval_dataset="cards,facts")
    keys |= dict(eval_strategy="steps", eval_steps=2, per_device_eval_batch_size=4, finetuning_type="lora")
    keys |= dict(dataset="cards,facts", mix_strategy=None, interleave_probs=None)
    keys |= dict(freeze_vision_tower=True, freeze_multi_modal_projector=True)
    counted = Encoded()
    run_exp(recipe(checkpoint(FAMILY), TEMPLATE, pairs, folder, **keys), callbacks=[counted])
    assert counted.calls == [1, 1]  # of both forwards of each step, that of the reference model too
    lines = [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text().splitlines()]
    first, second = (line for line in lines if "loss" in line)
    assert set(PAIR_MEANS) <= set(second)
    assert first["loss_consistency"] == pytest.approx(0, abs=1e-9)  # where policy and reference are the same
    assert 3.0 * second["loss_consistency"] > 1e-4 * second["loss"]
    assert (folder / "training_margin_flip_rate.png").stat().st_size > 1000
    metrics = json.loads((folder / "eval_results.json").read_text())
    perturbations = ("misleading_text", "unrelated_text", "black_image")
    others = ("counterfactual_black_image", "counterfactual_white_image", "clean_withheld")
    rates = {f"eval_rewards/accuracies_{name}" for name in (*perturbations, *others)}
    rates |= {f"eval_rewards/flip_rate_{name}" for name in perturbations} | {"eval_rewards/accuracies"}
    assert rates <= set(metrics) and all(0 <= metrics[name] <= 1 for name in rates)
    assert not any(name.startswith("eval_rewards/flip_rate_c") for name in metrics)


def test_without_twins_it_is_the_dpo_of_llamafactory(checkpoint, pairs, tmp_path):
    """Loss and rewards of two steps and of an evaluation, on the same rows with the plugin and without it."""
    info = json.loads((pairs / "dataset_info.json").read_text())["plain"]
    stock = {name: value for name, value in info.items() if name != "twins"} | {"formatting": "alpaca"}
    folder = write_pairs(tmp_path / "data")
    (folder / "dataset_info.json").write_text(json.dumps({"plain": info, "stock": stock}))
    found = []
    for name, plugin in (("plain", dict(plugin="modality_interference")), ("stock", dict(plugin=None))):
        keys = KEYS | plugin | dict(dataset=name, eval_dataset=name, do_eval=True, mix_strategy=None)
        keys |= dict(interleave_probs=None, per_device_eval_batch_size=3)
        if name == "stock":
            keys = {
                key: value for key, value in keys.items() if key not in ("consistency_weight", "adversarial_method")
            }

        out = tmp_path / name
        run_exp(recipe(checkpoint(FAMILY), TEMPLATE, folder, out, **keys))
        history = json.loads((out / "trainer_state.json").read_text())["log_history"]
        logs = [entry for entry in history if "loss" in entry or "eval_loss" in entry]
        found.append([{n: v for n, v in entry.items() if "loss" in n or "rewards/" in n} for entry in logs])

    ours, theirs = found
    for own, other in zip(ours, theirs, strict=True):
        names = {"loss", "eval_loss", *(name for name in other if "rewards/" in name)} & set(other)
        assert len(names) == 5
        assert {name: own[name] for name in names} == pytest.approx({n: other[n] for n in names}, rel=1e-3, abs=1e-5)


def test_a_run_that_was_interrupted_goes_on(checkpoint, pairs, tmp_path):
    """From its checkpoint to the weights of one that was not; and tokens that were kept are not for another stage."""
    keys = KEYS | dict(finetuning_type="lora", save_strategy="steps", save_steps=1, save_only_model=False)
    whole, rest, tokens = tmp_path / "whole", tmp_path / "rest", tmp_path / "tokens"
    kept = recipe(checkpoint(FAMILY), TEMPLATE, pairs, whole, **keys, tokenized_path=str(tokens))
    run_exp(kept)
    run_exp(kept | {"output_dir": str(rest), "resume_from_checkpoint": str(whole / "checkpoint-1")})
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (whole, rest))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(ModalityInterferenceError, match="pairs of answers, which are not for `stage: sft`"):
        run_exp(kept | {"stage": "sft"})


# the parts, without a model


def scores_of(logps: Tensor, reference: Tensor, beta: float) -> Scores:
    return Scores(logps, logps, beta * (logps - reference))


@pytest.mark.parametrize("name", ["sigmoid", "hinge", "ipo"])
def test_losses_are_those_of_trl(name):
    from trl import DPOTrainer

    logps, reference = -torch.rand(6, dtype=torch.float64) * 9, -torch.rand(6, dtype=torch.float64) * 9
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu"), reference_free=False, f_divergence_type="reverse_kl", beta=0.3,
        label_smoothing=0.1 if name == "sigmoid" else 0.0,
    )  # fmt: skip
    chosen, rejected = torch.tensor([0, 2, 4]), torch.tensor([1, 3, 5])
    theirs, *_ = DPOTrainer.dpo_loss(
        trainer, logps[chosen], logps[rejected], reference[chosen], reference[rejected], loss_type=name
    )
    arguments = SimpleNamespace(
        pref_loss=name, pref_beta=0.3, dpo_label_smoothing=trainer.label_smoothing, pref_ftx=0.0
    )
    pairs = torch.stack([chosen, rejected], dim=1)
    torch.testing.assert_close(pair_losses(scores_of(logps, reference, 0.3), pairs, arguments), theirs)


@pytest.mark.parametrize(("name", "stock"), [("orpo", "odds_ratio_loss"), ("simpo", "simpo_loss")])
def test_losses_without_a_reference_model_are_those_of_llamafactory(name, stock):
    from llamafactory.train.dpo.trainer import CustomDPOTrainer

    logps = -torch.rand(6, dtype=torch.float64) * 4 - 0.1
    trainer = SimpleNamespace(beta=0.3, simpo_gamma=0.7)
    theirs = getattr(CustomDPOTrainer, stock)(trainer, logps[::2], logps[1::2])
    arguments = SimpleNamespace(pref_loss=name, pref_beta=0.3, simpo_gamma=0.7, pref_ftx=0.0)
    found = pair_losses(scores_of(logps, torch.zeros(6), 0.3), torch.arange(6).view(3, 2), arguments)
    torch.testing.assert_close(found, theirs)


@pytest.mark.parametrize("method", ["kl", "reverse_kl", "js", "mse"])
def test_margin_divergences(method):
    """Of large margins too; only twins get gradients, and none where the margins are the same."""
    values = [(0.3, -0.7), (2.0, 2.0), (-4.0, 1.5), (30.0, -30.0)]
    clean = torch.tensor([pair[0] for pair in values], dtype=torch.float64, requires_grad=True)
    twins = torch.tensor([pair[1] for pair in values], dtype=torch.float64, requires_grad=True)
    found = margin_divergences(clean, twins, method, 2.0)
    expected = [divergence(method, clean[index], twins[index], 2.0) for index in range(4)]
    torch.testing.assert_close(found, torch.stack(expected))
    of_clean, of_twins = torch.autograd.grad(found.sum(), [clean, twins], allow_unused=True)
    assert of_clean is None
    assert of_twins[1].abs() < 1e-12 and (of_twins[[0, 2]] != 0).all()
    extreme = torch.tensor([1e4, -1e4], requires_grad=True)
    (gradient,) = torch.autograd.grad(margin_divergences(-extreme.detach(), extreme, method, 1.0).sum(), extreme)
    assert gradient.isfinite().all()


def test_means_of_pairs_are_taken_by_their_names():
    means = RunningMeans(PAIR_MEANS)
    means.add("margin_flip_rate", torch.tensor(1.0), 4)
    taken = means.take(lambda share: share, torch.device("cpu"))
    assert taken == {"margin_flip_rate": 0.25, "dropped_nonfinite": 0.0, "skipped_nonfinite": 0.0}
