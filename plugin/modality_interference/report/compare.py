"""Several runs side by side: a page, its plots, and the figures as JSON."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..diagnose.results import Diagnosis, write_bytes, write_text
from ..errors import ModalityInterferenceError
from .attention_plots import COMPARED_FILE, contrast_plots
from .bars import ConditionName
from .comparison import ComparedCondition, Comparison, Figures, Run
from .comparison_notes import notes
from .comparison_page import comparison_page
from .comparison_plots import comparison_plots
from .conditions import Condition, conditions, prompt_conditions
from .differences import Pairs, pair
from .prompts import PROMPTS
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
        conditions=_compared(runs, pairs, conditions),
        prompts=_compared(runs, pairs, prompt_conditions),
        notes=notes(runs, pairs),
    )
    probed = {run.name: run.diagnosis.attention for run in runs if run.diagnosis.attention is not None}
    plots = [*comparison_plots(comparison), *contrast_plots(probed, COMPARED_FILE)]
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


def _compared(
    runs: Sequence[LoadedRun],
    pairs: Mapping[str, Mapping[ConditionName, Pairs]],
    listed: Callable[[Diagnosis], Sequence[Condition]],
) -> list[ComparedCondition]:
    """Every condition of every run, those of a dataset and prompt together, the reference's first."""
    found = {
        run.name: {(condition.name, condition.prompt): condition for condition in listed(run.diagnosis)}
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
                run: _figures(members[name, prompt], _shared(pairs.get(run, {}), name, prompt), seed)
                for run, members in found.items()
                if (name, prompt) in members
            },
        )
        for name, prompt in sorted(order, key=lambda key: (datasets.index(key[0][0]), prompts.index(key[1])))
    ]


def _shared(pairs: Mapping[ConditionName, Pairs], name: ConditionName, prompt: str) -> Pairs | None:
    shared = pairs.get(name)
    return shared.of_kind(prompt) if shared and prompt else shared


def _figures(condition: Condition, shared: Pairs | None, seed: int) -> Figures:
    return Figures(
        rows=condition.rows,
        shared=len(shared.reference) if shared else 0,
        rates=dict(condition.rates),
        differences=shared.differences(list(condition.rates), seed) if shared else {},
    )
