"""Distances between answer distributions, given as log-probabilities."""

import math

from torch import Tensor, logaddexp


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
