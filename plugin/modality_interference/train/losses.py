"""The loss, and what is logged with it.

`Loss = L_sft + adversarial_weight * L_adv + consistency_weight * L_cons` (the final objective of arXiv 2505.19616), and
`+ alignment_weight * L_align` and `+ counterfactual_weight * L_cf` where a recipe asks for them. The paper, "Consistency Regularization", has the KL and the JS form of
`L_cons`; its code computes `reverse_kl`.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..arguments import PluginArguments
from ..batching.answer_logits import Answers
from ..batching.batch import Counterfactual, TwinBatch
from .alignment import aligned_rows
from .answer_losses import answer_losses


LOSS_SFT = "loss_sft"
LOSS_ADVERSARIAL = "loss_adversarial"
LOSS_CONSISTENCY = "loss_consistency"
LOSS_ALIGNMENT = "loss_alignment"
LOSS_COUNTERFACTUAL = "loss_counterfactual"
EVIDENCE_MARGIN = "evidence_margin"
TWIN_FLIP_RATE = "twin_flip_rate"
ADVERSARIAL_FLIP_RATE = "adversarial_flip_rate"
ADVERSARIAL_GAIN = "adversarial_gain"
DROPPED_NONFINITE = "dropped_nonfinite"
SKIPPED_NONFINITE = "skipped_nonfinite"
MEANS = (
    LOSS_SFT,
    LOSS_ADVERSARIAL,
    LOSS_CONSISTENCY,
    LOSS_ALIGNMENT,
    LOSS_COUNTERFACTUAL,
    EVIDENCE_MARGIN,
    TWIN_FLIP_RATE,
    ADVERSARIAL_FLIP_RATE,
    ADVERSARIAL_GAIN,
)
COUNTS = (DROPPED_NONFINITE, SKIPPED_NONFINITE)  # rows whose term was left out, optimizer steps that were skipped
LOGGED = (*MEANS, *COUNTS)


@dataclass
class Totals:
    """Denominators of an optimizer step, over all its batches on all ranks.

    Sums divided by them give means over the global batch, however unevenly tokens and rows fall on batches and ranks.

    Attributes:
        tokens: answer tokens of clean rows and twins.
        adversarial_tokens: answer tokens of adversarial copies.
        groups: clean rows that have a twin or an adversarial copy.
        attacked: rows that get an adversarial copy; 0 means that no rank attacks.
        aligned: rows that the alignment loss takes.
        counterfactuals: counterfactual rows.
    """

    tokens: Tensor
    adversarial_tokens: Tensor
    groups: Tensor
    attacked: Tensor
    aligned: Tensor | int = 0
    counterfactuals: Tensor | int = 0

    @classmethod
    def count(cls, batch: TwinBatch, arguments: PluginArguments) -> Tensor:
        """(6,) one batch's share of the totals."""
        adversarial = arguments.adversarial_on
        positions = batch.answer_positions & batch.trained[:, None]
        copies = batch.masked_rows if adversarial else batch.masked_rows[:0]
        groups = len(batch.rows_with_variants(adversarial))
        aligned = len(aligned_rows(batch)) if arguments.alignment_on else 0
        tokens, adversarial_tokens = int(positions.sum()), int(positions[copies].sum())
        gone = len(batch.counterfactuals)
        return torch.tensor([tokens, adversarial_tokens, groups, len(copies), aligned, gone])


@dataclass
class RunningMeans:
    """What is logged: means since the last log, kept as numerators and denominators, and counts.

    Attributes:
        names: of the means.
        sums: (2,) numerator and denominator by name.
    """

    names: tuple[str, ...] = MEANS
    sums: dict[str, Tensor] = field(default_factory=dict)
    _faults: int = 0

    def add(self, name: str, numerator: Tensor, denominator: Tensor | int) -> None:
        """Add one batch's share of a mean."""
        denominator = torch.as_tensor(denominator, device=numerator.device)
        share = torch.stack([numerator.detach().double(), denominator.double()])
        self.sums[name] = self.sums.get(name, torch.zeros_like(share)) + share

    def count(self, name: str, number: int) -> None:
        """Add to a count of what was left out."""
        self.add(name, torch.tensor(float(number)), 0)
        self._faults += number

    def take_faults(self) -> int:
        """The sum of all counts since the last call."""
        found, self._faults = self._faults, 0
        return found

    def take(self, reduce, device: torch.device) -> dict[str, float]:
        """The means and counts of all ranks since the last call, without means that have no denominator; then start again.

        Args:
            reduce: sums a tensor over ranks.
            device: where to reduce.
        """
        nothing = torch.zeros(2, dtype=torch.float64, device=device)
        shares = reduce(torch.stack([self.sums.get(name, nothing).to(device) for name in (*self.names, *COUNTS)]))
        self.sums = {}
        means = {name: (share[0] / share[1]).item() for name, share in zip(self.names, shares) if share[1] > 0}
        return means | {name: share[0].item() for name, share in zip(COUNTS, shares[len(self.names) :])}


def objective(
    answers: Answers,
    batch: TwinBatch,
    copies_of: Tensor,
    totals: Totals,
    arguments: PluginArguments,
    means: RunningMeans,
) -> Tensor:
    """This batch's share of the loss of the optimizer step.

    Copies, consistency and counterfactual terms that are not finite are left out and counted; the denominators stay.

    Args:
        answers: logits of all rows of the batch, then of the adversarial copies.
        batch: the rows.
        copies_of: (copies,) the row that each copy is of.
        totals: the denominators.
        arguments: methods and weights.
        means: takes what is logged.

    Returns:
        a scalar; summed over the step's batches and ranks it is the loss.
    """
    rows = len(batch.labels)
    variants, sources = _variants(batch, copies_of)
    compared = slice(None) if arguments.consistency_on else slice(0)
    entropy, terms, likelihoods = answer_losses(
        answers,
        variants[compared],
        sources[compared],
        arguments.consistency_method,
        arguments.consistency_temperature,
        [option for gone in batch.counterfactuals for option in gone.options],
    )
    kept = _finite_rows(answers, entropy, rows, means)
    trained = torch.isin(answers.row, torch.nonzero(batch.trained)[:, 0])
    sft = entropy[trained].sum()
    means.add(LOSS_SFT, sft, trained.sum())
    loss = sft / totals.tokens
    twins = len(batch.twins)
    if twins:
        means.add(TWIN_FLIP_RATE, answers.flips(variants[:twins], sources[:twins]).sum(), twins)

    if kept[rows:].any():
        adversarial = entropy[kept[answers.row] & (answers.row >= rows)].sum()
        loss = loss + adversarial_share(arguments) * adversarial / totals.adversarial_tokens
        _log_adversarial(answers, entropy.detach(), batch, copies_of, kept[rows:], means)

    if len(terms):
        used = kept[variants]
        good = used & torch.isfinite(terms.detach())
        if dropped := int(used.sum() - good.sum()):
            means.count(DROPPED_NONFINITE, dropped)

        total, groups = consistency_sum(terms[good], sources[good])
        means.add(LOSS_CONSISTENCY, total, groups)
        loss = loss + arguments.consistency_weight * total / totals.groups

    if batch.counterfactuals:
        total = counterfactual_sum(answers, entropy, likelihoods, batch, arguments, means)
        loss = loss + arguments.counterfactual_weight * total / totals.counterfactuals

    return loss


def counterfactual_sum(
    answers: Answers,
    entropy: Tensor,
    likelihoods: Tensor,
    batch: TwinBatch,
    arguments: PluginArguments,
    means: RunningMeans,
) -> Tensor:
    """Sum of the terms of a batch's counterfactual rows; those that are not finite are left out and counted.

    Args:
        answers: logits of the batch's rows, then of others.
        entropy: (positions,) of them.
        likelihoods: (options,) log-likelihoods of the options that `batch.counterfactuals` read, one row after the other.
        batch: the rows.
        arguments: method, beta and margin.
        means: takes what is logged.
    """
    gone = batch.counterfactuals
    rows, sources = torch.tensor([(one.row, one.clean) for one in gone], device=entropy.device).unbind(dim=1)
    own, clean = answers.partners(rows, sources)
    seen, unseen = (answers.means_over(own, -entropy[where])[rows] for where in (clean, own))
    options = likelihoods.split([len(one.options) for one in gone])
    good = torch.isfinite(seen) & torch.isfinite(unseen)
    good &= torch.stack([torch.isfinite(part).all() for part in options])
    if dropped := len(gone) - int(good.sum()):
        means.count(DROPPED_NONFINITE, dropped)

    # what is not finite is taken out before the methods, whose derivatives would make NaN of its weight of 0
    if arguments.counterfactual_method == "contrast":
        guarded = torch.where(_at_chance(answers, entropy, unseen, batch), unseen.detach(), unseen)
        terms = contrast(seen[good], guarded[good], arguments.counterfactual_beta, arguments.counterfactual_margin)
    else:
        from_options = {"uniform": _from_uniform, "abstain": _abstention}[arguments.counterfactual_method]
        found = [from_options(part, one) for part, one, kept in zip(options, gone, good.tolist()) if kept]
        terms = torch.stack(found) if found else likelihoods[:0]

    means.add(LOSS_COUNTERFACTUAL, terms.sum(), len(terms))
    means.add(EVIDENCE_MARGIN, (seen - unseen)[good].sum(), len(terms))
    return terms.sum()


def contrast(seen: Tensor, unseen: Tensor, beta: float, margin: float) -> Tensor:
    """-log sigmoid(beta (seen - unseen) - margin): SimPO's loss (arXiv 2405.14734) of one answer to two inputs.

    Args:
        seen: (rows,) mean log-likelihoods of an answer's tokens, of clean rows.
        unseen: (rows,) those of the same answer in rows without the evidence.
        beta: factor on the difference.
        margin: how large the product shall be.
    """
    return -logsigmoid(beta * (seen - unseen) - margin)


def _at_chance(answers: Answers, entropy: Tensor, unseen: Tensor, batch: TwinBatch) -> Tensor:
    """(counterfactuals,) whether the answer is not likelier than a guess: 1 / options, or 1 / vocabulary a token where it is free.

    Args:
        answers: see `counterfactual_sum`.
        entropy: likewise.
        unseen: (counterfactuals,) the answer's mean log-likelihood.
        batch: the rows.
    """
    rows, choices = torch.tensor([(one.row, one.choices) for one in batch.counterfactuals], device=unseen.device).T
    last = batch.last_answer[batch.answer_positions]
    count = len(last)  # the positions of the batch's own rows are the first
    sums = entropy.new_zeros(answers.rows).index_add(0, answers.row[:count], -entropy[:count].detach() * last)
    of_options = sums[rows] <= -choices.clamp(min=1).log()
    return torch.where(choices > 0, of_options, unseen.detach() <= -math.log(answers.logits.shape[-1]))


def _from_uniform(options: Tensor, row: Counterfactual) -> Tensor:
    """KL(uniform || p) of (options,) log-likelihoods."""
    return -torch.log_softmax(options, dim=0).mean() - math.log(len(row.options))


def _abstention(options: Tensor, row: Counterfactual) -> Tensor:
    """Cross-entropy of the abstention, mean over its tokens, of its (1,) log-likelihood."""
    return -options[0] / len(row.options[0].tokens)


def _variants(batch: TwinBatch, copies_of: Tensor) -> tuple[Tensor, Tensor]:
    """(variants,) the rows that are compared with a clean row, twins before copies, and (variants,) those clean rows."""
    rows = torch.arange(len(batch.labels), device=batch.twin_of.device)
    copies = torch.arange(len(copies_of), device=rows.device) + len(rows)
    return torch.cat([batch.twins, copies]), torch.cat([batch.twin_of[batch.twins], batch.twin_of[copies_of]])


def _finite_rows(answers: Answers, entropy: Tensor, rows: int, means: RunningMeans) -> Tensor:
    """(all rows,) False for the copies whose cross-entropy is not finite, which are counted."""
    kept = finite(answers, entropy)
    kept[:rows] = True  # clean rows and twins are plain fine-tuning: a loss that is not finite is not hidden
    if dropped := len(kept) - int(kept.sum()):
        means.count(DROPPED_NONFINITE, dropped)

    return kept


def finite(answers: Answers, entropy: Tensor) -> Tensor:
    """(rows,) whether the cross-entropy of the row's answer is finite: `entropy` is (positions,)."""
    return torch.isfinite(answers.row_sums(entropy.detach()))


def adversarial_share(arguments: PluginArguments) -> float:
    """Weight of one pass over adversarial copies: freelb averages over its K ascent steps."""
    passes = arguments.adversarial_steps if arguments.adversarial_method == "freelb" else 1
    return arguments.adversarial_weight / passes


def alignment_share(
    total: Tensor, rows: int, totals: Totals, arguments: PluginArguments, means: RunningMeans
) -> Tensor:
    """This batch's share of the alignment loss in the loss of the optimizer step.

    Args:
        total: sum over the batch's rows; see `Alignment.measured`.
        rows: how many of them.
        totals: the denominators.
        arguments: the weight.
        means: takes what is logged.
    """
    means.add(LOSS_ALIGNMENT, total, rows)
    return arguments.alignment_weight * total / totals.aligned


def consistency_sum(terms: Tensor, sources: Tensor) -> tuple[Tensor, int]:
    """Sum over clean rows of the mean over their variants.

    Args:
        terms: (variants,) how far each is from its clean row.
        sources: (variants,) those clean rows.

    Returns:
        a scalar, and the number of clean rows.
    """
    _, groups, siblings = torch.unique(sources, return_inverse=True, return_counts=True)
    return (terms / siblings[groups]).sum(), len(siblings)


def _log_adversarial(
    answers: Answers, entropy: Tensor, batch: TwinBatch, copies_of: Tensor, kept: Tensor, means: RunningMeans
) -> None:
    copies = (torch.arange(len(copies_of), device=copies_of.device) + len(batch.labels))[kept]
    copies_of = copies_of[kept]
    sums, lengths = answers.row_sums(entropy), answers.lengths
    means.add(LOSS_ADVERSARIAL, sums[copies].sum(), lengths[copies].sum())
    means.add(ADVERSARIAL_GAIN, (sums[copies] - sums[copies_of]).sum(), lengths[copies].sum())
    flips = answers.flips(copies, batch.twin_of[copies_of])
    means.add(ADVERSARIAL_FLIP_RATE, flips.sum(), len(copies))
