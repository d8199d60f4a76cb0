"""The distribution of causal effects: how many rows have at least which effect, a line per perturbation."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..theme import PAGE, add_legend, label, line_style


_AT = np.linspace(0, 1, 101)  # bits
_PANEL = (3.6, 2.6)  # inches
_MARKED = 10  # of these steps between markers


def effects(table: pd.DataFrame, width: float = PAGE) -> Figure:
    """Draw a panel per dataset with the complementary empirical distribution function of every perturbation.

    Args:
        table: a line per row, those of a dataset together; columns `dataset`, `perturbation` and `effect` (bits, 0 to 1).
        width: inches that there are.
    """
    datasets = list(table.dataset.unique())
    styles = {name: line_style(index) for index, name in enumerate(table.perturbation.unique())}
    columns = max(1, min(len(datasets), int(width / _PANEL[0])))
    rows = -(-len(datasets) // columns)
    figure = Figure(figsize=(min(width, max(5.0, _PANEL[0] * columns)), _PANEL[1] * rows))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, dataset in zip(panels, datasets):
        lines = table[table.dataset == dataset]
        for name, found in lines.groupby("perturbation", sort=False).effect:
            shares = 100 * (found.to_numpy()[:, None] >= _AT - 1e-9).mean(axis=0)
            offset = list(styles).index(name) * 3 % _MARKED
            axes.plot(_AT, shares, **styles[name] | {"markevery": (offset, _MARKED)})

        axes.set_title(label(dataset, 24))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 100)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
        axes.set_xlabel("causal effect of at least, bits")
        axes.set_ylabel("rows, %" if axes.get_subplotspec().is_first_col() else "")

    for axes in panels[len(datasets) :]:
        axes.set_axis_off()

    add_legend(figure, [Line2D([], [], label=label(name), **style) for name, style in styles.items()])
    return figure
