"""Paired differences between runs, what can be claimed of them, and what `comparison.json` holds of them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd

from ..evaluation.calibration import calibration_difference
from ..evaluation.rates import rate_table, sure_answers
from ..evaluation.statistics import (
    CONFIDENCE,
    RESAMPLES,
    UnitSums,
    difference_p,
    mean_difference_p,
    mean_intervals,
    share_difference,
)
from ..modality import CLEAN
from ..results import Estimate, Rate, RateName, Result, ScoredRow
from .table import RATE_TITLES, ConditionName, condition_title


SIGNIFICANCE = 0.05  # of all claims about one run together
THRESHOLD = 0.01  # a percentage point, 0.01 bits or 0.01 nats: a smaller difference is of no practical use
HIGHER_IS_BETTER = (
    "accuracy",
    "accuracy_norm",
    "abstention_rate",
    "evidence_margin",
)  # of all other rates, less is better
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


def pair(reference: Sequence[ScoredRow], other: Sequence[ScoredRow]) -> pd.DataFrame:
    """Match the rows of two runs by dataset, content and perturbation.

    Rows with the same content, repeated in a dataset, are matched in their order.

    Returns:
        a line per row that both runs scored, in the order of the reference: the columns of `rate_table` for the reference,
        and with `_other` for the other run.
    """
    on = ["dataset", "perturbation", "key", "repeat"]
    return _frame(reference).merge(_frame(other), on=on, suffixes=("", "_other"))


def _frame(rows: Sequence[ScoredRow]) -> pd.DataFrame:
    """A line per row, sorted by index; `repeat` counts earlier rows with the same content."""
    frame = rate_table(rows).sort_values("row", kind="stable")
    return frame.assign(repeat=frame.groupby(["dataset", "perturbation", "key"]).cumcount())


def differences(pairs: pd.DataFrame, rates: Sequence[RateName], seed: int) -> dict[RateName, Difference]:
    """The differences of those of `rates` that both runs have, not yet judged.

    Args:
        pairs: lines that `pair` made, of one condition.
        rates: any.
        seed: of the bootstrap.
    """
    units = pairs.unit.factorize()[0]
    found: dict[RateName, Difference] = {}
    for rate in rates:
        if rate == "ece":
            found |= _calibration_difference(pairs, seed)
            continue

        changes = (pairs[f"{rate}_other"] - pairs[rate]).to_numpy()
        present = changes == changes  # not nan
        if present.any():
            found[rate] = _difference(rate, UnitSums.of(changes[present], units[present]), seed)

    return found


def _calibration_difference(pairs: pd.DataFrame, seed: int) -> dict[RateName, Difference]:
    """Of the rows whose confidences both runs know."""
    both = pairs[pairs.confidence.notna() & pairs.confidence_other.notna()]
    units = pd.Index(both.unit.unique())
    reference, other = (sure_answers(both, units, run=run) for run in ("", "_other"))
    if reference is None or other is None:
        return {}

    (value, low, high), p = calibration_difference(reference, other, seed)
    return {"ece": Difference(value=value, low=low, high=high, examples=len(both), p=p)}


def _difference(rate: RateName, sample: UnitSums, seed: int) -> Difference:
    if rate in ("causal_effect", "evidence_margin"):
        limits = (-1.0, 1.0) if rate == "causal_effect" else None
        (value, low, high), p = mean_intervals([sample], seed, limits)[0], mean_difference_p(sample)
    else:
        largest = 2.0 if rate == "excess_misled_rate" else 1.0
        (value, low, high), p = share_difference(sample, largest), difference_p(sample)

    return Difference(value=value, low=low, high=high, examples=int(sample.rows), p=p)


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


def judged_together(*parts: Sequence[ComparedCondition]) -> list[list[ComparedCondition]]:
    """Give every difference its verdict: Holm's correction is over all conditions and rates of a run together.

    Args:
        parts: all that a page shows.
    """
    from statsmodels.stats.multitest import multipletests  # slow to import

    conditions = [condition for part in parts for condition in part]
    verdicts: dict[tuple[int, str, RateName], Difference] = {}
    for run in dict.fromkeys(name for condition in conditions for name in condition.figures):
        found = {
            (index, run, rate): difference
            for index, condition in enumerate(conditions)
            if run in condition.figures
            for rate, difference in condition.figures[run].differences.items()
        }
        if found:
            adjusted = multipletests([difference.p for difference in found.values()], SIGNIFICANCE, "holm")[1].tolist()
            verdicts |= {key: _judged(key[2], found[key], p) for key, p in zip(found, adjusted)}

    judged = iter([_with_verdicts(index, condition, verdicts) for index, condition in enumerate(conditions)])
    return [[next(judged) for _ in part] for part in parts]


def _judged(rate: RateName, difference: Difference, p_holm: float) -> Difference:
    verdict: Verdict = "unclear"
    if p_holm <= SIGNIFICANCE:
        verdict = "better" if (difference.value > 0) == (rate in HIGHER_IS_BETTER) else "worse"
        verdict = verdict if abs(difference.value) >= THRESHOLD else "negligible"

    return difference.model_copy(update={"p_holm": p_holm, "verdict": verdict})


def _with_verdicts(
    index: int, condition: ComparedCondition, verdicts: dict[tuple[int, str, RateName], Difference]
) -> ComparedCondition:
    figures = {
        run: rates.model_copy(update={"differences": {rate: verdicts[index, run, rate] for rate in rates.differences}})
        for run, rates in condition.figures.items()
    }
    return condition.model_copy(update={"figures": figures})


def headlines(table: pd.DataFrame, pairs: Mapping[str, pd.DataFrame], seed: int) -> list[Headline]:
    """A headline for each run.

    Args:
        table: the tidy tables of all runs, lines of all rows of each dataset.
        pairs: of each run but the reference, what `pair` made.
        seed: of the bootstrap.
    """
    runs = list(table.run.unique())
    whole = table[~(table.abstention | table.removed).astype(bool)]
    shared = whole[whole.groupby(["dataset", "perturbation", "rate"]).run.transform("nunique") == len(runs)]
    is_clean = shared.perturbation == CLEAN
    parts: dict[str, tuple[RateName, pd.DataFrame]] = {
        "clean_accuracy": ("accuracy", shared[is_clean & (shared.rate == "accuracy")]),
        "perturbed_accuracy": ("accuracy", shared[~is_clean & (shared.rate == "accuracy")]),
        "flip_rate": ("flip_rate", shared[shared.rate == "flip_rate"]),
        "excess_misled_rate": ("excess_misled_rate", shared[shared.rate == "excess_misled_rate"]),
    }
    found = []
    for run in runs:
        own = {name: lines[lines.run == run] for name, (_, lines) in parts.items()}
        perturbed = own["perturbed_accuracy"].reset_index(drop=True)
        worst = None if perturbed.empty else perturbed.loc[perturbed.value.idxmin()]
        compared = {
            name: _mean_difference(pairs[run], rate, own[name], seed)
            for name, (rate, _) in parts.items()
            if run in pairs and len(own[name])
        }
        found.append(
            Headline(
                run=run,
                worst_accuracy=None if worst is None else worst.value,
                worst=None if worst is None else (worst.dataset, worst.perturbation),
                differences={name: difference for name, difference in compared.items() if difference is not None},
                **{name: lines.value.mean() for name, lines in own.items() if len(lines)},
            )
        )

    return found


def _mean_difference(
    pairs: pd.DataFrame, rate: RateName, conditions: pd.DataFrame, seed: int
) -> Estimate[float] | None:
    """The difference of a mean over conditions with its BCa interval over units; None without a shared row."""
    on = ["dataset", "perturbation"]
    changes = pairs.assign(change=pairs[f"{rate}_other"] - pairs[rate]).merge(conditions[on], on=on)
    changes = changes[changes.change.notna()]
    if changes.empty:
        return None

    sizes = changes.groupby(on).change.transform("size")
    weights = (1 / sizes / (1 / sizes).sum()).to_numpy()
    sample = UnitSums.of(changes.change.to_numpy(), changes.unit.factorize()[0], weights=weights)
    value, low, high = mean_intervals([sample], seed, (-1, 1))[0]
    return Estimate(value=value, low=low, high=high)
