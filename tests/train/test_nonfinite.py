"""What is not finite is left out and counted, never reaches the weights, and in the end stops the run."""

import json
import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp
from torch import Tensor
from transformers import TrainerCallback

from modality_interference.arguments import PluginArguments
from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import TwinBatch
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import IGNORE_LABEL as NO
from modality_interference.train.checkpoints import is_complete
from modality_interference.train.losses import RunningMeans, Totals, objective
from modality_interference.train.nonfinite import Patience, is_finite


class NotFinite(torch.autograd.Function):
    """The identity, whose gradient is not finite for the first rows; of rows in one sequence, for its first tokens."""

    @staticmethod
    def forward(ctx, values: Tensor, rows: int) -> Tensor:  # type: ignore[override]
        ctx.rows = rows
        return values.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        broken = gradient.clone()
        (broken[0] if len(broken) == 1 else broken)[: ctx.rows] = float("nan")
        return broken, None


class BreakGradients(TrainerCallback):
    """Makes the decoder's gradients NaN, and keeps the weights after every step.

    Args:
        rows: of each batch, how many from the first on.
        steps: in which; None means in all.
        attack: in the attack's passes, which run without dropout; else in the training passes.
    """

    def __init__(self, rows: int = 1000, steps: tuple[int, ...] | None = None, attack: bool = False) -> None:
        self.rows, self.steps, self.attack = rows, steps, attack
        self.weights: list[list[Tensor]] = []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        def broken(module, inputs, output):
            due = self.steps is None or state.global_step + 1 in self.steps
            if due and module.training != self.attack and output.last_hidden_state.requires_grad:
                output.last_hidden_state = NotFinite.apply(output.last_hidden_state, self.rows)

        model.get_decoder().register_forward_hook(broken)
        self.start = [parameter.detach().clone() for parameter in model.parameters()]

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.weights.append([parameter.detach().clone() for parameter in model.parameters()])


def train(checkpoint, datasets: Path, folder: Path, broken: BreakGradients, **keys) -> list[dict[str, float]]:
    """Three steps on `pictures`, whose rows all have a twin and a mask; what was logged."""
    keys = {"dataset": "pictures", "max_steps": 3, "adversarial_epsilon": 0.1, "adversarial_step_size": 1.0} | keys
    run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, folder, **keys), callbacks=[broken])
    lines = [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def far(one: list[Tensor], other: list[Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(one, other, strict=True))


ROWS = 2 * 3  # of a batch: two examples with two twins each


@pytest.mark.parametrize("share_prefix", [True, False])
def test_a_row_whose_attack_fails_has_no_copy(checkpoint, datasets, tmp_path, share_prefix):
    broken = BreakGradients(rows=1, attack=True)
    log = train(checkpoint, datasets, tmp_path, broken, share_prefix=share_prefix)
    assert [line["dropped_nonfinite"] for line in log] == [1, 1, 1]
    assert [line["skipped_nonfinite"] for line in log] == [0, 0, 0]
    assert all(math.isfinite(line["loss"]) for line in log)
    assert all(torch.isfinite(value).all() for value in broken.weights[-1])


def test_where_all_attacks_fail_the_step_is_that_without_an_attack(checkpoint, datasets, tmp_path):
    broken, without, whole = BreakGradients(attack=True), BreakGradients(steps=()), BreakGradients(steps=())
    log = train(checkpoint, datasets, tmp_path / "broken", broken)
    assert [line["dropped_nonfinite"] for line in log] == [ROWS] * 3
    train(checkpoint, datasets, tmp_path / "without", without, adversarial_method="none")
    train(checkpoint, datasets, tmp_path / "whole", whole)
    assert far(broken.weights[-1], without.weights[-1]) < 1e-6 < 1e-4 < far(whole.weights[-1], without.weights[-1])


@pytest.mark.parametrize("method", ["pgd", "freelb", "none"])
def test_a_step_without_a_finite_gradient_changes_nothing(checkpoint, datasets, tmp_path, method):
    broken = BreakGradients(steps=(2,))
    log = train(checkpoint, datasets, tmp_path, broken, adversarial_method=method, adversarial_steps=3)
    first, second, third = broken.weights
    assert far(second, first) == 0 < far(third, second)
    assert [line["skipped_nonfinite"] for line in log] == [0, 1, 0]
    # freelb climbs on the gradients of training passes: all copies are dropped at the first
    assert [line["dropped_nonfinite"] for line in log] == [0, ROWS if method == "freelb" else 0, 0]


@pytest.fixture
def scaler(monkeypatch) -> list[torch.amp.GradScaler]:
    """Torch's own gradient scaler, on a CPU: its first scale makes every loss overflow, the next none."""
    made, stock = [], Accelerator.__init__

    def with_scaler(self, *args, **kwargs):
        stock(self, *args, **kwargs)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, backoff_factor=2.0**-80)
        made.append(self.scaler)

    monkeypatch.setattr(Accelerator, "__init__", with_scaler)
    return made


@pytest.mark.parametrize("method", ["pgd", "none"])
def test_a_gradient_scaler_skips_steps_in_its_own_way(checkpoint, datasets, tmp_path, scaler, method):
    watched = BreakGradients(steps=())
    keys = dict(adversarial_method=method, max_grad_norm=0.0)
    log = train(checkpoint, datasets, tmp_path / "scaled", watched, **keys)
    first, second, third = watched.weights
    assert far(first, watched.start) == 0 and far(second, first) > 1e-5 and far(third, second) > 1e-5
    assert scaler[-1].get_scale() == 2.0**46  # lowered once
    assert [line["skipped_nonfinite"] for line in log] == [0, 0, 0]  # the plugin leaves that to the scaler
    # the attack's loss is scaled as training's is, and its gradients are smaller than those to the parameters: it loses no copy
    assert [line["dropped_nonfinite"] for line in log] == [0, 0, 0]


def test_the_run_stops_when_it_does_not_end(checkpoint, datasets, tmp_path):
    broken = BreakGradients(steps=(2, 4, 5, 6))
    with pytest.raises(ModalityInterferenceError, match="3 optimizer steps in a row") as error:
        train(
            checkpoint, datasets, tmp_path, broken,
            max_steps=20, nonfinite_patience=3, save_strategy="steps", save_steps=3, save_total_limit=1,
        )  # fmt: skip
    assert "`nonfinite_patience`" in str(error.value) and "`bf16: true`" in str(error.value)
    assert len(broken.weights) == 6
    assert [is_complete(path) for path in tmp_path.glob("checkpoint-*")] == [True]


def test_patience_counts_steps_in_a_row():
    patience = Patience(2)
    for faults in (1, 0, 5, 0, 1):
        patience.end_step(faults)

    with pytest.raises(ModalityInterferenceError):
        patience.end_step(1)


@pytest.mark.parametrize(
    ("norm", "finite"),
    [(None, True), (1.0, True), (float("inf"), False), (torch.tensor(float("nan")), False), (torch.tensor(2.0), True)],
)
def test_norms(norm, finite):
    assert is_finite(norm) is finite


def batch_of_four() -> TwinBatch:
    """Clean row 0 with twins 1 and 2, and clean row 3; one answer token each; rows 0 and 1 have copies."""
    labels = torch.tensor([[NO, 1], [NO, 1], [NO, 1], [NO, 2]])
    mask = torch.tensor([[True, False], [True, False], [False, False], [False, False]])
    nothing = torch.zeros_like(labels)
    return TwinBatch(
        {},
        labels,
        torch.tensor([0, 0, 0, 3]),
        torch.arange(4),
        mask,
        None,
        None,
        token_modality=nothing,
        relevant=nothing[:, 0],
    )


@pytest.mark.parametrize("broken", [4, 5], ids=["copy of the clean row", "copy of a twin"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_copy_that_is_not_finite_is_left_out_of_the_loss(broken, value):
    batch, copies_of = batch_of_four(), torch.tensor([0, 1])
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels = torch.cat([batch.labels, batch.labels[copies_of]])
    totals = Totals(*torch.tensor([4, 2, 1, 2]))
    arguments = PluginArguments(adversarial_method="pgd", consistency_weight=0.5)
    means = RunningMeans()
    spoiled = logits.masked_fill((torch.arange(6) == broken)[:, None], value)
    loss = objective(Answers.of(spoiled, labels), batch, copies_of, totals, arguments, means)

    log_p = torch.log_softmax(logits, dim=-1)
    kept = 9 - broken
    variants = [1, 2, kept]
    sft = -(log_p[0, 1] + log_p[1, 1] + log_p[2, 1] + log_p[3, 2]) / 4
    p = log_p.exp()
    middle = [(p[0] + p[variant]) / 2 for variant in variants]
    js = [((p[0] * (p[0] / m).log()).sum() + (p[v] * (p[v] / m).log()).sum()) / 2 for v, m in zip(variants, middle)]
    expected = sft - log_p[kept, 1] / 2 + 0.5 * sum(js) / 3
    torch.testing.assert_close(loss, expected)
    found, reference = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (loss, expected))
    torch.testing.assert_close(found, reference)
    assert means.take(lambda share: share, torch.device("cpu"))["dropped_nonfinite"] == 1


def test_a_twin_that_is_not_finite_has_no_consistency_term():
    batch, nothing = batch_of_four(), torch.tensor([], dtype=torch.long)
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(1)) * 2
    spoiled = logits.clone()
    spoiled[2] = float("nan")
    totals = Totals(*torch.tensor([4, 0, 1, 0]))
    means = RunningMeans()
    objective(Answers.of(spoiled, batch.labels), batch, nothing, totals, PluginArguments(), means)
    logged = means.take(lambda share: share, torch.device("cpu"))
    p = torch.softmax(logits, dim=-1)
    middle = (p[0] + p[1]) / 2
    js = ((p[0] * (p[0] / middle).log()).sum() + (p[1] * (p[1] / middle).log()).sum()) / 2
    assert logged["loss_consistency"] == pytest.approx(js.item(), rel=1e-5)
    assert logged["dropped_nonfinite"] == 1
    assert math.isnan(logged["loss_sft"])  # plain fine-tuning's own fault is not hidden
