"""Distances between the answer distributions of a clean row and of its variants (DESIGN section 2).

arXiv 2505.19616, "Consistency Regularization", has the KL and the JS form; its code computes `reverse_kl`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..batch import Answers


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
    """Jensen-Shannon divergence, with gradients through both; at most ln 2."""
    mixture = torch.logaddexp(clean, variant) - math.log(2)
    return (_kl(clean, mixture) + _kl(variant, mixture)) / 2


def mse(clean: Tensor, variant: Tensor) -> Tensor:
    """Mean over the vocabulary of the squared difference of probabilities, with gradients through both."""
    return (clean.exp() - variant.exp()).square().mean(dim=-1)


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
