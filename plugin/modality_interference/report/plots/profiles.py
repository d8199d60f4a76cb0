"""Robustness profiles: accuracy under every condition, a panel per prompt, as in the tables of arXiv 2511.22826."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..table import ALIGNED, PROMPTS, condition_order
from ..theme import CLEAN, MUTED, PAGE, add_legend, backdrop, label, line_style, series_colour


_COLUMN = 0.62  # inches, of a condition
_NARROWEST = 2.6  # of a panel
_HEIGHT = 3.0
_RUN = 0.2  # inches, of each of several runs in a condition
_SPREAD = 0.14  # conditions, between the intervals of two runs
_WIDEST = 0.7  # of all runs' intervals


def profiles(table: pd.DataFrame, width: float = PAGE) -> Figure:
    """Draw small multiples: datasets below each other, prompts beside each other, a line per run.

    Args:
        table: at least one line; columns `run`, `dataset`, `prompt`, `condition`, `value`, `low`, `high`
            and `chance`.
        width: inches that there are; where the prompts do not fit beside each other, they are below each other.
    """
    datasets, runs = list(table.dataset.unique()), list(table.run.unique())
    prompts = [prompt for prompt in PROMPTS if (table.prompt == prompt).any()]
    titles = {
        name: sorted(lines.condition.unique(), key=condition_order)
        for name, lines in table.groupby("dataset", sort=False)
    }
    room = max(_COLUMN, _RUN * len(runs))
    panel = max(_NARROWEST, room * max(map(len, titles.values())))
    beside = 0.7 + _NARROWEST * len(prompts) <= width
    shape = (len(datasets), len(prompts)) if beside else (len(datasets) * len(prompts), 1)
    figure = Figure(figsize=(min(width, 0.7 + panel * shape[1]), _HEIGHT * shape[0]))
    grid = figure.subplots(*shape, sharey=True, squeeze=False).reshape(len(datasets), len(prompts))
    for dataset, panels in zip(datasets, grid):
        for prompt, axes in zip(prompts, panels):
            lines = table[(table.dataset == dataset) & (table.prompt == prompt)]
            title = f"{PROMPTS[prompt].capitalize()} prompt"
            axes.set_title(title if len(datasets) == 1 else f"{title}, {label(dataset, 20)}")
            _frame(axes, titles[dataset])
            _draw(axes, lines, titles[dataset], runs)
            axes.set_visible(not lines.empty)
            axes.set_ylabel("Accuracy, %" if axes.get_subplotspec().is_first_col() else "")

    if len(runs) > 1:
        add_legend(figure, [Line2D([], [], label=label(run), **line_style(index)) for index, run in enumerate(runs)])

    return figure


def _draw(axes: Axes, table: pd.DataFrame, titles: list[str], runs: list[str]) -> None:
    table = table.assign(position=table.condition.map(titles.index)).sort_values("position", kind="stable")
    for position, chance in table.groupby("position").chance.first().dropna().items():
        axes.hlines(100 * chance, position - 0.4, position + 0.4, color=MUTED, linewidth=1, linestyle=(0, (3, 2)))

    for index, run in enumerate(runs):
        lines = table[table.run == run]
        x = lines.position + (index - (len(runs) - 1) / 2) * min(_SPREAD, _WIDEST / len(runs))
        axes.vlines(x, 100 * lines.low, 100 * lines.high, colors=series_colour(index), linewidth=1.2)
        style = line_style(index)
        axes.plot(x, 100 * lines.value, **style | {"linewidth": style["linewidth"] if len(runs) < 3 else 0.7})

    if len(runs) == 1:
        _annotate(axes, table)


def _frame(axes: Axes, titles: list[str]) -> None:
    names = [label(title, 22) for title in titles]
    axes.set_xticks(range(len(titles)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(titles) - 0.5)
    axes.set_ylim(0, 104)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(visible=False, axis="x")


def _annotate(axes: Axes, table: pd.DataFrame) -> None:
    """The figures in numbers, and a line at the aligned accuracy: with one run there is room for them."""
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "color": MUTED, "bbox": backdrop()}
    for position, value in zip(table.position, 100 * table.value):
        axes.annotate(f"{value:.1f}", (position, value), (6, 3), **style)

    for value in 100 * table[table.condition == ALIGNED].value:
        axes.axhline(value, color=CLEAN, linewidth=1, linestyle=":", zorder=1)
