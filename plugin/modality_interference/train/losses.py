"""The loss, and what is logged with it.

`Loss = L_sft + adversarial_weight * L_adv + consistency_weight * L_cons` (the final objective of arXiv 2505.19616), and
`+ alignment_weight * L_align` where a recipe asks for it. The paper, "Consistency Regularization", has the KL and the JS form of
`L_cons`; its code computes `reverse_kl`.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..arguments import PluginArguments
from ..batching.answer_logits import Answers
from ..batching.batch import TwinBatch
from .alignment import aligned_rows
from .answer_losses import cross_entropy, cross_entropy_and_divergences


LOSS_SFT = "loss_sft"
LOSS_ADVERSARIAL = "loss_adversarial"
LOSS_CONSISTENCY = "loss_consistency"
LOSS_ALIGNMENT = "loss_alignment"
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
    """

    tokens: Tensor
    adversarial_tokens: Tensor
    groups: Tensor
    attacked: Tensor
    aligned: Tensor | int = 0

    @classmethod
    def count(cls, batch: TwinBatch, arguments: PluginArguments) -> Tensor:
        """(5,) one batch's share of the totals."""
        adversarial = arguments.adversarial_on
        positions = batch.answer_positions
        copies = batch.masked_rows if adversarial else batch.masked_rows[:0]
        groups = len(batch.rows_with_variants(adversarial))
        aligned = len(aligned_rows(batch)) if arguments.alignment_on else 0
        return torch.tensor([int(positions.sum()), int(positions[copies].sum()), groups, len(copies), aligned])


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

    Copies and consistency terms that are not finite are left out and counted; the denominators stay.

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
    if arguments.consistency_on:
        method, temperature = arguments.consistency_method, arguments.consistency_temperature
        entropy, terms = cross_entropy_and_divergences(answers, variants, sources, method, temperature)
    else:
        entropy, terms = cross_entropy(answers), None

    kept = _finite_rows(answers, entropy, rows, means)
    sft = entropy[answers.row < rows].sum()
    means.add(LOSS_SFT, sft, (answers.row < rows).sum())
    loss = sft / totals.tokens
    twins = len(variants) - len(copies_of)
    if twins:
        means.add(TWIN_FLIP_RATE, answers.flips(variants[:twins], sources[:twins]).sum(), twins)

    if kept[rows:].any():
        adversarial = entropy[kept[answers.row] & (answers.row >= rows)].sum()
        loss = loss + adversarial_share(arguments) * adversarial / totals.adversarial_tokens
        _log_adversarial(answers, entropy.detach(), batch, copies_of, kept[rows:], means)

    if terms is not None and len(variants):
        used = kept[variants]
        good = used & torch.isfinite(terms.detach())
        if dropped := int(used.sum() - good.sum()):
            means.count(DROPPED_NONFINITE, dropped)

        total, groups = consistency_sum(terms[good], sources[good])
        means.add(LOSS_CONSISTENCY, total, groups)
        loss = loss + arguments.consistency_weight * total / totals.groups

    return loss


def _variants(batch: TwinBatch, copies_of: Tensor) -> tuple[Tensor, Tensor]:
    """(variants,) the rows that are compared with a clean row, twins before copies, and (variants,) those clean rows."""
    rows = torch.arange(len(batch.labels), device=batch.twin_of.device)
    twins = rows[(batch.twin_of != rows) & batch.answered]
    copies = torch.arange(len(copies_of), device=rows.device) + len(rows)
    return torch.cat([twins, copies]), torch.cat([batch.twin_of[twins], batch.twin_of[copies_of]])


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
