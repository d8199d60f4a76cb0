"""The diagnosis inside a trainer: `do_eval` and `eval_strategy` score clean rows and twins in one pass."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from typing_extensions import override

from ..arguments import parse_layers
from ..attention.packing import common_prefixes, shared_prefill
from ..attention.prefix import PackedRows
from ..attention.row_attention import RowAttention
from ..batching.answer_logits import Answers
from ..batching.batch import TwinBatch
from ..batching.collator import Purpose
from ..compat import get_logger
from ..errors import ModalityInterferenceError
from ..modality import Modality, is_counterfactual
from ..results import Curves, Diagnosis, RunMetadata, ScoredRow
from ..train.answer_losses import cross_entropy
from ..train.hooks import Edit
from ..train.trainer import TwinTrainer
from .attention_calibration import CalibratedAttention
from .attention_probe import AttendedRow, AttentionProbe
from .contrast import ContrastedLogits, VisualContrast, beside
from .counterfactuals import parted
from .curves import curves_of
from .generation import GeneratedText, score_generated
from .metrics import Predicted, clean_predictions, named_metrics, rates_in_words, stock_metrics
from .rates import unique_rows
from .scoring import score_likelihood
from .write import free_answers, write_diagnosis


if TYPE_CHECKING:
    from transformers.trainer_utils import EvalLoopOutput

logger = get_logger(__name__)
WriteReport: TypeAlias = Callable[[Path, Diagnosis, list[ScoredRow]], Path]
WriteCurves: TypeAlias = Callable[[Path, Curves], Any]


class DiagnosisTrainer(TwinTrainer):
    """The trainer of twins, whose evaluation is the perturbation-based causal experiment (arXiv 2505.19616).

    Args:
        metadata: what the report says of the run.
        write_report: makes the page and its plots in a folder, from a diagnosis and its rows; returns the page's path.
        write_curves: draws the rates of all evaluations so far.
        kwargs: what `TwinTrainer` takes.
    """

    def __init__(
        self, metadata: RunMetadata, write_report: WriteReport, write_curves: WriteCurves, **kwargs: Any
    ) -> None:
        # where the evaluation generates, LLaMA-Factory gives a collator without a model
        self._evaluation_collator = kwargs["data_collator"]
        super().__init__(**kwargs)
        self.metadata = metadata
        self.diagnosis: Diagnosis | None = None  # the last that was written
        self._write_report = write_report
        self._draw_curves = write_curves
        # LLaMA-Factory's keywords of `generate`; the Trainer forgets them in an evaluation that is given none
        self._generation = dict(kwargs.get("gen_kwargs") or {})
        self._contrast = self._visual_contrast()
        key = "attention_calibration_layers"  # here, so that layers which the model does not have are refused at once
        self._calibrated_layers = parse_layers(key, getattr(self.finetuning_args, key), self.parts.depth)
        self._text = GeneratedText(self.processing_class, self._evaluation_collator.template.thought_words)
        self._scored: list[ScoredRow] = []  # of the dataset that is being evaluated, by this rank
        self._predicted: list[Predicted] = []  # likewise, for `compute_accuracy`
        self._attended: list[AttendedRow] = []  # of all datasets, by this rank
        self._diagnosed: list[ScoredRow] | None = None  # of all datasets, by all ranks; None outside of `evaluate`

    def _visual_contrast(self) -> VisualContrast | None:
        """What `diagnosis_decoding` asks for; None for the model's own probabilities."""
        arguments = self.finetuning_args
        if arguments.diagnosis_decoding != "vcd":
            return None

        return VisualContrast(arguments.vcd_alpha, arguments.vcd_beta, arguments.vcd_noise_steps, self.args.seed)

    @property
    def purpose(self) -> Purpose:
        """What the batches of an evaluation are for."""
        if self.finetuning_args.diagnosis_scoring == "generate":
            return Purpose.GENERATION

        return Purpose.STOCK if self.args.predict_with_generate else Purpose.LIKELIHOOD

    @override
    def evaluation_collator(self) -> Any:
        return self._evaluation_collator.for_evaluation(self.purpose)

    @override
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        if self._diagnosed is not None:  # one of several datasets
            return super().evaluate(*args, **kwargs)

        self._diagnosed = []
        try:
            metrics = super().evaluate(*args, **kwargs)
            attended = gather_object(self._attended)
            if self._diagnosed and self.is_world_process_zero():
                self._log_rates(metrics, kwargs.get("metric_key_prefix", "eval"))
                self._write(self._diagnosed, attended, args[0] if args else kwargs.get("eval_dataset"))
        finally:
            self._diagnosed, self._attended = None, []

        return metrics

    @override
    def evaluation_loop(self, *args: Any, **kwargs: Any) -> "EvalLoopOutput":
        self._scored, self._predicted = [], []
        output = super().evaluation_loop(*args, **kwargs)
        scored = gather_object(self._scored)
        rows = unique_rows(row for row in scored if row.dataset)  # "": tokenized without the plugin
        generated = self.purpose is Purpose.GENERATION
        prefix = kwargs.get("metric_key_prefix", "eval")
        output.metrics.update(named_metrics(rows, prefix, generated))
        if self.compute_metrics is not None and self.purpose is Purpose.LIKELIHOOD:
            found = stock_metrics(self.compute_metrics, gather_object(self._predicted))
            output.metrics.update({f"{prefix}_{name}": value for name, value in found.items()})

        if self._diagnosed is not None:
            self._diagnosed += rows

        return output

    @override
    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if self.purpose is Purpose.STOCK:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys, **gen_kwargs)

        batch = TwinBatch.split(self._prepare_inputs(inputs))
        if self.purpose is Purpose.LIKELIHOOD:
            return self._likelihood_step(model, batch), None, None

        self._generation_step(model, batch, {**self._gen_kwargs, **self._generation, **gen_kwargs})
        return None, None, None

    def _generation_step(self, model: nn.Module, batch: TwinBatch, gen_kwargs: dict[str, Any]) -> None:
        inputs = dict(batch.inputs)
        if "mm_token_type_ids" in inspect.signature(self.model.forward).parameters:
            # without it, Qwen-VL's `generate` gives media tokens the positions of text
            inputs.setdefault("mm_token_type_ids", self._media_types(inputs["input_ids"]))

        if gen_kwargs.get("max_new_tokens") is not None:
            gen_kwargs.pop("max_length", None)  # the Trainer's, of prompt and answer together

        if isinstance(gen_kwargs.get("eos_token_id"), list):
            gen_kwargs["eos_token_id"] = self._text.stops(gen_kwargs["eos_token_id"])

        greedy = {**gen_kwargs, "do_sample": False, "num_beams": 1}  # a flip must come from the perturbation
        if self._contrast is not None:
            inputs = beside(inputs, inputs | self._contrast.noised(batch))
            greedy["logits_processor"] = [ContrastedLogits(self._contrast)]

        calibrated = self._calibrated(batch)
        with (
            self._attention_edits(batch, calibrated) as edit,
            self.parts.hooked(edit),
            self._share_prompts(batch, calibrated),
        ):
            _, generated, _ = super().prediction_step(model, inputs, prediction_loss_only=False, **greedy)

        opened = self._text.opened(batch.inputs["input_ids"])
        reasoned = self.finetuning_args.diagnosis_prompt == "chain_of_thought"
        texts = self._text.texts(generated[: len(batch.labels)])
        rule = self.finetuning_args.diagnosis_free_answers
        self._scored += score_generated(batch.questions or [], texts, self._text.thought_words, opened, reasoned, rule)

    def _media_types(self, input_ids: Tensor) -> Tensor:
        """(rows, tokens) 1 on image tokens, 2 on video tokens, as transformers' processors say it."""
        types = torch.zeros_like(input_ids)
        for modality, kind in ((Modality.VIDEO, 2), (Modality.IMAGE, 1)):
            types[input_ids == self.data_collator.modality_tokens.media.get(modality, -1)] = kind

        return types

    def _likelihood_step(self, model: nn.Module, batch: TwinBatch) -> Tensor:
        questions, calibrated = batch.questions or [], self._calibrated(batch)
        with torch.no_grad(), self.compute_loss_context_manager():
            with self._attention_edits(batch, calibrated) as edit:
                logits = self._answer_logits(model, batch, batch.inputs, edit, calibrated)

            answers = chosen = Answers.of(logits, batch.labels, batch.last_answer)
            if self._contrast is None:
                self._scored += score_likelihood(questions, answers, self._decode)
            else:
                noised = self._answer_logits(model, batch, self._contrast.noised(batch))
                self._scored += self._contrast.score(questions, answers, noised, self._decode)
                chosen = self._contrast.free_answers(answers, noised)

            if self.compute_metrics is not None:
                self._predicted += clean_predictions(batch, chosen)

            clean = cross_entropy(answers)[torch.isin(answers.row, batch.clean_rows)]

        return clean.mean() if len(clean) else clean.sum()

    def _answer_logits(
        self,
        model: nn.Module,
        batch: TwinBatch,
        inputs: dict[str, Any],
        edit: Edit | None = None,
        calibrated: CalibratedAttention | None = None,
    ) -> Tensor:
        """(positions, vocabulary) logits at the batch's answer positions, of its inputs or of noised ones."""
        media_features = self.parts.media_features(batch.feature_index)
        row_attention = self._row_attention(batch, calibrated)
        with self.parts.hooked(edit, batch.answer_positions, media_features, row_attention=row_attention):
            return model(**inputs, use_cache=False).logits

    @contextmanager
    def _share_prompts(self, batch: TwinBatch, calibrated: CalibratedAttention | None) -> Iterator[None]:
        if not self.share_prefix or self._contrast is not None:  # which has rows of its own
            yield
            return

        with shared_prefill(self.parts.decoder, self._packed(batch, calibrated, all_tokens=True)):
            yield

    def _row_attention(self, batch: TwinBatch, calibrated: CalibratedAttention | None) -> RowAttention | None:
        """The attention of rows that share prefixes; None where prefix sharing is off."""
        return RowAttention(self._packed(batch, calibrated, all_tokens=False)) if self.share_prefix else None

    def _packed(self, batch: TwinBatch, calibrated: CalibratedAttention | None, all_tokens: bool) -> PackedRows:
        """All rows of a batch with each shared prefix once; `all_tokens` as `CommonPrefixes` takes it."""
        marks = None if calibrated is None else calibrated.marks
        wanted, decoder = self.finetuning_args.share_prefix, self.parts.decoder
        return common_prefixes(batch, wanted, decoder, all_tokens, marks).pack_all()

    def _calibrated(self, batch: TwinBatch) -> CalibratedAttention | None:
        """What `attention_calibration` asks for; None for the model's own attention."""
        arguments = self.finetuning_args
        if not arguments.calibration_on:
            return None

        constant, tokens = arguments.attention_calibration, arguments.attention_calibration_tokens
        continued = self.purpose is Purpose.GENERATION
        return CalibratedAttention(batch, constant, tokens, self._calibrated_layers, continued)

    @contextmanager
    def _attention_edits(self, batch: TwinBatch, calibrated: CalibratedAttention | None) -> Iterator[Edit | None]:
        """Yields the edit of the decoder's inputs that calibrates its attention, and records it; None where neither is asked for."""
        probed = self.finetuning_args.attention_probe and not self.is_in_train
        probe = AttentionProbe(batch, self.parts.depth) if probed else None
        edits = [one.edit for one in (probe, calibrated) if one is not None]
        yield (lambda kwargs: reduce(lambda edited, edit: edit(edited), edits, kwargs)) if edits else None
        if calibrated is not None:
            calibrated.check()

        if probe is not None:
            self._attended += [row for row in probe.rows() if not is_counterfactual(row.perturbation)]

    def _decode(self, token_ids: list[int]) -> str:
        return self.processing_class.decode(token_ids, skip_special_tokens=True).strip()

    def _log_rates(self, metrics: dict[str, float], prefix: str) -> None:
        step = f" after step {self.state.global_step}" if self.is_in_train else ""
        names = list(dict.fromkeys((row.dataset, row.perturbation) for row in self._diagnosed or ()))
        logger.info(f"Evaluation{step}: {rates_in_words(metrics, names, prefix)}.")

    def _write(self, scored: list[ScoredRow], attended: list[AttendedRow], eval_dataset: Any) -> None:
        folder = Path(self.args.output_dir)
        rows, gone = parted(scored)
        if self.is_in_train:
            self._write_curves(folder, rows)
            return

        found = self.eval_dataset if eval_dataset is None or isinstance(eval_dataset, str) else eval_dataset
        datasets = list(found.values()) if isinstance(found, Mapping) else [found]
        diagnosis = write_diagnosis(
            folder,
            rows,
            gone,
            attended,
            datasets,
            self.metadata,
            self._trained_steps,
            self.data_collator,
            curves_of(self.state.log_history, rows),
        )
        for name, words in free_answers(rows, self.metadata.scoring).items():
            logger.info_rank0(f"{name}: {words}")

        self.diagnosis = diagnosis
        page = self._write_report(folder, diagnosis, rows)
        logger.info_rank0(f"The report on modality interference is in {page}.")

    @property
    def _trained_steps(self) -> int:
        """Optimizer steps of the model's weights; 0 where the run has not trained."""
        best = self.state.best_global_step if self.args.load_best_model_at_end else None
        return best or self.state.global_step

    def _write_curves(self, folder: Path, rows: list[ScoredRow]) -> None:
        try:
            self._draw_curves(folder, curves_of(self.state.log_history, rows))
        except ModalityInterferenceError as error:  # a full disk must not end a training run for a plot
            logger.warning_rank0(f"No curves: {error}")
