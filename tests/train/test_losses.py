"""How the terms of the loss are put together."""

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from modality_interference.batching.answer_logits import Answers
from modality_interference.train.answer_losses import METHODS, cross_entropy_and_divergences
from modality_interference.train.losses import consistency_sum


def logits(rows: int = 5, vocabulary: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, vocabulary, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 3


def total_js(answers: Answers, variants: list[int], sources: list[int]) -> tuple[float, int]:
    own, clean = torch.tensor(variants), torch.tensor(sources)
    total, groups = consistency_sum(cross_entropy_and_divergences(answers, own, clean, "js", 1.0)[1], clean)
    return total.item(), groups


def distance(values: torch.Tensor, one: int, other: int) -> float:
    p = values.softmax(dim=-1).numpy()
    return jensenshannon(p[one], p[other]) ** 2


def test_sum_is_the_mean_over_variants_of_the_mean_over_positions():
    lengths = [2, 2, 2, 1, 1]  # row 0 with twins 1 and 2, row 3 with twin 4
    row = torch.repeat_interleave(torch.arange(5), torch.tensor(lengths))
    values = logits(8, 6, 5)
    answers = Answers(values, torch.zeros(8, dtype=torch.long), row, 5)
    total, groups = total_js(answers, [4, 1, 2], [3, 0, 0])
    first = (distance(values, 0, 2) + distance(values, 1, 3)) / 2 + (
        distance(values, 0, 4) + distance(values, 1, 5)
    ) / 2
    assert total == pytest.approx(first / 2 + distance(values, 6, 7))
    assert groups == 2


def test_positions_that_are_not_compared_do_not_count():
    """Row 0 of three tokens with twin 1, of which the last two are compared, and twin 2, of which the last is."""
    values = logits(9, 6, 5)
    compared = torch.tensor([False] * 3 + [False, True, True] + [False, False, True])
    answers = Answers(values, torch.zeros(9, dtype=torch.long), torch.arange(9) // 3, 3, compared)
    total, _ = total_js(answers, [1, 2], [0, 0])
    distances = [distance(values, clean, own) for clean, own in ((1, 4), (2, 5), (2, 8))]
    assert total == pytest.approx(((distances[0] + distances[1]) / 2 + distances[2]) / 2)


@pytest.mark.parametrize("method", METHODS)
def test_no_variants_no_loss(method):
    answers = Answers(logits(2), torch.zeros(2, dtype=torch.long), torch.tensor([0, 1]), 2)
    nothing = torch.tensor([], dtype=torch.long)
    entropy, terms = cross_entropy_and_divergences(answers, nothing, nothing, method, 1.0)
    assert len(entropy) == 2 and not len(terms)
    assert consistency_sum(terms, nothing) == (0, 0)
