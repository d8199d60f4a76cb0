"""Groups of runs that differ by their seed alone, side by side: means, spreads over seeds, and tests over seeds.

A run's own intervals say how sure its figures are of its rows. They say nothing of another seed: another order of the rows, other
first weights of an adapter. What is claimed here is of the groups, so its unit is the run.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import ModalityInterferenceError
from ..evaluation.statistics import CONFIDENCE
from ..modality import CLEAN
from ..results import Estimate, RateName, bounds
from .compared import ComparedCondition, Comparison, Difference, Headline, Run, RunRates
from .comparison import write_comparison
from .differences import judged_together
from .evidence import AXES, JUDGED, axes_table, evidence_table
from .plots.comparison import comparison_plots
from .plots.grounding import compared_grounding_plot
from .runs import LoadedRun, described_run, load_runs
from .table import CONDITION, MOST_DRAWN, of_all, of_prompts, tidy_table, worst


_NO_SPREAD = 1e-12  # t would be infinite or undefined, and nothing is known of another seed
Groups = Mapping[str, Sequence[str]]  # names of runs by group


def compare_groups(folders: Sequence[Path], output: Path, groups: Sequence[str]) -> Path:
    """Write `comparison.html`, its plots and `comparison.json` of groups of runs.

    Args:
        folders: run folders with a diagnosis each.
        output: where to write.
        groups: the group of each run; the first one is the reference. Where groups have as many runs as the reference, they
            are paired with its runs in the order given.

    Returns:
        the page.

    Raises:
        ModalityInterferenceError: fewer than two groups, a group of one run, groups with no condition in common, names that do
            not fit the folders, a folder without a diagnosis, or an output folder that cannot be written.
    """
    if len(groups) != len(folders):
        raise ModalityInterferenceError(
            f"`--groups` names {len(groups)} groups for {len(folders)} run folders; give one each, in the same order."
        )

    runs = load_runs(folders, None)
    members = {name: [run for run, group in zip(runs, groups) if group == name] for name in dict.fromkeys(groups)}
    alone = [name for name, own in members.items() if len(own) < 2]
    if alone or len(members) < 2:
        found = ", ".join(f"{name}: {len(own)}" for name, own in members.items())
        raise ModalityInterferenceError(
            f"`--groups` needs two groups or more with two runs or more each, such as `--groups base,base,tuned,tuned`; found {found}."
        )

    names = {name: [run.name for run in own] for name, own in members.items()}
    table, evidence, axes = (
        pd.concat([make(run.diagnosis, run.name) for run in runs], ignore_index=True)
        for make in (tidy_table, evidence_table, axes_table)
    )
    means = _mean_table(table, names)
    conditions, prompts, without, both = judged_together(
        _compared(of_all(means)),
        _compared(of_prompts(means)),
        _compared(_mean_table(evidence, names), JUDGED),
        _compared(_mean_table(axes, names), AXES),
    )
    _check_shared([*conditions, *prompts], list(members))
    comparison = Comparison(
        runs=[_described(name, own) for name, own in members.items()],
        groups=names,
        headlines=_headlines(of_all(table), names),
        seed=runs[0].diagnosis.seed,
        conditions=conditions,
        prompts=prompts,
        evidence=without,
        grounding=both,
        notes=_notes(members),
    )
    plots = [*comparison_plots(worst(means, MOST_DRAWN)), *compared_grounding_plot(both)]
    return write_comparison(comparison, means, plots, output)


def _check_shared(conditions: Sequence[ComparedCondition], groups: Sequence[str]) -> None:
    for group in groups[1:]:
        if not any(condition.figures[group].differences for condition in conditions if group in condition.figures):
            raise ModalityInterferenceError(
                f"`--groups`: no dataset and perturbation was diagnosed in all runs of {groups[0]} and of {group}, so they cannot "
                "be compared. Diagnose all runs with the same datasets."
            )


def _described(name: str, runs: Sequence[LoadedRun]) -> Run:
    """A group as the page describes it: what its runs have in common, and their folders."""
    described = [described_run(run) for run in runs]
    first = described[0]
    common = {key: text for key, text in first.model.items() if all(run.model.get(key) == text for run in described)}
    folders = ", ".join(run.folder for run in described)
    return first.model_copy(update={"name": name, "folder": folders, "model": {"runs": str(len(runs)), **common}})


def _mean_table(table: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """The tidy table of the groups: a line per group and figure that all its runs have.

    Values are means over runs, with Student's intervals; `values` has those of the runs, in their order.
    """
    keys = ["dataset", "prompt", "perturbation", "rate"]
    first = [name for name in CONDITION if name not in keys and name not in ("rows", "removed")]
    how = dict.fromkeys(first, "first") | {"rows": "min", "removed": "any"}
    how |= dict.fromkeys(["clean", "clean_low", "chance", "by_chance"], "mean")
    parts = []
    for group, runs in groups.items():
        lines = table[table.run.isin(runs)]
        lines = lines[lines.groupby(keys).run.transform("nunique") == len(runs)]
        lines = lines.sort_values("run", key=lambda names, runs=runs: names.map(list(runs).index), kind="stable")
        parts.append(lines.groupby(keys, sort=False).agg(how | {"value": list}).reset_index().assign(run=group))

    means = pd.concat(parts, ignore_index=True).rename(columns={"value": "values"})
    estimates = [mean_over_runs(values, rate) for values, rate in zip(means["values"], means.rate, strict=True)]
    figures = {name: [getattr(one, name) for one in estimates] for name in ("value", "low", "high")}
    return means.assign(**figures)[[*table.columns, "values"]].astype(dict.fromkeys(figures, float))


def _compared(means: pd.DataFrame, judged: Collection[RateName] | None = None) -> list[ComparedCondition]:
    """Every condition that a group has, in the reference's order.

    Args:
        means: lines of `_mean_table`.
        judged: the rates whose differences count; unset: all.
    """
    found = []
    for (dataset, prompt, perturbation), lines in means.groupby(["dataset", "prompt", "perturbation"], sort=False):
        by_group = {group: own.set_index("rate") for group, own in lines.groupby("run", sort=False)}
        reference = by_group.get(means.run.iloc[0])
        found.append(
            ComparedCondition(
                dataset=dataset,
                kind=lines.kind.iloc[0],
                perturbation=perturbation,
                prompt=prompt,
                removed=bool(lines.removed.any()),
                figures={
                    group: _rates_of(own, None if own is reference else reference, judged)
                    for group, own in by_group.items()
                },
            )
        )

    return found


def _rates_of(lines: pd.DataFrame, reference: pd.DataFrame | None, judged: Collection[RateName] | None) -> RunRates:
    """The rates of a group in one condition, their lines by rate."""
    values = lines["values"].to_dict()
    before = {} if reference is None else reference["values"].to_dict()
    chance, by_chance = lines.chance.dropna(), lines.by_chance.dropna()
    return RunRates(
        rows=int(lines.rows.min()),
        shared=0,
        rates=lines[["value", "low", "high"]].to_dict("index"),
        clean=lines.clean.dropna().to_dict(),
        chance=chance.iloc[0] if len(chance) else None,
        by_chance=by_chance.iloc[0] if len(by_chance) else None,
        runs=values,
        differences={
            rate: difference_over_runs(before[rate], own, rate)
            for rate, own in values.items()
            if rate in before and (judged is None or rate in judged)
        },
    )


def mean_over_runs(values: Sequence[float], rate: RateName) -> Estimate[float]:
    """The mean of a rate over runs, with Student's interval, cut to what the rate can be.

    Args:
        values: of two runs or more.
        rate: their rate.
    """
    mean = fmean(values)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    lowest, highest = bounds(rate)
    return Estimate(value=mean, low=max(lowest, mean - half), high=min(highest, mean + half))


def difference_over_runs(reference: Sequence[float], values: Sequence[float], rate: RateName) -> Difference:
    """The difference of two groups' means, not yet judged.

    Groups of one size are paired in their order (a paired t test), others are not (Welch's).

    Args:
        reference: of each run of the reference.
        values: of each run of the group.
        rate: theirs.
    """
    value = fmean(values) - fmean(reference)
    lowest, highest = bounds(rate)
    reach = min(highest - lowest, 1 + abs(value))  # without bounds, another seed is taken to differ by 1 at most
    paired = len(reference) == len(values)
    spread = np.std(np.subtract(values, reference)) if paired else np.std(values) + np.std(reference)
    if spread < _NO_SPREAD:
        return Difference(value=value, low=-reach, high=reach, examples=len(values), p=1.0)

    test = stats.ttest_rel(values, reference) if paired else stats.ttest_ind(values, reference, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    largest = highest - lowest
    return Difference(
        value=value, low=max(-largest, low), high=min(largest, high), examples=len(values), p=float(test.pvalue)
    )


_HEADLINES: dict[str, RateName] = {
    "clean_accuracy": "accuracy",
    "perturbed_accuracy": "accuracy",
    "flip_rate": "flip_rate",
    "excess_misled_rate": "excess_misled_rate",
}


def _headlines(table: pd.DataFrame, groups: Groups) -> list[Headline]:
    """The same figures as of single runs: of each run a mean over the conditions that all runs have, of them the mean."""
    whole = table[~(table.abstention | table.removed).astype(bool)]
    keys = ["dataset", "perturbation", "rate"]
    shared = whole[whole.groupby(keys).run.transform("nunique") == table.run.nunique()]
    of_run = {
        name: shared[(shared.rate == rate) & ((shared.perturbation == CLEAN) == (name == "clean_accuracy"))]
        .groupby("run")
        .value.mean()
        for name, rate in _HEADLINES.items()
    }
    first = next(iter(groups.values()))
    found = []
    for group, runs in groups.items():
        perturbed = shared[(shared.rate == "accuracy") & (shared.perturbation != CLEAN) & shared.run.isin(runs)]
        means = perturbed.groupby(["dataset", "perturbation"], sort=False).value.mean()
        compared = {
            name: difference_over_runs(values[list(first)].tolist(), values[list(runs)].tolist(), _HEADLINES[name])
            for name, values in of_run.items()
            if len(values) and runs is not first
        }
        found.append(
            Headline(
                run=group,
                worst_accuracy=means.min() if len(means) else None,
                worst=means.idxmin() if len(means) else None,
                differences={
                    name: Estimate(value=one.value, low=one.low, high=one.high) for name, one in compared.items()
                },
                **{name: values[list(runs)].mean() for name, values in of_run.items() if len(values)},
            )
        )

    return found


def _notes(members: Mapping[str, Sequence[LoadedRun]]) -> list[str]:
    """What must be known of the groups, then what the runs' own diagnoses note, each once."""
    sizes = {name: len(runs) for name, runs in members.items()}
    reference, *others = sizes
    found = [
        f"{name} has {sizes[name]} runs and {reference} {sizes[reference]}: they are not paired."
        for name in others
        if sizes[name] != sizes[reference]
    ]
    notes = dict.fromkeys(note for runs in members.values() for run in runs for note in run.diagnosis.notes)
    return [*found, *notes]
