"""Accuracy and flip rate over the steps of a training run, and how often it answers with the other modality of a clip."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ... import modality
from ...files import write_bytes
from ...results import CurvePoint, Curves, RateName
from ..table import MOST_DRAWN
from ..theme import CLEAN, MUTED, PAGE, Plot, add_legend, draw_png, label, line_style, make_plot


CURVES_FILE = "interference_curves.png"
TITLE = "Rates over the run, %"
_TITLES: dict[RateName, str] = {
    "accuracy": "Accuracy, %",
    "flip_rate": "Flip rate, %",
    "other_modality_rate": "Other modality, %",
}
_ALWAYS = ("accuracy", "flip_rate")  # the others where a dataset has them
_MOST_COLUMNS = 4
_PANEL = (3.2, 2.1)  # inches
_APART = 0.08  # of the shortest distance of two evaluations, between lines that may coincide
_WIDEST = 0.6  # of all lines


def write_curves(folder: Path, curves: Curves) -> Path | None:
    """Draw `interference_curves.png`.

    Args:
        folder: where to.
        curves: the rates so far.

    Returns:
        the file, or None where there is nothing to draw.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    if not curves:
        return None

    path = folder / CURVES_FILE
    write_bytes(path, draw_png(TITLE, lambda width: draw_curves(curves, width)))
    return path


def curves_plot(curves: Curves) -> Plot | None:
    """The same for a page; None where the run was evaluated once."""
    if not curves:
        return None

    caption = (
        "Every evaluation of the run. The vertical lines are 95 % intervals; lines are drawn beside each other, so that those "
        "that coincide can be seen."
    )
    lines = [(dataset, name) for dataset, found in curves.items() for name in found]
    if len(lines) > MOST_DRAWN:
        caption += f" Of {len(lines):,} datasets and perturbations, the first {MOST_DRAWN} are drawn."
        kept = set(lines[:MOST_DRAWN])
        curves = {
            dataset: {name: rates for name, rates in found.items() if (dataset, name) in kept}
            for dataset, found in curves.items()
            if any(own == dataset for own, _ in kept)
        }

    return make_plot(CURVES_FILE, TITLE, caption, lambda width: draw_curves(curves, width))


def draw_curves(datasets: Curves, width: float = PAGE) -> Figure:
    """Draw a panel per rate for each dataset, below each other; at most `_MOST_COLUMNS` datasets beside each other."""
    styles = _styles([name for found in datasets.values() for name in found])
    rates = _rates(datasets)
    apart = _distance(datasets) * min(_APART, _WIDEST / len(styles))
    columns = max(1, min(_MOST_COLUMNS, len(datasets), int(width / _PANEL[0])))
    bands = -(-len(datasets) // columns)
    figure = Figure(figsize=(min(width, max(5.0, _PANEL[0] * columns)), len(rates) * _PANEL[1] * bands))
    grid = figure.subplots(len(rates) * bands, columns, sharex=True, squeeze=False)
    stacks = [stack for band in np.split(grid, bands) for stack in band.T]
    for stack, (dataset, found) in zip(stacks, datasets.items()):
        stack[0].set_title(label(dataset, 24))
        stack[-1].set_xlabel("step")
        stack[-1].tick_params(labelbottom=True)
        for axes, (rate, title) in zip(stack, rates.items()):
            _draw(axes, {name: curves[rate] for name, curves in found.items() if rate in curves}, styles, apart)
            axes.set_ylabel(title if axes.get_subplotspec().is_first_col() else "")

    for axes in np.ravel(stacks[len(datasets) :]):
        axes.set_axis_off()

    first, last = _steps(datasets)
    if first == last:  # without a width, matplotlib would make one of fractions of a step
        grid[0, 0].set_xlim(first - 1, last + 1)

    add_legend(figure, [Line2D([], [], label=label(name), **style) for name, style in styles.items()])
    return figure


def _rates(datasets: Curves) -> dict[RateName, str]:
    present = {rate for found in datasets.values() for curves in found.values() for rate in curves}
    return {rate: title for rate, title in _TITLES.items() if rate in present or rate in _ALWAYS}


def _every_step(datasets: Curves) -> list[int]:
    rates = [points for found in datasets.values() for curves in found.values() for points in curves.values()]
    return sorted({point.step for points in rates for point in points})


def _steps(datasets: Curves) -> tuple[int, int]:
    """The first and the last that were evaluated."""
    steps = _every_step(datasets)
    return steps[0], steps[-1]


def _distance(datasets: Curves) -> int:
    """Steps between two evaluations, where they are closest."""
    steps = _every_step(datasets)
    return min((after - before for before, after in pairwise(steps)), default=1)


def _styles(perturbations: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How each perturbation's lines look in all panels."""
    names = [name for name in dict.fromkeys(perturbations) if name != modality.CLEAN]
    clean = {modality.CLEAN: {**line_style(0), "color": CLEAN, "marker": "."}}
    return clean | {name: line_style(index) for index, name in enumerate(names)}


def _draw(axes: Axes, curves: dict[str, list[CurvePoint]], styles: dict[str, dict[str, Any]], apart: float) -> None:
    for name, points in curves.items():
        shift = (list(styles).index(name) - (len(styles) - 1) / 2) * apart
        x = [point.step + shift for point in points]
        style = styles[name]
        lows, highs = zip(*((100 * point.low, 100 * point.high) for point in points))
        axes.vlines(x, lows, highs, colors=style["color"], linewidth=1, alpha=0.6)
        axes.plot(x, [100 * point.value for point in points], **style)

    if not curves:
        axes.text(0.5, 0.5, "does not apply", transform=axes.transAxes, ha="center", va="center", color=MUTED)

    axes.set_ylim(0, 100)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
