"""What a reader of a comparison must know: where runs were not measured alike."""

from collections.abc import Iterable, Mapping, Sequence

from .bars import ConditionName
from .conditions import conditions
from .differences import Pairs
from .runs import LoadedRun
from .wording import counted, listed


SCORINGS = {"likelihood": "by option likelihood", "generate": "by generated answers"}


def notes(runs: Sequence[LoadedRun], pairs: Mapping[str, Mapping[ConditionName, Pairs]]) -> list[str]:
    """Sentences about each run against the reference, then what the runs' own diagnoses note."""
    reference = runs[0]
    found: list[str] = []
    for run in runs[1:]:
        found += _settings(reference, run)
        found += _planted(reference, run, pairs[run.name])
        found += _shared(reference, run, pairs[run.name])

    return found + [f"{run.name}: {note}" for run in runs for note in run.diagnosis.notes]


def _settings(reference: LoadedRun, run: LoadedRun) -> list[str]:
    found = []
    ours, theirs = reference.diagnosis, run.diagnosis
    if ours.seed != theirs.seed:
        found.append(
            f"{run.name} drew its twins with seed {theirs.seed}, {reference.name} with seed {ours.seed}: their planted "
            "options and inserted texts and pictures may differ, and the differences below contain that."
        )

    if ours.scoring != theirs.scoring:
        found.append(
            f"{run.name} was scored {SCORINGS[theirs.scoring]}, {reference.name} {SCORINGS[ours.scoring]}: their "
            "figures are not measured alike."
        )

    return found


def _planted(reference: LoadedRun, run: LoadedRun, pairs: Mapping[ConditionName, Pairs]) -> list[str]:
    rows = sum(members.planted_differently for members in pairs.values())
    if not rows:
        return []

    return [
        f"In {counted(rows, 'shared row')}, only one of {run.name} and {reference.name} planted a wrong option: their "
        "perturbations differ."
    ]


def _shared(reference: LoadedRun, run: LoadedRun, pairs: Mapping[ConditionName, Pairs]) -> list[str]:
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
            f"{run.name} shares with {reference.name} only {listed(parts)}; differences are of the shared rows, the "
            "figures of each run of all its rows."
        )

    missing = {run.name: ours.keys() - theirs.keys(), reference.name: theirs.keys() - ours.keys()}
    return found + [f"{name} was not evaluated on {_grouped(names)}." for name, names in missing.items() if names]


def _grouped(names: Iterable[ConditionName]) -> str:
    """`digits (clean, black_image) and pets (clean)`."""
    groups: dict[str, list[str]] = {}
    for dataset, perturbation in sorted(names):
        groups.setdefault(dataset, []).append(perturbation)

    return listed([f"{dataset} ({', '.join(perturbations)})" for dataset, perturbations in groups.items()])
