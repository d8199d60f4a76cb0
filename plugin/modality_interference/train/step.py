"""One training batch: attack, then one forward of rows and copies together, on any engine."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..arguments import PluginArguments
from ..attention.packing import common_prefixes
from ..attention.prefix import CommonPrefixes
from ..attention.row_attention import RowAttention
from ..batching.answer_logits import Answers
from ..batching.batch import TwinBatch
from .alignment import Alignment
from .answer_losses import cross_entropy
from .attack import Attack, Perturbation, ascend
from .decoder_inputs import append_rows, take_rows
from .hooks import ModelParts
from .losses import DROPPED_NONFINITE, RunningMeans, Totals, adversarial_share, alignment_share, finite, objective
from .media_features import MediaFeatures


class TwinStep:
    """Computes this batch's share of the step's loss.

    Args:
        model: the model as the engine wrapped it.
        parts: its parts.
        arguments: the method.
        means: where the logged means go.
        share_prefix: compute the rows' common prefixes only once.
        alignment_layers: whose attention the alignment loss looks at.
    """

    def __init__(
        self,
        model: nn.Module,
        parts: ModelParts,
        arguments: PluginArguments,
        means: RunningMeans,
        share_prefix: bool = False,
        alignment_layers: Sequence[int] = (),
    ) -> None:
        self.model = model
        self.parts = parts
        self.arguments = arguments
        self.means = means
        self.share_prefix = share_prefix
        self.alignment_layers = alignment_layers

    def loss(self, batch: TwinBatch, totals: Totals, attack: Attack) -> Tensor:
        """Loss share with gaussian, fgsm or pgd copies, or none.

        Args:
            batch: clean rows and twins.
            totals: denominators of the optimizer step.
            attack: finds the perturbations.
        """
        media_features = self.parts.media_features(batch.feature_index)
        if not self.arguments.adversarial_on or not totals.attacked:
            return self.training_forward(batch, None, totals, media_features)

        common = self.common(batch)
        found = attack.find(batch, media_features, common)
        self._count_dropped(batch.masked_rows, found)
        return self.training_forward(batch, found, totals, media_features, common)

    def training_forward(
        self,
        batch: TwinBatch,
        perturbation: Perturbation | None,
        totals: Totals,
        media_features: MediaFeatures | None,
        common: CommonPrefixes | None = None,
    ) -> Tensor:
        """The one forward whose graph reaches the parameters: the rows, followed by their adversarial copies."""
        rows = len(batch.labels)
        copies_of = batch.masked_rows[:0] if perturbation is None else perturbation.rows

        alignment = Alignment.of(batch, self.arguments, self.alignment_layers)

        def edit(kwargs: dict[str, Any]) -> dict[str, Any]:
            if perturbation is not None and len(copies_of):
                embeds = kwargs["inputs_embeds"]
                rest = {key: value for key, value in kwargs.items() if key != "inputs_embeds"}
                copies = perturbation.on(embeds[copies_of])
                kwargs = append_rows(rest, copies_of, rows) | {"inputs_embeds": torch.cat([embeds, copies])}

            return kwargs if alignment is None else alignment.edit(kwargs)

        labels = torch.cat([batch.labels, batch.labels[copies_of]])
        positions = torch.cat([batch.answer_positions, batch.answer_positions[copies_of]])
        edited = alignment is not None or len(copies_of) > 0
        common = common or self.common(batch)
        row_attention = (
            None
            if common is None
            else RowAttention(common.pack(torch.arange(rows, device=copies_of.device), copies_of))
        )
        with self.parts.hooked(edit if edited else None, positions, media_features, row_attention=row_attention):
            logits = self.model(**batch.inputs, use_cache=False).logits

        share: Tensor | float = 0.0
        if alignment is not None:
            logits, total = alignment.measured(logits)
            share = alignment_share(total, alignment.rows, totals, self.arguments, self.means)

        answers = Answers.of(logits, labels, batch.compared(copies_of))
        return objective(answers, batch, copies_of, totals, self.arguments, self.means) + share

    def ascent_loss(
        self,
        batch: TwinBatch,
        perturbation: Perturbation,
        totals: Totals,
        media_features: MediaFeatures | None,
        common: CommonPrefixes | None,
    ) -> Tensor:
        """FreeLB's intermediate term: the copies alone, in the graph of the parameters and of delta.

        Args:
            batch: clean rows and twins.
            perturbation: the copies, `delta` requiring gradients.
            totals: denominators of the optimizer step.
            media_features: of all forwards of the step.
            common: the rows' common prefixes, None to share nothing.

        Returns:
            adversarial_weight / K times this batch's share of L_adv.
        """
        rows = perturbation.rows

        def edit(kwargs: dict[str, Any]) -> dict[str, Any]:
            taken = take_rows(kwargs, rows, len(batch.labels))
            return {**taken, "inputs_embeds": perturbation.on(taken["inputs_embeds"])}

        row_attention = None if common is None else RowAttention(common.pack(rows[:0], rows))
        with self.parts.hooked(
            edit, batch.answer_positions[rows], media_features, record=True, row_attention=row_attention
        ):
            logits = self.model(**batch.inputs, use_cache=False).logits

        answers = Answers.of(logits, batch.labels[rows])
        entropy = cross_entropy(answers)
        total = entropy[finite(answers, entropy)[answers.row]].sum()  # `climb` drops and counts the others
        return adversarial_share(self.arguments) * total / totals.adversarial_tokens

    def climb(self, batch: TwinBatch, perturbation: Perturbation, totals: Totals, scale: float) -> Perturbation:
        """FreeLB's ascent: turn the gradient of `ascent_loss` into that of each row's own mean answer loss.

        Args:
            batch: clean rows and twins.
            perturbation: the copies, after the backward of their ascent loss times `scale`.
            totals: denominators of the optimizer step.
            scale: what the loss was multiplied by before its backward.

        Returns:
            the copies, without those whose gradient is not finite.
        """
        lengths = batch.answer_positions[perturbation.rows].sum(dim=1)
        weight = adversarial_share(self.arguments)
        assert perturbation.delta.grad is not None
        factors = totals.adversarial_tokens / (lengths * weight * scale)
        gradient = perturbation.delta.grad * factors[perturbation.token_rows.index, None]
        perturbation.delta = ascend(perturbation.delta.detach(), gradient, perturbation.token_rows, self.arguments)
        kept = perturbation.only(perturbation.token_rows.finite(gradient))
        self._count_dropped(perturbation.rows, kept)
        return kept

    def common(self, batch: TwinBatch) -> CommonPrefixes | None:
        """The rows' common prefixes; None where prefix sharing is off."""
        return common_prefixes(batch, self.arguments.share_prefix, self.parts.decoder) if self.share_prefix else None

    def _count_dropped(self, rows: Tensor, kept: Perturbation) -> None:
        if len(kept.rows) < len(rows):
            self.means.count(DROPPED_NONFINITE, len(rows) - len(kept.rows))
