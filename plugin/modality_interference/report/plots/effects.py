"""The distribution of causal effects: a mirrored histogram per dataset and perturbation."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..theme import CARD, INK, MUTED, RowLayout, series_colour


_BINS = 32
_ROW = 0.36  # inches


def effects(table: pd.DataFrame) -> Figure:
    """Draw how many rows have which effect.

    A band's thickness grows with the square root of the share of rows, so that a few strong effects beside many weak
    ones can be seen. Nothing is smoothed.

    Args:
        table: a line per row, those of a dataset together; columns `dataset`, `perturbation` and `effect` (bits, 0 to 1).
    """
    edges = np.linspace(0, 1, _BINS + 1)
    found = {name: lines.effect for name, lines in table.groupby(["dataset", "perturbation"], sort=False)}
    shares = {name: np.histogram(values.clip(0, 1), bins=edges)[0] / len(values) for name, values in found.items()}
    largest = max(share.max() for share in shares.values())
    layout = RowLayout.of(list(found), _ROW)
    datasets = list(layout.headings)
    figure = Figure(figsize=(8.0, layout.height + 0.6))
    axes = figure.add_subplot()
    for name, centre in layout.centres.items():
        half = np.repeat(0.44 * _ROW * np.sqrt(shares[name] / largest), 2)
        colour = series_colour(datasets.index(name[0]))
        axes.fill_between(np.repeat(edges, 2)[1:-1], centre - half, centre + half, color=colour, linewidth=0)
        mean = found[name].mean()
        axes.plot(mean, centre, marker="D", markersize=5, color=INK, markeredgecolor=CARD)
        axes.text(1.02, centre, f"{mean:.2f}", va="center", fontsize=7.5, color=MUTED)

    layout.name_rows(axes)
    axes.set_xlim(0, 1.08)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_xlabel("causal effect, bits (diamond and figure: the mean)")
    return figure
