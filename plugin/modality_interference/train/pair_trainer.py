"""The trainer of preference tuning: LLaMA-Factory's for DPO, on pairs of clean rows, twins and counterfactual rows."""

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from llamafactory.train.dpo.trainer import CustomDPOTrainer
from torch import Tensor, nn
from typing_extensions import override

from ..attention.packing import common_prefixes, shares_prefixes
from ..attention.row_attention import RowAttention
from ..batching.answer_logits import Answers
from ..batching.batch import TwinBatch
from ..batching.pairs import ABSTAINED, PairBatch, PairName
from ..modality import CLEAN, is_counterfactual
from ..presets import preset_line
from .base_trainer import BaseTwinTrainer
from .hooks import ModelParts
from .media_features import MediaFeatures
from .pair_losses import PAIR_MEANS, PairTotals, Scores, pair_losses, preference_objective


if TYPE_CHECKING:
    from transformers.trainer_utils import EvalLoopOutput


@dataclass(frozen=True)
class ScoredPair:
    """A pair in an evaluation.

    Attributes:
        name: dataset, key of the row, perturbation.
        better: the reward of the preferred answer.
        worse: the reward of the other.
        loss: the pair's.
    """

    name: PairName
    better: float
    worse: float
    loss: float

    @property
    def right(self) -> bool:
        """Whether the preferred answer has the higher reward."""
        return self.better > self.worse


class PairTrainer(BaseTwinTrainer, CustomDPOTrainer):
    """Learns preferences that hold on a clean row and on all its twins, and that go where the evidence goes.

    Takes what `CustomDPOTrainer` takes; `data_collator` is a PairCollator, `finetuning_args` carries the plugin's keys.
    """

    logged_means = PAIR_MEANS

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._scored: list[ScoredPair] = []  # of the dataset that is being evaluated, by this rank
        self.reference_parts, self.reference_shares = self.parts, self.share_prefix
        if self.ref_model is not None:
            self.reference_parts = ModelParts.of(self.accelerator.unwrap_model(self.ref_model))
            self.reference_shares = shares_prefixes(self.finetuning_args.share_prefix, self.reference_parts.decoder)

    @override
    def overview(self) -> tuple[str, list[str]]:
        return pair_overview(self.train_dataset, self.finetuning_args)

    # --- training -----------------------------------------------------------------------------------------------------

    @override
    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | None:
        if not batch_samples:
            return None

        shares = [PairTotals.count(PairBatch.split(inputs)) for inputs in batch_samples]
        return self.step_totals(shares, device).clamp(min=1)

    @override
    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        batch = PairBatch.split(inputs)
        scores = self._scores(model, batch.rows)
        loss = preference_objective(scores, batch, PairTotals(*num_items_in_batch), self.finetuning_args, self.means)
        return loss * self.accelerator.num_processes  # engines average gradients over ranks

    def _scores(self, model: nn.Module, rows: TwinBatch) -> Scores:
        """Score rows; the one forward whose graph reaches the parameters comes last."""
        features, reference = self.parts.media_features(rows.feature_index), None
        if self.finetuning_args.use_ref_model:
            with torch.no_grad(), ExitStack() as stack:
                if self.ref_model is None:  # the model without its adapter, whose frozen encoders are the same
                    stack.enter_context(self.accelerator.unwrap_model(model).disable_adapter())
                    reference = self._answers(model, self.parts, self.share_prefix, rows, features)
                else:
                    parts = self.reference_parts
                    own = parts.media_features(rows.feature_index)
                    reference = self._answers(self.ref_model, parts, self.reference_shares, rows, own)

        answers = self._answers(model, self.parts, self.share_prefix, rows, features)
        return Scores.of(answers, reference, self.finetuning_args)

    def _answers(
        self, model: nn.Module, parts: ModelParts, shares: bool, rows: TwinBatch, features: MediaFeatures | None
    ) -> Answers:
        """The logits of a model, as the engine wrapped it, at the answer positions of rows."""
        attention = None
        if shares:
            common = common_prefixes(rows, self.finetuning_args.share_prefix, parts.decoder)
            attention = RowAttention(common.pack_all())

        with parts.hooked(None, rows.answer_positions, features, row_attention=attention):
            logits = model(**rows.inputs, use_cache=False).logits

        return Answers.of(logits, rows.labels)

    # --- evaluation ---------------------------------------------------------------------------------------------------

    @override
    def evaluation_collator(self) -> Any:
        return replace(self.data_collator, twins_limit=None)  # all twins

    @override
    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, None, None]:
        batch = PairBatch.split(self._prepare_inputs(inputs))
        with torch.no_grad(), self.compute_loss_context_manager():
            scores = self._scores(model, batch.rows)
            losses = pair_losses(scores, batch.pairs, self.finetuning_args)

        rewards = scores.rewards[batch.pairs].tolist()
        self._scored += [
            ScoredPair(name, better, worse, loss)
            for name, (better, worse), loss in zip(batch.names, rewards, losses.tolist(), strict=True)
        ]
        clean = losses[batch.is_clean]
        return clean.mean() if len(clean) else clean.sum(), None, None

    @override
    def evaluation_loop(self, *args: Any, **kwargs: Any) -> "EvalLoopOutput":
        self._scored = []
        output = super().evaluation_loop(*args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        found = pair_metrics(gather_object(self._scored))
        output.metrics.update({f"{prefix}_{name}": value for name, value in found.items()})
        return output


def pair_metrics(scored: list[ScoredPair]) -> dict[str, float]:
    """The metrics of an evaluation: LLaMA-Factory's of the clean pairs, and of every perturbation how its pairs were judged.

    Args:
        scored: of all ranks; a pair that several of them have counts once.
    """
    pairs = {pair.name: pair for pair in scored}
    by_perturbation: dict[str, list[ScoredPair]] = defaultdict(list)
    for pair in pairs.values():
        by_perturbation[pair.name[2]].append(pair)

    clean = by_perturbation.pop(CLEAN, [])
    if not clean:
        return {}

    found = {
        "loss": fmean(pair.loss for pair in clean),
        "rewards/chosen": fmean(pair.better for pair in clean),
        "rewards/rejected": fmean(pair.worse for pair in clean),
        "rewards/margins": fmean(pair.better - pair.worse for pair in clean),
        "rewards/accuracies": fmean(pair.right for pair in clean),
    }
    for perturbation, changed in by_perturbation.items():
        found[f"rewards/accuracies_{perturbation}"] = fmean(pair.right for pair in changed)
        if perturbation != ABSTAINED and not is_counterfactual(perturbation):
            flips = (pair.right != pairs[*pair.name[:2], CLEAN].right for pair in changed)
            found[f"rewards/flip_rate_{perturbation}"] = fmean(flips)

    return found


def pair_overview(dataset: Any, arguments: Any) -> tuple[str, list[str]]:
    """What a run trains on, and a warning for each term of its loss that cannot act.

    Args:
        dataset: tokenized pairs; of a stream nothing is read.
        arguments: LLaMA-Factory's and the plugin's.
    """
    preset = preset_line(arguments)
    loss = f"the loss `{arguments.pref_loss}` on clean pairs and twins{f'. {preset}' if preset else ''}"
    if not isinstance(dataset, Dataset):
        return f"Trains on a stream of pairs: {loss}.", []

    twins, gone = (_items(dataset, name) for name in ("variants", "counterfactuals"))
    count = len(dataset)
    text = f"Trains on {count:,} pairs, with {twins / count:.2f} twins and {gone / count:.2f} counterfactual rows each: {loss}."
    warnings = []
    if not twins and arguments.consistency_on:
        warnings.append(
            f"`consistency_method: {arguments.consistency_method}` cannot act: no pair has a twin. Give a dataset a `twins` block."
        )

    if not gone and arguments.preference_counterfactual != "none":
        warnings.append(
            f"`preference_counterfactual: {arguments.preference_counterfactual}` cannot act: no pair has a counterfactual row. Name "
            "`counterfactuals` in the `twins` block of a dataset, and write `tokenized_path` anew with this recipe."
        )

    return text, warnings


def _items(dataset: Dataset, column: str) -> int:
    """How many items the lists of a column have together."""
    tables = dataset.select_columns(column).with_format("arrow").iter(batch_size=1000)
    return sum(pc.sum(pc.list_value_length(table[column])).as_py() or 0 for table in tables)
