"""What a diagnosis found: the rates in `interference.json` and the rows in `interference_rows.jsonl`.

People share both files, so their content is untrusted and read through pydantic models.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .errors import ModalityInterferenceError
from .files import write_text
from .messages import explain, shown
from .modality import CLEAN, Modality


JSON_FILE = "interference.json"
ROWS_FILE = "interference_rows.jsonl"
SCHEMA = 3  # 1 and 2 were never released: they had other keys, and intervals of another kind
ROUNDING = 1e-6
RateName = Literal[
    "accuracy",
    "accuracy_norm",
    "flip_rate",
    "causal_effect",
    "misled_rate",
    "other_modality_rate",
    "excess_misled_rate",
    "abstention_rate",
    "false_abstention_rate",
    "unparsable_rate",
]
RATES: tuple[RateName, ...] = get_args(RateName)
Model = TypeVar("Model", bound=BaseModel)
Number = TypeVar("Number", bound=float | None)
_SWAPPED = re.compile(r"swapped_(video|audio)(_\d+)?")  # labels; a number where it is not the first of its name


class Result(BaseModel):
    """Base of all results: immutable, finite numbers; unknown keys of later releases are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class ScoredRow(Result):
    """One answer of the model, to a clean row or to a twin.

    Attributes:
        dataset: name in `dataset_info.json`.
        row: the row's index in the dataset.
        key: identity of the row's content; runs are compared on rows with the same key.
        kind: what the answer depends on, a name that `batch_mix` knows.
        perturbation: its label, `clean` for the clean row.
        answer: the model's, an option's text where the row has options; None where it could not be parsed.
        correct: whether it is the right one.
        correct_norm: whether the option with the highest likelihood divided by its length is the right one; None where
            options are not scored by likelihood.
        flipped: whether it differs from the answer to the clean row; None for clean rows.
        causal_effect: Jensen-Shannon divergence between the answer distributions of the clean row and of this one, in
            bits; None for clean rows, and where answers are generated.
        misled: whether it is the target option, the wrong option that the perturbation names; None where it names none.
            The target option of another clip's frames or audio is that clip's class; that of a clean row is the class of
            the modality that is not asked about, where the clip itself shows one thing and sounds like another.
        clip: the row of the data, where it is asked several questions; None where the row is one itself.
        options: how many options the question offers; None where the answer is free.
        right: the right answer, an option's text where the row has options.
        target: the target option's text.
        abstention: the option that says that one cannot tell; None where none is offered.
        removed: whether black frames or silence are in place of what the answer depends on; None where they are not.
        medium: the name of the row's first file; None where it has none.
        response: what the model wrote, as it wrote it; None where answers are scored by likelihood.
    """

    dataset: str
    row: int
    key: int
    kind: str
    perturbation: str
    correct: bool
    answer: str | None = None
    correct_norm: bool | None = None
    flipped: bool | None = None
    causal_effect: float | None = None
    misled: bool | None = None
    clip: int | None = None
    options: int | None = None
    right: str | None = None
    target: str | None = None
    response: str | None = None
    abstention: str | None = None
    removed: bool | None = None
    medium: str | None = None

    @property
    def abstained(self) -> bool | None:
        """Whether the answer is that one cannot tell; None where that is not offered."""
        return None if self.abstention is None else self.answer == self.abstention

    @property
    def unit(self) -> tuple[str, int]:
        """What is drawn independently, the unit of all statistics: the example; of clips the clip, whatever it is asked."""
        return self.dataset, self.row if self.clip is None else self.clip

    @property
    def identity(self) -> tuple[str, int, str]:
        """What distinguishes the row from all others of a run."""
        return self.dataset, self.row, self.perturbation

    @property
    def is_misaligned(self) -> bool:
        """Whether frames and audio are of different classes: another clip's in place of the row's own, or a clip's as it is."""
        return is_misaligned(self.perturbation, self.misled is not None)

    @property
    def shares(self) -> dict[RateName, float | bool | None]:
        """The row's share in every rate that it tells alone, None where it has none."""
        return {
            "accuracy": self.correct,
            "accuracy_norm": self.correct_norm,
            "flip_rate": self.flipped,
            "causal_effect": self.causal_effect,
            "misled_rate": None if self.is_misaligned else self.misled,
            "other_modality_rate": self.misled if self.is_misaligned else None,
            "abstention_rate": self.abstained if self.right == self.abstention else None,
            "false_abstention_rate": self.abstained if self.right != self.abstention else None,
            "unparsable_rate": self.answer is None,
        }


def is_misaligned(perturbation: str, has_target: bool) -> bool:
    """Whether a row's frames and audio are of different classes.

    Args:
        perturbation: its label.
        has_target: whether it has a target option. A clean row has one where the clip itself shows one thing and sounds like
            another.
    """
    return _SWAPPED.fullmatch(perturbation) is not None or (perturbation == CLEAN and has_target)


class Estimate(Result, Generic[Number]):
    """A value with its 95 % interval, which allows for rows that share a unit; `Number` says what its numbers may be.

    Attributes:
        value: of the rows as they are.
        low: lower end of the interval.
        high: upper end.
    """

    value: Number
    low: Number
    high: Number


Share = Annotated[float, Field(ge=-ROUNDING, le=1 + ROUNDING)]
# a share of rows, a causal effect in bits, both between 0 and 1, or an excess of a share, which may be below 0
Rate: TypeAlias = Estimate[Annotated[float, Field(ge=-1 - ROUNDING, le=1 + ROUNDING)]]


class PerturbationResult(Result):
    """The rates of one dataset under one perturbation.

    Attributes:
        rows: how many rows were scored.
        rates: those of `RATES` that apply: `clean` has no flip_rate, causal_effect and misled_rate; accuracy_norm needs
            options that are scored by likelihood; misled_rate needs a target option, and is called other_modality_rate
            where the target is the class of the frames or the audio that the question is not about; abstention_rate needs
            rows whose right answer is that one cannot tell, and false_abstention_rate those that offer that answer beside
            the right one; excess_misled_rate is misled_rate or other_modality_rate less the share of the clean rows that
            are answered with that option, too; causal_effect needs likelihoods;
            unparsable_rate needs generated answers.
        clean: what the rates of twins are to be compared with: of the clean rows of these very twins the accuracy, and, as
            misled_rate or other_modality_rate, the share that is answered with the twin's target option; empty for `clean`.
        chance: the accuracy of guessing, the mean of 1 / options; None where an answer is free.
    """

    rows: int = Field(ge=0)
    rates: dict[RateName, Rate]
    clean: dict[RateName, Rate] = {}
    chance: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _only_an_excess_is_below_0(self) -> "PerturbationResult":
        for name, rate in [*self.rates.items(), *self.clean.items()]:
            if name != "excess_misled_rate" and min(rate.value, rate.low, rate.high) < -ROUNDING:
                raise ValueError(f"{name} must be between 0 and 1")

        return self


class DatasetResult(Result):
    """The rates of one dataset.

    Attributes:
        examples: number of examples.
        kind: what their answers depend on: image, text, video, audio, both or mixed.
        perturbations: results by perturbation, `clean` first.
        removed: whether the modality that the questions ask about was removed from its rows.
        kinds: the same of the rows of each kind alone, by kind, where the dataset has several: of a dataset of clips,
            the questions about what is seen (`video`) and about what is heard (`audio`).
    """

    examples: int = Field(ge=0)
    kind: str
    perturbations: dict[str, PerturbationResult]
    removed: bool = False
    kinds: dict[str, dict[str, PerturbationResult]] = {}


class MediaThumbnail(Result):
    """An image, a video or an audio, as pages show it.

    Attributes:
        modality: which of them.
        caption: the file's name or what there is in its place, and its length; why it cannot be shown.
        uri: a small image, a film strip or a spectrogram, as a `data:image/...;base64,` URI; "" where there is none.
        size: (width, height) in pixels of an image.
    """

    modality: Modality
    caption: str
    uri: str = ""
    size: tuple[int, int] | None = None


class Flip(Result):
    """One of the worst flips, for the gallery.

    Attributes:
        dataset: its dataset.
        row: its index there.
        perturbation: what flipped the answer.
        prompt: what the model read of the clean row, media as `<image>` and the like.
        perturbed_prompt: of the twin.
        images: the clean row's images, as `data:image/...;base64,` URIs.
        perturbed_images: the twin's.
        clips: the clean row's videos and audio.
        perturbed_clips: the twin's, of the modalities that are not the clean row's.
        right_answer: what would have been right.
        clean_answer: what the model said to the clean row.
        perturbed_answer: what it said to the twin.
        clean_response: what it wrote to the clean row, where answers are generated.
        perturbed_response: what it wrote to the twin.
        target: the wrong option that the perturbation names.
        causal_effect: in bits.
    """

    dataset: str
    row: int
    perturbation: str
    prompt: str
    perturbed_prompt: str
    images: list[str] = []
    perturbed_images: list[str] = []
    clips: list[MediaThumbnail] = []
    perturbed_clips: list[MediaThumbnail] = []
    right_answer: str
    clean_answer: str | None
    perturbed_answer: str | None
    clean_response: str | None = None
    perturbed_response: str | None = None
    target: str | None = None
    causal_effect: float | None = None


class UnparsableAnswer(Result):
    """A generated answer that names no option, or several.

    Attributes:
        dataset: its dataset.
        row: its index there.
        perturbation: its label, `clean` for a clean row.
        right: what would have been right.
        response: what the model wrote, as it wrote it.
    """

    dataset: str
    row: int
    perturbation: str
    right: str | None
    response: str


class AttentionShares(Result):
    """What the position that decides the answer attends to, on average over the rows of one condition.

    Attributes:
        dataset: name in `dataset_info.json`.
        kind: what the answers depend on, the kind of prompt.
        perturbation: its label, `clean` for the clean rows.
        rows: how many rows.
        layers: share of every group of tokens by layer, averaged over heads: as many as `AttentionProfile.groups`.
        heads: the same by layer and head.
    """

    dataset: str
    kind: str
    perturbation: str
    rows: int = Field(ge=1)
    layers: list[list[Share]]
    heads: list[list[list[Share]]]


class AttentionContrast(Result):
    """How much more a modality is attended to when the prompt asks for it.

    Attributes:
        modality: whose tokens are attended to; of rows that have some.
        asked: kind of the prompts that ask for it.
        other: kind of the prompts that it is compared with.
        condition: which rows are compared: `clean` ones, of clips those whose frames and audio are of one class; `misaligned`
            clips, where they are not; or `all`, twins too, where one kind of prompts has the modality in twins alone.
        asked_rows: how many rows of the first kind.
        other_rows: how many of the second.
        layers: Cohen's d by layer, above 0 where prompts that ask for the modality draw more attention to it; None where
            it is not defined (one row, or rows that do not differ).
    """

    modality: str
    asked: str
    other: str
    condition: Literal["clean", "misaligned", "all"]
    asked_rows: int = Field(ge=1)
    other_rows: int = Field(ge=1)
    layers: list[Estimate[float | None]]


class AttentionProfile(Result):
    """The part of a diagnosis about attention (`attention_probe: true`).

    Attributes:
        groups: of tokens: text, image, video, audio, special (template tokens); those that the rows have.
        conditions: shares by dataset, kind of prompt and perturbation.
        contrasts: between kinds of prompts.
    """

    groups: list[str]
    conditions: list[AttentionShares]
    contrasts: list[AttentionContrast]

    @model_validator(mode="after")
    def _is_rectangular(self) -> "AttentionProfile":
        depth, width = len(self.conditions[0].layers) if self.conditions else 0, len(self.groups)
        for condition in self.conditions:
            rows = [*condition.layers, *(row for layer in condition.heads for row in layer)]
            if (
                len(condition.layers) != depth
                or len(condition.heads) != depth
                or any(len(row) != width for row in rows)
            ):
                raise ValueError(
                    "conditions must have as many layers as each other and as many shares as there are groups"
                )

        if any(len(contrast.layers) != depth for contrast in self.contrasts):
            raise ValueError("contrasts must have as many layers as the conditions")

        return self


CURVE_RATES: tuple[RateName, ...] = ("accuracy", "flip_rate", "other_modality_rate")


class CurvePoint(Result):
    """A rate after some steps of a training run.

    Attributes:
        step: optimizer steps.
        value: the rate.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    step: int
    value: Share
    low: Share
    high: Share


Curves: TypeAlias = dict[str, dict[str, dict[RateName, list[CurvePoint]]]]  # by dataset, perturbation and rate


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
        scoring: `likelihood` or `generate`.
        resamples: of the bootstrap.
        datasets: results by dataset.
        notes: what a reader should know, in plain words.
        gallery: the worst flips, worst first.
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
    scoring: Literal["likelihood", "generate"]
    resamples: int
    datasets: dict[str, DatasetResult]
    notes: list[str] = []
    gallery: list[Flip] = []
    unparsable: list[UnparsableAnswer] = []
    attention: AttentionProfile | None = None
    curves: Curves = {}


def write_results(folder: Path, diagnosis: Diagnosis, rows: Iterable[ScoredRow]) -> None:
    """Write both files, each at once or not at all.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    write_text(folder / ROWS_FILE, "".join(row.model_dump_json(exclude_none=True) + "\n" for row in rows))
    write_text(folder / JSON_FILE, diagnosis.model_dump_json(indent=2) + "\n")


def read_diagnosis(folder: Path) -> Diagnosis:
    """Read `interference.json` of a run.

    Raises:
        ModalityInterferenceError: it is missing, of another schema version or not what a diagnosis writes; names the
            file and the key.
    """
    path = folder / JSON_FILE
    return _parse(Diagnosis, _read_text(path), str(path))


def read_rows(folder: Path) -> list[ScoredRow]:
    """Read `interference_rows.jsonl` of a run.

    Raises:
        ModalityInterferenceError: it is missing or not what a diagnosis writes; names the file and the line.
    """
    path = folder / ROWS_FILE
    lines = enumerate(_read_text(path).split("\n"), start=1)  # `splitlines` would split at U+2028, too
    return [_parse(ScoredRow, line, f"{path}, line {number}") for number, line in lines if line.strip()]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ModalityInterferenceError(
            f"cannot read {path}: {reason}. A diagnosis writes it: run `llamafactory-cli train` with "
            "`plugin: modality_interference` and `do_eval: true`, and name its output_dir."
        ) from error


def _parse(model: type[Model], text: str, where: str) -> Model:
    try:
        content = json.loads(text)
        if "\\ud" in text.lower():  # escapes can bring lone surrogates, which no file can hold
            content = json.loads(json.dumps(content, ensure_ascii=False).encode(errors="replace"))

        _check_schema(content, where)
        return model.model_validate(content)
    except ModalityInterferenceError:  # of another schema version: the message says all
        raise
    except (ValueError, RecursionError) as error:
        raise ModalityInterferenceError(
            f"{where} is not what a diagnosis writes ({explain(error, model)[:300]}). Run the diagnosis again."
        ) from error


def _check_schema(content: Any, where: str) -> None:
    found = content.get("schema_version", SCHEMA) if isinstance(content, dict) else SCHEMA
    if isinstance(found, int) and found != SCHEMA:
        raise ModalityInterferenceError(
            f"{where} has schema version {shown(found)}, and this release reads version {SCHEMA}. Run the diagnosis "
            "again, or read the file with the release that wrote it."
        )


@dataclass(frozen=True)
class RunMetadata:
    """What a report says of its run.

    Attributes:
        model: name, adapter, template and tuning.
        data: folder and names of the datasets, and what cuts rows.
        run: where the run writes to.
        seed: of the twins, and of the bootstrap.
        scoring: how answers are scored.
        tuning: how the model was tuned before the run; None where no training is known.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    run: dict[str, Any]
    seed: int
    scoring: Literal["likelihood", "generate"]
    tuning: Tuning | None = None
