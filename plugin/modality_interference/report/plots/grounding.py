"""Both axes of grounding: how often answers change that should stay, and how often they stay that should change."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...results import Diagnosis, Grounding, Rate, RateName
from ..compared import ComparedCondition
from ..theme import MUTED, PAGE, Plot, add_legend, backdrop, label, line_style, make_plot


GROUNDING_FILE = "interference_grounding.png"
COMPARED_GROUNDING_FILE = "comparison_grounding.png"
_TITLE = "Interference and blindness, in %"
_SIDE = 4.2  # inches
MOST_DRAWN = 32  # points: as many as have a colour and a dash of their own
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


def compared_grounding_plot(conditions: Sequence[ComparedCondition]) -> list[Plot]:
    """A point per run, or group of runs, and dataset; none where no run has both axes.

    Args:
        conditions: `Comparison.grounding`.
    """
    found: dict[tuple[str, str], dict[RateName, Rate]] = {}
    for condition in conditions:
        for run, figures in condition.figures.items():
            found.setdefault((run, condition.dataset), {}).update(figures.rates)

    both = {key: rates for key, rates in found.items() if len(rates) == 2}
    several = len({name for _, name in both}) > 1
    points = {
        f"{run}, {name}" if several else run: Grounding.model_validate(
            {"interference": rates["flip_rate"].model_dump(), "blindness": rates["unchanged_rate"].model_dump()}
        )
        for (run, name), rates in both.items()
    }
    if not points:
        return []

    drawn = dict(list(points.items())[:MOST_DRAWN])
    more = f" Drawn are the first {len(drawn)} of {len(points)} points." if len(drawn) < len(points) else ""
    return [make_plot(COMPARED_GROUNDING_FILE, _TITLE, _CAPTION + more, lambda width: grounding(drawn, width))]


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
