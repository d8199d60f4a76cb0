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


def consistency_sum(answers: Answers, variants: Tensor, sources: Tensor, method: str, temperature: float) -> Tensor:
    """Sum over clean rows of the mean over their variants of the mean divergence over answer positions.

    Args:
        answers: logits of all rows (clean rows, twins, adversarial copies).
        variants: (variants,) row indices of twins and adversarial copies.
        sources: (variants,) row index of each variant's clean row.
        method: a key of `METHODS`.
        temperature: T > 0.

    Returns:
        a scalar; divide by the number of clean rows that have variants for the loss.
    """
    if not len(variants):
        return answers.logits.new_zeros(())

    own, clean = answers.partners(variants, sources)
    values = divergence(method, answers.logits[clean], answers.logits[own], temperature)
    per_row = values.new_zeros(answers.rows).index_add(0, answers.row[own], values)[variants]
    siblings = torch.bincount(sources, minlength=answers.rows)[sources]
    return (per_row / answers.lengths[variants].clamp(min=1) / siblings).sum()
