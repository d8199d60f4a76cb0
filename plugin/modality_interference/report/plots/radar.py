"""Accuracy on a radar, an axis per dataset and perturbation, as in figure 1 of arXiv 2505.19616."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from ..table import ConditionName, names
from ..theme import MUTED, add_legend, backdrop, label, line_style


FEWEST_AXES = 3  # with fewer, a radar has no area
_MOST_AXES = 12  # of one radar with two lines of text at each axis
_MOST_AXES_OF_A_DATASET = 16
_COLUMNS = 2
_LINE = 10.5  # points
_SINGLE = (7.0, 4.4)  # inches
_ONE_OF_SEVERAL = (6.0, 4.1)


@dataclass(frozen=True)
class _Panel:
    """One circle; where all its axes are of one dataset, that is its title."""

    names: Sequence[ConditionName]
    title: str = ""


def radar(table: pd.DataFrame, colours: Mapping[str, str], filled: Collection[str]) -> Figure:
    """Draw a line per run over the same axes; several radars where one would be crowded.

    Args:
        table: columns `run`, `dataset`, `perturbation` and `value`; every run has the same conditions, at least
            `FEWEST_AXES`, those of a dataset together.
        colours: by run; the first run is drawn first, below the others.
        filled: the runs whose area is tinted.
    """
    panels = _panels(names(table))
    values = {run: lines.set_index(["dataset", "perturbation"]).value for run, lines in table.groupby("run")}
    width, height = _SINGLE if len(panels) == 1 else _ONE_OF_SEVERAL
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(width * columns, height * rows))
    for number, panel in enumerate(panels, start=1):
        axes = cast(PolarAxes, figure.add_subplot(rows, columns, number, projection="polar"))
        _name_panel(axes, panel)
        for index, (run, colour) in enumerate(colours.items()):
            around = values[run].loc[[*panel.names, panel.names[0]]]
            style = line_style(index) | {"color": colour}
            axes.plot(_angles(len(panel.names) + 1), around, label=label(run), **style)
            if run in filled:
                axes.fill(_angles(len(panel.names) + 1), around, color=colour, alpha=0.12, linewidth=0)

    add_legend(figure, figure.axes[0].get_legend_handles_labels()[0])
    return figure


def _panels(names: Sequence[ConditionName]) -> list[_Panel]:
    """One radar if they fit, one per dataset if each has enough perturbations, otherwise equal parts."""
    if len(names) <= _MOST_AXES:
        return [_Panel(names)]

    datasets = {dataset: list(members) for dataset, members in groupby(names, key=lambda name: name[0])}
    if all(FEWEST_AXES <= len(members) <= _MOST_AXES_OF_A_DATASET for members in datasets.values()):
        return [_Panel(members, label(dataset)) for dataset, members in datasets.items()]

    parts = np.array_split(np.arange(len(names)), -(-len(names) // _MOST_AXES))
    return [_Panel([names[index] for index in part]) for part in parts]


def _angles(corners: int) -> np.ndarray:
    """Of a closed line, whose last corner is its first."""
    return np.linspace(0, 2 * np.pi, corners) % (2 * np.pi)


def _name_panel(axes: PolarAxes, panel: _Panel) -> None:
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], [])
    axes.spines["polar"].set_visible(False)
    angles = _angles(len(panel.names) + 1)[:-1]
    axes.set_xticks(angles, [""] * len(angles))
    axes.set_title(panel.title, pad=22)
    _name_rings(axes, np.pi / len(angles))
    for (dataset, perturbation), angle in zip(panel.names, angles):
        _name_axis(axes, angle, [label(perturbation, 20)] + ([] if panel.title else [label(dataset, 20)]))


def _name_rings(axes: PolarAxes, angle: float) -> None:
    """Percentages, between two axes, legible above the lines."""
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5, "color": MUTED, "bbox": backdrop()}
    for ring in (25, 50, 75, 100):
        axes.text(angle, ring / 100, str(ring), zorder=3, **style)


def _name_axis(axes: PolarAxes, angle: float, lines: list[str]) -> None:
    """Name an axis, the text growing away from the circle."""
    sideways, upwards = np.sin(angle), np.cos(angle)
    horizontal = "center" if abs(sideways) < 0.05 else "left" if sideways > 0 else "right"
    vertical, above = ("bottom", 1.0) if upwards > 0.9 else ("top", 0.0) if upwards < -0.9 else ("center", 0.5)
    style: dict[str, Any] = {"ha": horizontal, "va": vertical, "fontsize": 8.5, "annotation_clip": False}
    for number, line in enumerate(lines):  # one by one: an SVG aligns single lines in any font
        offset = (0, _LINE * (above * (len(lines) - 1) - number))
        axes.annotate(line, (angle, 1.06), offset, textcoords="offset points", **style)
