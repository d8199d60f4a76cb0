"""What `comparison.json` holds: runs, their figures side by side, and the differences between them."""

from typing import Literal

from ..evaluation.statistics import CONFIDENCE, RESAMPLES
from ..results import Estimate, Rate, RateName, Result
from .table import RATE_TITLES, ConditionName, condition_title


SIGNIFICANCE = 0.05  # of all claims about one run together
THRESHOLD = 0.01  # a percentage point, 0.01 bits or 0.01 nats: a smaller difference is of no practical use
Verdict = Literal["better", "worse", "negligible", "unclear"]


class Difference(Estimate[float]):
    """A rate of one run minus the same rate of the reference, the mean over the shared rows, with its paired interval.

    Attributes:
        examples: how many rows both runs scored.
        p: of no difference, of this difference alone.
        p_holm: the same after Holm's correction over all differences between the two runs.
        verdict: `better` or `worse` where `p_holm` is at most `SIGNIFICANCE` and the difference at least `THRESHOLD`;
            `negligible` where it is smaller, `unclear` where `p_holm` is larger.
    """

    examples: int
    p: float
    p_holm: float = 1.0
    verdict: Verdict = "unclear"


SCHEMA = 2  # 1 was never released


class Run(Result):
    """One of the runs.

    Attributes:
        name: as the page calls it.
        folder: where its diagnosis was read from.
        created: when the diagnosis was made.
        model: what describes its model.
        seed: of its twins.
        scoring: `likelihood` or `generate`.
        prompt: what was asked beside the questions.
        decoding: how token probabilities were made.
        calibration: what was added to attention scores; None for the model's own attention.
    """

    name: str
    folder: str
    created: str
    model: dict[str, str]
    seed: int
    scoring: str
    prompt: str
    decoding: str
    calibration: str | None = None


class RunRates(Result):
    """The rates of one run in one condition.

    Attributes:
        rows: how many it scored.
        shared: how many of them the reference scored too.
        rates: of all its rows, as its diagnosis says.
        clean: the same rates of the clean rows of these very twins, where they are known.
        chance: the accuracy of guessing; None where it is not known.
        by_chance: the calibration error of a calibrated model; None where there is none.
        differences: to the reference, of the shared rows; empty for the reference itself.
        runs: of a group of runs, the rates of each; `rates` are their means then, and `differences` those of means.
    """

    rows: int
    shared: int
    runs: dict[RateName, list[float]] = {}
    rates: dict[RateName, Rate]
    clean: dict[RateName, float] = {}
    chance: float | None = None
    by_chance: float | None = None
    differences: dict[RateName, Difference]


class ComparedCondition(Result):
    """All runs under one perturbation of one dataset.

    Attributes:
        dataset: its name.
        kind: what its answers depend on.
        perturbation: its label, `clean` for the clean rows.
        figures: by run, of those that scored it.
        prompt: the kind of the only rows that are meant, `video` or `audio`; "" for all.
        removed: whether the modality that is asked for was taken away from the rows.
    """

    dataset: str
    kind: str
    perturbation: str
    prompt: str = ""
    removed: bool = False
    figures: dict[str, RunRates]

    @property
    def name(self) -> ConditionName:
        """Dataset and perturbation."""
        return self.dataset, self.perturbation

    @property
    def title(self) -> str:
        """What the paper on clips calls it."""
        return condition_title(self.perturbation, [rate for rate in RATE_TITLES if self.has(rate)], self.removed)

    def has(self, rate: RateName) -> bool:
        """Whether the rate applies to any run."""
        return any(rate in figures.rates for figures in self.figures.values())


class Headline(Result):
    """One run in a few figures; means over the conditions that all runs have, each with the same weight.

    Attributes:
        run: its name.
        clean_accuracy: the mean over datasets; without those from which something was removed or that offer to abstain.
        perturbed_accuracy: the mean over perturbed conditions.
        worst_accuracy: the lowest of them.
        worst: dataset and perturbation of the lowest.
        flip_rate: the mean over perturbed conditions.
        excess_misled_rate: the mean over those with a target option.
        differences: of the means to the reference's, with paired intervals, from the rows that both runs scored; empty for
            the reference itself. They carry no verdict.
    """

    run: str
    clean_accuracy: float | None = None
    perturbed_accuracy: float | None = None
    worst_accuracy: float | None = None
    worst: ConditionName | None = None
    flip_rate: float | None = None
    excess_misled_rate: float | None = None
    differences: dict[str, Estimate[float]] = {}


class Comparison(Result):
    """All of `comparison.json`.

    Attributes:
        schema_version: of this file's layout.
        runs: the first is the reference.
        groups: names of the runs of each of `runs`, where these are groups of runs that differ by their seed alone.
        headlines: of each run.
        seed: of the bootstrap, the reference's.
        resamples: of the bootstrap.
        confidence: of the intervals.
        significance: how often a comparison of like runs may call any difference better or worse.
        threshold: the least difference that is called so, in shares, bits or nats.
        conditions: in the reference's order.
        prompts: those of datasets of clips again, questions about video and about audio apart.
        evidence: what is left of the answers to counterfactual rows.
        grounding: both axes of datasets with counterfactual rows, the flip rate of all their twins together (`all twins`) and the
            unchanged rate of all these rows (`all counterfactual rows`).
        notes: what a reader should know, in plain words.
    """

    schema_version: int = SCHEMA
    runs: list[Run]
    groups: dict[str, list[str]] = {}
    headlines: list[Headline] = []
    seed: int
    resamples: int = RESAMPLES
    confidence: float = CONFIDENCE
    significance: float = SIGNIFICANCE
    threshold: float = THRESHOLD
    conditions: list[ComparedCondition]
    prompts: list[ComparedCondition] = []
    evidence: list[ComparedCondition] = []
    grounding: list[ComparedCondition] = []
    notes: list[str]

    @property
    def reference(self) -> Run:
        """The run that the others are compared with."""
        return self.runs[0]

    @property
    def rates(self) -> list[RateName]:
        """Those that apply anywhere, in the order in which pages show them."""
        return [rate for rate in RATE_TITLES if any(condition.has(rate) for condition in self.conditions)]
