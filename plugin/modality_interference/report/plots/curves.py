"""Accuracy and flip rate over the steps of a training run, and how often it answers with the other modality of a clip."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ... import modality
from ...files import write_bytes
from ..table import ConditionName
from ..theme import CLEAN, MUTED, PAGE, add_legend, draw_png, label, line_style


CURVES_FILE = "interference_curves.png"
_RATES = {"accuracy": "Accuracy, %", "flip_rate": "Flip rate, %"}
_OF_CLIPS = {"other_modality_rate": "Other modality, %"}  # drawn where a dataset has it
_MOST_COLUMNS = 4
_PANEL = (3.2, 2.1)  # inches
Curves = dict[str, list[tuple[int, float]]]  # by rate, of one condition: steps and values


def write_curves(
    folder: Path, log_history: Sequence[dict[str, Any]], names: Iterable[ConditionName], prefix: str = "eval"
) -> Path | None:
    """Draw `interference_curves.png` from a Trainer's log.

    Args:
        folder: where to.
        log_history: of the Trainer's state, entries with `step` and `<prefix>_<dataset>_<perturbation>_<rate>`.
        names: the datasets and perturbations that were evaluated. The metrics' names alone do not tell them, as both may
            hold underscores.
        prefix: of the metrics.

    Returns:
        the file, or None where the log has no evaluation of them.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    datasets = read_curves(log_history, names, prefix)
    if not datasets:
        return None

    path = folder / CURVES_FILE
    write_bytes(path, draw_png("Rates over the run, %", lambda width: draw_curves(datasets, width)))
    return path


def read_curves(
    log_history: Sequence[dict[str, Any]], names: Iterable[ConditionName], prefix: str = "eval"
) -> dict[str, dict[str, Curves]]:
    """The rates by dataset and perturbation, those that the log has.

    Of two evaluations after the same step, the last counts.
    """
    found: dict[str, dict[str, Curves]] = {}
    for dataset, perturbation in names:
        for rate in (*_RATES, *_OF_CLIPS):
            metric = f"{prefix}_{dataset}_{perturbation}_{rate}"
            values = {entry["step"]: entry[metric] for entry in log_history if metric in entry}
            if values:
                found.setdefault(dataset, {}).setdefault(perturbation, {})[rate] = sorted(values.items())

    return found


def draw_curves(datasets: dict[str, dict[str, Curves]], width: float = PAGE) -> Figure:
    """Draw a panel per rate for each dataset, below each other; at most `_MOST_COLUMNS` datasets beside each other."""
    styles = _styles([name for found in datasets.values() for name in found])
    rates = _rates(datasets)
    columns = min(_MOST_COLUMNS, len(datasets))
    bands = -(-len(datasets) // columns)
    figure = Figure(figsize=(max(5.0, _PANEL[0] * columns), len(rates) * _PANEL[1] * bands))
    grid = figure.subplots(len(rates) * bands, columns, sharex=True, squeeze=False)
    stacks = [stack for band in np.split(grid, bands) for stack in band.T]
    for stack, (dataset, found) in zip(stacks, datasets.items()):
        stack[0].set_title(label(dataset, 24))
        stack[-1].set_xlabel("step")
        stack[-1].tick_params(labelbottom=True)
        for axes, (rate, title) in zip(stack, rates.items()):
            _draw(axes, {name: curves[rate] for name, curves in found.items() if rate in curves}, styles)
            axes.set_ylabel(title if axes.get_subplotspec().is_first_col() else "")

    for axes in np.ravel(stacks[len(datasets) :]):
        axes.set_axis_off()

    first, last = _steps(datasets)
    if first == last:  # without a width, matplotlib would make one of fractions of a step
        grid[0, 0].set_xlim(first - 1, last + 1)

    add_legend(figure, [Line2D([], [], label=label(name), **style) for name, style in styles.items()])
    return figure


def _rates(datasets: dict[str, dict[str, Curves]]) -> dict[str, str]:
    present = {rate for found in datasets.values() for curves in found.values() for rate in curves}
    return _RATES | {rate: title for rate, title in _OF_CLIPS.items() if rate in present}


def _steps(datasets: dict[str, dict[str, Curves]]) -> tuple[int, int]:
    """The first and the last that were evaluated."""
    lists = [points for found in datasets.values() for curves in found.values() for points in curves.values()]
    steps = [step for points in lists for step, _ in points]
    return min(steps), max(steps)


def _styles(perturbations: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How each perturbation's lines look in all panels."""
    names = [name for name in dict.fromkeys(perturbations) if name != modality.CLEAN]
    clean = {modality.CLEAN: {**line_style(0), "color": CLEAN, "marker": "."}}
    return clean | {name: line_style(index) for index, name in enumerate(names)}


def _draw(axes: Axes, curves: dict[str, list[tuple[int, float]]], styles: dict[str, dict]) -> None:
    for name, points in curves.items():
        steps, values = zip(*points)
        axes.plot(steps, [100 * value for value in values], **styles[name])

    if not curves:
        axes.text(0.5, 0.5, "does not apply", transform=axes.transAxes, ha="center", va="center", color=MUTED)

    axes.set_ylim(0, 100)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
