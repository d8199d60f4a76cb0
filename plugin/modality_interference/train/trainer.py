"""The trainer: LLaMA-Factory's, with twins, adversarial copies and the losses on them."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from typing_extensions import override

from ..attention.packing import shares_prefixes
from ..attention.prefix import CommonPrefixes
from ..batching.batch import TwinBatch
from ..batching.sampler import BatchMixSampler
from ..compat import (
    accumulate_gradients,
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
from .alignment import chosen_layers
from .attack import Attack, Perturbation, first_row
from .checkpoints import begin, explained, finish, rotate
from .hooks import ModelParts, refuse_router_loss
from .losses import SKIPPED_NONFINITE, RunningMeans, Totals
from .media_features import MediaFeatures
from .nonfinite import Patience, is_finite
from .overview import overview
from .step import TwinStep


if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState

logger = get_logger(__name__)


class TwinTrainer(CustomSeq2SeqTrainer):
    """Fine-tunes on clean rows, twins and adversarial copies, with the consistency loss (arXiv 2505.19616).

    Takes what `CustomSeq2SeqTrainer` takes; `data_collator` is a TwinCollator, `finetuning_args` carries the plugin's keys.
    """

    data_collator: Any

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
        # here, so that layers which the model does not have are refused before training starts
        self.alignment_layers = chosen_layers(self.finetuning_args, self.parts.decoder)
        self.share_prefix = shares_prefixes(self.finetuning_args.share_prefix, self.parts.decoder)
        self.means = RunningMeans()
        self.patience = Patience(self.finetuning_args.nonfinite_patience)
        self._climbed: tuple[Perturbation, MediaFeatures | None, CommonPrefixes | None] | None = None
        self._sampler: BatchMixSampler | None = None
        self.add_callback(_TrainingCallback(self))

    # --- data ---------------------------------------------------------------------------------------------------------

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

    def log_overview(self) -> None:
        """Say what the run trains on and which terms of its loss can act."""
        if not self.is_world_process_zero():
            return

        tokens = self.data_collator.modality_tokens
        text, warnings = overview(self.train_dataset, tokens, self.finetuning_args, self.args.seed)
        logger.info(text)
        for warning in warnings:
            logger.warning(warning)

    def start_epoch(self, epoch: int) -> None:
        """Set the epoch, on which alone everything depends that is drawn again for each epoch."""
        self.data_collator.set_epoch(epoch)
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)

    # --- training -----------------------------------------------------------------------------------------------------

    @override
    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | None:
        if not batch_samples or "twin_of" not in batch_samples[0]:  # the latter in LLaMA-Factory's own evaluation
            return None

        shares = [Totals.count(TwinBatch.split(inputs), self.finetuning_args) for inputs in batch_samples]
        faults = torch.tensor([self.means.take_faults()])  # of the previous step, which saves a reduction
        totals = torch.cat([torch.stack(shares).sum(dim=0), faults]).to(device)
        tokens, *totals, faults = self.accelerator.reduce(totals, reduction="sum")
        self.patience.end_step(int(faults))
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
    def __init__(self, trainer: TwinTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: "TrainerState", control: "TrainerControl", **kwargs: Any) -> None:
        self.trainer.log_overview()
        if self.trainer.is_deepspeed_enabled:
            let_deepspeed_skip(deepspeed_engine(self.trainer.accelerator).optimizer)

    def on_epoch_begin(self, args: Any, state: "TrainerState", control: "TrainerControl", **kwargs: Any) -> None:
        # with a tolerance, because a checkpoint at the end of an epoch may hold 0.9999...
        self.trainer.start_epoch(int((state.epoch or 0) + 1e-6))
