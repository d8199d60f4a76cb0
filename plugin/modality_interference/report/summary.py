"""What a diagnosis found, and how several differ, in plain words with their figures."""

from collections.abc import Sequence

from markupsafe import Markup

from ..modality import CLEAN
from ..results import RateName
from .differences import ComparedCondition, Comparison, Difference, verdict
from .table import RATE_TITLES, Condition
from .text import bits, change, ends, interval, joined, percent


_MOST_LISTED = 4  # datasets that one sentence can name


def diagnosis_summary(found: Sequence[Condition]) -> list[Markup]:
    """Sentences for a page, names escaped.

    They rank perturbations by flip rate, the share of answers that an input changed which should not matter.
    """
    perturbed = [condition for condition in found if not condition.is_clean and "flip_rate" in condition.rates]
    sentences = [*_about_clean(found)]
    if perturbed:
        sentences += [*_about_vulnerability(perturbed), *_about_targets(perturbed)]
        sentences += _about_the_other_modality(perturbed)

    sentences += _about_clean_only(found, {condition.dataset for condition in perturbed}) + _about_abstention(found)
    return sentences + _about_unparsable(found)


def _about_clean(found: Sequence[Condition]) -> list[Markup]:
    clean = [
        condition
        for condition in found
        if condition.is_clean and not condition.is_abstention and "accuracy" in condition.rates
    ]
    if not clean:
        return []

    if len(clean) > _MOST_LISTED:
        ranked = sorted(clean, key=lambda condition: condition.rates["accuracy"].value)
        sentence = Markup("Undisturbed, the model answers between {} and {} correctly.")
        return [sentence.format(_clean_accuracy(ranked[0]), _clean_accuracy(ranked[-1]))]

    figures = Markup(joined([_clean_accuracy(condition) for condition in clean]))
    return [Markup("Undisturbed, the model answers {} correctly.").format(figures)]


def _clean_accuracy(condition: Condition) -> Markup:
    return Markup("{} on <code>{}</code>").format(interval(condition.rates["accuracy"]), condition.dataset)


def _about_vulnerability(perturbed: Sequence[Condition]) -> list[Markup]:
    ranked = sorted(perturbed, key=lambda condition: condition.rates["flip_rate"].value)
    weakest, strongest = ranked[0], ranked[-1]
    if strongest.rates["flip_rate"].value == 0:
        return [Markup("No perturbation changed any answer.")]

    if len(ranked) == 1:
        return [Markup("Under {}, {}.").format(_named(strongest), _damage(strongest))]

    if weakest.rates["flip_rate"].value == strongest.rates["flip_rate"].value:
        flips = interval(strongest.rates["flip_rate"])
        return [Markup("All perturbations change equally many answers: {}.").format(flips)]

    return [
        Markup("It is <strong>most vulnerable</strong> to {}: {}.").format(_named(strongest), _damage(strongest)),
        Markup("It is <strong>least vulnerable</strong> to {}: {}.").format(_named(weakest), _damage(weakest)),
    ]


def _named(condition: Condition) -> Markup:
    return Markup("<code>{}</code> on <code>{}</code>").format(condition.perturbation, condition.dataset)


def _damage(condition: Condition) -> str:
    """Flips, and what they cost."""
    flips = condition.rates["flip_rate"]
    parts = [f"{interval(flips)} of the answers change" if flips.value else "no answer changes"]
    if "accuracy" in condition.rates and "accuracy" in condition.clean:
        before, after = condition.clean["accuracy"].value, condition.rates["accuracy"]
        change = f"{'falls' if after.value < before else 'rises'} from {percent(before)} to"
        parts.append(f"accuracy {'stays at' if after.value == before else change} {interval(after)}")

    if "causal_effect" in condition.rates:
        parts.append(f"the mean causal effect is {bits(condition.rates['causal_effect'].value)}")

    return joined(parts)


def _about_targets(perturbed: Sequence[Condition]) -> list[Markup]:
    with_targets = [condition for condition in perturbed if "misled_rate" in condition.rates]
    if not with_targets:
        return []

    worst = max(with_targets, key=lambda condition: condition.rates["misled_rate"].value)
    misled = worst.rates["misled_rate"]
    if misled.value == 0:
        return [Markup("Where a perturbation names a wrong option, the model never chose it.")]

    sentence = Markup(
        "Under {} it chooses the target, the wrong option that the perturbation names, in {} of the rows."
    )
    return [sentence.format(_named(worst), interval(misled))]


def _about_the_other_modality(perturbed: Sequence[Condition]) -> list[Markup]:
    swapped = [condition for condition in perturbed if "other_modality_rate" in condition.rates]
    if not swapped:
        return []

    worst = max(swapped, key=lambda condition: condition.rates["other_modality_rate"].value)
    followed = worst.rates["other_modality_rate"]
    if followed.value == 0:
        return [
            Markup("Where video and audio disagree, the model never answers with the modality that was not asked for.")
        ]

    sentence = Markup(
        "Where video and audio disagree, it answers with the modality that was not asked for in up to {} ({})."
    )
    return [sentence.format(interval(followed), _named(worst))]


def _about_abstention(found: Sequence[Condition]) -> list[Markup]:
    sentence = Markup(
        "Where the modality that is asked for is missing, <code>{}</code>, it says so in {} of the rows."
    )
    return [
        sentence.format(condition.dataset, interval(condition.rates["abstention_rate"]))
        for condition in found
        if condition.is_abstention and condition.is_clean
    ][:_MOST_LISTED]


def _about_clean_only(found: Sequence[Condition], with_twins: set[str]) -> list[Markup]:
    others = dict.fromkeys(condition.dataset for condition in found if not condition.is_abstention)
    names = [name for name in others if name not in with_twins]
    if not names:
        return []

    listing = Markup(joined([Markup("<code>{}</code>").format(name) for name in names]))
    if len(names) == 1:
        return [Markup("{} has clean rows only: interference was not measured on it.").format(listing)]

    return [Markup("{} have clean rows only: interference was not measured on them.").format(listing)]


def _about_unparsable(found: Sequence[Condition]) -> list[Markup]:
    unparsable = [condition for condition in found if "unparsable_rate" in condition.rates]
    worst = max(unparsable, key=lambda condition: condition.rates["unparsable_rate"].value, default=None)
    if worst is None or worst.rates["unparsable_rate"].value == 0:
        return []

    sentence = Markup("Up to {} of the generated answers could not be parsed (worst: {}); they count as wrong.")
    return [sentence.format(percent(worst.rates["unparsable_rate"].value), _named(worst))]


Found = tuple[ComparedCondition, Difference]
_RATES: tuple[RateName, ...] = ("accuracy", "flip_rate")
_VERDICTS = {"better": "better", "worse": "worse", "unclear": "without a clear difference"}


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
    clear = [found for found in differences["accuracy"] if found[1].excludes_zero]
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
    verdicts = [verdict(rate, difference) for _, difference in found]
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
