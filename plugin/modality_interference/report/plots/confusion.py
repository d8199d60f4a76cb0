"""What is taken for what: a heatmap of answers by right class, of clean rows and beside it of their twins."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..classes import ClassGroup
from ..theme import INK, Plot, label, make_plot, paint


CONFUSION_FILE = "interference_confusion.png"
MOST_CLASSES = 30  # more are too many for a picture; the table has them
_MOST_GROUPS = 8
_CELL = 0.17  # inches
_SHORTEST = 1.2  # inches, side of a panel
_WRITTEN = 12  # classes up to which shares are written into their cells
_NAME = 16  # characters of a class
_LABELS = 1.6  # inches, room of the names beside a panel


def confusion_plot(groups: Sequence[ClassGroup]) -> Plot | None:
    """The plot of all datasets with few enough classes; None where there is none."""
    few = [group for group in groups if len(group.classes) <= MOST_CLASSES][:_MOST_GROUPS]
    if not few:
        return None

    caption = (
        "Each line is a class: the shares of its rows that were answered with each class. Right answers are on the diagonal. "
        "First the clean rows, then all their twins."
    )
    return make_plot(CONFUSION_FILE, "What is taken for what, % of a class", caption, lambda width: _draw(few, width))


def _draw(groups: Sequence[ClassGroup], width: float) -> Figure:
    sides = {
        group.title: max(_SHORTEST, _CELL * len(group.classes) * (2 if len(group.classes) <= _WRITTEN else 1))
        for group in groups
    }
    panels = [[(group, True), *([(group, False)] if group.has_twins else [])] for group in groups]
    columns = max(map(len, panels))
    narrow = (max(sides.values()) + _LABELS) * columns > width
    if narrow:  # all below each other
        panels, columns = [[panel] for line in panels for panel in line], 1

    heights = [sides[line[0][0].title] for line in panels]
    size = (min(width, (max(heights) + _LABELS) * columns), sum(heights) + 1.5 * len(heights))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.1))
    grid = figure.subplots(len(heights), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for line, all_axes in zip(panels, grid, strict=True):
        for (group, clean), axes in zip(line, all_axes):
            _panel(axes, group, clean, narrow)

        for axes in all_axes[len(line) :]:
            axes.set_visible(False)

    return figure


def _panel(axes: Axes, group: ClassGroup, clean: bool, narrow: bool) -> None:
    shares, answers = group.confusion(clean)
    paint(axes, np.nan_to_num(shares))
    axes.set_title(
        label(f"{group.title}, {'clean' if clean else 'perturbed'}", 26 if narrow else 40), loc="left", fontsize=9
    )
    axes.set_yticks(range(len(group.classes)), [label(name, _NAME) for name in group.classes], fontsize=7.5)
    axes.set_xticks(range(len(answers)), [label(name, _NAME) for name in answers], fontsize=7.5, rotation=90)
    if len(answers) > (_WRITTEN // 2 if narrow else _WRITTEN):
        return

    for (line, column), share in np.ndenumerate(shares):
        if share > 0:  # neither 0 nor nan
            axes.text(column, line, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=INK)
