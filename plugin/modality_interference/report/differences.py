"""Differences between runs with paired bootstrap intervals, and what `comparison.json` holds of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import computed_field

from ..evaluation.statistics import CONFIDENCE, RESAMPLES, mean_intervals
from ..results import Estimate, Rate, RateName, Result, ScoredRow
from .table import RATE_TITLES, ConditionName, condition_title


class Difference(Estimate[float | None]):
    """A rate of one run minus the same rate of the reference, the mean over the shared examples.

    Its interval is None where one example alone allows none.

    Attributes:
        examples: how many both runs scored.
    """

    value: float
    examples: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Pairs:
    """The rows of one condition that two runs both scored.

    Attributes:
        reference: the reference's rows.
        other: the other run's, in the same order.
    """

    reference: Sequence[ScoredRow]
    other: Sequence[ScoredRow]

    def of_kind(self, kind: str) -> "Pairs":
        """Those whose answer depends on this alone."""
        found = [(a, b) for a, b in zip(self.reference, self.other) if a.kind == kind]
        return Pairs([a for a, _ in found], [b for _, b in found])

    @property
    def targets_differ(self) -> int:
        """On how many rows only one of the two runs has a target option."""
        return sum((a.misled is None) != (b.misled is None) for a, b in zip(self.reference, self.other))

    def differences(self, rates: Sequence[RateName], seed: int) -> dict[RateName, Difference]:
        """Those of `rates` that both runs have; the same examples are resampled for all."""
        found = {}
        for rate in rates:
            pairs = [(a.value(rate), b.value(rate)) for a, b in zip(self.reference, self.other)]
            changes = np.array([b - a for a, b in pairs if a is not None and b is not None])
            if len(changes):
                found[rate] = _difference(changes, seed)

        return found


def pair(reference: Sequence[ScoredRow], other: Sequence[ScoredRow]) -> dict[ConditionName, Pairs]:
    """Match the rows of two runs by dataset, content and perturbation.

    Rows with the same content, repeated in a dataset, are matched in their order.
    """
    theirs = _by_content(other)
    matches: dict[ConditionName, list[tuple[ScoredRow, ScoredRow]]] = defaultdict(list)
    for content, row in _by_content(reference).items():
        if content in theirs:
            matches[row.dataset, row.perturbation].append((row, theirs[content]))

    return {name: Pairs([a for a, _ in rows], [b for _, b in rows]) for name, rows in matches.items()}


def _by_content(rows: Sequence[ScoredRow]) -> dict[tuple[str, str, int, int], ScoredRow]:
    seen: Counter[tuple[str, str, int]] = Counter()
    found = {}
    for row in sorted(rows, key=lambda row: row.row):
        content = row.dataset, row.perturbation, row.key
        found[*content, seen[content]] = row
        seen[content] += 1

    return found


def _difference(changes: np.ndarray, seed: int) -> Difference:
    value, low, high = mean_intervals(changes[None], seed)[:, 0].tolist()
    if len(changes) == 1:
        return Difference(value=value, low=None, high=None, examples=1)

    return Difference(value=value, low=low, high=high, examples=len(changes))


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


class RunRates(Result):
    """The rates of one run in one condition.

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
    figures: dict[str, RunRates]

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
        prompts: those of datasets of clips again, questions about video and about audio apart.
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
