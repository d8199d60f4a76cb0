"""The divergences against torch.distributions and scipy in float64, and their gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from torch.distributions import Categorical, kl_divergence

from modality_interference.batching.answer_logits import Answers
from modality_interference.train.losses import METHODS, consistency_sum, divergence


def logits(rows: int = 5, vocabulary: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, vocabulary, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_values_match_independent_references(temperature):
    clean, variant = logits(seed=1), logits(seed=2)
    p, q = Categorical(logits=clean / temperature), Categorical(logits=variant / temperature)
    expected = {
        "kl": kl_divergence(p, q),
        "reverse_kl": kl_divergence(q, p),
        "js": torch.tensor(jensenshannon(p.probs.numpy(), q.probs.numpy(), axis=1) ** 2),
        "mse": torch.nn.functional.mse_loss(p.probs, q.probs, reduction="none").mean(dim=-1),
    }
    assert set(expected) == set(METHODS)
    for method, reference in expected.items():
        torch.testing.assert_close(divergence(method, clean, variant, temperature), reference * temperature**2)


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method):
    clean, variant = logits(2, 4, 3).requires_grad_(), logits(2, 4, 4).requires_grad_()
    fixed = clean.detach()
    assert torch.autograd.gradcheck(lambda value: divergence(method, fixed, value, 2.0), variant)

    gradients = torch.autograd.grad(divergence(method, clean, variant, 2.0).sum(), [clean, variant], allow_unused=True)
    if method in ("kl", "reverse_kl"):  # the clean distribution is a fixed target
        assert gradients[0] is None
    else:
        assert torch.autograd.gradcheck(lambda a, b: divergence(method, a, b, 2.0), (clean, variant))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-80, 80), st.floats(-80, 80)), min_size=2, max_size=8))
def test_js_is_symmetric_and_at_most_ln_2(pairs):
    clean, variant = (torch.tensor([values], dtype=torch.float64) for values in zip(*pairs))
    value = divergence("js", clean, variant, 1.0)
    assert -1e-9 <= value.item() <= math.log(2) + 1e-9
    torch.testing.assert_close(value, divergence("js", variant, clean, 1.0))


def test_sum_is_the_mean_over_variants_of_the_mean_over_positions():
    lengths = [2, 2, 2, 1, 1]  # row 0 with twins 1 and 2, row 3 with twin 4
    row = torch.repeat_interleave(torch.arange(5), torch.tensor(lengths))
    values = logits(8, 6, 5)
    answers = Answers(values, torch.zeros(8, dtype=torch.long), row, 5)
    total, finite = consistency_sum(answers, torch.tensor([4, 1, 2]), torch.tensor([3, 0, 0]), "js", 1.0)

    def distance(a: int, b: int) -> torch.Tensor:
        return divergence("js", values[a][None], values[b][None], 1.0)[0]

    first = ((distance(0, 2) + distance(1, 3)) / 2 + (distance(0, 4) + distance(1, 5)) / 2) / 2
    torch.testing.assert_close(total, first + distance(6, 7))
    assert finite.tolist() == [0, 1, 2]


def test_positions_that_are_not_compared_do_not_count():
    """Row 0 of three tokens with twin 1, of which the last two are compared, and twin 2, of which the last is."""
    values = logits(9, 6, 5)
    compared = torch.tensor([False] * 3 + [False, True, True] + [False, False, True])
    answers = Answers(values, torch.zeros(9, dtype=torch.long), torch.arange(9) // 3, 3, compared)
    total, _ = consistency_sum(answers, torch.tensor([1, 2]), torch.tensor([0, 0]), "js", 1.0)
    p = values.softmax(dim=-1).numpy()
    distances = [jensenshannon(p[clean], p[own]) ** 2 for clean, own in ((1, 4), (2, 5), (2, 8))]
    assert total.item() == pytest.approx(((distances[0] + distances[1]) / 2 + distances[2]) / 2)


def test_no_variants_no_loss():
    answers = Answers(logits(2), torch.zeros(2, dtype=torch.long), torch.tensor([0, 1]), 2)
    nothing = torch.tensor([], dtype=torch.long)
    total, finite = consistency_sum(answers, nothing, nothing, "kl", 1.0)
    assert total == 0 and not len(finite)


@pytest.mark.parametrize("method", METHODS)
def test_a_term_that_is_not_finite_is_as_if_it_were_not_there(method):
    values = logits(4, 6, 5).requires_grad_()  # row 0 with twins 1 and 2, row 3 without

    def total(of: torch.Tensor, variants: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        answers = Answers(of, torch.zeros(4, dtype=torch.long), torch.arange(4), 4)
        return consistency_sum(
            answers, torch.tensor(variants), torch.zeros(len(variants), dtype=torch.long), method, 1.0
        )

    broken = values.masked_fill(torch.tensor([False, True, False, False])[:, None], float("nan"))
    found, finite = total(broken, [1, 2])
    expected, _ = total(values, [2])
    assert finite.tolist() == [1]
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad(found, values), torch.autograd.grad(expected, values)):
        torch.testing.assert_close(one, other)
