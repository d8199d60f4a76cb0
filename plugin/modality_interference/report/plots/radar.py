"""Accuracy on a radar, an axis per dataset and perturbation, as in figure 1 of arXiv 2505.19616."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from ..table import ConditionName
from ..theme import MUTED, add_legend, backdrop, label, line_style


FEWEST_AXES = 3  # with fewer, a radar has no area
_MOST_AXES = 12  # of one radar with two lines of text at each axis
_MOST_AXES_OF_A_DATASET = 16
_COLUMNS = 2
_SINGLE = (7.0, 4.4)  # inches
_ONE_OF_SEVERAL = (6.0, 4.1)


@dataclass(frozen=True)
class Polygon:
    """One line around a radar.

    Attributes:
        name: for the legend.
        values: accuracy by condition, for every axis.
        colour: of the line.
        filled: whether its area is tinted.
    """

    name: str
    values: Mapping[ConditionName, float]
    colour: str
    filled: bool


@dataclass(frozen=True)
class _Panel:
    """One circle; where all its axes are of one dataset, that is its title."""

    names: Sequence[ConditionName]
    title: str = ""


def radar(names: Sequence[ConditionName], polygons: Sequence[Polygon]) -> Figure:
    """Draw polygons over the same axes; several radars where one would be crowded.

    Args:
        names: the axes, at least `FEWEST_AXES`, those of a dataset together.
        polygons: the first is drawn first, below the others.
    """
    panels = _panels(names)
    width, height = _SINGLE if len(panels) == 1 else _ONE_OF_SEVERAL
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(width * columns, height * rows))
    for number, panel in enumerate(panels, start=1):
        axes = cast(PolarAxes, figure.add_subplot(rows, columns, number, projection="polar"))
        _draw_panel(axes, panel, polygons)

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


def _draw_panel(axes: PolarAxes, panel: _Panel, polygons: Sequence[Polygon]) -> None:
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], [])
    axes.spines["polar"].set_visible(False)
    angles = np.linspace(0, 2 * np.pi, len(panel.names), endpoint=False)
    axes.set_xticks(angles, [""] * len(angles))
    axes.set_title(panel.title, pad=22)
    _name_rings(axes, np.pi / len(angles))
    for (dataset, perturbation), angle in zip(panel.names, angles):
        _name_axis(axes, angle, [label(perturbation, 20)] + ([] if panel.title else [label(dataset, 20)]))

    around = np.append(angles, angles[:1])
    for index, polygon in enumerate(polygons):
        values = [polygon.values[name] for name in [*panel.names, panel.names[0]]]
        axes.plot(around, values, label=label(polygon.name), **line_style(index) | {"color": polygon.colour})
        if polygon.filled:
            axes.fill(around, values, color=polygon.colour, alpha=0.12, linewidth=0)


def _name_rings(axes: PolarAxes, angle: float) -> None:
    """Percentages, between two axes, legible above the lines."""
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5, "color": MUTED, "bbox": backdrop()}
    for ring in (25, 50, 75, 100):
        axes.text(angle, ring / 100, str(ring), zorder=3, **style)


def _name_axis(axes: PolarAxes, angle: float, lines: list[str]) -> None:
    """Name an axis, the text growing away from the circle."""
    sideways, upwards = np.sin(angle), np.cos(angle)
    horizontal = "center" if abs(sideways) < 0.05 else "left" if sideways > 0 else "right"
    vertical = "bottom" if upwards > 0.9 else "top" if upwards < -0.9 else "center"
    axes.text(angle, 1.06, "\n".join(lines), ha=horizontal, va=vertical, fontsize=8.5, linespacing=1.15)
