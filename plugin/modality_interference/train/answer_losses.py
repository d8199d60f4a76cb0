"""Cross-entropy, divergences and options' likelihoods at the answer positions, with their gradients, some positions at a time.

Written with torch's own operations, they keep several tensors of (positions, vocabulary) for the backward: with 64 answers of 200
tokens and a vocabulary of 152,000, each of them is 7.8 GB in float32. Here only the logits are kept, the gradients are closed
forms, and both passes compute a piece of positions at a time. What a step holds beside the logits is their gradient.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, logaddexp
from torch.autograd.function import once_differentiable

from ..batching.answer_logits import Answers
from ..batching.batch import OptionTokens


PIECE = 1 << 24  # entries (positions x vocabulary) computed at a time: 64 MB in float32, of which a handful are alive

# D(p_clean, p_variant) from log-probabilities (positions, vocabulary) twice -> (positions,)
Value = Callable[[Tensor, Tensor], Tensor]
# its derivatives with respect to the logits of both, the first None where the clean row is a fixed target
Gradients = Callable[[Tensor, Tensor], tuple[Tensor | None, Tensor]]


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) in nats, of log-probabilities: (positions, vocabulary) twice -> (positions,)."""
    return (p.exp() * (p - q)).sum(dim=-1)


def js(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats, at most ln 2, of log-probabilities: (positions, vocabulary) twice -> (positions,)."""
    mixture = _mixture(p, q)
    return (kl(p, mixture) + kl(q, mixture)) / 2


def _mixture(p: Tensor, q: Tensor) -> Tensor:
    return logaddexp(p, q) - math.log(2)


def _through_softmax(p: Tensor, slopes: Tensor) -> Tensor:
    """Derivatives with respect to logits, from those with respect to probabilities (each plus any constant)."""
    return p.exp() * (slopes - (p.exp() * slopes).sum(dim=-1, keepdim=True))


def _js_gradients(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    mixture = _mixture(p, q)
    return _through_softmax(p, (p - mixture) / 2), _through_softmax(q, (q - mixture) / 2)


def _mse_gradients(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    slopes = 2 / p.shape[-1] * (p.exp() - q.exp())
    return _through_softmax(p, slopes), _through_softmax(q, -slopes)


# arXiv 2505.19616, "Consistency Regularization", has KL and JS; its code computes `reverse_kl`
METHODS: dict[str, tuple[Value, Gradients]] = {
    "kl": (kl, lambda p, q: (None, q.exp() - p.exp())),
    "reverse_kl": (lambda p, q: kl(q, p), lambda p, q: (None, _through_softmax(q, q - p))),
    "js": (js, _js_gradients),
    "mse": (lambda p, q: (p.exp() - q.exp()).square().mean(dim=-1), _mse_gradients),
}


def cross_entropy(answers: Answers) -> Tensor:
    """(positions,) nats."""
    nobody = answers.targets[:0]
    return answer_losses(answers, nobody, nobody, "js", 1.0)[0]


def cross_entropy_and_divergences(
    answers: Answers, variants: Tensor, sources: Tensor, method: str, temperature: float
) -> tuple[Tensor, Tensor]:
    """The first two of `answer_losses`."""
    entropy, divergences, _ = answer_losses(answers, variants, sources, method, temperature)
    return entropy, divergences


def answer_losses(
    answers: Answers,
    variants: Tensor,
    sources: Tensor,
    method: str,
    temperature: float,
    options: Sequence[OptionTokens] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """The cross-entropy of all positions, how far variants are from their clean rows, and how likely options are.

    D(p_clean, p_variant) has both distributions softened by the temperature T and is scaled by T^2 (Hinton et al., 2015).

    Args:
        answers: logits of all rows (clean rows, twins, adversarial copies).
        variants: (variants,) row indices of twins and adversarial copies.
        sources: (variants,) row index of each variant's clean row.
        method: a key of `METHODS`.
        temperature: T > 0.
        options: whose likelihood is read, and where.

    Returns:
        (positions,) nats; (variants,) means over the answer positions at which a variant is compared, in nats (for `mse`,
        squared probability); (options,) sums of the log-probabilities of an option's tokens.
    """
    own, clean = answers.partners(variants, sources)
    at, tokens, owner = answers.reads(options)
    entropy, values, read = _AnswerLosses.apply(
        answers.logits, answers.targets, own, clean, at, tokens, method, temperature
    )
    likelihoods = read.new_zeros(len(options)).index_add(0, owner, read)
    return entropy, answers.means_over(own, values)[variants], likelihoods


@dataclass
class _Piece:
    """Positions that are computed together.

    Attributes:
        positions: (piece,) their indices.
        pairs: (pairs,) indices of the pairs whose positions they are.
        own: (pairs,) the variant's position, as an index into the piece.
        clean: (pairs,) the clean row's.
        reads: (reads,) indices of the tokens that are read at these positions.
        at: (reads,) the position of each, as an index into the piece.
    """

    positions: Tensor
    pairs: Tensor
    own: Tensor
    clean: Tensor
    reads: Tensor
    at: Tensor


def _pieces(positions: int, own: Tensor, clean: Tensor, at: Tensor, largest: int) -> Iterator[_Piece]:
    """All positions in pieces of about `largest`; a clean row's position comes with all those compared with it."""
    anchor = torch.arange(positions, device=own.device)
    anchor[own] = clean
    order = anchor.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(positions, device=own.device)
    pair_order = place[own].argsort()
    pair_places = place[own][pair_order]
    read_order = place[at].argsort()
    read_places = place[at][read_order]
    start = end = 0
    for size in [*torch.unique_consecutive(anchor[order], return_counts=True)[1].tolist(), largest + 1]:
        if end > start and end - start + size > largest:
            bounds = torch.tensor([start, end], device=own.device)
            first, last = torch.searchsorted(pair_places, bounds).tolist()
            pairs = pair_order[first:last]
            first, last = torch.searchsorted(read_places, bounds).tolist() if len(at) else (0, 0)
            reads = read_order[first:last]
            yield _Piece(
                positions=order[start:end],
                pairs=pairs,
                own=place[own[pairs]] - start,
                clean=place[clean[pairs]] - start,
                reads=reads,
                at=place[at[reads]] - start,
            )
            start = end

        end += size


class _AnswerLosses(torch.autograd.Function):
    """Cross-entropy of positions, divergences of pairs of them, and log-probabilities of tokens, from one tensor of logits.

    Inputs: logits (positions, vocabulary), targets (positions,), the pairs' positions `own` and `clean` (pairs,), positions
    `at` and `tokens` to be read there (reads,), a key of `METHODS`, the temperature. A `clean` position is compared with no
    other than itself. Outputs: (positions,), (pairs,), (reads,). A position, pair or token whose incoming gradient is 0 gets 0, also where its logits are not finite.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        own: Tensor,
        clean: Tensor,
        at: Tensor,
        tokens: Tensor,
        method: str,
        temperature: float,
    ):  # type: ignore[override]
        ctx.save_for_backward(logits, targets, own, clean, at, tokens)
        ctx.method, ctx.temperature = method, temperature
        ctx.largest = max(1, PIECE // logits.shape[-1])
        dtype = torch.promote_types(logits.dtype, torch.float32)
        entropy = torch.empty(len(logits), dtype=dtype, device=logits.device)
        values = torch.empty(len(own), dtype=dtype, device=logits.device)
        read = torch.empty(len(at), dtype=dtype, device=logits.device)
        for piece in _pieces(len(logits), own, clean, at, ctx.largest):
            taken = logits[piece.positions].to(dtype)
            p = torch.log_softmax(taken, dim=-1)
            entropy[piece.positions] = -p.gather(1, targets[piece.positions, None])[:, 0]
            read[piece.reads] = p[piece.at, tokens[piece.reads]]
            if len(piece.pairs):
                p = p if temperature == 1 else torch.log_softmax(taken / temperature, dim=-1)
                values[piece.pairs] = METHODS[method][0](p[piece.clean], p[piece.own]) * temperature**2

        return entropy, values, read

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_entropy: Tensor, of_values: Tensor, of_read: Tensor):  # type: ignore[override]
        logits, targets, own, clean, at, tokens = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        for piece in _pieces(len(logits), own, clean, at, ctx.largest):
            taken = logits[piece.positions].to(of_entropy.dtype)
            weight = of_entropy[piece.positions, None]
            part = torch.softmax(taken, dim=-1)
            part.scatter_add_(1, targets[piece.positions, None], part.new_full(weight.shape, -1))
            part.mul_(weight).masked_fill_(weight == 0, 0)
            if len(piece.pairs):
                # the value has the factor T^2, its derivative with respect to logits / T another 1 / T
                weight = of_values[piece.pairs, None] * ctx.temperature
                p = torch.log_softmax(taken / ctx.temperature, dim=-1)
                of_clean, of_own = METHODS[ctx.method][1](p[piece.clean], p[piece.own])
                part.index_add_(0, piece.own, (of_own * weight).masked_fill_(weight == 0, 0))
                if of_clean is not None:
                    part.index_add_(0, piece.clean, (of_clean * weight).masked_fill_(weight == 0, 0))

            if len(piece.reads):
                _add_reads(part, taken, piece.at, tokens[piece.reads], of_read[piece.reads])

            gradient[piece.positions] = part.to(gradient.dtype)

        return gradient, None, None, None, None, None, None, None


def _add_reads(part: Tensor, taken: Tensor, at: Tensor, tokens: Tensor, weights: Tensor) -> None:
    """Add the derivatives of log-probabilities that are read.

    Args:
        part: (piece, vocabulary) that of the piece's logits, so far; changed in place.
        taken: (piece, vocabulary) the logits.
        at: (reads,) where each token is read.
        tokens: (reads,) their ids.
        weights: (reads,) the gradients of their log-probabilities.
    """
    # of one position several tokens may be read: letters of options
    read, where = torch.unique(at, return_inverse=True)
    sums = weights.new_zeros(len(read), 1).index_add(0, where, weights[:, None])
    own = torch.softmax(taken[read], dim=-1).mul_(-sums).masked_fill_(sums == 0, 0)
    part.index_add_(0, read, own.index_put_((where, tokens), weights, accumulate=True))
