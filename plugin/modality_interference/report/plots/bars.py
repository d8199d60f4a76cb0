"""Bars with intervals: one panel per rate, one row per dataset and perturbation, one bar per run."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from ... import modality
from ...results import RateName
from ..table import RATE_TITLES, names
from ..theme import CARD, CLEAN, INK, MUTED, PAGE, RowLayout, add_legend, label, series_colour


_ROW = 0.27  # inches, of a condition with one bar
_BAR = 0.15  # of each of several bars
_PANEL = 2.15
_NAMES = 2.4
_MARGIN = 0.8
_GAP = 0.06  # above and below a band

MARKS = "thin lines are 95 % intervals, diamonds the same rows when clean, dotted marks the accuracy of guessing"


def bars(table: pd.DataFrame, rates: Sequence[RateName], width: float = PAGE) -> Figure:
    """Draw the rates of some conditions; where the panels do not all fit beside each other, in several bands.

    Args:
        table: lines of the tidy table, those of a dataset together; with one run, clean rows have a colour of their own.
        rates: one panel each.
        width: inches that there are.
    """
    runs = list(table.run.unique())
    columns = max(1, min(len(rates), int((width - _NAMES) / _PANEL)))
    bands = [rates[start : start + columns] for start in range(0, len(rates), columns)]
    row = _ROW if len(runs) == 1 else _BAR * len(runs) + 0.1
    layouts = [RowLayout.of(names(table[table.rate.isin(band)]), row) for band in bands]
    heights = [layout.height + _MARGIN for layout in layouts]
    figure = Figure(
        figsize=(min(width, _NAMES + _PANEL * columns), sum(heights)), layout=ConstrainedLayoutEngine(h_pad=_GAP)
    )
    grid = figure.subplots(len(bands), columns, sharey="row", squeeze=False, height_ratios=heights)
    for band, layout, panels in zip(bands, layouts, grid):
        for axes, rate in zip(panels, band):
            _scale(axes, rate)
            _draw(axes, table[table.rate == rate], runs, layout, series_colour(rates.index(rate)))

        for axes in panels[len(band) :]:
            axes.set_axis_off()

        layout.name_rows(panels[0])

    if len(runs) > 1:
        add_legend(figure, [Patch(color=series_colour(index), label=label(run)) for index, run in enumerate(runs)])

    return figure


def _draw(axes: Axes, table: pd.DataFrame, runs: Sequence[str], layout: RowLayout, colour: str) -> None:
    """One rate of all runs; the only run has one colour, and another one for its clean rows."""
    rate = table.rate.iloc[0]
    for index, run in enumerate(runs):
        lines = table[table.run == run]
        y = [layout.centres[name] + (index - (len(runs) - 1) / 2) * _BAR for name in names(lines)]
        if len(runs) == 1:
            colours = [CLEAN if name == modality.CLEAN else colour for name in lines.perturbation]
            axes.barh(y, lines.value, height=0.62 * _ROW, color=colours)
        else:
            axes.barh(y, lines.value, height=0.84 * _BAR, color=series_colour(index))

        _intervals(axes, lines, y, rate, fontsize=7.5 if len(runs) == 1 else 7)
        _compared_with(axes, lines, y, _ROW if len(runs) == 1 else _BAR)


def _scale(axes: Axes, rate: RateName) -> None:
    in_bits = rate == "causal_effect"
    axes.set_title(f"{RATE_TITLES[rate]}, {'bits' if in_bits else '%'}", loc="left")
    axes.set_xlim(0, 1.22)  # room for the figure behind a full bar
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"] if in_bits else "0 25 50 75 100".split())
    axes.grid(visible=False, axis="y")
    axes.spines["bottom"].set_visible(False)


def _intervals(axes: Axes, lines: pd.DataFrame, ys: Sequence[float], rate: RateName, fontsize: float) -> None:
    """The 95 % intervals over the bars, and the figures behind them."""
    for y, value, low, high, clean in zip(ys, lines.value, lines.low, lines.high, lines.clean.fillna(-1)):
        (line,) = axes.plot([low, high], [y, y], color=INK, linewidth=1, solid_capstyle="butt")
        line.set_path_effects([withStroke(linewidth=2, foreground=CARD)])  # stands out from bars of any colour
        text = f"{value:.2f}" if rate == "causal_effect" else f"{100 * value:.1f}"
        style: dict[str, Any] = {"va": "center_baseline", "fontsize": fontsize, "color": MUTED, "clip_on": True}
        x = max(high, value) + 0.02
        axes.text(
            clean + 0.04 if x - 0.03 < clean < x + 0.2 else x, y, text, **style
        )  # behind a diamond that is in the way


def _compared_with(axes: Axes, lines: pd.DataFrame, ys: Sequence[float], height: float) -> None:
    """A dotted mark at the accuracy of guessing, a hollow diamond at what the twins' own clean rows have."""
    half = height / 2
    for y, clean, chance in zip(ys, lines.clean, lines.chance):
        if chance == chance:  # not NaN
            axes.plot([chance, chance], [y - half, y + half], color=INK, linewidth=1.2, linestyle=":")

        if clean == clean:
            axes.plot([clean], [y], "D", markersize=4, markerfacecolor=CARD, markeredgecolor=CLEAN, zorder=3)
