"""The plots of a comparison."""

from matplotlib.figure import Figure

from ..differences import Comparison
from ..theme import Plot, make_plot, series_colour
from .bars import Series, bars
from .profiles import Point, profiles
from .radar import FEWEST_AXES, Polygon, radar


RATES_FILE = "comparison_rates.png"
RADAR_FILE = "comparison_radar.png"
PROFILES_FILE = "comparison_profiles.png"
_MOST_FILLED = 3  # tinted areas above one another that can be told apart


def comparison_plots(comparison: Comparison) -> list[Plot]:
    """All runs in one radar, side by side as bars, and their profiles where there are clips; none without figures."""
    if not comparison.rates:
        return []

    names = [condition.name for condition in comparison.conditions]
    series = [_series(comparison, run.name) for run in comparison.runs]
    caption = "Every figure of the tables below; the thin lines are 95 % intervals."
    title = "All figures, side by side"
    figures = make_plot(RATES_FILE, title, caption, lambda: bars(names, series, comparison.rates))
    return [*_profiles_plot(comparison), _radar_plot(comparison, series), figures]


def _series(comparison: Comparison, run: str) -> Series:
    present = [condition for condition in comparison.conditions if run in condition.figures]
    return Series(run, {condition.name: condition.figures[run].rates for condition in present})


def _profiles_plot(comparison: Comparison) -> list[Plot]:
    """Accuracy by prompt and condition, a line per run; none where there are no clips."""
    points = [
        Point(run.name, condition.dataset, condition.prompt, condition.title, figures.rates["accuracy"])
        for run in comparison.runs
        for condition in comparison.prompts
        if (figures := condition.figures.get(run.name)) and "accuracy" in figures.rates
        if not condition.has("abstention_rate")
    ]
    if not points:
        return []

    caption = (
        "Accuracy of all runs under every condition, the questions about what is seen and about what is heard apart. "
        "The vertical lines are 95 % intervals; a robust model's line is flat."
    )
    return [make_plot(PROFILES_FILE, "Robustness profiles", caption, lambda: profiles(points))]


def _radar_plot(comparison: Comparison, series: list[Series]) -> Plot:
    """Accuracy in the conditions that all runs have; bars where there are too few for a radar."""
    title = "Accuracy of all runs"
    names = [condition.name for condition in comparison.conditions]
    axes = [name for name in names if all("accuracy" in run.rates.get(name, {}) for run in series)]
    if len(axes) < FEWEST_AXES:
        caption = "The thin lines are 95 % intervals."
        return make_plot(RADAR_FILE, title, caption, lambda: bars(names, series, ["accuracy"]))

    def draw() -> Figure:
        accuracies = [{name: run.rates[name]["accuracy"].value for name in axes} for run in series]
        filled = len(series) <= _MOST_FILLED
        polygons = [
            Polygon(run.name, values, series_colour(index), filled)
            for index, (run, values) in enumerate(zip(series, accuracies))
        ]
        return radar(axes, polygons)

    caption = "Accuracy in % in every condition that all runs have; a larger shape is better."
    return make_plot(RADAR_FILE, title, caption, draw)
