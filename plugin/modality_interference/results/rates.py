"""The rates of datasets and perturbations, with their intervals, and how they develop over a training run."""

from math import inf
from typing import Annotated, Generic, TypeAlias, TypeVar

from pydantic import Field, model_validator

from .rows import MOST, ROUNDING, RateName, Result


Number = TypeVar("Number", bound=float | None)


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
Rate: TypeAlias = Estimate[
    float
]  # a share, a causal effect in bits, an excess of a share, a margin in nats; see `bounds`


def bounds(rate: RateName) -> tuple[float, float]:
    """The least and the largest value of a rate that are possible."""
    if rate == "evidence_margin":
        return -inf, inf

    return (-1.0 if rate == "excess_misled_rate" else 0.0), 1.0


class ReliabilityBin(Result):
    """Rows that the model answers about equally surely.

    Attributes:
        low: their probabilities of the chosen option are above it,
        high: and at most this.
        rows: how many.
        confidence: the mean of these probabilities.
        accuracy: the share that is right.
    """

    low: Share
    high: Share
    rows: int = Field(ge=1, le=MOST)
    confidence: Share
    accuracy: Share


class Reliability(Result):
    """Behind an expected calibration error (`ece`).

    Attributes:
        by_chance: the error that a perfectly calibrated model with the same probabilities shows on average on as many rows.
        bins: of equal width, those that have rows.
    """

    by_chance: Share
    bins: list[ReliabilityBin]


class PerturbationResult(Result):
    """The rates of one dataset under one perturbation, of its twins or of its counterfactual rows.

    Attributes:
        rows: how many rows were scored.
        rates: of twins those of `RATES` that apply: `clean` has no flip_rate, causal_effect and misled_rate; accuracy_norm needs
            options that are scored by likelihood; misled_rate needs a target option, and is called other_modality_rate
            where the target is the class of the frames or the audio that the question is not about; abstention_rate needs
            rows whose right answer is that one cannot tell, and false_abstention_rate those that offer that answer beside
            the right one; excess_misled_rate is misled_rate or other_modality_rate less the share of the clean rows that
            are answered with that option, too; causal_effect needs likelihoods;
            ece, the expected calibration error, needs options that are scored by likelihood;
            unparsable_rate needs generated answers.
            Of counterfactual rows those of `COUNTERFACTUAL_RATES`: unchanged_rate, the share that is answered as the clean row is;
            accuracy, the share that is answered with the clean row's right answer, for which nothing in the row speaks any more;
            where options are scored by likelihood confidence, the mean probability of the chosen option, and ece; with
            likelihoods evidence_margin, how much of the right answer's log-probability per token the evidence is worth, in nats;
            where rows offer it abstention_rate.
        clean: what the rates are to be compared with. Of the clean rows of these very twins the accuracy, the ece and, as
            misled_rate or other_modality_rate, the share that is answered with the twin's target option; of those of these very
            counterfactual rows accuracy, confidence, ece and abstention_rate. Empty for `clean`.
        chance: the accuracy of guessing, the mean of 1 / options; None where an answer is free.
        reliability: behind the ece; None without one.
    """

    rows: int = Field(ge=0, le=MOST)
    rates: dict[RateName, Rate]
    clean: dict[RateName, Rate] = {}
    chance: float | None = Field(default=None, ge=0, le=1)
    reliability: Reliability | None = None

    @model_validator(mode="after")
    def _are_within_bounds(self) -> "PerturbationResult":
        for name, rate in [*self.rates.items(), *self.clean.items()]:
            lowest, highest = bounds(name)
            numbers = (rate.value, rate.low, rate.high)
            if min(numbers) < lowest - ROUNDING or max(numbers) > highest + ROUNDING:
                raise ValueError(f"{name} must be between {lowest:g} and {highest:g}")

        return self


class Grounding(Result):
    """The two ways in which an answer can miss its evidence, of one dataset; of a grounded model, both are low.

    Attributes:
        interference: the flip rate of all twins together; None without twins.
        blindness: the unchanged rate of all counterfactual rows together.
    """

    interference: Estimate[Share] | None = None
    blindness: Estimate[Share]


class DatasetResult(Result):
    """The rates of one dataset.

    Attributes:
        examples: number of examples.
        kind: what their answers depend on: image, text, video, audio, both or mixed.
        perturbations: results by perturbation, `clean` first.
        removed: whether the modality that the questions ask about was removed from its rows.
        kinds: the same of the rows of each kind alone, by kind, where the dataset has several: of a dataset of clips,
            the questions about what is seen (`video`) and about what is heard (`audio`).
        counterfactuals: results of its rows without their evidence, by label; never among `perturbations`.
        grounding: both axes; None without counterfactual rows.
    """

    examples: int = Field(ge=0)
    kind: str
    perturbations: dict[str, PerturbationResult]
    removed: bool = False
    kinds: dict[str, dict[str, PerturbationResult]] = {}
    counterfactuals: dict[str, PerturbationResult] = {}
    grounding: Grounding | None = None


CURVE_RATES: tuple[RateName, ...] = ("accuracy", "flip_rate", "other_modality_rate")


class CurvePoint(Result):
    """A rate after some steps of a training run.

    Attributes:
        step: optimizer steps.
        value: the rate.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    step: int = Field(ge=0, le=MOST)
    value: Share
    low: Share
    high: Share


Curves: TypeAlias = dict[str, dict[str, dict[RateName, list[CurvePoint]]]]  # by dataset, perturbation and rate
