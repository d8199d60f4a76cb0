"""How the terms of the loss are put together."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from modality_interference.arguments import PluginArguments
from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import Counterfactual, OptionTokens, Role, TwinBatch
from modality_interference.modality import IGNORE_LABEL as NO
from modality_interference.train.answer_losses import METHODS, cross_entropy_and_divergences
from modality_interference.train.losses import RunningMeans, Totals, consistency_sum, objective


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


# counterfactual rows

VOCABULARY = 8
# a clean row with its twin and two counterfactual rows, a clean row, and a row with a further option; a label is a token's id
ROWS = [[NO, 1, 2], [NO, 1, 2], [NO, 1, 2], [NO, 1, 2], [NO, 3, NO], [NO, 4, 5]]
ROLES = [Role.CLEAN, Role.TWIN, Role.COUNTERFACTUAL, Role.COUNTERFACTUAL, Role.CLEAN, Role.OPTION]
OPTIONS = {  # of the first: its own answer without the end, one token read in the same place, and the further row
    "contrast": (),
    "uniform": (OptionTokens(2, 0, (1,)), OptionTokens(2, 0, (6,)), OptionTokens(5, 0, (4, 5))),
    "abstain": (OptionTokens(5, 0, (4, 5)),),
}
SECOND = {
    "contrast": (),
    "uniform": (OptionTokens(3, 0, (1,)), OptionTokens(3, 0, (7,))),
    "abstain": (OptionTokens(3, 0, (7,)),),
}


def batch_of(rows: list[int], gone: list[Counterfactual]) -> TwinBatch:
    """Some of `ROWS`, of which every one may be attacked."""
    labels = torch.tensor([ROWS[row] for row in rows])
    nothing = torch.zeros_like(labels)
    return TwinBatch(
        {}, labels, torch.tensor([rows.index(4 if row == 4 else 0) for row in rows]), torch.arange(len(rows)),
        nothing == 0, None, None, nothing, nothing[:, 0],
        role=torch.tensor([ROLES[row] for row in rows]), counterfactuals=gone,
    )  # fmt: skip


def measured(values: torch.Tensor, rows: list[int], gone: list[Counterfactual], **keys):
    """Loss, its gradient, and what is logged, with a copy of the first clean row and of its twin; half of the step's totals."""
    batch, means = batch_of(rows, gone), RunningMeans()
    arguments = PluginArguments(adversarial_method="pgd", **keys)
    copies_of = batch.masked_rows[:2]
    totals = Totals(*(2 * Totals.count(batch, arguments)))
    logits = values.clone().requires_grad_()
    answers = Answers.of(logits, torch.cat([batch.labels, batch.labels[copies_of]]))
    loss = objective(answers, batch, copies_of, totals, arguments, means)
    return loss, torch.autograd.grad(loss, logits)[0], means.take(lambda share: share, torch.device("cpu")), totals


def both(method: str) -> list[Counterfactual]:
    return [Counterfactual(2, 0, 3, OPTIONS[method]), Counterfactual(3, 0, 0, SECOND[method])]


POSITIONS = 11 + 4  # of `ROWS`, and of copies of the first two
OTHERS = [0, 1, 2, 3, 8, *range(11, 15)]  # those of clean rows, twins and copies


@pytest.mark.parametrize("method", ["contrast", "uniform", "abstain"])
def test_counterfactual_rows_change_no_other_term(method):
    """To the last bit; what `uniform` and `abstain` move are the logits of counterfactual rows and options alone."""
    values = logits(POSITIONS, VOCABULARY, 4).float()
    keys = dict(consistency_weight=0.5, counterfactual_method=method)
    _, alone, expected, totals = measured(values[OTHERS], [0, 1, 4], [], **keys)
    tiny = measured(values, [0, 1, 2, 3, 4, 5], both(method), **keys, counterfactual_weight=1e-30)
    _, gradient, logged, with_gone = measured(
        values, [0, 1, 2, 3, 4, 5], both(method), **keys, counterfactual_weight=1.0
    )
    assert expected.items() <= logged.items() and set(logged) - set(expected) == {
        "loss_counterfactual",
        "evidence_margin",
    }
    assert torch.equal(tiny[1][OTHERS], alone)
    assert method == "contrast" or torch.equal(gradient[OTHERS], alone)
    names = ("tokens", "adversarial_tokens", "groups", "attacked", "aligned")
    assert [getattr(totals, name) for name in names] == [getattr(with_gone, name) for name in names]
    assert (totals.counterfactuals, with_gone.counterfactuals) == (0, 2 * 2)


@pytest.mark.parametrize("broken", [4, 5, 9])
@pytest.mark.parametrize("method", ["contrast", "uniform", "abstain"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_counterfactual_term_that_is_not_finite_is_left_out(method, broken, value):
    """Positions 4 and 5 are of the first counterfactual row, 9 is of its option's; the second row's term stays."""
    values = logits(POSITIONS, VOCABULARY, 4)
    keys = dict(counterfactual_method=method, counterfactual_weight=1.0)
    spoiled = values.clone()
    spoiled[broken] = value
    rows = [0, 1, 2, 3, 4, 5]
    loss, gradient, logged, _ = measured(spoiled, rows, both(method), **keys)
    if broken == 9 and method == "contrast":  # it reads no options
        assert logged["dropped_nonfinite"] == 0
        return

    one, of_one, figures, _ = measured(values, rows, both(method)[1:], **keys)
    none, of_none, _, _ = measured(values, rows, [], **keys)
    assert logged["dropped_nonfinite"] == 1 and logged["loss_counterfactual"] == figures["loss_counterfactual"]
    # the denominator stays, so the second row's term has half of the weight that it has alone
    torch.testing.assert_close(loss, (none + one) / 2)
    torch.testing.assert_close(gradient, (of_none + of_one) / 2)


@pytest.mark.parametrize("choices", [0, 3])
@pytest.mark.parametrize("above", [True, False])
def test_a_likelihood_at_chance_is_not_lowered(choices, above):
    """With options, the chance of all tokens together is 1 / 3; without, that of each of two tokens is 1 / 8."""
    target = (1 / 3) ** 0.5 if choices else 1 / VOCABULARY
    target *= 1.001 if above else 0.999
    values = logits(POSITIONS, VOCABULARY, 4)
    for position, token in ((4, 1), (5, 2)):  # softmax = target
        others = values[position].exp().sum() - values[position, token].exp()
        values[position, token] = torch.log(others * target / (1 - target))

    gone = [Counterfactual(2, 0, choices)]
    keys = dict(counterfactual_beta=1.5, counterfactual_margin=0.5)
    without = measured(values, [0, 1, 2, 3, 4, 5], gone, **keys)
    loss, gradient, logged, _ = measured(values, [0, 1, 2, 3, 4, 5], gone, counterfactual_weight=1.0, **keys)
    seen = torch.log_softmax(values, dim=-1)[[0, 1], [1, 2]].mean()
    term = -torch.log(torch.sigmoid(1.5 * (seen - math.log(target)) - 0.5))
    torch.testing.assert_close(loss - without[0], term / 2)
    assert logged["evidence_margin"] == pytest.approx((seen - math.log(target)).item())
    assert gradient[[4, 5]].any() == above
    assert (
        gradient[[0, 1]] - without[1][[0, 1]]
    ).abs().amax() > 1e-3  # the clean row's likelihood is raised either way
