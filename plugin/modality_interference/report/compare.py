"""Several runs side by side: a page, its plots, and the figures as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..diagnose.results import write_bytes, write_text
from ..errors import ModalityInterferenceError
from .bars import ConditionName
from .comparison import ComparedCondition, Comparison, Figures, Run
from .comparison_notes import notes
from .comparison_page import comparison_page
from .comparison_plots import comparison_plots
from .conditions import Condition, conditions
from .differences import Pairs, pair
from .provenance import described, encodable
from .runs import LoadedRun, load_runs


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
        conditions=_conditions(runs, pairs),
        notes=notes(runs, pairs),
    )
    plots = comparison_plots(comparison)
    for plot in plots:
        write_bytes(output / plot.file_name, plot.picture.light)

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


def _conditions(
    runs: Sequence[LoadedRun], pairs: Mapping[str, Mapping[ConditionName, Pairs]]
) -> list[ComparedCondition]:
    """Every condition of every run, those of a dataset together, the reference's first."""
    found = {run.name: {condition.name: condition for condition in conditions(run.diagnosis)} for run in runs}
    every = {name: condition for members in reversed(found.values()) for name, condition in members.items()}
    order = list(dict.fromkeys(name for members in found.values() for name in members))
    datasets = list(dict.fromkeys(dataset for dataset, _ in order))
    seed = runs[0].diagnosis.seed
    return [
        ComparedCondition(
            dataset=name[0],
            kind=every[name].kind,
            perturbation=name[1],
            figures={
                run: _figures(members[name], pairs[run].get(name) if run in pairs else None, seed)
                for run, members in found.items()
                if name in members
            },
        )
        for name in sorted(order, key=lambda name: datasets.index(name[0]))
    ]


def _figures(condition: Condition, shared: Pairs | None, seed: int) -> Figures:
    return Figures(
        rows=condition.rows,
        shared=len(shared.reference) if shared else 0,
        rates=dict(condition.rates),
        differences=shared.differences(list(condition.rates), seed) if shared else {},
    )
