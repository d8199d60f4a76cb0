"""What a diagnosis found, and how several differ, in plain words with their figures."""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from ..modality import CLEAN
from ..results import RateName
from .compared import ComparedCondition, Comparison, Difference
from .table import AS_RECORDED, RATE_TITLES
from .text import bits, change, ends, interval, joined, percent


_MOST_LISTED = 4  # datasets that one sentence can name


def diagnosis_summary(table: pd.DataFrame) -> list[Markup]:
    """Sentences for a page, names escaped.

    They rank perturbations by flip rate, the share of answers that an input changed which should not matter.

    Args:
        table: lines of the tidy table, of all rows of each dataset.
    """
    told = table[~_says_nothing(table)]
    rates = {rate: table[table.rate == rate] for rate in RATE_TITLES}
    return [
        *_about_clean(rates["accuracy"]),
        *_about_vulnerability(table, told[told.rate == "flip_rate"]),
        *_about_targets(told[told.rate == "misled_rate"]),
        *_about_the_other_modality(told[told.rate == "other_modality_rate"]),
        *_about_clean_only(table, rates["flip_rate"]),
        *_about_removed(rates["accuracy"]),
        *_about_abstention(rates["abstention_rate"]),
        *_about_false_abstention(rates["false_abstention_rate"]),
        *_about_unparsable(rates["unparsable_rate"]),
    ]


def _says_nothing(table: pd.DataFrame) -> pd.Series:
    """The lines that are 0 because no answer of their condition could be parsed."""
    names = ["dataset", "perturbation"]
    unread = table[(table.rate == "unparsable_rate") & (table.value == 1)]
    return (table.value == 0) & pd.MultiIndex.from_frame(table[names]).isin(pd.MultiIndex.from_frame(unread[names]))


def _about_clean(accuracy: pd.DataFrame) -> list[Markup]:
    as_they_should_be = ~(accuracy.abstention | accuracy.removed).astype(bool) & (accuracy.condition != AS_RECORDED)
    clean = accuracy[(accuracy.perturbation == CLEAN) & as_they_should_be]
    if clean.empty:
        return []

    if len(clean) > _MOST_LISTED:
        ranked = clean.sort_values("value", kind="stable")
        sentence = Markup("Undisturbed, the model answers between {} and {} correctly.")
        return [sentence.format(_on_dataset(ranked.iloc[0]), _on_dataset(ranked.iloc[-1]))]

    figures = Markup(joined([_on_dataset(line) for _, line in clean.iterrows()]))
    return [Markup("Undisturbed, the model answers {} correctly.").format(figures)]


def _on_dataset(line: pd.Series) -> Markup:
    guessing = "" if pd.isna(line.chance) else f" (guessing: {percent(line.chance)})"
    return Markup("{} on <code>{}</code>{}").format(interval(line), line.dataset, guessing)


def _about_vulnerability(table: pd.DataFrame, flips: pd.DataFrame) -> list[Markup]:
    """Where the answers to the clean rows are better than guesses; flips of guesses say nothing."""
    if flips.empty:
        return []

    accuracy = table[table.rate == "accuracy"].set_index(["dataset", "perturbation"])
    knows = [_knows(accuracy, line.dataset, line.perturbation) for line in flips.itertuples()]
    ranked, guessed = flips[knows], flips[[not known for known in knows]]
    return [*_ranked(table, ranked), *_guessed(accuracy, guessed)]


def _knows(accuracy: pd.DataFrame, dataset: str, perturbation: str) -> bool:
    """Whether the accuracy of the twins' own clean rows is above chance, with its interval."""
    if (dataset, perturbation) not in accuracy.index:
        return False

    line = accuracy.loc[(dataset, perturbation)]
    return bool(line.clean_low > (0 if pd.isna(line.chance) else line.chance))


def _ranked(table: pd.DataFrame, flips: pd.DataFrame) -> list[Markup]:
    if flips.empty:
        return []

    printed = flips.value.round(3)
    if printed.max() == 0:
        return [Markup("No perturbation changed any answer.")]

    if len(flips) == 1:
        return [Markup("Under {}, {}.").format(_named(flips.iloc[0]), _damage(table, flips.iloc[0]))]

    if printed.min() == printed.max():
        return [Markup("All perturbations change equally many answers: {}.").format(interval(flips.iloc[0]))]

    return [
        _extremes("most", table, flips[printed == printed.max()]),
        _extremes("least", table, flips[printed == printed.min()]),
    ]


def _extremes(degree: str, table: pd.DataFrame, flips: pd.DataFrame) -> Markup:
    """One sentence about the perturbations that change most or fewest answers, all that change equally many."""
    if len(flips) == 1:
        sentence = Markup("It is <strong>{} vulnerable</strong> to {}: {}.")
        return sentence.format(degree, _named(flips.iloc[0]), _damage(table, flips.iloc[0]))

    listed = [_named(line) for _, line in flips.head(_MOST_LISTED).iterrows()]
    others = [Markup("{} others").format(len(flips) - _MOST_LISTED)] if len(flips) > _MOST_LISTED else []
    changed = f"{percent(flips.iloc[0].value)} of the answers change" if flips.iloc[0].value else "no answer changes"
    sentence = Markup("It is <strong>{} vulnerable</strong>, alike, to {}: under each, {}.")
    return sentence.format(degree, Markup(joined([*listed, *others])), changed)


def _guessed(accuracy: pd.DataFrame, flips: pd.DataFrame) -> list[Markup]:
    sentence = Markup(
        "Of <code>{}</code>, the clean rows under {} are answered no better than by guessing ({} against {}): flips there say "
        "nothing about interference."
    )
    never = Markup(
        "Of <code>{}</code>, the clean rows under {} are never answered correctly: flips there say nothing about interference."
    )
    found = []
    for dataset, lines in flips.groupby("dataset", sort=False):
        own = [accuracy.loc[name] for name in zip(lines.dataset, lines.perturbation) if name in accuracy.index]
        if own and not any(pd.isna(line.clean) for line in own):
            listed = [Markup("<code>{}</code>").format(name) for name in lines.perturbation[:_MOST_LISTED]]
            listed += [Markup("{} others").format(len(lines) - _MOST_LISTED)] if len(lines) > _MOST_LISTED else []
            chance = 0.0 if pd.isna(own[0].chance) else own[0].chance
            figures = dict.fromkeys(percent(line.clean) for line in own)
            places = Markup(joined(listed))
            found.append(
                sentence.format(dataset, places, joined(list(figures)), percent(chance))
                if chance or any(line.clean for line in own)  # questions without options are not guessed
                else never.format(dataset, places)
            )

    return found


def _named(line: pd.Series) -> Markup:
    return Markup("<code>{}</code> on <code>{}</code>").format(line.perturbation, line.dataset)


def _damage(table: pd.DataFrame, flips: pd.Series) -> str:
    """Flips, and what they cost: accuracies are of the same rows, clean and perturbed."""
    parts = [f"{interval(flips)} of the answers change" if flips.value else "no answer changes"]
    rates = table[(table.dataset == flips.dataset) & (table.perturbation == flips.perturbation)].set_index("rate")
    if "accuracy" in rates.index and not pd.isna(rates.loc["accuracy"].clean):
        after = rates.loc["accuracy"]
        same = percent(after.clean) == percent(after.value)
        change = f"{'falls' if after.value < after.clean else 'rises'} from {percent(after.clean)} to"
        parts.append(f"accuracy {'stays at' if same else change} {interval(after)}")

    if "causal_effect" in rates.index:
        parts.append(f"the mean causal effect is {bits(rates.loc['causal_effect'].value)}")

    return joined(parts)


def _about_targets(misled: pd.DataFrame) -> list[Markup]:
    if misled.empty:
        return []

    worst = misled.loc[_excess(misled).idxmax()]
    if misled.value.max() == 0:
        return [Markup("Where a perturbation names a wrong option, the model never chose it.")]

    sentence = Markup(
        "Under {} it chooses the target, the wrong option that the perturbation names, in {} of the rows{}."
    )
    return [sentence.format(_named(worst), interval(worst), _against(worst))]


def _excess(lines: pd.DataFrame) -> pd.Series:
    """Above the clean rows' own share, where it is known."""
    return lines.value - lines.clean.fillna(0)


def _against(line: pd.Series) -> str:
    return "" if pd.isna(line.clean) else f", and in {percent(line.clean)} of the same rows when they are clean"


def _about_the_other_modality(followed: pd.DataFrame) -> list[Markup]:
    if followed.empty:
        return []

    worst = followed.loc[_excess(followed).idxmax()]
    if followed.value.max() == 0:
        return [
            Markup("Where video and audio disagree, the model never answers with the modality that was not asked for.")
        ]

    sentence = Markup(
        "Where video and audio disagree, it answers with the modality that was not asked for in up to {} ({}){}."
    )
    return [sentence.format(interval(worst), _named(worst), _against(worst))]


def _about_removed(accuracy: pd.DataFrame) -> list[Markup]:
    removed = accuracy[accuracy.removed.astype(bool) & ~accuracy.abstention.astype(bool)]
    return _of_clean_rows(
        removed,
        "Where the modality that is asked for is missing, <code>{}</code>, it still names its class in {} of the rows: from the "
        "other modality, or by guessing.",
    )


def _about_abstention(abstention: pd.DataFrame) -> list[Markup]:
    return _of_clean_rows(
        abstention, "Where the modality that is asked for is missing, <code>{}</code>, it says so in {} of the rows."
    )


def _about_false_abstention(abstention: pd.DataFrame) -> list[Markup]:
    return _of_clean_rows(
        abstention, "Where nothing is missing, <code>{}</code>, it says that it cannot tell in {} of the rows."
    )


def _of_clean_rows(table: pd.DataFrame, sentence: str) -> list[Markup]:
    """A sentence for each dataset, with its name and the figure of its clean rows."""
    clean = table[table.perturbation == CLEAN].head(_MOST_LISTED)
    return [Markup(sentence).format(line.dataset, interval(line)) for _, line in clean.iterrows()]


def _about_clean_only(table: pd.DataFrame, flips: pd.DataFrame) -> list[Markup]:
    plain = table[~(table.abstention | table.removed).astype(bool) & (table.condition != AS_RECORDED)]
    others = plain[~plain.dataset.isin(flips.dataset)].dataset.unique()
    if not len(others):
        return []

    listing = Markup(joined([Markup("<code>{}</code>").format(name) for name in others]))
    if len(others) == 1:
        return [Markup("{} has clean rows only: interference was not measured on it.").format(listing)]

    return [Markup("{} have clean rows only: interference was not measured on them.").format(listing)]


def _about_unparsable(unparsable: pd.DataFrame) -> list[Markup]:
    if unparsable.empty or unparsable.value.max() == 0:
        return []

    worst = unparsable.loc[unparsable.value.idxmax()]
    sentence = Markup("Up to {} of the generated answers could not be parsed (worst: {}); they count as wrong.")
    return [sentence.format(percent(worst.value), _named(worst))]


Found = tuple[ComparedCondition, Difference]
_JUDGED: dict[RateName, str] = {
    "accuracy": "accuracy",
    "flip_rate": "flip rate",
    "causal_effect": "causal effect",
    "misled_rate": "misled rate",
    "other_modality_rate": "rate of answers with the other modality",
    "ece": "calibration error",
}
_VERDICTS = {
    "better": "better",
    "worse": "worse",
    "negligible": "the same for practical purposes",
    "unclear": "without a clear difference",
}


def comparison_summary(comparison: Comparison) -> list[Markup]:
    """A few sentences per run, names escaped: against the reference, clean and perturbed rows apart."""
    return [_about(run.name, comparison) for run in comparison.runs[1:]]


def _about(run: str, comparison: Comparison) -> Markup:
    clean = _differences("accuracy", run, comparison, clean=True)
    perturbed = {rate: _differences(rate, run, comparison, clean=False) for rate in _JUDGED}
    verdicts = [f"its {_JUDGED[rate]} is {_verdicts(found)}" for rate, found in perturbed.items() if found]
    parts = [f"on clean rows its accuracy is {_verdicts(clean, 'dataset')}"] if clean else []
    parts += [f"on perturbed rows {'; '.join(verdicts)}"] if verdicts else []
    opening = Markup("<strong>{}</strong> against <strong>{}</strong>: {}.")
    sentences = [opening.format(run, comparison.reference.name, "; ".join(parts))]
    for found in (clean, perturbed["accuracy"]):
        claimed = sorted((one for one in found if one[1].verdict in ("better", "worse")), key=lambda one: one[1].value)
        if claimed and claimed[-1][1].value > 0:
            sentences.append(_extreme("gains most", run, comparison, claimed[-1]))

        if claimed and claimed[0][1].value < 0:
            sentences.append(_extreme("loses most", run, comparison, claimed[0]))

    return Markup(" ").join([*sentences, *_about_axes(run, comparison)])


_AXES: dict[RateName, str] = {"flip_rate": "interference", "unchanged_rate": "blindness"}
_MOVED = {"better": "fell", "worse": "rose", "negligible": "stayed the same", "unclear": "shows no clear difference"}


def _about_axes(run: str, comparison: Comparison) -> list[Markup]:
    """Whether interference and blindness fell or rose, dataset by dataset; of both, less is better."""
    found = []
    for rate, axis in _AXES.items():
        own = [
            (condition, condition.figures[run].differences[rate])
            for condition in comparison.grounding
            if run in condition.figures and rate in condition.figures[run].differences
        ]
        if len(own) > _MOST_LISTED:
            found.append(Markup("Its {} is {}.").format(axis, _verdicts(own, "dataset")))
        elif own:
            parts = [
                Markup("{} on <code>{}</code>: {} points {}").format(
                    _MOVED[difference.verdict],
                    condition.dataset,
                    change(difference.value, rate),
                    ends(difference.low, difference.high, rate),
                )
                for condition, difference in own
            ]
            found.append(Markup("Its {} {}.").format(axis, Markup("; ").join(parts)))

    return found


def _differences(rate: RateName, run: str, comparison: Comparison, clean: bool) -> list[Found]:
    """Of clean rows, or of perturbed ones; not of those that are right to abstain."""
    return [
        (condition, condition.figures[run].differences[rate])
        for condition in comparison.conditions
        if (condition.perturbation == CLEAN) == clean
        and not condition.has("abstention_rate")
        and run in condition.figures
        and rate in condition.figures[run].differences
    ]


def _verdicts(found: Sequence[Found], thing: str = "condition") -> str:
    """`better in 6 of 9 conditions, worse in 1 and without a clear difference in 2`."""
    verdicts = [difference.verdict for _, difference in found]
    counts = {words: verdicts.count(name) for name, words in _VERDICTS.items() if name in verdicts}
    if len(counts) == 1:
        return f"{next(iter(counts))} in {f'all {len(found)} {thing}s' if len(found) > 1 else f'the one {thing}'}"

    first, *others = [f"{words} in {count}" for words, count in counts.items()]
    return joined([f"{first} of {len(found)} {thing}s", *others])


def _extreme(verb: str, run: str, comparison: Comparison, found: Found) -> Markup:
    condition, difference = found
    before, after = condition.figures[comparison.reference.name], condition.figures[run]
    points = f"{change(difference.value, 'accuracy')} points {ends(difference.low, difference.high, 'accuracy')}"
    if difference.examples == before.rows == after.rows:
        points += f", from {percent(before.rates['accuracy'].value)} to {percent(after.rates['accuracy'].value)}"

    if condition.perturbation == CLEAN:
        return Markup("It {} on the clean rows of <code>{}</code>: accuracy {}.").format(
            verb, condition.dataset, points
        )

    sentence = Markup("It {} under <code>{}</code> on <code>{}</code>: accuracy {}.")
    return sentence.format(verb, condition.perturbation, condition.dataset, points)
