"""What `comparison.json` holds: several runs side by side."""

from ..diagnose.results import Rate, RateName, Result
from .bars import ConditionName
from .conditions import RATE_TITLES
from .differences import CONFIDENCE, RESAMPLES, Difference
from .prompts import condition_title


SCHEMA = 1
HIGHER_IS_BETTER = ("accuracy", "abstention_rate")  # of all other rates, less is better


class Run(Result):
    """One of the runs.

    Attributes:
        name: as the page calls it.
        folder: where its diagnosis was read from.
        created: when the diagnosis was made.
        model: what describes its model.
        seed: of its twins.
        scoring: `likelihood` or `generate`.
    """

    name: str
    folder: str
    created: str
    model: dict[str, str]
    seed: int
    scoring: str


class Figures(Result):
    """The figures of one run in one condition.

    Attributes:
        rows: how many it scored.
        shared: how many of them the reference scored too.
        rates: of all its rows, as its diagnosis says.
        differences: to the reference, of the shared rows; empty for the reference itself.
    """

    rows: int
    shared: int
    rates: dict[RateName, Rate]
    differences: dict[RateName, Difference]


class ComparedCondition(Result):
    """All runs under one perturbation of one dataset.

    Attributes:
        dataset: its name.
        kind: what its answers depend on.
        perturbation: its label, `clean` for the clean rows.
        figures: by run, of those that scored it.
        prompt: the kind of the only rows that are meant, `video` or `audio`; "" for all.
    """

    dataset: str
    kind: str
    perturbation: str
    prompt: str = ""
    figures: dict[str, Figures]

    @property
    def name(self) -> ConditionName:
        """Dataset and perturbation."""
        return self.dataset, self.perturbation

    @property
    def title(self) -> str:
        """What the paper on clips calls it."""
        return condition_title(self.perturbation, self.has("abstention_rate"))

    def has(self, rate: RateName) -> bool:
        """Whether the rate applies to any run."""
        return any(rate in figures.rates for figures in self.figures.values())


class Comparison(Result):
    """All of `comparison.json`.

    Attributes:
        schema_version: of this file's layout.
        runs: the first is the reference.
        seed: of the bootstrap, the reference's.
        resamples: of the bootstrap.
        confidence: of the intervals.
        conditions: in the reference's order.
        prompts: those of datasets of clips once more, what is asked about sight and about sound apart.
        notes: what a reader should know, in plain words.
    """

    schema_version: int = SCHEMA
    runs: list[Run]
    seed: int
    resamples: int = RESAMPLES
    confidence: float = CONFIDENCE
    conditions: list[ComparedCondition]
    prompts: list[ComparedCondition] = []
    notes: list[str]

    @property
    def reference(self) -> Run:
        """The run that the others are compared with."""
        return self.runs[0]

    @property
    def rates(self) -> list[RateName]:
        """Those that apply anywhere, in the order in which pages show them."""
        return [rate for rate in RATE_TITLES if any(condition.has(rate) for condition in self.conditions)]


def verdict(rate: RateName, difference: Difference) -> str:
    """`better`, `worse`, or `unclear` where the interval includes zero."""
    if not difference.excludes_zero:
        return "unclear"

    return "better" if (difference.value > 0) == (rate in HIGHER_IS_BETTER) else "worse"
