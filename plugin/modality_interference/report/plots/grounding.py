"""Both axes of grounding: how often answers change that should stay, and how often they stay that should change."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...results import Diagnosis, Grounding
from ..theme import MUTED, PAGE, Plot, add_legend, backdrop, label, line_style, make_plot


GROUNDING_FILE = "interference_grounding.png"
COMPARED_GROUNDING_FILE = "comparison_grounding.png"
_TITLE = "Interference and blindness, in %"
_SIDE = 4.2  # inches
_CAPTION = (
    "Interference is the flip rate of all twins of a dataset together, blindness the unchanged rate of all its counterfactual rows; the "
    "lines are 95 % intervals. A model that answers from the evidence, and from it alone, is at the lower left."
)


def grounding_plot(diagnosis: Diagnosis) -> Plot | None:
    """A point per dataset; None where no dataset has twins and counterfactual rows."""
    found = {name: result.grounding for name, result in diagnosis.datasets.items() if result.grounding is not None}
    points = {name: axes for name, axes in found.items() if axes.interference is not None}
    if not points:
        return None

    return make_plot(GROUNDING_FILE, _TITLE, _CAPTION, lambda width: grounding(points, width))


def compared_grounding_plot(diagnoses: Mapping[str, Diagnosis]) -> list[Plot]:
    """A point per run and dataset; none where no run has both axes.

    Args:
        diagnoses: by run.
    """
    points = {
        (run, name): result.grounding
        for run, diagnosis in diagnoses.items()
        for name, result in diagnosis.datasets.items()
        if result.grounding is not None and result.grounding.interference is not None
    }
    if not points:
        return []

    several = len({name for _, name in points}) > 1
    named = {f"{run}, {name}" if several else run: axes for (run, name), axes in points.items()}
    return [make_plot(COMPARED_GROUNDING_FILE, _TITLE, _CAPTION, lambda width: grounding(named, width))]


def grounding(points: Mapping[str, Grounding], width: float = PAGE) -> Figure:
    """Draw points with both intervals.

    Args:
        points: by name, those with both axes.
        width: inches that there are.
    """
    side = min(width, _SIDE)
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    handles = []
    for index, (name, point) in enumerate(points.items()):
        across, up = point.interference, point.blindness
        assert across is not None
        style = line_style(index) | {"linestyle": "none", "markersize": 7}
        thin = {"color": style["color"], "linewidth": 1.2, "clip_on": False}
        axes.plot([100 * across.low, 100 * across.high], [100 * up.value] * 2, **thin)
        axes.plot([100 * across.value] * 2, [100 * up.low, 100 * up.high], **thin)
        axes.plot([100 * across.value], [100 * up.value], **style)
        handles.append(Line2D([], [], label=label(name), **style))

    for x, y, text, sides in (
        (2, 2, "grounded", ("left", "bottom")),
        (98, 2, "easily misled", ("right", "bottom")),
        (2, 98, "blind", ("left", "top")),
    ):
        axes.text(x, y, text, color=MUTED, ha=sides[0], va=sides[1], fontsize=8, bbox=backdrop())

    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xlabel("interference: answers that change, %")
    axes.set_ylabel("blindness: answers that stay, %")
    add_legend(figure, handles)
    return figure
