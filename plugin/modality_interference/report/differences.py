"""Differences between runs with paired bootstrap intervals, and what `comparison.json` holds of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import computed_field

from ..evaluation.statistics import CONFIDENCE, RESAMPLES, mean_intervals
from ..results import RATES, Estimate, Rate, RateName, Result, ScoredRow
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


def pair(reference: Sequence[ScoredRow], other: Sequence[ScoredRow]) -> pd.DataFrame:
    """Match the rows of two runs by dataset, content and perturbation.

    Rows with the same content, repeated in a dataset, are matched in their order.

    Returns:
        a line per row that both runs scored, in the order of the reference: `dataset`, `perturbation`, `kind`, and of each
        run `row`, `has_target` and the row's share in every rate (NaN where it has none); of the other run with `_other`.
    """
    on = ["dataset", "perturbation", "key", "repeat"]
    return _frame(reference).merge(_frame(other), on=on, suffixes=("", "_other"))


def _frame(rows: Sequence[ScoredRow]) -> pd.DataFrame:
    """A line per row, sorted by index; `repeat` counts earlier rows with the same content."""
    columns: dict[str, Any] = {
        "dataset": [row.dataset for row in rows],
        "perturbation": [row.perturbation for row in rows],
        "kind": [row.kind for row in rows],
        "row": [row.row for row in rows],
        "key": pd.Series([str(row.key) for row in rows], dtype=object),  # text: keys need not fit 64 bits
        "has_target": [row.misled is not None for row in rows],
    }
    for rate in RATES:
        columns[rate] = pd.Series([row.value(rate) for row in rows], dtype=float)

    frame = pd.DataFrame(columns).sort_values("row", kind="stable")
    return frame.assign(repeat=frame.groupby(["dataset", "perturbation", "key"]).cumcount())


def differences(pairs: pd.DataFrame, rates: Sequence[RateName], seed: int) -> dict[RateName, Difference]:
    """The differences of those of `rates` that both runs have; the same examples are resampled for all.

    Args:
        pairs: lines that `pair` made, of one condition.
        rates: any.
        seed: of the bootstrap.
    """
    changes = {rate: (pairs[f"{rate}_other"] - pairs[rate]).dropna().to_numpy() for rate in rates}
    return {rate: _difference(values, seed) for rate, values in changes.items() if len(values)}


def _difference(changes: np.ndarray, seed: int) -> Difference:
    value, low, high = mean_intervals(changes[None], seed)[:, 0].tolist()
    if len(changes) == 1:
        return Difference(value=value, low=None, high=None, examples=1)

    return Difference(value=value, low=low, high=high, examples=len(changes))


SCHEMA = 1
HIGHER_IS_BETTER = ("accuracy", "accuracy_norm", "abstention_rate")  # of all other rates, less is better


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
        return condition_title(self.perturbation, [rate for rate in RATE_TITLES if self.has(rate)])

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
