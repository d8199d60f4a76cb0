"""Several runs side by side: a page, its plots, and the figures as JSON."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ..errors import ModalityInterferenceError
from ..files import write_bytes, write_text
from ..results import Diagnosis, RateName
from .compared import ComparedCondition, Comparison, Run, RunRates
from .differences import differences, headlines, judged_together, pair
from .evidence import ALL_COUNTERFACTUALS, ALL_TWINS, AXES, EVIDENCE_TITLES, JUDGED, axes_table, evidence_table
from .plots.attention import COMPARED_FILE, contrast_plots
from .plots.comparison import comparison_plots
from .plots.grounding import compared_grounding_plot
from .runs import LoadedRun, described_run, load_runs
from .summary import comparison_summary
from .table import (
    MOST_DRAWN,
    PROMPTS,
    RATE_TITLES,
    ConditionName,
    left_out,
    names,
    of_all,
    of_prompts,
    tidy_table,
    worst,
)
from .templating import render
from .text import SCORINGS, counted, joined, moment
from .theme import Plot


HTML_FILE = "comparison.html"
JSON_FILE = "comparison.json"


def compare_runs(folders: Sequence[Path], output: Path, names: Sequence[str] | None = None) -> Path:
    """Write `comparison.html`, its plots and `comparison.json`.

    Args:
        folders: run folders with a diagnosis each; the first is the reference.
        output: where to write.
        names: what to call the runs; unset: as their folders.

    Returns:
        the page.

    Raises:
        ModalityInterferenceError: fewer than two folders, names that do not fit them, a folder without a diagnosis, a
            run that scored no example of the reference, or an output folder that cannot be written.
    """
    runs = load_runs(folders, names)
    pairs = {run.name: _pairs(runs[0], run) for run in runs[1:]}
    gone = {run.name: _gone(runs[0], run) for run in runs[1:]}
    table, evidence, axes = (
        pd.concat([make(run.diagnosis, run.name) for run in runs], ignore_index=True)
        for make in (tidy_table, evidence_table, axes_table)
    )
    seed = runs[0].diagnosis.seed
    conditions, prompts, without, both = judged_together(
        _compared(of_all(table), pairs, seed),
        _compared(of_prompts(table), pairs, seed),
        _compared(evidence, gone, seed, JUDGED),
        _compared(axes, {name: _together(pairs[name], gone[name]) for name in pairs}, seed, AXES),
    )
    comparison = Comparison(
        runs=[described_run(run) for run in runs],
        headlines=headlines(of_all(table), pairs, seed),
        seed=seed,
        conditions=conditions,
        prompts=prompts,
        evidence=without,
        grounding=both,
        notes=notes(runs, pairs),
    )
    probed = {run.name: run.diagnosis.attention for run in runs if run.diagnosis.attention is not None}
    plots = [*comparison_plots(worst(table, MOST_DRAWN)), *contrast_plots(probed, COMPARED_FILE)]
    return write_comparison(comparison, table, [*plots, *compared_grounding_plot(both)], output)


def _gone(reference: LoadedRun, run: LoadedRun) -> pd.DataFrame:
    """The counterfactual rows that both runs scored, matched."""
    return pair(reference.counterfactuals, run.counterfactuals)


def _together(pairs: pd.DataFrame, gone: pd.DataFrame) -> pd.DataFrame:
    """All twins of a dataset as one condition, and all its counterfactual rows as another."""
    twins = pairs[pairs.flip_rate.notna()].assign(perturbation=ALL_TWINS)
    return pd.concat([twins, gone.assign(perturbation=ALL_COUNTERFACTUALS)], ignore_index=True)


def write_comparison(comparison: Comparison, table: pd.DataFrame, plots: Sequence[Plot], output: Path) -> Path:
    """Write the page, the plots and the figures of a comparison.

    Args:
        comparison: all of it.
        table: the tidy table of what is compared.
        plots: for the page, and as files.
        output: the folder.

    Returns:
        the page.
    """
    text = comparison_page(_shown(comparison, table), plots)  # before anything is written: all or nothing
    for plot in plots:
        write_bytes(output / plot.file_name, plot.png)

    write_text(output / JSON_FILE, comparison.model_dump_json(indent=2) + "\n")
    page = output / HTML_FILE
    write_text(page, text)
    return page


def _shown(comparison: Comparison, table: pd.DataFrame) -> Comparison:
    """What the page shows of a comparison; its file has all of it."""
    kept = set(names(worst(table)))
    conditions, prompts = (
        [condition for condition in found if (condition.dataset, condition.perturbation) in kept]
        for found in (comparison.conditions, comparison.prompts)
    )
    notes = [*left_out(table, JSON_FILE), *comparison.notes]
    return comparison.model_copy(update={"conditions": conditions, "prompts": prompts, "notes": notes})


def _pairs(reference: LoadedRun, run: LoadedRun) -> pd.DataFrame:
    found = pair(reference.rows, run.rows)
    if found.empty:
        raise ModalityInterferenceError(
            f"{reference.folder} and {run.folder} have no example in common (the same dataset, row content and "
            "perturbation), so they cannot be compared. Diagnose both with the same `eval_dataset` and `dataset_dir`."
        )

    return found


def _compared(
    table: pd.DataFrame, pairs: Mapping[str, pd.DataFrame], seed: int, judged: Collection[RateName] | None = None
) -> list[ComparedCondition]:
    """Every condition of every run, those of a dataset and prompt together, the reference's first.

    Args:
        table: the tidy tables of all runs.
        pairs: of each run but the reference, what `pair` made.
        seed: of the bootstrap.
        judged: the rates whose differences count; unset: all.
    """
    keys = ["dataset", "prompt", "perturbation"]
    groups = dict(iter(table.groupby(keys, sort=False)))
    shared = {run: _SharedRows(found) for run, found in pairs.items()}
    datasets, prompts = list(table.dataset.unique()), ["", *PROMPTS]
    return [
        ComparedCondition(
            dataset=dataset,
            kind=lines.kind.iloc[0],
            perturbation=perturbation,
            prompt=prompt,
            removed=bool(lines.removed.any()),
            figures={
                run: _rates_of(
                    own, shared[run].of(dataset, prompt, perturbation) if run in shared else None, seed, judged
                )
                for run, own in lines.groupby("run", sort=False)
            },
        )
        for (dataset, prompt, perturbation), lines in sorted(
            groups.items(), key=lambda group: (datasets.index(group[0][0]), prompts.index(group[0][1]))
        )
    ]


class _SharedRows:
    """The rows that a run shares with the reference, by condition; divided once, as thousands of conditions look theirs up."""

    def __init__(self, pairs: pd.DataFrame) -> None:
        self._groups = dict(iter(pairs.groupby(["dataset", "perturbation"], sort=False)))
        self._none = pairs.iloc[:0]

    def of(self, dataset: str, prompt: str, perturbation: str) -> pd.DataFrame:
        found = self._groups.get((dataset, perturbation), self._none)
        return found[found.kind == prompt] if prompt else found


def _rates_of(
    lines: pd.DataFrame, shared: pd.DataFrame | None, seed: int, judged: Collection[RateName] | None
) -> RunRates:
    by_rate = lines.set_index("rate")
    names = [rate for rate in by_rate.index if judged is None or rate in judged]
    chance, by_chance = by_rate.chance.dropna(), by_rate.by_chance.dropna()
    return RunRates(
        rows=lines.rows.iloc[0],
        shared=0 if shared is None else len(shared),
        rates=by_rate[["value", "low", "high"]].to_dict("index"),
        clean=by_rate.clean.dropna().to_dict(),
        chance=chance.iloc[0] if len(chance) else None,
        by_chance=by_chance.iloc[0] if len(by_chance) else None,
        differences={} if shared is None else differences(shared, names, seed),
    )


def notes(runs: Sequence[LoadedRun], pairs: Mapping[str, pd.DataFrame]) -> list[str]:
    """Sentences about each run against the reference, then what the runs' own diagnoses note."""
    reference = runs[0]
    found: list[str] = []
    for run in runs[1:]:
        found += _settings(reference, run)
        found += _targets(reference, run, pairs[run.name])
        found += _shared_note(reference, run, pairs[run.name])

    return found + [f"{run.name}: {note}" for run in runs for note in run.diagnosis.notes]


def _settings(reference: LoadedRun, run: LoadedRun) -> list[str]:
    found = []
    ours, theirs = reference.diagnosis, run.diagnosis
    if ours.seed != theirs.seed:
        found.append(
            f"{run.name} drew its twins with seed {theirs.seed}, {reference.name} with seed {ours.seed}: their target "
            "options and inserted texts and images may differ, and the differences below contain that."
        )

    if ours.scoring != theirs.scoring:
        found.append(
            f"{run.name} was scored {SCORINGS[theirs.scoring]}, {reference.name} {SCORINGS[ours.scoring]}: their "
            "figures are not measured alike."
        )
    elif ours.free_answers != theirs.free_answers:
        found.append(
            f"{run.name} compared answers without options by the rule {theirs.free_answers}, {reference.name} by "
            f"{ours.free_answers}: their figures are not measured alike."
        )

    if ours.prompt != theirs.prompt:
        found.append(f"{run.name} was asked with the prompt {theirs.prompt}, {reference.name} with {ours.prompt}.")

    if ours.decoding != theirs.decoding:
        found.append(f"{run.name} was decoded by {theirs.decoding}, {reference.name} by {ours.decoding}.")

    if ours.calibration != theirs.calibration:
        one, other = (f"with {run.calibration}" if run.calibration else "as it is" for run in (theirs, ours))
        found.append(f"The attention of {run.name} was measured {one}, that of {reference.name} {other}.")

    return found


def _targets(reference: LoadedRun, run: LoadedRun, pairs: pd.DataFrame) -> list[str]:
    rows = int((pairs.has_target != pairs.has_target_other).sum())
    if not rows:
        return []

    return [
        f"In {counted(rows, 'shared row')}, only one of {run.name} and {reference.name} has a target option: their "
        "perturbations differ."
    ]


def _shared_note(reference: LoadedRun, run: LoadedRun, pairs: pd.DataFrame) -> list[str]:
    """How much of what both runs evaluated they share, and what only one of them evaluated."""
    ours, theirs = (_rows(one.diagnosis) for one in (reference, run))
    shared = pairs.groupby(["dataset", "perturbation"]).size()
    partly: dict[tuple[int, int, str], list[str]] = {}
    for (dataset, perturbation), rows in ours.items():
        both = int(shared.get((dataset, perturbation), 0))
        if (dataset, perturbation) in theirs and both < rows:
            partly.setdefault((both, rows, dataset), []).append(perturbation)

    found = []
    if partly:
        parts = [
            f"{both:,} of {counted(rows, 'row')} of {dataset} ({', '.join(perturbations)})"
            for (both, rows, dataset), perturbations in partly.items()
        ]
        found.append(
            f"{run.name} shares with {reference.name} only {joined(parts)}; differences are of the shared rows, the "
            "figures of each run of all its rows."
        )

    missing = {run.name: ours.keys() - theirs.keys(), reference.name: theirs.keys() - ours.keys()}
    return found + [f"{name} was not evaluated on {_grouped(names)}." for name, names in missing.items() if names]


def _rows(diagnosis: Diagnosis) -> dict[ConditionName, int]:
    """How many rows were scored, by dataset and perturbation."""
    return {
        (dataset, perturbation): figures.rows
        for dataset, result in diagnosis.datasets.items()
        for perturbation, figures in result.perturbations.items()
    }


def _grouped(names: Iterable[ConditionName]) -> str:
    """`digits (clean, black_image) and pets (clean)`."""
    groups: dict[str, list[str]] = {}
    for dataset, perturbation in sorted(names):
        groups.setdefault(dataset, []).append(perturbation)

    return joined([f"{dataset} ({', '.join(perturbations)})" for dataset, perturbations in groups.items()])


_HEADLINE_TITLES = {
    "clean_accuracy": "Clean accuracy",
    "perturbed_accuracy": "Perturbed accuracy",
    "worst_accuracy": "Worst perturbed",
    "flip_rate": "Flip rate",
    "excess_misled_rate": "Excess misled, points",
}


def comparison_page(comparison: Comparison, plots: Sequence[Plot]) -> str:
    """Fill `comparison.html.j2`."""
    found = comparison.conditions
    return render(
        "comparison.html.j2",
        comparison=comparison,
        summary=comparison_summary(comparison),
        headline_titles=_HEADLINE_TITLES,
        plots=plots,
        datasets=list(dict.fromkeys(condition.dataset for condition in found)),
        perturbations=list(dict.fromkeys(condition.perturbation for condition in found)),
        prompts=PROMPTS,
        rates=comparison.rates,
        rate_titles=RATE_TITLES,
        evidence_titles={
            rate: title
            for rate, title in EVIDENCE_TITLES.items()
            if any(condition.has(rate) for condition in comparison.evidence)
        },
        origin=[(run.name, _origin(run)) for run in comparison.runs],
    )


def _origin(run: Run) -> dict[str, str]:
    return {
        "folder": run.folder,
        "diagnosed": moment(run.created),
        "seed": str(run.seed),
        "scoring": run.scoring,
        "prompt": run.prompt,
        "decoding": run.decoding,
        **({"attention": run.calibration} if run.calibration else {}),
        **run.model,
    }
