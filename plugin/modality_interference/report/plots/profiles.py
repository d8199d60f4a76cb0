"""Robustness profiles: accuracy under every condition, a panel per prompt, as in the tables of arXiv 2511.22826."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...results import Rate
from ..table import ALIGNED, PROMPTS, condition_order
from ..theme import CLEAN, MUTED, add_legend, backdrop, label, line_style, series_colour


_COLUMN = 0.62  # inches, of a condition
_NARROWEST = 2.6  # of a panel
_HEIGHT = 3.0
_SPREAD = 0.1  # conditions, between the intervals of two runs
_WIDEST = 0.6  # of all runs' intervals


@dataclass(frozen=True)
class Point:
    """The accuracy of a run for one prompt under one condition.

    Attributes:
        run: its name, for the legend.
        dataset: its name.
        prompt: the kind of the rows, one of `PROMPTS`.
        title: of the condition.
        accuracy: with its interval.
    """

    run: str
    dataset: str
    prompt: str
    title: str
    accuracy: Rate


def profiles(points: Sequence[Point]) -> Figure:
    """Draw small multiples: datasets below each other, prompts beside each other, a line per run.

    Args:
        points: at least one.
    """
    datasets = list(dict.fromkeys(point.dataset for point in points))
    prompts = [prompt for prompt in PROMPTS if any(point.prompt == prompt for point in points)]
    runs = list(dict.fromkeys(point.run for point in points))
    titles = {
        name: sorted({point.title: None for point in points if point.dataset == name}, key=condition_order)
        for name in datasets
    }
    width = max(_NARROWEST, _COLUMN * max(map(len, titles.values())))
    figure = Figure(figsize=(0.7 + width * len(prompts), _HEIGHT * len(datasets)))
    grid = figure.subplots(len(datasets), len(prompts), sharey=True, squeeze=False)
    for dataset, panels in zip(datasets, grid):
        for prompt, axes in zip(prompts, panels):
            own = [point for point in points if (point.dataset, point.prompt) == (dataset, prompt)]
            about = f"{PROMPTS[prompt].capitalize()} prompt"
            axes.set_title(about if len(datasets) == 1 else f"{about}, {label(dataset, 20)}")
            _frame(axes, titles[dataset])
            _draw(axes, own, titles[dataset], runs)
            axes.set_visible(bool(own))
            axes.set_ylabel("Accuracy, %" if prompt == prompts[0] else "")

    if len(runs) > 1:
        add_legend(figure, [Line2D([], [], label=label(run), **line_style(index)) for index, run in enumerate(runs)])

    return figure


def _draw(axes: Axes, points: Sequence[Point], titles: list[str], runs: list[str]) -> None:
    for index, run in enumerate(runs):
        own = sorted((point for point in points if point.run == run), key=lambda point: titles.index(point.title))
        shift = (index - (len(runs) - 1) / 2) * min(_SPREAD, _WIDEST / len(runs))
        positions = [titles.index(point.title) + shift for point in own]
        lows, highs = [100 * point.accuracy.low for point in own], [100 * point.accuracy.high for point in own]
        axes.vlines(positions, lows, highs, colors=series_colour(index), linewidth=1.2)
        axes.plot(positions, [100 * point.accuracy.value for point in own], **line_style(index))

    if len(runs) == 1:
        _annotate(axes, points, titles)


def _frame(axes: Axes, titles: list[str]) -> None:
    names = [label(title, 22) for title in titles]
    axes.set_xticks(range(len(titles)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(titles) - 0.5)
    axes.set_ylim(0, 104)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(visible=False, axis="x")


def _annotate(axes: Axes, points: Sequence[Point], titles: list[str]) -> None:
    """The figures in numbers, and a line at the aligned accuracy: with one run there is room for them."""
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "color": MUTED, "bbox": backdrop()}
    for point in points:
        value = 100 * point.accuracy.value
        axes.annotate(f"{value:.1f}", (titles.index(point.title), value), (6, 3), **style)
        if point.title == ALIGNED:
            axes.axhline(value, color=CLEAN, linewidth=1, linestyle=":", zorder=1)
