"""How the runs of a comparison differ, in plain words with their figures."""

from collections.abc import Sequence

from markupsafe import Markup

from ..diagnose.results import RateName
from ..modality import CLEAN
from .comparison import ComparedCondition, Comparison, verdict
from .conditions import RATE_TITLES
from .differences import Difference
from .wording import change, ends, listed, percent


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
    return listed([f"{first} of {len(found)} conditions", *others])


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
