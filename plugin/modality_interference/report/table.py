"""A diagnosis as one tidy table: a line per dataset, prompt, perturbation and rate, with the value and its interval.

Pages, plots and comparisons read from it. Prompts and conditions have the names of arXiv 2511.22826.
"""

import re
from collections.abc import Container, Mapping
from typing import Any

import pandas as pd

from ..modality import CLEAN, Modality
from ..results import Diagnosis, PerturbationResult, RateName


PROMPTS: dict[str, str] = {Modality.VIDEO: "visual", Modality.AUDIO: "audio"}  # by the kind of the rows
ALIGNED = "aligned"
AS_RECORDED = "as recorded"  # clips that themselves show one thing and sound like another, all or some of them
REMOVED = "asked modality removed"
ABSTENTION = "abstention offered"
_ABSTENTION_RATES = ("abstention_rate", "false_abstention_rate")
_TITLES = {  # in the order of the pages
    CLEAN: ALIGNED,
    "swapped_video": "misaligned",
    "swapped_audio": "misaligned",
    "black_frames": "other modality removed",
    "silence": "other modality removed",
    "misleading_caption": "misleading caption",
    "long_context": "long context",
}
_NUMBERED = re.compile(r"(.+?)_(\d+)")  # the label of a perturbation that is not the first of its name
RATE_TITLES: dict[RateName, str] = {
    "accuracy": "Accuracy",
    "accuracy_norm": "Accuracy, by length",
    "flip_rate": "Flip rate",
    "causal_effect": "Causal effect",
    "misled_rate": "Misled rate",
    "other_modality_rate": "Other modality",
    "excess_misled_rate": "Excess misled, points",
    "ece": "Calibration error",
    "abstention_rate": "Abstention",
    "false_abstention_rate": "False abstention",
    "unparsable_rate": "Unparsable",
}
ConditionName = tuple[str, str]  # dataset and perturbation


def condition_title(perturbation: str, rates: Container[str] = (), removed: bool = False) -> str:
    """The paper's name of a condition; the perturbation's own label where it is none of the paper's.

    Args:
        perturbation: its label.
        rates: that the condition has; some of them tell what its rows are.
        removed: whether the modality that is asked for was taken away from the rows.
    """
    numbered = _NUMBERED.fullmatch(perturbation)
    if perturbation not in _TITLES and numbered and numbered[1] in _TITLES:
        title = f"{_TITLES[numbered[1]]} {numbered[2]}"
    else:
        title = _TITLES.get(perturbation, perturbation)

    if perturbation == CLEAN and "other_modality_rate" in rates:
        title = AS_RECORDED

    if removed or "abstention_rate" in rates:
        title = REMOVED if perturbation == CLEAN else f"{title}, {REMOVED}"

    return f"{title}, {ABSTENTION}" if any(rate in rates for rate in _ABSTENTION_RATES) else title


def condition_order(title: str) -> int:
    """Position of a condition among others: the paper's in its order, then all others."""
    order = list(dict.fromkeys(_TITLES.values()))
    return order.index(title) if title in order else len(order)


CONDITION = ["dataset", "kind", "prompt", "perturbation", "condition", "rows", "abstention", "removed"]
FIGURES = ["value", "low", "high", "clean", "clean_low", "chance", "by_chance"]
COLUMNS = ["run", *CONDITION, "rate", *FIGURES]


def tidy_table(diagnosis: Diagnosis, run: str = "this run") -> pd.DataFrame:
    """All rates of a diagnosis, in its order.

    Args:
        diagnosis: the figures.
        run: its name in legends.

    Returns:
        a frame with the columns `COLUMNS`. `prompt` is "" for all rows of a dataset; datasets of clips have the questions
        about video and about audio again, apart. `condition` is the paper's title, `rows` how many rows were scored,
        `abstention` whether that one cannot tell is among the answers, `removed` whether the modality that is asked for was
        taken away, `value` the rate from `low` to `high`. `clean` and the lower end of its interval, `clean_low`, are the same
        rate of the clean rows of these very twins, `chance` the accuracy of guessing, `by_chance` the calibration error
        of a calibrated model; NaN where there is none.
    """
    lines: list[dict[str, Any]] = []
    for dataset, result in diagnosis.datasets.items():
        kinds = result.kinds or {result.kind: result.perturbations}
        parts = [("", result.kind, result.perturbations)]
        parts += [(prompt, prompt, _sorted(kinds[prompt])) for prompt in PROMPTS if prompt in kinds]
        for prompt, kind, perturbations in parts:
            for perturbation, figures in perturbations.items():
                abstention = any(rate in figures.rates for rate in _ABSTENTION_RATES)
                removed = result.removed or "abstention_rate" in figures.rates
                title = condition_title(perturbation, figures.rates, removed)
                condition = [dataset, kind, prompt, perturbation, title, figures.rows, abstention, removed]
                common = dict(zip(CONDITION, condition, strict=True), run=run)
                lines += [
                    {**common, "rate": rate, **figures.rates[rate].model_dump(), **_compared_with(figures, rate)}
                    for rate in RATE_TITLES
                    if rate in figures.rates
                ]

    table = pd.DataFrame(lines, columns=COLUMNS)
    return table.astype(dict.fromkeys(FIGURES, float))


def _compared_with(figures: PerturbationResult, rate: RateName) -> dict[str, float | None]:
    clean = figures.clean.get(rate)
    return {
        "clean": None if clean is None else clean.value,
        "clean_low": None if clean is None else clean.low,
        "chance": figures.chance if rate in ("accuracy", "accuracy_norm") else None,
        "by_chance": figures.reliability.by_chance if figures.reliability and rate == "ece" else None,
    }


def _sorted(perturbations: Mapping[str, PerturbationResult]) -> dict[str, PerturbationResult]:
    """In the paper's order."""
    order = sorted(perturbations, key=lambda name: condition_order(condition_title(name, perturbations[name].rates)))
    return {name: perturbations[name] for name in order}


def of_all(table: pd.DataFrame, rate: RateName | None = None) -> pd.DataFrame:
    """The lines of all rows of each dataset; those of one rate, where it is named."""
    found = table[table.prompt == ""]
    return found if rate is None else found[found.rate == rate]


def of_prompts(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of each prompt apart; none where there are no clips."""
    return table[table.prompt != ""]


def rates_present(table: pd.DataFrame) -> list[RateName]:
    """The rates that any condition has, in the order of the pages."""
    return [rate for rate in RATE_TITLES if (table.rate == rate).any()]


def rates_drawn(table: pd.DataFrame) -> list[RateName]:
    """The rates that bars show: those present, without some that stand in the tables; calibration has a plot of its own."""
    return [rate for rate in rates_present(table) if rate not in ("accuracy_norm", "excess_misled_rate", "ece")]


def names(table: pd.DataFrame) -> list[ConditionName]:
    """Dataset and perturbation of each condition, those of a dataset together."""
    found = dict.fromkeys(zip(table.dataset, table.perturbation))
    datasets = list(table.dataset.unique())
    return sorted(found, key=lambda name: datasets.index(name[0]))


MOST_SHOWN = 200  # conditions in the tables of a page: more are not read
MOST_DRAWN = 50  # in its plots: one takes a tenth of a second


def worst(table: pd.DataFrame, most: int | None = None) -> pd.DataFrame:
    """The lines that a page shows: of more conditions than it has room for those with the most flips, and their clean rows.

    Without flips the fall of the accuracy counts, and where nothing was perturbed the lowest accuracy. Of several runs, the
    worst of them counts.

    Args:
        table: a tidy table, or those of several runs.
        most: how many conditions, clean rows apart; unset: `MOST_SHOWN`.
    """
    found, most = names(table), MOST_SHOWN if most is None else most
    if len(found) <= most:
        return table

    overall, keys = of_all(table), ["dataset", "perturbation"]
    accuracy = overall[overall.rate == "accuracy"]
    fall = accuracy.assign(value=accuracy.clean - accuracy.value).groupby(keys).value.max()
    harm = overall[overall.rate == "flip_rate"].groupby(keys).value.max().combine_first(fall)
    lowest = (-accuracy.groupby(keys).value.min()).to_dict()
    perturbed = [name for name in found if name[1] != CLEAN]
    scores = {name: harm.get(name, float("nan")) for name in perturbed} if perturbed else lowest
    ranked = sorted(perturbed or found, key=lambda name: (pd.isna(scores.get(name)), -scores.get(name, 0.0)))
    kept = set(ranked[:most])
    kept |= {(dataset, CLEAN) for dataset, _ in kept}
    return table[pd.MultiIndex.from_frame(table[keys]).isin(list(kept))]


def left_out(table: pd.DataFrame, where: str) -> list[str]:
    """Sentences about the conditions that a page does not show or draw; none where it has all.

    Args:
        table: the whole tidy table.
        where: the file that holds all of them.
    """
    every, shown, drawn = (len(names(found)) for found in (table, worst(table), worst(table, MOST_DRAWN)))
    found = []
    if shown < every:
        found.append(
            f"This page shows the {shown:,} of {every:,} conditions in which the most answers flipped, with their clean rows; all "
            f"are in {where}."
        )

    if drawn < every:
        found.append(
            f"Its plots show the {drawn:,} of {every:,} conditions with the most flips, with their clean rows."
        )

    return found


def conditions(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A dictionary per condition, for templates: the columns `CONDITION`, and `rates` by name with their `FIGURES`."""
    return [
        {**dict(zip(CONDITION, key)), "rates": lines.set_index("rate")[FIGURES].to_dict("index")}
        for key, lines in table.groupby(CONDITION, sort=False)
    ]


def prompt_lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of the table by prompt: `dataset`, `title` of the condition, and its `conditions` by prompt."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for condition in conditions(of_prompts(table)):
        found.setdefault((condition["dataset"], condition["condition"]), {})[condition["prompt"]] = condition

    datasets = list(dict.fromkeys(dataset for dataset, _ in found))
    order = sorted(found, key=lambda key: (datasets.index(key[0]), condition_order(key[1])))
    return [{"dataset": dataset, "title": title, "conditions": found[dataset, title]} for dataset, title in order]
