"""The trainer: LLaMA-Factory's, with the loss of DESIGN section 2; its evaluation is the diagnosis."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from llamafactory.extras import logging
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel, TrainerCallback
from typing_extensions import override

from ..arguments import parse_batch_mix
from ..batch import TwinBatch
from ..diagnose.evaluation import DiagnosisTrainer
from ..errors import ModalityInterferenceError
from ..twins.sampler import BatchMixSampler
from .attack import Attack, Perturbation, first_row
from .embeddings import ModelParts
from .objective import Figures, Totals
from .step import TwinStep


if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState


logger = logging.get_logger(f"llamafactory.{__name__}")  # below its root logger, which has the handlers


class InterferenceTrainer(DiagnosisTrainer):
    """Fine-tunes on clean rows, twins and adversarial copies, with the consistency loss (arXiv 2505.19616).

    Takes what `DiagnosisTrainer` takes; `finetuning_args` carries the plugin's keys.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.args.n_gpu > 1:
            raise ModalityInterferenceError(
                "torch.nn.DataParallel (several GPUs in one process) is not supported: start with FORCE_TORCHRUN=1."
            )

        # sums are divided by the whole step's totals, so neither accumulation steps nor ranks may divide again
        self.model_accepts_loss_kwargs = True
        self.parts = ModelParts.of(self.model)
        self.figures = Figures()
        self._perturbation: Perturbation | None = None
        self._sampler: BatchMixSampler | None = None
        self.add_callback(_EpochCallback(self))

    # --- data ---------------------------------------------------------------------------------------------------------

    @override
    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> torch.utils.data.Sampler | None:
        if self.finetuning_args.batch_mix is None:
            return super()._get_train_sampler(*args, **kwargs)

        self._sampler = BatchMixSampler(
            self.train_dataset["relevant"],
            parse_batch_mix(self.finetuning_args.batch_mix),
            self.args.data_seed or self.args.seed,
            shuffle=not self.finetuning_args.disable_shuffling,
        )
        logger.info_rank0(self._sampler.summary(self.args.world_size))
        return self._sampler

    def start_epoch(self, epoch: int) -> None:
        """Everything drawn afresh each epoch depends on its number only."""
        self.data_collator.set_epoch(epoch)
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)

    # --- training -----------------------------------------------------------------------------------------------------

    @override
    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | None:
        if not batch_samples or "twin_of" not in batch_samples[0]:  # the latter: LLaMA-Factory's own evaluation
            return None

        shares = [Totals.count(TwinBatch.split(inputs), self.finetuning_args) for inputs in batch_samples]
        return self.accelerator.reduce(torch.stack(shares).sum(dim=0).to(device), reduction="sum")

    @override
    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        if self.finetuning_args.adversarial_method == "freelb" and self.finetuning_args.adversarial_on:
            climbed = self._climb(model, inputs, Totals(*num_items_in_batch))
            try:
                return climbed + super().training_step(model, inputs, num_items_in_batch)
            finally:
                self._perturbation = None

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
        step = TwinStep(model, self.parts, self.finetuning_args, self.figures)
        if self._perturbation is not None:
            loss = step.training_forward(batch, self._perturbation, totals, self.parts.pictures(batch.image_index))
        else:
            loss = step.loss(batch, totals, self._attack(model))

        return loss * self.accelerator.num_processes  # engines average gradients over ranks

    def _attack(self, model: nn.Module) -> Attack:
        scale = self.accelerator.scaler.get_scale() if self.accelerator.scaler is not None else 1.0
        return Attack(model, self.parts, self.finetuning_args, (self.args.seed, self.state.global_step), scale)

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
        step = TwinStep(model, self.parts, self.finetuning_args, self.figures)
        attack = self._attack(model)
        found = attack.start(batch)
        found.delta = found.delta * self.finetuning_args.adversarial_epsilon
        idle = not len(found.rows)
        current = first_row(batch, self.parts.width) if idle else found
        scale = attack.gradient_scale * self.accelerator.num_processes
        for _ in range(self.finetuning_args.adversarial_steps - 1):
            current.delta.requires_grad_()
            with model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext():
                loss = step.ascent_loss(batch, current, totals) * self.accelerator.num_processes
                loss = loss * 0 if idle else loss
                self.accelerator.backward(loss)

            climbed += loss.detach()
            current = current if idle else step.climb(batch, current, totals, scale)

        self._perturbation = found if idle else current
        return climbed

    @override
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load weights to resume from, none left out.

        transformers 5.5 saves a VLM under the key names that it was published with, but its Trainer does not translate them
        back: a fully tuned model would silently start again from the base weights, with a warning about missing keys.
        """
        model = model if model is not None else self.model
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or not isinstance(model, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            saved = type(model).from_pretrained(resume_from_checkpoint, dtype="auto")
            model.load_state_dict(saved.state_dict())

    @override
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs.update(self.figures.take(lambda share: self.accelerator.reduce(share, "sum"), self.args.device))

        super().log(logs, start_time)


class _EpochCallback(TrainerCallback):
    def __init__(self, trainer: InterferenceTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: "TrainerState", control: "TrainerControl", **kwargs: Any) -> None:
        # the tolerance: a checkpoint of a finished epoch may carry 0.9999...
        self.trainer.start_epoch(int((state.epoch or 0) + 1e-6))
