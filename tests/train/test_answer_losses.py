"""Cross-entropy and divergences against torch.distributions and scipy in float64; their gradients; what they hold in memory."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from torch.distributions import Categorical, kl_divergence

from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import OptionTokens
from modality_interference.train import answer_losses as answer_losses_module
from modality_interference.train.answer_losses import (
    METHODS,
    answer_losses,
    cross_entropy,
    cross_entropy_and_divergences,
    js,
)


def logits(rows: int = 5, vocabulary: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, vocabulary, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 3


def one_token_rows(values: torch.Tensor) -> Answers:
    targets = torch.arange(len(values)) % values.shape[1]
    return Answers(values, targets, torch.arange(len(values)), len(values))


def divergence(method: str, clean: torch.Tensor, variant: torch.Tensor, temperature: float) -> torch.Tensor:
    """D of (positions, vocabulary) twice: rows of one token each, the clean ones first."""
    count = torch.arange(len(clean))
    answers = one_token_rows(torch.cat([clean, variant]))
    return cross_entropy_and_divergences(answers, count + len(count), count, method, temperature)[1]


def reference(method: str, clean: torch.Tensor, variant: torch.Tensor, temperature: float) -> torch.Tensor:
    """The same by torch.distributions and autograd."""
    p, q = Categorical(logits=clean / temperature), Categorical(logits=variant / temperature)
    fixed = Categorical(probs=p.probs.detach())
    middle = Categorical(probs=(p.probs + q.probs) / 2)
    return {
        "kl": lambda: kl_divergence(fixed, q),
        "reverse_kl": lambda: kl_divergence(q, fixed),
        "js": lambda: (kl_divergence(p, middle) + kl_divergence(q, middle)) / 2,
        "mse": lambda: torch.nn.functional.mse_loss(p.probs, q.probs, reduction="none").mean(dim=-1),
    }[method]() * temperature**2


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("method", METHODS)
def test_values_match_independent_references(method, temperature):
    clean, variant = logits(seed=1), logits(seed=2)
    found = divergence(method, clean, variant, temperature)
    torch.testing.assert_close(found, reference(method, clean, variant, temperature))
    if method == "js":
        p, q = ((values / temperature).softmax(dim=-1).numpy() for values in (clean, variant))
        torch.testing.assert_close(found, torch.tensor(jensenshannon(p, q, axis=1) ** 2) * temperature**2)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-80, 80), st.floats(-80, 80)), min_size=2, max_size=8))
def test_js_is_symmetric_and_at_most_ln_2(pairs):
    clean, variant = (torch.tensor([values], dtype=torch.float64).log_softmax(dim=-1) for values in zip(*pairs))
    value = js(clean, variant)
    assert -1e-9 <= value.item() <= math.log(2) + 1e-9
    torch.testing.assert_close(value, js(variant, clean))


ROWS = [3, 3, 3, 1, 2, 3, 1]  # answer tokens: row 0 has the twins 1 and 2 and a copy 5, row 3 a copy 6, row 4 nothing
VARIANTS, SOURCES = torch.tensor([1, 2, 5, 6]), torch.tensor([0, 0, 0, 3])
COMPARED = torch.tensor([True] * 3 + [False, True, True] + [False, False, True] + [True] * 7)


def answers_of(values: torch.Tensor) -> Answers:
    row = torch.repeat_interleave(torch.arange(len(ROWS)), torch.tensor(ROWS))
    return Answers(values, torch.arange(len(row)) % values.shape[1], row, len(ROWS), COMPARED)


def by_autograd(method: str, values: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(positions,) cross-entropy, and (variants,) mean divergences, pair by pair."""
    entropy = torch.nn.functional.cross_entropy(values, torch.arange(len(values)) % values.shape[1], reduction="none")
    pairs = [[(4, 1), (5, 2)], [(8, 2)], [(12, 0), (13, 1), (14, 2)], [(15, 9)]]  # (variant's position, clean row's)
    terms = [
        torch.stack([reference(method, values[c][None], values[v][None], temperature)[0] for v, c in own]).mean()
        for own in pairs
    ]
    return entropy, torch.stack(terms)


@pytest.mark.parametrize(
    "entries", [1, 21, 1 << 24]
)  # a vocabulary of 7: one clean position, 3 positions, all at a time
@pytest.mark.parametrize("method", METHODS)
def test_gradients_in_pieces_of_any_size(method, entries, monkeypatch):
    monkeypatch.setattr(answer_losses_module, "PIECE", entries)
    values = logits(16, 7, 3).requires_grad_()
    weights = torch.rand(16, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    found = cross_entropy_and_divergences(answers_of(values), VARIANTS, SOURCES, method, 2.0)
    expected = by_autograd(method, values, 2.0)
    gradients = []
    for measured in (found, expected):
        loss = sum((weight * term).sum() for weight, term in zip(weights, measured))
        gradients.append(torch.autograd.grad(loss, values)[0])

    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_weight_has_no_gradient_even_if_not_finite(method):
    whole = logits(16, 7, 3).requires_grad_()
    values = whole.detach().clone()
    values[[4, 12]] = float("nan")  # of twin 1, compared with position 1, and of the copy 5, with position 0
    values.requires_grad_()
    entropy, terms = cross_entropy_and_divergences(answers_of(values), VARIANTS, SOURCES, method, 1.0)
    assert torch.isfinite(terms).tolist() == [False, True, False, True]
    kept = torch.isfinite(entropy)
    (found,) = torch.autograd.grad(entropy[kept].sum() + terms[[1, 3]].sum(), values)
    entropy, terms = by_autograd(method, whole, 1.0)
    (expected,) = torch.autograd.grad(entropy[kept].sum() + terms[[1, 3]].sum(), whole)
    assert not found[[4, 12]].any()
    torch.testing.assert_close(found[kept], expected[kept])


def test_half_precision_is_computed_in_float32():
    values = logits(16, 7, 3).bfloat16().requires_grad_()
    entropy, terms = cross_entropy_and_divergences(answers_of(values), VARIANTS, SOURCES, "js", 1.0)
    exact = by_autograd("js", values.detach().double(), 1.0)
    assert entropy.dtype == terms.dtype == torch.float32
    torch.testing.assert_close((entropy.double(), terms.double()), exact, rtol=1e-5, atol=1e-6)
    (entropy.sum() + terms.sum()).backward()
    precise = values.detach().double().requires_grad_()
    sum(part.sum() for part in by_autograd("js", precise, 1.0)).backward()
    torch.testing.assert_close(values.grad.double(), precise.grad, rtol=1e-2, atol=1e-3)  # rounded once, to bfloat16


@pytest.mark.parametrize("method", [None, "options", *METHODS])
def test_a_step_holds_at_most_five_bytes_an_entry_beside_the_logits(method, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from costs import peak_memory

    monkeypatch.setattr(answer_losses_module, "PIECE", 1 << 14)
    count, vocabulary = 128, 4096
    values = torch.randn(4 * count, vocabulary, requires_grad=True)
    answers = Answers(values, torch.zeros(4 * count, dtype=torch.long), torch.arange(4 * count) // 16, 4 * count // 16)
    clean = torch.arange(count // 16)
    variants, sources = torch.cat([clean + len(clean) * step for step in (1, 2, 3)]), clean.repeat(3)

    def step() -> None:
        if method is None:
            torch.autograd.grad(cross_entropy(answers).sum(), values)
        elif method == "options":  # eight of each row's first token, as letters are
            read = [OptionTokens(row, 0, (token,)) for row in range(answers.rows) for token in range(8)]
            entropy, _, found = answer_losses(answers, clean[:0], clean[:0], "js", 1.0, read)
            torch.autograd.grad(entropy.sum() + found.square().sum(), values)
        else:
            entropy, terms = cross_entropy_and_divergences(answers, variants, sources, method, 2.0)
            torch.autograd.grad(entropy.sum() + terms.sum(), values)

    held = peak_memory(step, torch.device("cpu")) / values.numel()
    assert 4 <= held <= 5  # the gradient of float32 logits is 4


# options: rows of 3, 1 and 5 positions; several tokens are read at one position, and one token twice
LENGTHS = (3, 1, 5)
READ = [
    OptionTokens(0, 1, (2, 6)),
    OptionTokens(1, 0, (3,)),
    OptionTokens(1, 0, (4,)),
    OptionTokens(2, 0, (1, 1, 5)),
    OptionTokens(1, 0, (3,)),
]


@pytest.mark.parametrize("piece", [1, 7 * 4, 1 << 20])
def test_likelihoods_of_options(piece, monkeypatch):
    monkeypatch.setattr(answer_losses_module, "PIECE", piece)
    values = logits(sum(LENGTHS), 7, 6).requires_grad_()
    row = torch.repeat_interleave(torch.arange(3), torch.tensor(LENGTHS))
    answers = Answers(values, torch.arange(len(row)) % 7, row, 3)
    nobody = row[:0]
    entropy, _, found = answer_losses(answers, nobody, nobody, "js", 1.0, READ)
    log_p = torch.log_softmax(values, dim=-1)
    expected = torch.stack(
        [log_p[1, 2] + log_p[2, 6], log_p[3, 3], log_p[3, 4], log_p[4, 1] + log_p[5, 1] + log_p[6, 5], log_p[3, 3]]
    )
    torch.testing.assert_close(found, expected)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.25]).double()
    plain = -log_p[torch.arange(len(row)), answers.targets]
    gradients = [
        torch.autograd.grad((weights * read).sum() + 2 * loss.sum(), values, retain_graph=True)[0]
        for read, loss in ((found, entropy), (expected, plain))
    ]
    torch.testing.assert_close(*gradients)


def test_an_option_without_weight_has_no_gradient_even_if_not_finite():
    values = logits(2, 7, 6)
    values[0] = float("nan")
    values.requires_grad_()
    answers, nobody = one_token_rows(values), torch.tensor([], dtype=torch.long)
    _, _, read = answer_losses(
        answers, nobody, nobody, "js", 1.0, [OptionTokens(0, 0, (1,)), OptionTokens(1, 0, (2,))]
    )
    (gradient,) = torch.autograd.grad(read[1], values)
    assert not gradient[0].any() and gradient[1].any()
