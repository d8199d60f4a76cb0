"""The loss, and what is logged with it.

`Loss = L_sft + adversarial_weight * L_adv + consistency_weight * L_cons` (the final objective of arXiv 2505.19616), and
`+ alignment_weight * L_align` where a recipe asks for it. The paper, "Consistency Regularization", has the KL and the JS form of
`L_cons`; its code computes `reverse_kl`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, logaddexp

from ..arguments import PluginArguments
from ..batching.answer_logits import Answers
from ..batching.batch import TwinBatch
from .alignment import aligned_rows


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
    """What is logged: means since the last log, kept as numerators and denominators, and counts."""

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
        shares = reduce(torch.stack([self.sums.get(name, nothing).to(device) for name in LOGGED]))
        self.sums = {}
        means = {name: (share[0] / share[1]).item() for name, share in zip(MEANS, shares) if share[1] > 0}
        return means | {name: share[0].item() for name, share in zip(COUNTS, shares[len(MEANS) :])}


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
    answers, copies_of = _finite_copies(answers, rows, copies_of, means)
    own = answers.row < rows
    sft = answers.cross_entropy[own].sum()
    adversarial = answers.cross_entropy[~own].sum()
    means.add(LOSS_SFT, sft, own.sum())
    loss = sft / totals.tokens
    if len(copies_of):
        loss = loss + adversarial_share(arguments) * adversarial / totals.adversarial_tokens
        _log_adversarial(answers, batch, copies_of, means)

    return loss + arguments.consistency_weight * _consistency(answers, batch, copies_of, totals, arguments, means)


def _finite_copies(answers: Answers, rows: int, copies_of: Tensor, means: RunningMeans) -> tuple[Answers, Tensor]:
    kept = answers.finite.clone()
    kept[:rows] = True  # clean rows and twins are plain fine-tuning: a loss that is not finite is not hidden
    dropped = len(kept) - int(kept.sum())
    if not dropped:
        return answers, copies_of

    means.count(DROPPED_NONFINITE, dropped)
    return answers.only(kept), copies_of[kept[rows:]]


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


def _consistency(
    answers: Answers,
    batch: TwinBatch,
    copies_of: Tensor,
    totals: Totals,
    arguments: PluginArguments,
    means: RunningMeans,
) -> Tensor:
    rows = torch.arange(len(batch.labels), device=batch.twin_of.device)
    twins = rows[(batch.twin_of != rows) & batch.answered]
    if len(twins):
        means.add(TWIN_FLIP_RATE, answers.flips(twins, batch.twin_of[twins]).sum(), len(twins))

    copies = torch.arange(len(copies_of), device=rows.device) + len(rows)
    variants = torch.cat([twins, copies])
    if not arguments.consistency_on or not len(variants):
        return answers.logits.new_zeros(())

    sources = torch.cat([batch.twin_of[twins], batch.twin_of[copies_of]])
    total, finite = consistency_sum(
        answers, variants, sources, arguments.consistency_method, arguments.consistency_temperature
    )
    if len(finite) < len(variants):
        means.count(DROPPED_NONFINITE, len(variants) - len(finite))

    means.add(LOSS_CONSISTENCY, total, len(torch.unique(sources[finite])))
    return total / totals.groups


def _log_adversarial(answers: Answers, batch: TwinBatch, copies_of: Tensor, means: RunningMeans) -> None:
    copies = torch.arange(len(copies_of), device=copies_of.device) + len(batch.labels)
    sums, lengths = answers.row_sums(answers.cross_entropy.detach()), answers.lengths
    means.add(LOSS_ADVERSARIAL, sums[copies].sum(), lengths[copies].sum())
    means.add(ADVERSARIAL_GAIN, (sums[copies] - sums[copies_of]).sum(), lengths[copies].sum())
    flips = answers.flips(copies, batch.twin_of[copies_of])
    means.add(ADVERSARIAL_FLIP_RATE, flips.sum(), len(copies))


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) per position, in nats: (positions, vocabulary) twice -> (positions,)."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def kl(clean: Tensor, variant: Tensor) -> Tensor:
    """KL(stop_grad(p_clean) || p_variant)."""
    return _kl(clean.detach(), variant)


def reverse_kl(clean: Tensor, variant: Tensor) -> Tensor:
    """KL(p_variant || stop_grad(p_clean)), what the paper's code computes."""
    return _kl(variant, clean.detach())


def js(clean: Tensor, variant: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats, with gradients through both; at most ln 2."""
    mixture = logaddexp(clean, variant) - math.log(2)
    return (_kl(clean, mixture) + _kl(variant, mixture)) / 2


def mse(clean: Tensor, variant: Tensor) -> Tensor:
    """Mean over the vocabulary of the squared difference of probabilities, with gradients through both."""
    return (clean.exp() - variant.exp()).square().mean(dim=-1)


# distances between answer distributions, given as log-probabilities (positions, vocabulary)
METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"kl": kl, "reverse_kl": reverse_kl, "js": js, "mse": mse}


def divergence(method: str, clean_logits: Tensor, variant_logits: Tensor, temperature: float) -> Tensor:
    """D(p_clean, p_variant) with both softened by the temperature T and scaled by T^2 (Hinton et al., 2015).

    Args:
        method: a key of `METHODS`.
        clean_logits: (positions, vocabulary).
        variant_logits: (positions, vocabulary).
        temperature: T > 0.

    Returns:
        (positions,) nats (for `mse`, squared probability).
    """
    clean = torch.log_softmax(clean_logits / temperature, dim=-1)
    variant = torch.log_softmax(variant_logits / temperature, dim=-1)
    return METHODS[method](clean, variant) * temperature**2


def consistency_sum(
    answers: Answers, variants: Tensor, sources: Tensor, method: str, temperature: float
) -> tuple[Tensor, Tensor]:
    """Sum over clean rows of the mean over their variants of the mean divergence over answer positions.

    Args:
        answers: logits of all rows (clean rows, twins, adversarial copies).
        variants: (variants,) row indices of twins and adversarial copies.
        sources: (variants,) row index of each variant's clean row.
        method: a key of `METHODS`.
        temperature: T > 0.

    Returns:
        a scalar (divide it by the number of clean rows that have variants to get the loss), and (finite variants,) the
        indices into `variants` of those whose term is finite. The others are left out, as if they were not there.
    """
    finite = torch.arange(len(variants), device=answers.logits.device)
    terms = _row_terms(answers, variants, sources, method, temperature)
    good = torch.isfinite(terms.detach())
    if not good.all():  # multiplying such a term by 0 would still make the gradient NaN
        finite = finite[good]
        variants, sources = variants[good], sources[good]
        terms = _row_terms(answers, variants, sources, method, temperature)

    siblings = torch.bincount(sources, minlength=answers.rows)[sources]
    return (terms / siblings).sum(), finite


def _row_terms(answers: Answers, variants: Tensor, sources: Tensor, method: str, temperature: float) -> Tensor:
    """(variants,) mean divergence over the answer positions at which a variant is compared."""
    if not len(variants):
        return answers.logits.new_zeros(0)

    own, clean = answers.partners(variants, sources)
    values = divergence(method, answers.logits[clean], answers.logits[own], temperature)
    return answers.means_over(own, values)[variants]
