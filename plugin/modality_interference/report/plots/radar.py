"""Accuracy on a radar, an axis per dataset and perturbation, as in figure 1 of arXiv 2505.19616."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from ..table import ConditionName, names
from ..theme import CLEAN, MUTED, PAGE, add_legend, backdrop, label, line_style


GUESSING = "guessing"  # the run that is drawn without markers
FEWEST_AXES = 3  # with fewer, a radar has no area
_MOST_ON_A_PHONE = 6
_LINE = 10.5  # points
_SIZE = (7.2, 4.6)  # inches, and more where there are many axes
_CROWDED = 14  # axes
_ARC = 1.06  # radius
_GUESSING: dict[str, Any] = {"marker": "", "linestyle": ":", "linewidth": 1.2}


def fits(conditions: Sequence[ConditionName], width: float) -> bool:
    """Whether a radar of these axes can be read at a width in inches; bars can in any case."""
    return FEWEST_AXES <= len(conditions) and (width >= _SIZE[0] or len(conditions) <= _MOST_ON_A_PHONE)


def radar(table: pd.DataFrame, colours: Mapping[str, str], filled: Collection[str], width: float = PAGE) -> Figure:
    """Draw a line per run over the same axes, those of a dataset beside each other below one arc.

    Args:
        table: columns `run`, `dataset`, `perturbation` and `value`; every run has the same conditions, at least
            `FEWEST_AXES`, those of a dataset together.
        colours: by run; the first run is drawn first, below the others.
        filled: the runs whose area is tinted.
        width: inches that there are.
    """
    axis_names = names(table)
    values = {run: lines.set_index(["dataset", "perturbation"]).value for run, lines in table.groupby("run")}
    grown = max(1.0, len(axis_names) / _CROWDED) if width >= _SIZE[0] else 1.0
    figure = Figure(figsize=(min(width, _SIZE[0] * grown), _SIZE[1] * grown * min(1.0, 1.2 * width / _SIZE[0])))
    axes = cast(PolarAxes, figure.add_subplot(projection="polar"))
    _frame(axes, axis_names)
    for index, (run, colour) in enumerate(colours.items()):
        around = values[run].loc[[*axis_names, axis_names[0]]]
        style = line_style(index) | {"color": colour} | (_GUESSING if run == GUESSING else {})
        axes.plot(_angles(len(axis_names) + 1), around, label=label(run), **style)
        if run in filled:
            axes.fill(_angles(len(axis_names) + 1), around, color=colour, alpha=0.12, linewidth=0)

    add_legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def _angles(corners: int) -> np.ndarray:
    """Of a closed line, whose last corner is its first."""
    return np.linspace(0, 2 * np.pi, corners) % (2 * np.pi)


def _frame(axes: PolarAxes, axis_names: Sequence[ConditionName]) -> None:
    """Name the rings and the axes; an arc and a bold name hold the axes of a dataset together."""
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], [])
    axes.spines["polar"].set_visible(False)
    step = 2 * np.pi / len(axis_names)
    axes.set_xticks(np.arange(len(axis_names)) * step, [""] * len(axis_names))
    _name_rings(axes, step / 2)
    start, several = 0, len({dataset for dataset, _ in axis_names}) > 1
    if not several:
        axes.set_title(label(axis_names[0][0], 40), pad=38)

    for dataset, members in groupby(axis_names, key=lambda name: name[0]):
        own = list(members)
        ends = (start - 0.38) * step, (start + len(own) - 0.62) * step
        if several:
            axes.plot(np.linspace(*ends, 60), np.full(60, _ARC), color=CLEAN, linewidth=1.5, clip_on=False, zorder=1)

        for number, (_, perturbation) in enumerate(own):
            names_dataset = several and number == (len(own) - 1) // 2
            _name_axis(axes, (start + number) * step, perturbation, dataset if names_dataset else None)

        start += len(own)


def _name_rings(axes: PolarAxes, angle: float) -> None:
    """Percentages, between two axes, legible above the lines."""
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5, "color": MUTED, "bbox": backdrop()}
    for ring in (25, 50, 75, 100):
        axes.text(angle, ring / 100, str(ring), zorder=3, **style)


def _name_axis(axes: PolarAxes, angle: float, perturbation: str, dataset: str | None) -> None:
    """Name an axis, and above it the dataset if that is given; the text grows away from the circle."""
    lines = [(label(perturbation, 20), "normal")]
    lines = lines if dataset is None else [(label(dataset, 20), "bold"), *lines]
    sideways, upwards = np.sin(angle), np.cos(angle)
    horizontal = "center" if abs(sideways) < 0.05 else "left" if sideways > 0 else "right"
    vertical, above = ("bottom", 1.0) if upwards > 0.9 else ("top", 0.0) if upwards < -0.9 else ("center", 0.5)
    style: dict[str, Any] = {"ha": horizontal, "va": vertical, "fontsize": 8.5, "annotation_clip": False}
    for number, (line, weight) in enumerate(lines):  # one by one: an SVG aligns single lines in any font
        offset = (0, _LINE * (above * (len(lines) - 1) - number))
        axes.annotate(line, (angle, _ARC + 0.1), offset, textcoords="offset points", fontweight=weight, **style)
