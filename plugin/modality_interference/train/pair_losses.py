"""The loss of preference tuning with twins: pairs, their consistency, and what is preferred without the evidence.

`Loss = L_pref + consistency_weight * L_cons + L_cf`; docs/method.md derives it. The losses of a pair are those of DPO (arXiv
2305.18290), SLiC (2305.10425), IPO (2310.12036), ORPO (2403.07691) and SimPO (2405.14734), as LLaMA-Factory names them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..batching.answer_logits import Answers
from ..batching.pairs import PairBatch
from .answer_losses import METHODS, cross_entropy
from .losses import LOSS_CONSISTENCY, RunningMeans, consistency_sum


LOSS_PREFERENCE = "loss_preference"
LOSS_PREFERENCE_TWINS = "loss_preference_twins"
LOSS_PREFERENCE_COUNTERFACTUAL = "loss_preference_counterfactual"
MARGIN_FLIP_RATE = "margin_flip_rate"
PAIR_MEANS = (
    LOSS_PREFERENCE,
    LOSS_PREFERENCE_TWINS,
    LOSS_CONSISTENCY,
    LOSS_PREFERENCE_COUNTERFACTUAL,
    MARGIN_FLIP_RATE,
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "rewards/accuracies_twins",
    "rewards/accuracies_counterfactual",
    "logps/chosen",
    "logps/rejected",
)
AVERAGED = ("ipo", "orpo", "simpo")  # losses of mean log-probabilities of an answer's tokens; the others are of sums


@dataclass
class PairTotals:
    """Denominators of an optimizer step, over all its batches on all ranks.

    Attributes:
        pairs: of clean rows and twins.
        groups: clean pairs that have a twin.
        removed: pairs without their evidence, and their counterparts with it.
    """

    pairs: Tensor
    groups: Tensor
    removed: Tensor

    @classmethod
    def count(cls, batch: PairBatch) -> Tensor:
        """(3,) one batch's share of the totals."""
        groups = len(torch.unique(batch.pair_of[batch.is_twin]))
        return torch.tensor([int((~batch.removed).sum()), groups, int(batch.removed.sum())])


@dataclass
class Scores:
    """What the policy and the reference model say of the rows of a batch.

    Attributes:
        logps: (rows,) log-likelihoods of the answers in nats, sums over their tokens.
        means: (rows,) the same divided by the tokens.
        rewards: (rows,) beta times the log-likelihood above the reference model's: sums or, for the losses of `AVERAGED`, means.
    """

    logps: Tensor
    means: Tensor
    rewards: Tensor

    @classmethod
    def of(cls, answers: Answers, reference: Answers | None, arguments: Any) -> "Scores":
        """Score rows.

        Args:
            answers: the policy's logits.
            reference: the reference model's at the same positions; None for losses without one, which take 0 in its place.
            arguments: LLaMA-Factory's.
        """
        entropy = cross_entropy(answers)
        if reference is None:
            gained = -entropy
        else:
            gained = cross_entropy(reference).detach() - entropy

        averaged = arguments.pref_loss in AVERAGED
        rewards = answers.row_means(gained) if averaged else answers.row_sums(gained)
        return cls(-answers.row_sums(entropy), -answers.row_means(entropy), arguments.pref_beta * rewards)


def pair_losses(scores: Scores, pairs: Tensor, arguments: Any) -> Tensor:
    """The loss of every pair, as `pref_loss` says it, with the cross-entropy of the chosen answer at the weight `pref_ftx`.

    Args:
        scores: of all rows.
        pairs: (pairs, 2) the rows of the chosen and of the rejected answer.
        arguments: LLaMA-Factory's.

    Returns:
        (pairs,).
    """
    chosen, rejected = pairs.unbind(dim=1)
    margins, beta = scores.rewards[chosen] - scores.rewards[rejected], arguments.pref_beta
    if arguments.pref_loss == "sigmoid":
        smoothing = arguments.dpo_label_smoothing
        losses = -(1 - smoothing) * logsigmoid(margins) - smoothing * logsigmoid(-margins)
    elif arguments.pref_loss == "hinge":
        losses = torch.relu(1 - margins)
    elif arguments.pref_loss == "ipo":
        losses = (margins / beta - 1 / (2 * beta)) ** 2
    elif arguments.pref_loss == "simpo":
        losses = -logsigmoid(margins - arguments.simpo_gamma)
    else:  # orpo
        odds = scores.means - torch.log1p(-torch.exp(scores.means))
        losses = -scores.means[chosen] - beta * logsigmoid(odds[chosen] - odds[rejected])

    return losses - arguments.pref_ftx * scores.means[chosen]


def margin_divergences(clean: Tensor, twins: Tensor, method: str, temperature: float) -> Tensor:
    """How far twins' margins are from those of their clean pairs, which are fixed targets.

    A margin m says that the chosen answer is preferred with probability sigmoid(m) (Bradley and Terry). D is between these two
    distributions over the two answers, with margins divided by the temperature T and D scaled by T^2.

    Args:
        clean: (twins,) margins of the clean pairs.
        twins: (twins,) margins of the twins' pairs.
        method: a key of `METHODS`.
        temperature: T > 0.

    Returns:
        (twins,) nats; for `mse`, squared probability.
    """

    def preference(margins: Tensor) -> Tensor:
        softened = margins / temperature
        return torch.stack([logsigmoid(softened), logsigmoid(-softened)], dim=-1)

    return METHODS[method][0](preference(clean.detach()), preference(twins)) * temperature**2


def preference_objective(
    scores: Scores, batch: PairBatch, totals: PairTotals, arguments: Any, means: RunningMeans
) -> Tensor:
    """This batch's share of the loss of the optimizer step.

    Args:
        scores: of the batch's rows.
        batch: the pairs.
        totals: the denominators.
        arguments: LLaMA-Factory's and the plugin's.
        means: takes what is logged.

    Returns:
        a scalar; summed over the step's batches and ranks it is the loss.
    """
    twin = batch.is_twin
    kept, removed = batch.pairs[~batch.removed], batch.pairs[batch.removed]
    losses = pair_losses(scores, kept, arguments)
    margins = scores.rewards[batch.pairs[:, 0]] - scores.rewards[batch.pairs[:, 1]]
    loss = losses.sum() / totals.pairs
    means.add(LOSS_PREFERENCE, losses.sum(), len(kept))
    means.add(LOSS_PREFERENCE_TWINS, losses[twin[~batch.removed]].sum(), int(twin.sum()))
    sources = batch.pair_of[twin]
    if arguments.consistency_on and len(sources):
        terms = margin_divergences(
            margins[sources], margins[twin], arguments.consistency_method, arguments.consistency_temperature
        )
        total, groups = consistency_sum(terms, sources)
        means.add(LOSS_CONSISTENCY, total, groups)
        loss = loss + arguments.consistency_weight * total / totals.groups

    if len(removed):
        total = -logsigmoid(margins[batch.removed]).sum()
        means.add(LOSS_PREFERENCE_COUNTERFACTUAL, total, len(removed))
        loss = loss + total / totals.removed

    _log(scores, margins.detach(), batch, means)
    return loss


def _log(scores: Scores, margins: Tensor, batch: PairBatch, means: RunningMeans) -> None:
    """Log rewards of clean pairs as LLaMA-Factory does, and of the others how often the right answer has more."""
    clean, twin = batch.is_clean, batch.is_twin
    chosen, rejected = batch.pairs[clean].unbind(dim=1)
    count = len(chosen)
    for name, rows in (("chosen", chosen), ("rejected", rejected)):
        means.add(f"rewards/{name}", scores.rewards[rows].sum(), count)
        means.add(f"logps/{name}", scores.logps[rows].sum(), count)

    means.add("rewards/margins", margins[clean].sum(), count)
    preferred = margins > 0
    for name, which in (("", clean), ("_twins", twin), ("_counterfactual", batch.removed)):
        means.add(f"rewards/accuracies{name}", preferred[which].sum(), int(which.sum()))

    flips = preferred[twin] != preferred[batch.pair_of[twin]]
    means.add(MARGIN_FLIP_RATE, flips.sum(), len(flips))
