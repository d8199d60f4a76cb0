"""Bars with intervals: one panel per rate, one row per dataset and perturbation, one bar per run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ... import modality
from ...results import Rate, RateName
from ..table import RATE_TITLES, ConditionName
from ..theme import CLEAN, INK, MUTED, RowLayout, add_legend, label, series_colour


_ROW = 0.27  # inches, of a condition with one bar
_BAR = 0.15  # of each of several bars
_PANEL = 2.15
_NAMES = 2.4
_MARGIN = 0.8


@dataclass(frozen=True)
class Series:
    """The figures of one run.

    Attributes:
        name: for the legend.
        rates: by condition.
    """

    name: str
    rates: Mapping[ConditionName, Mapping[RateName, Rate]]


def bars(names: Sequence[ConditionName], series: Sequence[Series], rates: Sequence[RateName]) -> Figure:
    """Draw the rates of some conditions.

    Args:
        names: the conditions, those of a dataset together.
        series: one per run.
        rates: one panel each.
    """
    layout = RowLayout.of(names, _ROW if len(series) == 1 else _BAR * len(series) + 0.1)
    figure = Figure(figsize=(_NAMES + _PANEL * len(rates), layout.height + _MARGIN))
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    for index, (axes, rate) in enumerate(zip(panels, rates)):
        _scale(axes, rate)
        if len(series) == 1:
            _one_run(axes, layout, series[0], rate, series_colour(index))
        else:
            _several_runs(axes, layout, series, rate)

    layout.name_rows(panels[0])
    if len(series) > 1:
        handles = [Patch(color=series_colour(index), label=label(run.name)) for index, run in enumerate(series)]
        add_legend(figure, handles)

    return figure


def _scale(axes: Axes, rate: RateName) -> None:
    in_bits = rate == "causal_effect"
    axes.set_title(f"{RATE_TITLES[rate]}, {'bits' if in_bits else '%'}", loc="left")
    axes.set_xlim(0, 1.22)  # room for the figure behind a full bar
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"] if in_bits else "0 25 50 75 100".split())
    axes.grid(visible=False, axis="y")
    axes.spines["bottom"].set_visible(False)


def _one_run(axes: Axes, layout: RowLayout, run: Series, rate: RateName, colour: str) -> None:
    for name, y in layout.centres.items():
        figure = run.rates.get(name, {}).get(rate)
        if figure is not None:
            axes.barh(y, figure.value, height=0.62 * _ROW, color=CLEAN if name[1] == modality.CLEAN else colour)
            _interval(axes, y, rate, figure, fontsize=7.5)


def _several_runs(axes: Axes, layout: RowLayout, series: Sequence[Series], rate: RateName) -> None:
    for index, run in enumerate(series):
        shift = (index - (len(series) - 1) / 2) * _BAR
        figures = {y + shift: run.rates.get(name, {}).get(rate) for name, y in layout.centres.items()}
        present = {y: figure for y, figure in figures.items() if figure is not None}
        values = [figure.value for figure in present.values()]
        axes.barh(list(present), values, height=0.84 * _BAR, color=series_colour(index))
        for y, figure in present.items():
            _interval(axes, y, rate, figure, fontsize=7)


def _interval(axes: Axes, y: float, rate: RateName, figure: Rate, fontsize: float) -> None:
    """The 95 % interval over a bar, and the figure behind it."""
    axes.plot([figure.low, figure.high], [y, y], color=INK, linewidth=1, solid_capstyle="butt")
    text = f"{figure.value:.2f}" if rate == "causal_effect" else f"{100 * figure.value:.1f}"
    end = max(figure.high, figure.value) + 0.02
    axes.text(end, y, text, va="center_baseline", fontsize=fontsize, color=MUTED, clip_on=True)
