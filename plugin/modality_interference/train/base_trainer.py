"""What the trainers of twins have in common: their model's parts, sampling, logged means, finite steps and whole checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, has_length
from typing_extensions import override

from ..attention.packing import shares_prefixes
from ..batching.sampler import BatchMixSampler
from ..compat import (
    complete_instructblip,
    deepspeed_engine,
    freeze_unused,
    get_logger,
    let_deepspeed_skip,
    load_all_weights,
    separate_audios,
    use_cpu_without_index,
)
from ..errors import ModalityInterferenceError
from .checkpoints import begin, explained, finish, rotate
from .hooks import ModelParts, refuse_router_loss
from .losses import MEANS, SKIPPED_NONFINITE, RunningMeans
from .nonfinite import Patience, is_finite


if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState

logger = get_logger(__name__)
_Trainer: Any = Trainer  # of which types know less than LLaMA-Factory's arguments say


class BaseTwinTrainer(_Trainer):
    """A base beside one of LLaMA-Factory's trainers, which it comes before: `class T(BaseTwinTrainer, CustomTrainer)`.

    Attributes:
        logged_means: the names of the means that a subclass logs.
    """

    data_collator: Any
    finetuning_args: Any
    logged_means: tuple[str, ...] = MEANS

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_collator = self.data_collator.with_model(self.model)
        if self.args.n_gpu > 1:
            raise ModalityInterferenceError(
                "torch.nn.DataParallel (several GPUs in one process) is not supported. Start with FORCE_TORCHRUN=1."
            )

        use_cpu_without_index(self.args)
        # losses are divided by the totals of the optimizer step, so neither accumulation steps nor ranks may divide again
        self.model_accepts_loss_kwargs = True
        freeze_unused(self.model)
        separate_audios(self.model)
        complete_instructblip(self.model)
        self.parts = ModelParts.of(self.model)
        refuse_router_loss(self.model)
        self.share_prefix = shares_prefixes(self.finetuning_args.share_prefix, self.parts.decoder)
        self.means = RunningMeans(self.logged_means)
        self.patience = Patience(self.finetuning_args.nonfinite_patience)
        self._sampler: BatchMixSampler | None = None
        self.add_callback(_TrainingCallback(self))

    def evaluation_collator(self) -> Any:
        """What batches an evaluation."""
        return self.data_collator

    @override
    def _get_dataloader(self, *args: Any, is_training: bool = False, **kwargs: Any) -> torch.utils.data.DataLoader:
        training = self.data_collator
        if not is_training:
            self.data_collator = self.evaluation_collator()

        try:
            return super()._get_dataloader(*args, is_training=is_training, **kwargs)
        finally:
            self.data_collator = training

    @override
    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> torch.utils.data.Sampler | None:
        if self.finetuning_args.batch_mix is None:
            return super()._get_train_sampler(*args, **kwargs)

        self._sampler = BatchMixSampler(
            self.train_dataset["relevant"],
            self.finetuning_args.mix,
            self.args.data_seed or self.args.seed,
            shuffle=not self.finetuning_args.disable_shuffling,
        )
        logger.info_rank0(self._sampler.summary(self.args.world_size))
        return self._sampler

    def overview(self) -> tuple[str, list[str]]:
        """What the run trains on, and what in its loss cannot act."""
        raise NotImplementedError

    def log_overview(self) -> None:
        """Say what the run trains on and which terms of its loss can act."""
        if not self.is_world_process_zero():
            return

        text, warnings = self.overview()
        logger.info(text)
        for warning in warnings:
            logger.warning(warning)

    def step_totals(self, shares: list[torch.Tensor], device: torch.device) -> torch.Tensor:
        """The sums over an optimizer step's batches on all ranks; ends the run where too many steps left something out.

        Args:
            shares: of every batch of this rank, whole numbers.
            device: where to reduce.
        """
        faults = torch.tensor([self.means.take_faults()])  # of the previous step, which saves a reduction
        totals = torch.cat([torch.stack(shares).sum(dim=0), faults]).to(device)
        totals = self.accelerator.reduce(totals, reduction="sum")
        self.patience.end_step(int(totals[-1]))
        return totals[:-1]

    def start_epoch(self, epoch: int) -> None:
        """Set the epoch, on which alone everything depends that is drawn again for each epoch."""
        self.data_collator.set_epoch(epoch)
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)

    @override
    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The gradient norm. If it is not finite, the gradients are removed, so that the optimizer changes nothing.

        Under float16, a gradient scaler and DeepSpeed skip such steps themselves and lower the loss scale. DeepSpeed has
        made or skipped its step (`let_deepspeed_skip`) before this is called.
        """
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if self.is_deepspeed_enabled:
            skipped = not self.args.fp16 and self.accelerator.optimizer_step_was_skipped
        else:
            skipped = self.accelerator.scaler is None and not is_finite(norm)
            if skipped:
                self.optimizer.zero_grad(set_to_none=True)

        if skipped:
            self.means.count(SKIPPED_NONFINITE, int(self.is_world_process_zero()))

        return norm

    @override
    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save a checkpoint that is used only once it is complete; delete older ones only after that."""
        folder = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if self.args.should_save:
            begin(folder)

        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            with explained(folder):
                super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit

        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            finish(folder)
            rotate(folder, limit, self.state.best_model_checkpoint)

    @override
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load weights to resume from, none left out; see `load_all_weights`."""
        model = model if model is not None else self.model
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or not isinstance(model, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_all_weights(model, resume_from_checkpoint)

    @override
    def _load_best_model(self) -> None:
        """Load the best weights, none left out; see `load_all_weights`."""
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or not isinstance(self.model, PreTrainedModel):
            super()._load_best_model()
        else:
            logger.info_rank0(f"Loading the best model, {self.state.best_model_checkpoint}.")
            self._load_from_checkpoint(str(self.state.best_model_checkpoint))

    @override
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs.update(self.means.take(lambda share: self.accelerator.reduce(share, "sum"), self.args.device))

        super().log(logs, start_time)


class _TrainingCallback(TrainerCallback):
    def __init__(self, trainer: BaseTwinTrainer) -> None:
        self.trainer = trainer
        self.passes = 0  # of a stream, whose length transformers does not know: to it, all steps are one epoch

    def on_train_begin(self, args: Any, state: "TrainerState", control: "TrainerControl", **kwargs: Any) -> None:
        self.trainer.log_overview()
        if self.trainer.is_deepspeed_enabled:
            let_deepspeed_skip(deepspeed_engine(self.trainer.accelerator).optimizer)

    def on_epoch_begin(self, args: Any, state: "TrainerState", control: "TrainerControl", **kwargs: Any) -> None:
        # with a tolerance, because a checkpoint at the end of an epoch may hold 0.9999...
        epoch = int((state.epoch or 0) + 1e-6) if has_length(kwargs["train_dataloader"]) else self.passes
        self.trainer.start_epoch(epoch)
        self.passes += 1
