"""The plots of one diagnosis."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from ...results import ScoredRow
from ..table import Condition, ConditionName, rates_present
from ..theme import CLEAN, Plot, make_plot, series_colour
from .bars import Series, bars
from .effects import effects
from .profiles import Point, profiles
from .radar import FEWEST_AXES, Polygon, radar


RATES_FILE = "interference_rates.png"
RADAR_FILE = "interference_radar.png"
EFFECTS_FILE = "interference_effects.png"
PROFILES_FILE = "interference_profiles.png"


def rates_plot(found: Sequence[Condition]) -> Plot:
    """All rates with their intervals."""
    series = [Series("this run", {condition.name: condition.rates for condition in found})]
    names = [condition.name for condition in found]
    caption = "Every figure of the table below; the thin lines are 95 % intervals."
    return make_plot(RATES_FILE, "All figures", caption, lambda: bars(names, series, rates_present(found)))


def radar_plot(found: Sequence[Condition]) -> Plot:
    """Accuracy on perturbed rows within that on clean rows; bars where there are too few axes."""
    perturbed = [
        condition
        for condition in found
        if not condition.is_clean and "accuracy" in condition.rates and "accuracy" in condition.clean
    ]
    title = "Accuracy, clean and perturbed"
    if len(perturbed) < FEWEST_AXES:
        return make_plot(RADAR_FILE, title, "The thin lines are 95 % intervals.", _accuracy_bars(found))

    names = [condition.name for condition in perturbed]
    clean = {condition.name: condition.clean["accuracy"].value for condition in perturbed}
    twins = {condition.name: condition.rates["accuracy"].value for condition in perturbed}

    def draw() -> Figure:
        polygons = [
            Polygon("clean rows", clean, CLEAN, filled=False),
            Polygon("perturbed rows", twins, series_colour(1), filled=True),
        ]
        return radar(names, polygons)

    caption = (
        "Accuracy in % on each dataset's clean rows and on the same rows perturbed. The further the inner shape shrinks "
        "from the outer, the stronger the interference."
    )
    return make_plot(RADAR_FILE, title, caption, draw)


def profiles_plot(found: Sequence[Condition]) -> Plot | None:
    """Accuracy by prompt and condition; None where there are no clips.

    Args:
        found: what `prompt_conditions` lists.
    """
    points = [
        Point("this run", condition.dataset, condition.prompt, condition.title, condition.rates["accuracy"])
        for condition in found
        if not condition.is_abstention and "accuracy" in condition.rates
    ]
    if not points:
        return None

    caption = (
        "Accuracy under every condition, the questions about what is seen and about what is heard apart. The vertical "
        "lines are 95 % intervals, the dotted one is the aligned accuracy: a robust model stays on it."
    )
    return make_plot(PROFILES_FILE, "Robustness profiles", caption, lambda: profiles(points))


def effects_plot(rows: Sequence[ScoredRow]) -> Plot | None:
    """How causal effects are distributed; None where none was measured."""
    found: dict[ConditionName, list[float]] = {}
    for row in sorted(rows, key=lambda row: (row.dataset, row.perturbation)):
        if row.causal_effect is not None:
            found.setdefault((row.dataset, row.perturbation), []).append(row.causal_effect)

    if not found:
        return None

    caption = (
        "How far each row's answer distribution moved away from that of its clean row: 0 bits is not at all, 1 bit is "
        "from one certain answer to another. A band's thickness grows with the square root of the share of rows."
    )
    return make_plot(EFFECTS_FILE, "Distribution of causal effects", caption, lambda: effects(found))


def _accuracy_bars(found: Sequence[Condition]) -> Callable[[], Figure]:
    names = [condition.name for condition in found]
    series = [Series("this run", {condition.name: condition.rates for condition in found})]
    return lambda: bars(names, series, ["accuracy"])
