"""The attack's arithmetic, against torchattacks on a linear model."""

from pathlib import Path

import pytest
import torch
import torchattacks
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from modality_interference.arguments import PluginArguments
from modality_interference.train.attack import TokenRows, ascend, find_perturbation, row_noise
from modality_interference.train.hooks import perturb


ROWS, TOKENS, HIDDEN, CLASSES = 6, 3, 4, 5


@pytest.fixture
def linear():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(TOKENS * HIDDEN, CLASSES))
    embeds = torch.rand(ROWS, TOKENS, HIDDEN) * 0.2 + 0.4  # in the middle of torchattacks' [0, 1]
    return model, embeds, torch.randint(CLASSES, (ROWS,))


ALL = TokenRows.of(torch.ones(ROWS, TOKENS, dtype=torch.bool))


def gradient_of(model, embeds, targets):
    def gradient_at(delta):
        delta = delta.clone().requires_grad_()
        loss = cross_entropy(model(embeds + delta.view_as(embeds)), targets, reduction="sum")
        return torch.autograd.grad(loss, delta)[0]

    return gradient_at


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_sign_pgd_equals_torchattacks(linear, steps):
    model, embeds, targets = linear
    arguments = PluginArguments(
        adversarial_steps=steps, adversarial_step_size=0.01, adversarial_epsilon=0.03, adversarial_update="sign"
    )
    delta = find_perturbation(gradient_of(model, embeds, targets), torch.zeros(ROWS * TOKENS, HIDDEN), ALL, arguments)
    attack = torchattacks.PGD(model, eps=0.03, alpha=0.01, steps=steps, random_start=False)
    torch.testing.assert_close(embeds + delta.view_as(embeds), attack(embeds, targets), atol=1e-6, rtol=0)


def test_fgsm_equals_torchattacks(linear):
    model, embeds, targets = linear
    arguments = PluginArguments(adversarial_method="fgsm", adversarial_epsilon=0.05)
    delta = find_perturbation(gradient_of(model, embeds, targets), torch.randn(ROWS * TOKENS, HIDDEN), ALL, arguments)
    torch.testing.assert_close(
        embeds + delta.view_as(embeds), torchattacks.FGSM(model, eps=0.05)(embeds, targets), atol=1e-6, rtol=0
    )


def test_gradient_update_is_the_papers(linear):
    model, embeds, targets = linear
    arguments = PluginArguments(adversarial_steps=1, adversarial_step_size=0.5, adversarial_epsilon=10.0)
    start = torch.rand(ROWS * TOKENS, HIDDEN) * 2 - 1
    delta = find_perturbation(gradient_of(model, embeds, targets), start, ALL, arguments)
    expected = 10 * start + 0.5 * gradient_of(model, embeds, targets)(10 * start)
    torch.testing.assert_close(delta, expected.clamp(-10, 10))


def test_normalized_update_has_unit_length_per_row(linear):
    model, embeds, targets = linear
    arguments = PluginArguments(adversarial_update="normalized", adversarial_step_size=0.2, adversarial_epsilon=1.0)
    zero = torch.zeros(ROWS * TOKENS, HIDDEN)
    delta = ascend(zero, gradient_of(model, embeds, targets)(zero), ALL, arguments)
    torch.testing.assert_close(delta.view_as(embeds).flatten(1).norm(dim=1), torch.full((ROWS,), 0.2))


def test_gaussian_has_the_standard_deviation():
    mask = torch.ones(4, 500, dtype=torch.bool)
    noise = row_noise(mask, 16, torch.arange(4), (0,), gaussian=True)
    delta = find_perturbation(
        lambda _: pytest.fail("no gradient"), noise, TokenRows.of(mask), PluginArguments(adversarial_method="gaussian")
    )
    assert abs(delta.std().item() / 0.05 - 1) < 0.02  # the sigma of the paper's configurations


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["fgsm", "pgd"]),
    st.sampled_from(["gradient", "sign", "normalized"]),
    st.floats(1e-4, 1.0),
    st.floats(1e-3, 100.0),
    st.integers(0, 5),
)
def test_every_update_stays_in_the_ball(method, update, epsilon, step_size, seed):
    generator = torch.Generator().manual_seed(seed)
    arguments = PluginArguments(
        adversarial_method=method,
        adversarial_update=update,
        adversarial_epsilon=epsilon,
        adversarial_step_size=step_size,
        adversarial_steps=3,
    )
    mask = torch.tensor([[True, False, True], [False, True, False]])
    start = torch.rand(3, 4, generator=generator) * 2 - 1
    delta = find_perturbation(lambda _: torch.randn(3, 4, generator=generator), start, TokenRows.of(mask), arguments)
    assert delta.abs().max() <= epsilon * (1 + 1e-6)


def test_a_row_without_a_finite_gradient_stays_where_it_is():
    """Row 0 has two masked tokens, row 1 none, row 2 one; a single entry of row 0 is not finite."""
    rows = TokenRows.of(torch.tensor([[True, True], [False, False], [False, True]]))
    delta = torch.full((3, 2), 0.0005)
    gradient = torch.tensor([[1.0, float("nan")], [1.0, 1.0], [1.0, 1.0]])
    assert rows.finite(gradient).tolist() == [False, True, True]
    moved = ascend(delta, gradient, rows, PluginArguments(adversarial_step_size=1e-4))
    assert torch.equal(moved[:2], delta[:2])
    torch.testing.assert_close(moved[2], delta[2] + 1e-4)


def test_noise_depends_on_row_and_seed_only():
    short = row_noise(torch.tensor([[True, True, False]]), 4, torch.tensor([7]), (1, 2))
    padded = torch.tensor([[False, True, False, False, False], [False, False, False, False, False]])
    padded = torch.cat([padded, torch.tensor([[False, False, True, True, False]])])
    long = row_noise(padded, 4, torch.tensor([9, 8, 7]), (1, 2))
    assert len(long) == 3
    assert torch.equal(short, long[1:])
    assert not torch.equal(short, row_noise(torch.tensor([[True, True, False]]), 4, torch.tensor([7]), (1, 3)))
    assert short.abs().max() <= 1


def test_perturbed_embeddings_differ_at_masked_tokens_only():
    mask = torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
    embeds = torch.randn(3, 3, 4, dtype=torch.float64, requires_grad=True)
    delta = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    dense = torch.zeros(3, 3, 4, dtype=torch.float64).masked_scatter(mask[..., None], delta)
    torch.testing.assert_close(perturb(embeds, mask, delta), embeds + dense)
    assert torch.autograd.gradcheck(lambda e, d: perturb(e, mask, d), (embeds, delta))
    assert torch.equal(perturb(embeds, torch.zeros_like(mask), delta[:0]), embeds)


def test_an_attack_holds_masked_tokens_only(monkeypatch):
    """A tenth of the tokens is masked: all that ascent steps hold is below one tensor of all tokens."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from costs import peak_memory

    rows, tokens, hidden = 8, 200, 64
    mask = torch.zeros(rows, tokens, dtype=torch.bool)
    mask[:, :20] = True
    arguments = PluginArguments(adversarial_steps=3, adversarial_update="normalized")

    def attack() -> None:
        noise = row_noise(mask, hidden, torch.arange(rows), (0,))
        find_perturbation(lambda delta: delta * 2, noise, TokenRows.of(mask), arguments)

    assert peak_memory(attack, torch.device("cpu")) < 4 * rows * tokens * hidden
