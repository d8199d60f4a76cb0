"""All that a diagnosis found, and what it says of its run."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .attention import AttentionCalibration, AttentionProfile
from .gallery import Flip, UnparsableAnswer
from .rates import Curves, DatasetResult
from .rows import Result


FreeAnswers: TypeAlias = Literal["exact", "contained", "anls"] | None
Scoring = Literal["likelihood", "generate", "top_logprobs"]
SCHEMA = 3  # 1 and 2 were never released: they had other keys, and intervals of another kind


class Tuning(Result):
    """How the model that was diagnosed had been tuned; what is not known is None.

    Attributes:
        base: what it was tuned from, a name or a path.
        method: `finetuning_type`.
        adapters: paths of adapters on top of the base.
        steps: optimizer steps.
        folder: where the tuned weights are: the `output_dir` of the training, a checkpoint, an adapter.
        in_this_run: whether the run that evaluated also trained.
    """

    base: str | None = None
    method: str | None = None
    adapters: list[str] = []
    steps: int | None = None
    folder: str | None = None
    in_this_run: bool = False


class Diagnosis(Result):
    """All of `interference.json`.

    Attributes:
        schema_version: of this file's layout.
        created: when, ISO 8601 in UTC.
        model: `name_or_path`, `adapter_name_or_path`, `template` and what else describes the model.
        tuning: how it was tuned; None where no training is known.
        data: `dataset_dir`, `eval_dataset` and what else describes the data.
        run: `output_dir`, `step`, ... of the run.
        versions: of the packages.
        seed: of twins and of the bootstrap, which gives the intervals of causal effects.
        scoring: how answers are scored; `top_logprobs` is by the probabilities of the options' letters that a server gives.
        prompt: `diagnosis_prompt`, what was asked beside the questions.
        decoding: `diagnosis_decoding`, how token probabilities were made.
        calibration: what was added to attention scores; None for the model's own attention.
        free_answers: how generated answers without options are compared; None with likelihoods.
        resamples: of the bootstrap.
        datasets: results by dataset.
        notes: what a reader should know, in plain words.
        gallery: the worst flips, worst first.
        unmoved: answers that stayed although their evidence was gone, the surest first.
        unparsable: some generated answers that could not be parsed.
        attention: what the model attends to; None without `attention_probe`.
        curves: rates over the run's evaluations; empty where it was evaluated once.
    """

    schema_version: int = SCHEMA
    created: str
    model: dict[str, Any]
    tuning: Tuning | None = None
    data: dict[str, Any]
    run: dict[str, Any]
    versions: dict[str, str]
    seed: int
    scoring: Scoring
    prompt: str = "none"
    decoding: str = "standard"
    calibration: AttentionCalibration | None = None
    free_answers: FreeAnswers = None
    resamples: int
    datasets: dict[str, DatasetResult]
    notes: list[str] = []
    gallery: list[Flip] = []
    unmoved: list[Flip] = []
    unparsable: list[UnparsableAnswer] = []
    attention: AttentionProfile | None = None
    curves: Curves = {}


@dataclass(frozen=True)
class RunMetadata:
    """What a report says of its run.

    Attributes:
        model: name, adapter, template and tuning.
        data: folder and names of the datasets, and what cuts rows.
        run: where the run writes to.
        seed: of the twins, and of the bootstrap.
        scoring: how answers are scored.
        prompt: what is asked beside the questions.
        decoding: how token probabilities are made.
        calibration: what is added to attention scores; None for the model's own attention.
        free_answers: see `Diagnosis`.
        tuning: how the model was tuned before the run; None where no training is known.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    run: dict[str, Any]
    seed: int
    scoring: Scoring
    prompt: str = "none"
    decoding: str = "standard"
    calibration: AttentionCalibration | None = None
    free_answers: FreeAnswers = None
    tuning: Tuning | None = None
