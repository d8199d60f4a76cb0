"""Several runs side by side: a page, its plots, and the figures as JSON."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModalityInterferenceError
from ..files import write_bytes, write_text
from ..results import Diagnosis, ScoredRow, read_diagnosis, read_rows
from .differences import ComparedCondition, Comparison, Pairs, Run, RunRates, pair, verdict
from .plots.attention import COMPARED_FILE, contrast_plots
from .plots.comparison import comparison_plots
from .summary import comparison_summary
from .table import PROMPTS, RATE_TITLES, Condition, ConditionName, conditions, prompt_conditions
from .templating import render
from .text import counted, described, encodable, joined, moment
from .theme import Plot


@dataclass(frozen=True)
class LoadedRun:
    """A run folder, read.

    Attributes:
        name: unique among the runs.
        folder: where it was read from.
        diagnosis: its figures.
        rows: its answers.
    """

    name: str
    folder: Path
    diagnosis: Diagnosis
    rows: list[ScoredRow]


def load_runs(folders: Sequence[Path], names: Sequence[str] | None) -> list[LoadedRun]:
    """Read the run folders.

    Args:
        folders: two or more.
        names: one each; unset: the folders' names.

    Raises:
        ModalityInterferenceError: too few folders, too few or too many names, or a folder without a diagnosis.
    """
    if len(folders) < 2:
        raise ModalityInterferenceError(
            f"A comparison needs two run folders or more, the first of them the reference; found {len(folders)}."
        )

    if names is not None and len(names) != len(folders):
        raise ModalityInterferenceError(
            f"Found {len(names)} names for {len(folders)} run folders; give one name each, in the same order, or none."
        )

    unique = _numbered([encodable(name) for name in names or _folder_names(folders)])
    return [
        LoadedRun(name, folder, read_diagnosis(folder), read_rows(folder)) for name, folder in zip(unique, folders)
    ]


def _folder_names(folders: Sequence[Path]) -> list[str]:
    """Each folder's name, with as many of its parents as tell all of them apart."""
    parts = [folder.resolve().parts for folder in folders]
    longest = max(map(len, parts))
    for depth in range(1, longest + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break

    return names


def _numbered(names: list[str]) -> list[str]:
    """The names, with a number where one is repeated."""
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            number += 1
            candidate = f"{name} ({number})"

        found.append(candidate)

    return found


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
    comparison = Comparison(
        runs=[_described(run) for run in runs],
        seed=runs[0].diagnosis.seed,
        conditions=_compared(runs, pairs, conditions),
        prompts=_compared(runs, pairs, prompt_conditions),
        notes=notes(runs, pairs),
    )
    probed = {run.name: run.diagnosis.attention for run in runs if run.diagnosis.attention is not None}
    plots = [*comparison_plots(comparison), *contrast_plots(probed, COMPARED_FILE)]
    for plot in plots:
        write_bytes(output / plot.file_name, plot.png)

    write_text(output / JSON_FILE, comparison.model_dump_json(indent=2) + "\n")
    page = output / HTML_FILE
    write_text(page, comparison_page(comparison, plots))
    return page


def _pairs(reference: LoadedRun, run: LoadedRun) -> dict[ConditionName, Pairs]:
    found = pair(reference.rows, run.rows)
    if not found:
        raise ModalityInterferenceError(
            f"{reference.folder} and {run.folder} have no example in common (the same dataset, row content and "
            "perturbation), so they cannot be compared. Diagnose both with the same `eval_dataset` and `dataset_dir`."
        )

    return found


def _described(run: LoadedRun) -> Run:
    diagnosis = run.diagnosis
    return Run(
        name=run.name,
        folder=encodable(str(run.folder)),
        created=diagnosis.created,
        model=described(diagnosis.model),
        seed=diagnosis.seed,
        scoring=diagnosis.scoring,
    )


def _compared(
    runs: Sequence[LoadedRun],
    pairs: Mapping[str, Mapping[ConditionName, Pairs]],
    list_conditions: Callable[[Diagnosis], Sequence[Condition]],
) -> list[ComparedCondition]:
    """Every condition of every run, those of a dataset and prompt together, the reference's first."""
    found = {
        run.name: {(condition.name, condition.prompt): condition for condition in list_conditions(run.diagnosis)}
        for run in runs
    }
    every = {key: condition for members in reversed(found.values()) for key, condition in members.items()}
    order = list(dict.fromkeys(key for members in found.values() for key in members))
    datasets = list(dict.fromkeys(dataset for (dataset, _), _ in order))
    prompts = ["", *PROMPTS]
    seed = runs[0].diagnosis.seed
    return [
        ComparedCondition(
            dataset=name[0],
            kind=every[name, prompt].kind,
            perturbation=name[1],
            prompt=prompt,
            figures={
                run: _rates_of(members[name, prompt], _shared(pairs.get(run, {}), name, prompt), seed)
                for run, members in found.items()
                if (name, prompt) in members
            },
        )
        for name, prompt in sorted(order, key=lambda key: (datasets.index(key[0][0]), prompts.index(key[1])))
    ]


def _shared(pairs: Mapping[ConditionName, Pairs], name: ConditionName, prompt: str) -> Pairs | None:
    shared = pairs.get(name)
    return shared.of_kind(prompt) if shared and prompt else shared


def _rates_of(condition: Condition, shared: Pairs | None, seed: int) -> RunRates:
    return RunRates(
        rows=condition.rows,
        shared=len(shared.reference) if shared else 0,
        rates=dict(condition.rates),
        differences=shared.differences(list(condition.rates), seed) if shared else {},
    )


SCORINGS = {"likelihood": "by option likelihood", "generate": "by generated answers"}


def notes(runs: Sequence[LoadedRun], pairs: Mapping[str, Mapping[ConditionName, Pairs]]) -> list[str]:
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

    return found


def _targets(reference: LoadedRun, run: LoadedRun, pairs: Mapping[ConditionName, Pairs]) -> list[str]:
    rows = sum(members.targets_differ for members in pairs.values())
    if not rows:
        return []

    return [
        f"In {counted(rows, 'shared row')}, only one of {run.name} and {reference.name} has a target option: their "
        "perturbations differ."
    ]


def _shared_note(reference: LoadedRun, run: LoadedRun, pairs: Mapping[ConditionName, Pairs]) -> list[str]:
    """How much of what both runs evaluated they share, and what only one of them evaluated."""
    ours, theirs = ({found.name: found.rows for found in conditions(one.diagnosis)} for one in (reference, run))
    partly: dict[tuple[int, int, str], list[str]] = {}
    for name in ours:
        shared = len(pairs[name].reference) if name in pairs else 0
        if name in theirs and shared < ours[name]:
            partly.setdefault((shared, ours[name], name[0]), []).append(name[1])

    found = []
    if partly:
        parts = [
            f"{shared:,} of {counted(rows, 'row')} of {dataset} ({', '.join(perturbations)})"
            for (shared, rows, dataset), perturbations in partly.items()
        ]
        found.append(
            f"{run.name} shares with {reference.name} only {joined(parts)}; differences are of the shared rows, the "
            "figures of each run of all its rows."
        )

    missing = {run.name: ours.keys() - theirs.keys(), reference.name: theirs.keys() - ours.keys()}
    return found + [f"{name} was not evaluated on {_grouped(names)}." for name, names in missing.items() if names]


def _grouped(names: Iterable[ConditionName]) -> str:
    """`digits (clean, black_image) and pets (clean)`."""
    groups: dict[str, list[str]] = {}
    for dataset, perturbation in sorted(names):
        groups.setdefault(dataset, []).append(perturbation)

    return joined([f"{dataset} ({', '.join(perturbations)})" for dataset, perturbations in groups.items()])


def comparison_page(comparison: Comparison, plots: Sequence[Plot]) -> str:
    """Fill `comparison.html.j2`."""
    found = comparison.conditions
    return render(
        "comparison.html.j2",
        comparison=comparison,
        summary=comparison_summary(comparison),
        plots=plots,
        datasets=list(dict.fromkeys(condition.dataset for condition in found)),
        perturbations=list(dict.fromkeys(condition.perturbation for condition in found)),
        prompts=PROMPTS,
        rates=comparison.rates,
        rate_titles=RATE_TITLES,
        verdict=verdict,
        origin=[(run.name, _origin(run)) for run in comparison.runs],
    )


def _origin(run: Run) -> dict[str, str]:
    return {
        "folder": run.folder,
        "diagnosed": moment(run.created),
        "seed": str(run.seed),
        "scoring": run.scoring,
        **run.model,
    }
