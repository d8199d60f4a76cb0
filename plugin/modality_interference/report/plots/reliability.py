"""Reliability diagrams: the share of right answers by the probability of the chosen option."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ... import modality
from ...results import Diagnosis, PerturbationResult, ReliabilityBin
from ..theme import CLEAN, MUTED, PAGE, SERIES, Plot, add_legend, label, make_plot


RELIABILITY_FILE = "interference_reliability.png"
_TITLE = "Reliability: right answers by probability, in %"
_CAPTION = (
    "Of the answers that the model gives with a certain probability, the share that is right; a calibrated model is on the diagonal, "
    "one that is too sure below it. The larger a marker, the more of the rows it stands for: small ones are mostly chance. Perturbed "
    "are all twins together, without evidence all counterfactual rows."
)
_PANEL = (3.2, 3.1)  # inches
_MARKER = 220  # square points, of all rows
_LEAST = 6
_LINES = {"clean": (CLEAN, "o"), "perturbed": (SERIES[1], "s"), "without evidence": (SERIES[0], "^")}


@dataclass(frozen=True)
class _Point:
    confidence: float
    accuracy: float
    share: float  # of the rows


def reliability_plot(diagnosis: Diagnosis, datasets: Iterable[str]) -> Plot | None:
    """A panel per dataset; None where no confidences are known.

    Args:
        diagnosis: the figures.
        datasets: those that are drawn.
    """
    panels = {}
    for name in datasets:
        result = diagnosis.datasets[name]
        parts = {
            "clean": [found for label, found in result.perturbations.items() if label == modality.CLEAN],
            "perturbed": [found for label, found in result.perturbations.items() if label != modality.CLEAN],
            "without evidence": list(result.counterfactuals.values()),
        }
        lines = {title: _points(found) for title, found in parts.items()}
        panels[name] = {title: points for title, points in lines.items() if points}

    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return None

    return make_plot(RELIABILITY_FILE, _TITLE, _CAPTION, lambda width: reliability(panels, width))


def _points(results: Iterable[PerturbationResult]) -> list[_Point]:
    """The bins of some conditions, taken together."""
    every: dict[float, list[ReliabilityBin]] = {}
    for result in results:
        for found in result.reliability.bins if result.reliability else []:
            every.setdefault(found.low, []).append(found)

    total = sum(found.rows for bins in every.values() for found in bins)
    return [_together(every[low], total) for low in sorted(every)]


def _together(bins: list[ReliabilityBin], total: int) -> _Point:
    rows = sum(found.rows for found in bins)
    confidence = sum(found.rows * found.confidence for found in bins) / rows
    return _Point(confidence, sum(found.rows * found.accuracy for found in bins) / rows, rows / total)


def reliability(panels: Mapping[str, Mapping[str, list[_Point]]], width: float = PAGE) -> Figure:
    """Draw a panel per dataset.

    Args:
        panels: by dataset, the points of each line in their order.
        width: inches that there are.
    """
    columns = max(1, min(len(panels), int(width / _PANEL[0])))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(min(width, _PANEL[0] * columns), _PANEL[1] * rows))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (dataset, lines) in zip(grid, panels.items()):
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=":")
        for title, points in lines.items():
            colour, marker = _LINES[title]
            x, y = [100 * point.confidence for point in points], [100 * point.accuracy for point in points]
            axes.plot(x, y, color=colour, linewidth=1.2, clip_on=False)
            sizes = [_LEAST + _MARKER * point.share for point in points]
            axes.scatter(x, y, s=sizes, color=colour, marker=marker, alpha=0.85, linewidths=0, clip_on=False, zorder=3)

        axes.set_title(label(dataset, 24))
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xlabel("probability of the answer, %")
        axes.set_ylabel("right answers, %" if axes.get_subplotspec().is_first_col() else "")

    for axes in grid[len(panels) :]:
        axes.set_axis_off()

    shown = {title: style for title, style in _LINES.items() if any(title in lines for lines in panels.values())}
    add_legend(
        figure,
        [Line2D([], [], label=title, color=colour, marker=marker) for title, (colour, marker) in shown.items()],
    )
    return figure
