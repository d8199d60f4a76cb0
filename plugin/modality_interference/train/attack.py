"""The attack on one batch: capture the decoder's inputs once, then climb through the wrapped model."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..arguments import PluginArguments
from ..batch import Answers, TwinBatch, answer_positions
from .adversarial import find_perturbation, finite_rows, row_noise
from .decoder_inputs import almost_nothing, detach, take_rows
from .embeddings import ModelParts, evaluation_mode, perturb
from .vision import PictureFeatures


@dataclass
class Perturbation:
    """Adversarial copies to be made.

    Attributes:
        rows: (copies,) the row that each copy is of.
        mask: (copies, tokens) tokens that differ.
        delta: (copies, tokens, hidden) float32.
    """

    rows: Tensor
    mask: Tensor
    delta: Tensor

    def on(self, embeds: Tensor) -> Tensor:
        """The perturbed embeddings (copies, tokens, hidden) of these rows' embeddings."""
        return perturb(embeds, self.mask, self.delta)

    def only(self, kept: Tensor) -> "Perturbation":
        """Some of the copies: `kept` is (copies,) booleans."""
        return self if kept.all() else Perturbation(self.rows[kept], self.mask[kept], self.delta[kept])


class Attack:
    """Finds the perturbations of one batch.

    The wrapped model is called the same number of times on every rank, whatever the batches hold: engines that gather
    parameters would hang otherwise. A rank without a row to attack runs on its first row and throws the result away.

    Args:
        model: the model as the engine wrapped it.
        parts: its parts.
        arguments: method and radius.
        seed: what the noise depends on beside the row.
        gradient_scale: factor on the loss that keeps float16 gradients from vanishing.
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

    def find(self, batch: TwinBatch, pictures: PictureFeatures | None) -> Perturbation:
        """Run the attack of `adversarial_method`; see `find_perturbation`.

        Returns:
            the copies, without those whose gradient was not finite.
        """
        found = self.start(batch)
        if self.arguments.adversarial_method == "gaussian":
            found.delta = find_perturbation(lambda delta: delta, found.delta, self.arguments)
            return found

        captured = self._capture(batch, pictures)
        idle = not len(found.rows)
        target = first_row(batch, self.parts.width) if idle else found
        finite = torch.ones(len(target.rows), dtype=torch.bool, device=target.delta.device)

        def gradient_at(delta: Tensor) -> Tensor:
            gradient = self._gradient(batch, captured, target, delta)
            finite.logical_and_(finite_rows(gradient))
            return gradient

        with evaluation_mode(self.model), self._without_synchronisation():
            delta = find_perturbation(gradient_at, target.delta, self.arguments)

        return found if idle else Perturbation(found.rows, found.mask, delta).only(finite)

    def _capture(self, batch: TwinBatch, pictures: PictureFeatures | None) -> dict[str, Any]:
        """The decoder's inputs for all rows. The decoder itself runs on one token only."""
        captured: dict[str, Any] = {}

        def edit(kwargs: dict[str, Any]) -> dict[str, Any]:
            captured.update(detach(kwargs))
            return almost_nothing(kwargs)

        with torch.no_grad(), evaluation_mode(self.model), self.parts.hooked(edit, pictures=pictures, record=True):
            self.model(**batch.inputs, use_cache=False)

        return captured

    def _gradient(self, batch: TwinBatch, captured: dict[str, Any], target: Perturbation, delta: Tensor) -> Tensor:
        """The gradient of each row's own mean answer loss with respect to delta (copies, tokens, hidden)."""
        delta = delta.detach().requires_grad_()
        total = len(batch.labels)
        rows = take_rows(captured, target.rows, total)
        embeds = perturb(rows["inputs_embeds"], target.mask, delta)
        labels = batch.labels[target.rows]
        with (
            torch.enable_grad(),
            self.parts.hooked(lambda _: {**rows, "inputs_embeds": embeds}, answer_positions(labels)),
        ):
            logits = self.model(inputs_embeds=embeds, **_text_inputs(batch, target.rows), use_cache=False).logits
            answers = Answers.of(logits, labels)
            loss = answers.row_means(answers.cross_entropy).sum() * self.gradient_scale
            (gradient,) = torch.autograd.grad(loss, delta)

        return gradient.float() / self.gradient_scale

    def _without_synchronisation(self):
        """DDP would otherwise wait for parameter gradients, which the attack does not make."""
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else nullcontext()


def _text_inputs(batch: TwinBatch, rows: Tensor) -> dict[str, Any]:
    """What the outer forward needs beside embeddings: masks, token types and positions of some rows; no media."""
    shape = batch.inputs["input_ids"].shape
    kept = {
        key: value
        for key, value in batch.inputs.items()
        if key != "input_ids" and isinstance(value, Tensor) and value.shape[-2:] == shape and value.dim() < 4
    }
    return take_rows(kept, rows, shape[0])


def first_row(batch: TwinBatch, hidden: int) -> Perturbation:
    """What a rank without a row to attack runs on: its first row, unperturbed."""
    rows = batch.clean_rows[:1]
    mask = torch.zeros_like(batch.perturbation_mask[rows])
    return Perturbation(rows, mask, torch.zeros(*mask.shape, hidden, device=mask.device))
