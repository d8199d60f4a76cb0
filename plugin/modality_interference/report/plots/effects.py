"""The distribution of causal effects: a mirrored histogram per dataset and perturbation."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure

from ..table import ConditionName
from ..theme import Look, label


_BINS = 32
_ROW = 0.36  # inches
_HEADING = 0.27


def effects(look: Look, found: Mapping[ConditionName, Sequence[float]]) -> Figure:
    """Draw how many rows have which effect.

    A band's thickness grows with the square root of the share of rows, so that a few strong effects beside many weak
    ones can be seen. Nothing is smoothed.

    Args:
        look: light or dark.
        found: effects in bits, 0 to 1, of each condition's rows; conditions of a dataset together.
    """
    ticks: list[tuple[float, str, bool]] = []
    height = 0.0
    figure = Figure()
    axes = figure.add_subplot()
    edges = np.linspace(0, 1, _BINS + 1)
    shares = {name: np.histogram(np.clip(values, 0, 1), bins=edges)[0] / len(values) for name, values in found.items()}
    largest = max(share.max() for share in shares.values())
    for index, (dataset, members) in enumerate(groupby(found, key=lambda name: name[0])):
        ticks.append((height + _HEADING / 2, label(dataset), True))
        height += _HEADING
        for name in members:
            centre = height + _ROW / 2
            half = 0.44 * _ROW * np.sqrt(shares[name] / largest)
            axes.fill_between(
                np.repeat(edges, 2)[1:-1],
                centre - np.repeat(half, 2),
                centre + np.repeat(half, 2),
                color=look.colour(index),
                linewidth=0,
            )
            mean = float(np.mean(found[name]))
            axes.plot(mean, centre, marker="D", markersize=5, color=look.ink, markeredgecolor=look.card)
            axes.text(1.02, centre, f"{mean:.2f}", va="center", fontsize=7.5, color=look.muted)
            ticks.append((centre, label(name[1]), False))
            height += _ROW

    axes.set_ylim(height, 0)
    axes.set_yticks([place for place, _, _ in ticks], [text for _, text, _ in ticks])
    for tick, (_, _, bold) in zip(axes.get_yticklabels(), ticks):
        tick.set_fontweight("bold" if bold else "normal")

    axes.set_xlim(0, 1.08)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_xlabel("causal effect, bits (diamond and figure: the mean)")
    axes.tick_params(length=0)
    axes.grid(visible=False, axis="y")
    figure.set_size_inches(8.0, height + 0.6)
    return figure
