"""The trainer: LLaMA-Factory's, with twins, adversarial copies and the losses on them."""

from contextlib import nullcontext
from typing import Any

import torch
from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from typing_extensions import override

from ..attention.prefix import CommonPrefixes
from ..batching.batch import TwinBatch
from ..compat import accumulate_gradients, deepspeed_engine
from .alignment import chosen_layers
from .attack import Attack, Perturbation, first_row
from .base_trainer import BaseTwinTrainer
from .losses import Totals
from .media_features import MediaFeatures
from .overview import overview
from .step import TwinStep


class TwinTrainer(BaseTwinTrainer, CustomSeq2SeqTrainer):
    """Fine-tunes on clean rows, twins and adversarial copies, with the consistency loss (arXiv 2505.19616).

    Takes what `CustomSeq2SeqTrainer` takes; `data_collator` is a TwinCollator, `finetuning_args` carries the plugin's keys.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # here, so that layers which the model does not have are refused before training starts
        self.alignment_layers = chosen_layers(self.finetuning_args, self.parts.decoder)
        self._climbed: tuple[Perturbation, MediaFeatures | None, CommonPrefixes | None] | None = None

    @override
    def overview(self) -> tuple[str, list[str]]:
        tokens = self.data_collator.modality_tokens
        return overview(self.train_dataset, tokens, self.finetuning_args, self.args.seed)

    # --- training -----------------------------------------------------------------------------------------------------

    @override
    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | None:
        if not batch_samples or "twin_of" not in batch_samples[0]:  # the latter in LLaMA-Factory's own evaluation
            return None

        shares = [Totals.count(TwinBatch.split(inputs), self.finetuning_args) for inputs in batch_samples]
        tokens, *totals = self.step_totals(shares, device)
        # without a readable example in the step there are 0 tokens, and the loss must be 0
        return torch.stack([tokens.clamp(min=1), *totals])

    @override
    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        if self.finetuning_args.adversarial_method == "freelb" and self.finetuning_args.adversarial_on:
            climbed = self._climb(model, inputs, Totals(*num_items_in_batch))
            try:
                return climbed + super().training_step(model, inputs, num_items_in_batch)
            finally:
                self._climbed = None

        return super().training_step(model, inputs, num_items_in_batch)

    @override
    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        if num_items_in_batch is None:  # LLaMA-Factory's own metrics, on clean rows
            return super().compute_loss(model, inputs, return_outputs)

        batch = TwinBatch.split(inputs)
        totals = Totals(*num_items_in_batch)
        step = self._step(model)
        if self._climbed is not None:
            found, media_features, common = self._climbed
            loss = step.training_forward(batch, found, totals, media_features, common)
        else:
            loss = step.loss(batch, totals, self._attack(model, totals))

        return loss * self.accelerator.num_processes  # engines average gradients over ranks

    def _step(self, model: nn.Module) -> TwinStep:
        return TwinStep(model, self.parts, self.finetuning_args, self.means, self.share_prefix, self.alignment_layers)

    def _attack(self, model: nn.Module, totals: Totals) -> Attack:
        # so that float16 overflows in the attack where it does in training, which sets the loss scale
        scale = self._loss_scale() * self.accelerator.num_processes / float(totals.tokens)
        return Attack(model, self.parts, self.finetuning_args, (self.args.seed, self.state.global_step), scale)

    def _loss_scale(self) -> float:
        """Torch's or DeepSpeed's factor on the loss, which keeps float16 gradients from underflowing."""
        if self.is_deepspeed_enabled:
            return float(getattr(deepspeed_engine(self.accelerator).optimizer, "cur_scale", 1.0))

        return self.accelerator.scaler.get_scale() if self.accelerator.scaler is not None else 1.0

    def _climb(self, model: nn.Module, inputs: dict[str, Any], totals: Totals) -> Tensor:
        """FreeLB: K - 1 ascent steps, each leaving its parameter gradients; the K-th is the training forward.

        Returns:
            the steps' share of the loss.
        """
        climbed = torch.zeros((), device=self.args.device)
        if not totals.attacked:
            return climbed

        model.train()
        batch = TwinBatch.split(self._prepare_inputs(inputs))
        step = self._step(model)
        attack = self._attack(model, totals)
        media_features, common = self.parts.media_features(batch.feature_index), step.common(batch)
        found = attack.start(batch)
        found.delta = found.delta * self.finetuning_args.epsilon
        scale = self._loss_scale() * self.accelerator.num_processes
        for _ in range(self.finetuning_args.adversarial_steps - 1):
            idle = not len(found.rows)
            current = first_row(batch, self.parts.width) if idle else found
            current.delta.requires_grad_()
            with model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext():
                loss = (
                    step.ascent_loss(batch, current, totals, media_features, common) * self.accelerator.num_processes
                )
                loss = loss * 0 if idle else loss
                accumulate_gradients(self.accelerator, self.is_deepspeed_enabled, loss)

            climbed += loss.detach()
            found = found if idle else step.climb(batch, current, totals, scale)

        self._climbed = found, media_features, common
        return climbed
