"""Distances between the answer distributions of a clean row and of its variants (DESIGN section 2).

arXiv 2505.19616, "Consistency Regularization", has the KL and the JS form; its code computes `reverse_kl`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..batch import Answers
from ..divergence import js, kl, mse, reverse_kl


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
        a scalar (divide by the number of clean rows that have variants for the loss), and (finite variants,) places in
        `variants` of those whose term is finite: the others are left out, as if they were not there.
    """
    finite = torch.arange(len(variants), device=answers.logits.device)
    terms = _row_terms(answers, variants, sources, method, temperature)
    good = torch.isfinite(terms.detach())
    if not good.all():  # a term that is merely multiplied by 0 would still make the gradient NaN
        finite = finite[good]
        variants, sources = variants[good], sources[good]
        terms = _row_terms(answers, variants, sources, method, temperature)

    siblings = torch.bincount(sources, minlength=answers.rows)[sources]
    return (terms / siblings).sum(), finite


def _row_terms(answers: Answers, variants: Tensor, sources: Tensor, method: str, temperature: float) -> Tensor:
    """(variants,) mean divergence over answer positions."""
    if not len(variants):
        return answers.logits.new_zeros(0)

    own, clean = answers.partners(variants, sources)
    values = divergence(method, answers.logits[clean], answers.logits[own], temperature)
    sums = values.new_zeros(answers.rows).index_add(0, answers.row[own], values)[variants]
    return sums / answers.lengths[variants].clamp(min=1)
