"""What a diagnosis found, and how several differ, in plain words with their figures."""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from ..modality import CLEAN
from ..results import RateName
from .differences import ComparedCondition, Comparison, Difference
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
    return Markup("{} on <code>{}</code>").format(interval(line), line.dataset)


def _about_vulnerability(table: pd.DataFrame, flips: pd.DataFrame) -> list[Markup]:
    if flips.empty:
        return []

    ranked = flips.sort_values("value", kind="stable")
    weakest, strongest = ranked.iloc[0], ranked.iloc[-1]
    if strongest.value == 0:
        return [Markup("No perturbation changed any answer.")]

    if len(ranked) == 1:
        return [Markup("Under {}, {}.").format(_named(strongest), _damage(table, strongest))]

    if weakest.value == strongest.value:
        return [Markup("All perturbations change equally many answers: {}.").format(interval(strongest))]

    return [
        Markup("It is <strong>most vulnerable</strong> to {}: {}.").format(
            _named(strongest), _damage(table, strongest)
        ),
        Markup("It is <strong>least vulnerable</strong> to {}: {}.").format(_named(weakest), _damage(table, weakest)),
    ]


def _named(line: pd.Series) -> Markup:
    return Markup("<code>{}</code> on <code>{}</code>").format(line.perturbation, line.dataset)


def _damage(table: pd.DataFrame, flips: pd.Series) -> str:
    """Flips, and what they cost."""
    parts = [f"{interval(flips)} of the answers change" if flips.value else "no answer changes"]
    dataset = table[table.dataset == flips.dataset].set_index(["perturbation", "rate"])
    if (flips.perturbation, "accuracy") in dataset.index and (CLEAN, "accuracy") in dataset.index:
        before, after = dataset.loc[(CLEAN, "accuracy")], dataset.loc[(flips.perturbation, "accuracy")]
        change = f"{'falls' if after.value < before.value else 'rises'} from {percent(before.value)} to"
        parts.append(f"accuracy {'stays at' if after.value == before.value else change} {interval(after)}")

    if (flips.perturbation, "causal_effect") in dataset.index:
        parts.append(f"the mean causal effect is {bits(dataset.loc[(flips.perturbation, 'causal_effect')].value)}")

    return joined(parts)


def _about_targets(misled: pd.DataFrame) -> list[Markup]:
    if misled.empty:
        return []

    worst = misled.loc[misled.value.idxmax()]
    if worst.value == 0:
        return [Markup("Where a perturbation names a wrong option, the model never chose it.")]

    sentence = Markup(
        "Under {} it chooses the target, the wrong option that the perturbation names, in {} of the rows."
    )
    return [sentence.format(_named(worst), interval(worst))]


def _about_the_other_modality(followed: pd.DataFrame) -> list[Markup]:
    if followed.empty:
        return []

    worst = followed.loc[followed.value.idxmax()]
    if worst.value == 0:
        return [
            Markup("Where video and audio disagree, the model never answers with the modality that was not asked for.")
        ]

    sentence = Markup(
        "Where video and audio disagree, it answers with the modality that was not asked for in up to {} ({})."
    )
    return [sentence.format(interval(worst), _named(worst))]


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
_RATES: tuple[RateName, ...] = ("accuracy", "flip_rate")
_VERDICTS = {
    "better": "better",
    "worse": "worse",
    "negligible": "the same for practical purposes",
    "unclear": "without a clear difference",
}


def comparison_summary(comparison: Comparison) -> list[Markup]:
    """A few sentences per run, names escaped: its accuracy and flips against the reference's."""
    return [_about(run.name, comparison) for run in comparison.runs[1:]]


def _about(run: str, comparison: Comparison) -> Markup:
    differences = {rate: _differences(rate, run, comparison) for rate in _RATES}
    verdicts = [
        f"its {RATE_TITLES[rate].lower()} is {_verdicts(rate, found)}" for rate, found in differences.items() if found
    ]
    opening = Markup("<strong>{}</strong> against <strong>{}</strong>: {}.")
    sentences = [opening.format(run, comparison.reference.name, "; ".join(verdicts))]
    clear = [found for found in differences["accuracy"] if found[1].verdict in ("better", "worse")]
    clear.sort(key=lambda found: found[1].value)
    if clear and clear[-1][1].value > 0:
        sentences.append(_extreme("gains most", run, comparison, clear[-1]))

    if clear and clear[0][1].value < 0:
        sentences.append(_extreme("loses most", run, comparison, clear[0]))

    return Markup(" ").join(sentences)


def _differences(rate: RateName, run: str, comparison: Comparison) -> list[Found]:
    return [
        (condition, condition.figures[run].differences[rate])
        for condition in comparison.conditions
        if run in condition.figures and rate in condition.figures[run].differences
    ]


def _verdicts(rate: RateName, found: Sequence[Found]) -> str:
    """`better in 6 of 9 conditions, worse in 1 and without a clear difference in 2`."""
    verdicts = [difference.verdict for _, difference in found]
    counts = {words: verdicts.count(name) for name, words in _VERDICTS.items() if name in verdicts}
    if len(counts) == 1:
        return f"{next(iter(counts))} in {f'all {len(found)} conditions' if len(found) > 1 else 'the one condition'}"

    first, *others = [f"{words} in {count}" for words, count in counts.items()]
    return joined([f"{first} of {len(found)} conditions", *others])


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
