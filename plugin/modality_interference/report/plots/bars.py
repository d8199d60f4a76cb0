"""Bars with intervals: one panel per rate, one row per dataset and perturbation, one bar per run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...modality import CLEAN
from ...results import Rate, RateName
from ..table import RATE_TITLES, ConditionName
from ..theme import LEGEND_COLUMNS, Look, label


_ROW = 0.27  # inches, of a heading, and of a condition with one bar
_BAR = 0.15  # inches, of each of several bars
_PANEL = 2.15
_NAMES = 2.4
_MARGIN = 0.9


@dataclass(frozen=True)
class Series:
    """The figures of one run.

    Attributes:
        name: for the legend.
        rates: by condition.
    """

    name: str
    rates: Mapping[ConditionName, Mapping[RateName, Rate]]


@dataclass(frozen=True)
class _Layout:
    """Where bars and names stand, in inches from the top.

    Attributes:
        centres: of each condition.
        headings: of each dataset.
        height: of all.
    """

    centres: dict[ConditionName, float]
    headings: dict[str, float]
    height: float


def bars(look: Look, names: Sequence[ConditionName], series: Sequence[Series], rates: Sequence[RateName]) -> Figure:
    """Draw the rates of some conditions.

    Args:
        look: light or dark.
        names: the conditions, those of a dataset together.
        series: one per run.
        rates: one panel each.
    """
    layout = _layout(names, len(series))
    legend_rows = -(-len(series) // LEGEND_COLUMNS) if len(series) > 1 else 0
    size = _NAMES + _PANEL * len(rates), layout.height + _MARGIN + 0.25 * legend_rows
    figure = Figure(figsize=size)
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    for index, (axes, rate) in enumerate(zip(panels, rates)):
        _scale(axes, rate)
        if len(series) == 1:
            _one_run(axes, look, layout, series[0], rate, look.colour(index))
        else:
            _several_runs(axes, look, layout, series, rate)

    _name_rows(panels[0], layout)
    if legend_rows:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(LEGEND_COLUMNS, len(series)))

    return figure


def _layout(names: Sequence[ConditionName], bars_each: int) -> _Layout:
    size = _ROW if bars_each == 1 else _BAR * bars_each + 0.1
    centres, headings, height = {}, {}, 0.0
    for dataset, members in groupby(names, key=lambda name: name[0]):
        headings[dataset] = height + _ROW / 2
        height += _ROW
        for name in members:
            centres[name] = height + size / 2
            height += size

        height += _ROW / 3

    return _Layout(centres, headings, height)


def _scale(axes: Axes, rate: RateName) -> None:
    in_bits = rate == "causal_effect"
    axes.set_title(f"{RATE_TITLES[rate]}, {'bits' if in_bits else '%'}", loc="left")
    axes.set_xlim(0, 1.22)  # room for the figure behind a full bar
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"] if in_bits else "0 25 50 75 100".split())
    axes.tick_params(length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["bottom"].set_visible(False)


def _one_run(axes: Axes, look: Look, layout: _Layout, run: Series, rate: RateName, colour: str) -> None:
    for name, place in layout.centres.items():
        figure = run.rates.get(name, {}).get(rate)
        if figure is not None:
            axes.barh(place, figure.value, height=0.62 * _ROW, color=look.clean if name[1] == CLEAN else colour)
            _interval(axes, look, place, rate, figure, fontsize=7.5)


def _several_runs(axes: Axes, look: Look, layout: _Layout, series: Sequence[Series], rate: RateName) -> None:
    for index, run in enumerate(series):
        shift = (index - (len(series) - 1) / 2) * _BAR
        figures = {place + shift: run.rates.get(name, {}).get(rate) for name, place in layout.centres.items()}
        present = {place: figure for place, figure in figures.items() if figure is not None}
        values = [figure.value for figure in present.values()]
        axes.barh(list(present), values, height=0.84 * _BAR, color=look.colour(index), label=label(run.name))
        for place, figure in present.items():
            _interval(axes, look, place, rate, figure, fontsize=7)


def _interval(axes: Axes, look: Look, place: float, rate: RateName, figure: Rate, fontsize: float) -> None:
    """The 95 % interval over a bar, and the figure behind it."""
    axes.plot([figure.low, figure.high], [place, place], color=look.ink, linewidth=1, solid_capstyle="butt")
    text = f"{figure.value:.2f}" if rate == "causal_effect" else f"{100 * figure.value:.1f}"
    end = max(figure.high, figure.value) + 0.02
    axes.text(end, place, text, va="center_baseline", fontsize=fontsize, color=look.muted, clip_on=True)


def _name_rows(axes: Axes, layout: _Layout) -> None:
    """Names left of the first panel: datasets bold, their perturbations below them."""
    rows = [(place, label(dataset), "bold") for dataset, place in layout.headings.items()]
    rows += [(place, label(name[1]), "normal") for name, place in layout.centres.items()]
    axes.set_yticks([place for place, _, _ in rows], [text for _, text, _ in rows])
    for tick, (_, _, weight) in zip(axes.get_yticklabels(), rows):
        tick.set_fontweight(weight)

    axes.set_ylim(layout.height, 0)
