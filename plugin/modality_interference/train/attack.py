"""The adversarial attack on the embeddings of one batch: noise, ascent steps, projection.

The "modality-masked adversarial perturbation" of arXiv 2505.19616, and the other methods of `adversarial_method`: the decoder's
inputs are captured once, then gradient ascent runs through the model as the engine wrapped it.

Noise, perturbations and gradients are kept for masked tokens only, those of all rows one after the other: (masked, hidden).
Where a tenth of the tokens is masked, that is a tenth of the memory.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..arguments import PluginArguments
from ..attention.prefix import CommonPrefixes, PackedRows
from ..attention.row_attention import PrefixCache, RowAttention
from ..batching.answer_logits import Answers
from ..batching.batch import TwinBatch, answer_positions
from .answer_losses import cross_entropy
from .decoder_inputs import almost_nothing, detach, take_rows
from .hooks import ModelParts, attack_mode, evaluation_mode, perturb
from .media_features import MediaFeatures


TINY = 1e-12


def row_noise(mask: Tensor, hidden: int, row_key: Tensor, seed: tuple[int, ...], gaussian: bool = False) -> Tensor:
    """Noise that depends on the seed, the row and the type of device only: not on padding, batch or rank.

    Args:
        mask: (rows, tokens) tokens that get noise.
        hidden: width of an embedding.
        row_key: (rows,) identity of each row's content.
        seed: the run's seed, the optimizer step, ...
        gaussian: standard normal instead of U(-1, 1).

    Returns:
        (masked, hidden) float32, of the masked tokens in row-major order.
    """
    found = [torch.zeros(0, hidden, device=mask.device)]
    for key, tokens in zip(row_key.tolist(), mask.sum(dim=1).tolist()):
        digest = blake2b(repr((*seed, key)).encode(), digest_size=8).digest()
        generator = torch.Generator(mask.device).manual_seed(int.from_bytes(digest, "little") >> 1)
        if gaussian:
            found.append(torch.randn(tokens, hidden, generator=generator, device=mask.device))
        else:
            found.append(torch.rand(tokens, hidden, generator=generator, device=mask.device) * 2 - 1)

    return torch.cat(found)


@dataclass(frozen=True)
class TokenRows:
    """Which row each masked token is of; found once, as a GPU is waited for to find it.

    Attributes:
        index: (masked,) the row of each token.
        number: of rows, those without a masked token included.
    """

    index: Tensor
    number: int

    @classmethod
    def of(cls, mask: Tensor) -> "TokenRows":
        """Of the tokens in row-major order: `mask` is (rows, tokens)."""
        return cls(mask.nonzero()[:, 0], len(mask))

    def sums(self, values: Tensor) -> Tensor:
        """(rows,) sums of (masked,) values."""
        return values.new_zeros(self.number).index_add(0, self.index, values)

    def finite(self, gradient: Tensor) -> Tensor:
        """(rows,) whether all of a row's gradient, (masked, hidden), is finite."""
        return self.sums((~torch.isfinite(gradient).all(dim=1)).long()) == 0


def ascend(delta: Tensor, gradient: Tensor, rows: TokenRows, arguments: PluginArguments) -> Tensor:
    """One ascent step and the projection: clip(delta + alpha * g, -epsilon, epsilon).

    Args:
        delta: (masked, hidden).
        gradient: the same shape, of each row's own mean answer loss. A row whose gradient is not finite is not moved.
        rows: of the masked tokens.
        arguments: step size, update and radius.

    Returns:
        the new delta, in the L-infinity ball whatever the update.
    """
    gradient = torch.where(rows.finite(gradient)[rows.index, None], gradient, 0)
    if arguments.adversarial_update == "sign":  # Madry et al., 2018
        gradient = gradient.sign()
    elif arguments.adversarial_update == "normalized":  # FreeLB (Zhu et al., 2020), SMART (Jiang et al., 2020)
        norms = rows.sums(gradient.square().sum(dim=1)).sqrt()
        gradient = gradient / norms.clamp(min=TINY)[rows.index, None]

    epsilon = arguments.epsilon
    return (delta + arguments.adversarial_step_size * gradient).clamp_(-epsilon, epsilon)


def find_perturbation(
    gradient_at: Callable[[Tensor], Tensor], unit_noise: Tensor, rows: TokenRows, arguments: PluginArguments
) -> Tensor:
    """Run the attack that `adversarial_method` names, but for freelb, whose steps are training passes (see the trainer).

    Args:
        gradient_at: maps delta (masked, hidden) to the gradient of each row's own mean answer loss.
        unit_noise: noise of that shape: U(-1, 1) for pgd, standard normal for gaussian.
        rows: of the masked tokens.
        arguments: method, steps, step size, radius, update.

    Returns:
        delta (masked, hidden), detached.
    """
    epsilon = arguments.epsilon
    if arguments.adversarial_method == "fgsm":  # Goodfellow et al., 2015: one signed step of the radius, from zero
        return torch.nan_to_num(gradient_at(torch.zeros_like(unit_noise)).sign()) * epsilon

    delta = unit_noise * epsilon
    if arguments.adversarial_method != "gaussian":
        for _ in range(arguments.adversarial_steps):
            delta = ascend(delta, gradient_at(delta), rows, arguments)

    return delta


@dataclass
class Perturbation:
    """Adversarial copies to be made.

    Attributes:
        rows: (copies,) the row that each copy is of.
        mask: (copies, tokens) tokens that differ.
        delta: (masked, hidden) float32, of the masked tokens in row-major order.
    """

    rows: Tensor
    mask: Tensor
    delta: Tensor

    @cached_property
    def token_rows(self) -> TokenRows:
        """Which copy each masked token is of."""
        return TokenRows.of(self.mask)

    def on(self, embeds: Tensor) -> Tensor:
        """The perturbed embeddings (copies, tokens, hidden) of these rows' embeddings."""
        return perturb(embeds, self.mask, self.delta)

    def only(self, kept: Tensor) -> "Perturbation":
        """Some of the copies: `kept` is (copies,) booleans."""
        if kept.all():
            return self

        return Perturbation(self.rows[kept], self.mask[kept], self.delta[kept[self.token_rows.index]])


@dataclass
class _Captured:
    """What the attack's steps start from.

    Attributes:
        kwargs: the decoder's keyword arguments for all rows.
        prefixes: of the rows to attack, computed once for all steps; None where nothing is shared.
        cache: their keys and values.
    """

    kwargs: dict[str, Any]
    prefixes: PackedRows | None
    cache: PrefixCache


@dataclass
class _Pass:
    """Rows that a step takes at a time.

    Attributes:
        rows: (rows,) their indices in the batch.
        mask: (rows, tokens) tokens that differ.
        token_rows: which of these rows each masked token is of.
        tokens: which of all masked tokens are theirs.
        row_attention: of their tokens after the prefixes, packed; None where nothing is shared.
    """

    rows: Tensor
    mask: Tensor
    token_rows: TokenRows
    tokens: slice
    row_attention: RowAttention | None


class Attack:
    """Finds the perturbations of one batch.

    The wrapped model is called the same number of times on every rank, whatever the batches hold: engines that gather
    parameters would hang otherwise. A rank without a row to attack, or with fewer passes than another, runs on its first row
    and discards the result.

    Args:
        model: the model as the engine wrapped it.
        parts: its parts.
        arguments: method and radius.
        seed: what the noise depends on, with the row.
        gradient_scale: factor on the summed cross-entropy, so that float16 gradients do not underflow.
    """

    def __init__(
        self,
        model: nn.Module,
        parts: ModelParts,
        arguments: PluginArguments,
        seed: tuple[int, ...],
        gradient_scale: float = 1.0,
    ) -> None:
        self.model = model
        self.parts = parts
        self.arguments = arguments
        self.seed = seed
        self.gradient_scale = gradient_scale

    def start(self, batch: TwinBatch) -> Perturbation:
        """Unit noise on every row that has a mask."""
        rows = batch.masked_rows
        mask = batch.perturbation_mask[rows]
        gaussian = self.arguments.adversarial_method == "gaussian"
        return Perturbation(rows, mask, row_noise(mask, self.parts.width, batch.row_key[rows], self.seed, gaussian))

    def find(
        self, batch: TwinBatch, media_features: MediaFeatures | None, common: CommonPrefixes | None = None
    ) -> Perturbation:
        """Run the attack of `adversarial_method`; see `find_perturbation`.

        Args:
            batch: clean rows and twins.
            media_features: of their media.
            common: the rows' common prefixes, None to share nothing.

        Returns:
            the copies, without those whose gradient was not finite.
        """
        found = self.start(batch)
        if self.arguments.adversarial_method == "gaussian":
            found.delta = find_perturbation(lambda delta: delta, found.delta, found.token_rows, self.arguments)
            return found

        captured = self._capture(batch, found, media_features, common)
        passes = self._passes(found, captured, common)
        nothing = first_row(batch, self.parts.width)
        idle = [_Pass(nothing.rows, nothing.mask, nothing.token_rows, slice(0, 0), None)] * (
            self._passes_on_all_ranks(len(passes)) - len(passes)
        )
        finite = torch.ones(len(found.rows), dtype=torch.bool, device=found.delta.device)

        def gradient_at(delta: Tensor) -> Tensor:
            gradient = torch.empty_like(delta)
            for part in passes:
                gradient[part.tokens] = self._gradient(batch, captured, part, delta[part.tokens])

            for part in idle:
                self._gradient(batch, captured, part, nothing.delta)

            finite.logical_and_(found.token_rows.finite(gradient))
            return gradient

        with attack_mode(self.model, self.parts.decoder), self._without_synchronisation():
            delta = find_perturbation(gradient_at, found.delta, found.token_rows, self.arguments)

        found.delta = delta
        return found.only(finite)

    def _passes(self, found: Perturbation, captured: _Captured, common: CommonPrefixes | None) -> list[_Pass]:
        every = torch.arange(len(found.rows), device=found.rows.device)
        passes, start = [], 0
        for which in every.split(self.arguments.adversarial_rows_per_pass or max(len(every), 1)):
            if len(which):
                rows, row_attention = found.rows[which], None
                if common is not None and captured.prefixes is not None:
                    rest = common.rest(captured.prefixes, which, rows)
                    row_attention = RowAttention(rest, prefix=captured.cache if captured.cache.layers else None)

                mask = found.mask[which]
                end = start + int(mask.sum())
                passes.append(_Pass(rows, mask, TokenRows.of(mask), slice(start, end), row_attention))
                start = end

        return passes

    def _passes_on_all_ranks(self, passes: int) -> int:
        """How many passes every rank makes: as many as the one with the most rows needs, at least one."""
        if not self.arguments.adversarial_rows_per_pass or not torch.distributed.is_initialized():
            return max(passes, 1)  # without a limit, every rank makes one

        counts = [0] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(counts, passes)
        return max(*counts, 1)

    def _capture(
        self,
        batch: TwinBatch,
        target: Perturbation,
        media_features: MediaFeatures | None,
        common: CommonPrefixes | None,
    ) -> _Captured:
        """The decoder's inputs for all rows. The decoder runs on the prefixes of the rows to attack, or on one token."""
        prefixes = common.pack_prefixes(target.rows) if common is not None and len(target.rows) else None
        captured = _Captured({}, prefixes, PrefixCache())
        row_attention = (
            RowAttention(prefixes, keep=captured.cache) if prefixes is not None and prefixes.length else None
        )
        positions = None if row_attention is None or prefixes is None else prefixes.one_position

        def edit(kwargs: dict[str, Any]) -> dict[str, Any]:
            captured.kwargs.update(detach(kwargs))
            return (
                almost_nothing(kwargs)
                if row_attention is None
                else take_rows(captured.kwargs, target.rows, len(batch.labels))
            )

        hooked = self.parts.hooked(edit, positions, media_features, record=True, row_attention=row_attention)
        with torch.no_grad(), evaluation_mode(self.model), hooked:
            self.model(**batch.inputs, use_cache=False)

        return captured

    def _gradient(self, batch: TwinBatch, captured: _Captured, part: _Pass, delta: Tensor) -> Tensor:
        """The gradient of each row's own mean answer loss with respect to delta, (masked, hidden) both."""
        delta = delta.detach().requires_grad_()
        rows = take_rows(captured.kwargs, part.rows, len(batch.labels))
        embeds = perturb(rows.pop("inputs_embeds"), part.mask, delta)
        labels = batch.labels[part.rows]
        hooked = self.parts.hooked(
            lambda _: {**rows, "inputs_embeds": embeds}, answer_positions(labels), row_attention=part.row_attention
        )
        with torch.enable_grad(), hooked:
            # with token ids, of which Gemma 3n and 4 make inputs of single layers; the hook replaces their embeddings
            logits = self.model(**_text_inputs(batch, part.rows), use_cache=False).logits
            answers = Answers.of(logits, labels)
            loss = cross_entropy(answers).sum() * self.gradient_scale
            (gradient,) = torch.autograd.grad(loss, delta)

        scale = self.gradient_scale * answers.lengths.clamp(min=1)
        return gradient.float() / scale[part.token_rows.index, None]

    def _without_synchronisation(self):
        """Otherwise DDP waits for parameter gradients, which the attack does not compute."""
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else nullcontext()


def _text_inputs(batch: TwinBatch, rows: Tensor) -> dict[str, Any]:
    """What the model's forward needs besides media, of some rows: token ids and types, masks and positions."""
    shape = batch.inputs["input_ids"].shape
    kept = {
        key: value
        for key, value in batch.inputs.items()
        if isinstance(value, Tensor) and value.shape[-2:] == shape and value.dim() < 4
    }
    return take_rows(kept, rows, shape[0])


def first_row(batch: TwinBatch, hidden: int) -> Perturbation:
    """A perturbation of nothing on the first clean row: what a rank without a row to attack runs on."""
    rows = batch.clean_rows[:1]
    mask = torch.zeros_like(batch.perturbation_mask[rows])
    return Perturbation(rows, mask, torch.zeros(0, hidden, device=mask.device))
