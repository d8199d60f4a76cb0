"""What a diagnosis found, in plain words with its figures."""

from collections.abc import Sequence

from markupsafe import Markup

from .conditions import Condition
from .wording import bits, interval, listed, percent


_MOST_LISTED = 4  # datasets that one sentence can name


def summary(found: Sequence[Condition]) -> list[Markup]:
    """Sentences for a page, names escaped.

    They rank perturbations by flip rate, the share of answers that an input changed which should not matter.
    """
    perturbed = [condition for condition in found if not condition.is_clean and "flip_rate" in condition.rates]
    sentences = [*_about_clean(found)]
    if perturbed:
        sentences += [*_about_vulnerability(perturbed), *_about_planted_options(perturbed)]
        sentences += _about_the_other_sense(perturbed)

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

    figures = Markup(listed([_clean_accuracy(condition) for condition in clean]))
    return [Markup("Undisturbed, the model answers {} correctly.").format(figures)]


def _clean_accuracy(condition: Condition) -> Markup:
    return Markup("{} on <code>{}</code>").format(interval(condition.rates["accuracy"]), condition.dataset)


def _about_vulnerability(perturbed: Sequence[Condition]) -> list[Markup]:
    ranked = sorted(perturbed, key=lambda condition: condition.rates["flip_rate"].value)
    weakest, strongest = ranked[0], ranked[-1]
    if strongest.rates["flip_rate"].value == 0:
        return [Markup("No perturbation changed any answer.")]

    if len(ranked) == 1:
        return [Markup("Under {}, {}.").format(_place(strongest), _damage(strongest))]

    if weakest.rates["flip_rate"].value == strongest.rates["flip_rate"].value:
        flips = interval(strongest.rates["flip_rate"])
        return [Markup("All perturbations change equally many answers: {}.").format(flips)]

    return [
        Markup("It is <strong>most vulnerable</strong> to {}: {}.").format(_place(strongest), _damage(strongest)),
        Markup("It is <strong>least vulnerable</strong> to {}: {}.").format(_place(weakest), _damage(weakest)),
    ]


def _place(condition: Condition) -> Markup:
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

    return listed(parts)


def _about_planted_options(perturbed: Sequence[Condition]) -> list[Markup]:
    planting = [condition for condition in perturbed if "misled_rate" in condition.rates]
    if not planting:
        return []

    worst = max(planting, key=lambda condition: condition.rates["misled_rate"].value)
    misled = worst.rates["misled_rate"]
    if misled.value == 0:
        return [Markup("Where a perturbation planted a wrong option, the model never chose it.")]

    sentence = Markup("By {} it is misled to the planted wrong option in {} of the rows.")
    return [sentence.format(_place(worst), interval(misled))]


def _about_the_other_sense(perturbed: Sequence[Condition]) -> list[Markup]:
    swapped = [condition for condition in perturbed if "followed_other_sense_rate" in condition.rates]
    if not swapped:
        return []

    worst = max(swapped, key=lambda condition: condition.rates["followed_other_sense_rate"].value)
    followed = worst.rates["followed_other_sense_rate"]
    if followed.value == 0:
        return [
            Markup("Where sight and sound disagree, the model never answers with the sense that was not asked for.")
        ]

    sentence = Markup(
        "Where sight and sound disagree, it answers with the sense that was not asked for in up to {} ({})."
    )
    return [sentence.format(interval(followed), _place(worst))]


def _about_abstention(found: Sequence[Condition]) -> list[Markup]:
    sentence = Markup("Where the sense that is asked for is missing, <code>{}</code>, it says so in {} of the rows.")
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

    listing = Markup(listed([Markup("<code>{}</code>").format(name) for name in names]))
    if len(names) == 1:
        return [Markup("{} has clean rows only: interference was not measured on it.").format(listing)]

    return [Markup("{} have clean rows only: interference was not measured on them.").format(listing)]


def _about_unparsable(found: Sequence[Condition]) -> list[Markup]:
    unparsable = [condition for condition in found if "unparsable_rate" in condition.rates]
    worst = max(unparsable, key=lambda condition: condition.rates["unparsable_rate"].value, default=None)
    if worst is None or worst.rates["unparsable_rate"].value == 0:
        return []

    sentence = Markup("Up to {} of the generated answers could not be parsed (worst: {}); they count as wrong.")
    return [sentence.format(percent(worst.rates["unparsable_rate"].value), _place(worst))]
