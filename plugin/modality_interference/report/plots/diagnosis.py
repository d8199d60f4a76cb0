"""The plots of one diagnosis."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from ...results import Diagnosis, ScoredRow
from ..classes import class_groups
from ..table import MOST_DRAWN, names, of_all, of_prompts, rates_drawn, tidy_table, worst
from ..theme import CLEAN, MUTED, PAGE, SERIES, Plot, make_plot
from .attention import CONTRASTS_FILE, SHARES_FILE, attention_plots
from .bars import MARKS, bars
from .confusion import CONFUSION_FILE, confusion_plot
from .curves import curves_plot
from .effects import effects
from .grounding import GROUNDING_FILE
from .profiles import profiles
from .radar import GUESSING, fits, radar
from .reliability import RELIABILITY_FILE, reliability_plot


RATES_FILE = "interference_rates.png"
RADAR_FILE = "interference_radar.png"
EFFECTS_FILE = "interference_effects.png"
PROFILES_FILE = "interference_profiles.png"
FILES = (
    RATES_FILE,
    RADAR_FILE,
    EFFECTS_FILE,
    PROFILES_FILE,
    CONFUSION_FILE,
    SHARES_FILE,
    CONTRASTS_FILE,
    GROUNDING_FILE,
    RELIABILITY_FILE,
)


def diagnosis_plots(diagnosis: Diagnosis, rows: Sequence[ScoredRow]) -> list[Plot]:
    """All plots, those that the diagnosis has figures for.

    Args:
        diagnosis: the figures.
        rows: the answers behind them.
    """
    every = tidy_table(diagnosis)
    table = worst(every, MOST_DRAWN)
    hidden = set(names(every)) - set(names(table))
    overall = [radar_plot(of_all(table)), rates_plot(of_all(table))] if len(table) else []
    drawn = [row for row in rows if (row.dataset, row.perturbation) not in hidden]
    others = (
        effects_plot(drawn),
        reliability_plot(diagnosis, table.dataset.unique()),
        confusion_plot(class_groups(rows)),
    )
    figures = (profiles_plot(of_prompts(table)), *overall, curves_plot(diagnosis.curves), *others)
    found = [plot for plot in figures if plot]
    return found + attention_plots(diagnosis.attention)


def rates_plot(table: pd.DataFrame) -> Plot:
    """All rates with their intervals."""
    caption = f"The figures of the table below; grey bars are clean rows, {MARKS}."
    return make_plot(RATES_FILE, "All figures", caption, lambda width: bars(table, rates_drawn(table), width))


def radar_plot(table: pd.DataFrame) -> Plot:
    """Accuracy on perturbed rows within that of their own clean rows; bars where there are too few axes."""
    title = "Accuracy in %, clean and perturbed"
    accuracy = table[table.rate == "accuracy"]
    perturbed = accuracy[accuracy.clean.notna()].assign(run="perturbed rows")

    def as_bars(width: float) -> Figure:
        return bars(table, ["accuracy"], width)

    if not fits(names(perturbed), PAGE):
        return make_plot(RADAR_FILE, title, f"{MARKS.capitalize()}.", as_bars)

    lines = [perturbed.assign(run="the same rows when clean", value=perturbed.clean), perturbed]
    lines += [perturbed.assign(run=GUESSING, value=perturbed.chance)] if perturbed.chance.notna().all() else []
    shown = pd.concat(lines)
    found = {"the same rows when clean": CLEAN, "perturbed rows": SERIES[1], GUESSING: MUTED}
    colours = {run: found[run] for run in shown.run.unique()}
    caption = (
        "Accuracy in % on perturbed rows and on the same rows when clean. The further the former falls behind the latter, the "
        "stronger the interference; at the dotted line of guessing nothing is left."
    )

    def draw(width: float) -> Figure:
        if not fits(names(perturbed), width):
            return as_bars(width)

        return radar(shown, colours, filled=["perturbed rows"], width=width)

    return make_plot(RADAR_FILE, title, caption, draw)


def profiles_plot(table: pd.DataFrame) -> Plot | None:
    """Accuracy by prompt and condition; None where there are no clips.

    Args:
        table: the lines of each prompt apart.
    """
    accuracy = table[(table.rate == "accuracy") & ~(table.abstention | table.removed).astype(bool)]
    if accuracy.empty:
        return None

    caption = (
        "Accuracy under every condition, the questions about what is seen and about what is heard apart. The vertical "
        "lines are 95 % intervals, the dotted one is the aligned accuracy: a robust model stays on it. Short dashes are the "
        "accuracy of guessing."
    )
    return make_plot(
        PROFILES_FILE, "Robustness profiles: accuracy in %", caption, lambda width: profiles(accuracy, width)
    )


def effects_plot(rows: Sequence[ScoredRow]) -> Plot | None:
    """How causal effects are distributed; None where none was measured."""
    lines = [(row.dataset, row.perturbation, row.causal_effect) for row in rows if row.causal_effect is not None]
    if not lines:
        return None

    table = pd.DataFrame(lines, columns=["dataset", "perturbation", "effect"])
    table = table.sort_values(["dataset", "perturbation"], kind="stable")
    caption = (
        "How far each row's answer distribution moved away from that of its clean row: 0 bits is not at all, 1 bit is "
        "from one certain answer to another. A line's height is the share of rows that moved at least so far: a robust "
        "model's lines fall at once."
    )
    return make_plot(
        EFFECTS_FILE, "Causal effects: share of rows in %, by bits", caption, lambda width: effects(table, width)
    )
