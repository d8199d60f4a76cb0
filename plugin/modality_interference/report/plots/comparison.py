"""The plots of a comparison."""

import pandas as pd
from matplotlib.figure import Figure

from ..table import names, of_all, of_prompts, rates_drawn
from ..theme import MUTED, PAGE, Plot, make_plot, series_colour
from .bars import MARKS, bars
from .profiles import profiles
from .radar import GUESSING, fits, radar


RATES_FILE = "comparison_rates.png"
RADAR_FILE = "comparison_radar.png"
PROFILES_FILE = "comparison_profiles.png"
_MOST_FILLED = 3  # tinted areas above one another that can be told apart


def comparison_plots(table: pd.DataFrame) -> list[Plot]:
    """All runs in one radar, side by side as bars, and their profiles where there are clips; none without figures.

    Args:
        table: the tidy tables of all runs, the lines of a dataset together.
    """
    if table.empty:
        return []

    overall = of_all(table)
    caption = f"The figures of the tables below; {MARKS}."
    rates = make_plot(
        RATES_FILE, "All figures, side by side", caption, lambda width: bars(overall, rates_drawn(overall), width)
    )
    return [*_profiles_plot(of_prompts(table)), _radar_plot(overall), rates]


def _profiles_plot(table: pd.DataFrame) -> list[Plot]:
    """Accuracy by prompt and condition, a line per run; none where there are no clips."""
    accuracy = table[(table.rate == "accuracy") & ~(table.abstention | table.removed).astype(bool)]
    if accuracy.empty:
        return []

    caption = (
        "Accuracy of all runs under every condition, the questions about what is seen and about what is heard apart. "
        "The vertical lines are 95 % intervals, short dashes the accuracy of guessing; a robust model's line is flat."
    )
    return [
        make_plot(
            PROFILES_FILE, "Robustness profiles: accuracy in %", caption, lambda width: profiles(accuracy, width)
        )
    ]


def _radar_plot(table: pd.DataFrame) -> Plot:
    """Accuracy in the conditions that all runs have; bars where there are too few for a radar."""
    title = "Accuracy of all runs in %"
    runs = list(table.run.unique())
    accuracy = table[table.rate == "accuracy"]
    shared = accuracy[accuracy.groupby(["dataset", "perturbation"]).run.transform("nunique") == len(runs)]

    def as_bars(width: float) -> Figure:
        return bars(table, ["accuracy"], width)

    if not fits(names(shared), PAGE):
        return make_plot(RADAR_FILE, title, f"{MARKS.capitalize()}.", as_bars)

    colours = {run: series_colour(index) for index, run in enumerate(runs)}
    filled = runs if len(runs) <= _MOST_FILLED else []
    caption = "Accuracy in % in every condition that all runs have; more is better, the dotted line is guessing."
    guessing = shared[shared.run == runs[0]].assign(run=GUESSING, value=shared.chance)
    if guessing.value.notna().all():
        shared, colours = pd.concat([shared, guessing]), {**colours, GUESSING: MUTED}

    def draw(width: float) -> Figure:
        return radar(shared, colours, filled, width) if fits(names(shared), width) else as_bars(width)

    return make_plot(RADAR_FILE, title, caption, draw)
