"""Adversarial perturbations of embeddings: noise, ascent steps, projection.

The "modality-masked adversarial perturbation" of arXiv 2505.19616, and the other methods of the recipe.
"""

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor

from ..arguments import PluginArguments


TINY = 1e-12


def row_noise(mask: Tensor, hidden: int, row_key: Tensor, seed: tuple[int, ...], gaussian: bool = False) -> Tensor:
    """Noise that depends on nothing but the seed and the row (and the kind of device): not on padding, batch or rank.

    Args:
        mask: (rows, tokens) tokens that get noise.
        hidden: width of an embedding.
        row_key: (rows,) identity of each row's content.
        seed: the run's seed, the optimizer step, ...
        gaussian: standard normal instead of U(-1, 1).

    Returns:
        (rows, tokens, hidden) float32, 0 outside the mask.
    """
    noise = torch.zeros(*mask.shape, hidden, device=mask.device)
    found = []
    for key, tokens in zip(row_key.tolist(), mask.sum(dim=1).tolist()):
        digest = blake2b(repr((*seed, key)).encode(), digest_size=8).digest()
        generator = torch.Generator(mask.device).manual_seed(int.from_bytes(digest, "little") >> 1)
        if gaussian:
            found.append(torch.randn(tokens, hidden, generator=generator, device=mask.device))
        else:
            found.append(torch.rand(tokens, hidden, generator=generator, device=mask.device) * 2 - 1)

    if found:
        noise[mask] = torch.cat(found)

    return noise


def finite_rows(gradient: Tensor) -> Tensor:
    """(rows,) whether all of a row's gradient (rows, tokens, hidden) is finite."""
    return torch.isfinite(gradient).flatten(1).all(dim=1)


def ascend(delta: Tensor, gradient: Tensor, arguments: PluginArguments) -> Tensor:
    """One ascent step and the projection: clip(delta + alpha * g, -epsilon, epsilon).

    Args:
        delta: (rows, tokens, hidden).
        gradient: the same shape, of each row's own mean answer loss. Rows where it is not finite stay where they are.
        arguments: step size, update and radius.

    Returns:
        the new delta, in the L-infinity ball whatever the update.
    """
    gradient = torch.where(finite_rows(gradient)[:, None, None], gradient, 0)
    if arguments.adversarial_update == "sign":  # Madry et al., 2018
        gradient = gradient.sign()
    elif arguments.adversarial_update == "normalized":  # FreeLB (Zhu et al., 2020), SMART (Jiang et al., 2020)
        gradient = gradient / gradient.flatten(1).norm(dim=1).clamp(min=TINY)[:, None, None]

    epsilon = arguments.adversarial_epsilon
    return (delta + arguments.adversarial_step_size * gradient).clamp(-epsilon, epsilon)


def find_perturbation(
    gradient_at: Callable[[Tensor], Tensor], unit_noise: Tensor, arguments: PluginArguments
) -> Tensor:
    """Run the attack that `adversarial_method` names (freelb's steps are training passes: see the trainer).

    Args:
        gradient_at: maps delta (rows, tokens, hidden) to the gradient of each row's own mean answer loss, 0 off the mask.
        unit_noise: noise of that shape: U(-1, 1) for pgd, standard normal for gaussian.
        arguments: method, steps, step size, radius, update.

    Returns:
        delta (rows, tokens, hidden), detached.
    """
    epsilon = arguments.adversarial_epsilon
    if arguments.adversarial_method == "fgsm":  # Goodfellow et al., 2015: one signed step of the radius, from zero
        return torch.nan_to_num(gradient_at(torch.zeros_like(unit_noise)).sign()) * epsilon

    delta = unit_noise * epsilon
    if arguments.adversarial_method != "gaussian":
        for _ in range(arguments.adversarial_steps):
            delta = ascend(delta, gradient_at(delta), arguments)

    return delta
