"""`changed_numbers`: other numbers of like form in the evidence, so that the number that was the answer is not there any more."""

import random
import re
from collections.abc import Collection, Sequence

from ...modality import Modality
from ..dataset import RowContext
from ..evidence import evidence_texts, question_span, with_evidence
from ..matching import words_of
from ..registry import Parameters, register_perturbation
from ..sample import Sample


MAX_NUMBERS = 1000  # that differ, of a row
TRIES = 64  # draws of a number until one has another value than those that may not stand there
_CLASSES = (  # of numbers in words, of which one becomes another; "one" is often no number: "one of them"
    dict(zip(range(2, 10), "two three four five six seven eight nine".split())),
    dict(
        zip(
            range(10, 20),
            "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),
        )
    ),
    dict(zip(range(20, 100, 10), "twenty thirty forty fifty sixty seventy eighty ninety".split())),
)
_WORDS = {value: word for words in _CLASSES for value, word in words.items()}
_VALUES = {word: value for value, word in _WORDS.items()}
# Not those in names ("H2O", "v1.5") nor ordinals ("3rd"); "5kg" is a number with its unit.
_NUMBER = re.compile(
    r"(?<!\w)(?<![0-9][.,:/-])(?P<digits>[0-9]+(?:[.,:/-][0-9]+)*)(?![0-9_])(?!(?:st|nd|rd|th)\b)"
    rf"|\b(?P<word>{'|'.join(_VALUES)})\b",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"([.,:/-])")
_OF_TIMES = re.compile(r"[:/-]")
_CEILINGS = (12, 31, 59, 99)  # months and hours, days, minutes: a part of a date or a time stays one
_CENTURIES = range(10, 21)  # a number of four digits that may be a year keeps its first two


@register_perturbation("changed_numbers", changes=Modality.TEXT, removes_evidence=True)
def changed_numbers(sample: Sample, rng: random.Random, context: RowContext, parameters: Parameters) -> Sample | None:
    """Other numbers of like form in the evidence; where no column names it, in the question. Of rows whose answer names one of them."""
    named = bool(context.dataset.columns.get("evidence"))
    spans = sample.evidence if named else question_span(sample)
    texts = evidence_texts(sample, spans)
    answers = numbers_in(sample.right_answer) & numbers_in("\n".join(texts))
    if not answers:
        return None

    changed = with_other_numbers(texts, numbers_in(sample.right_answer), rng)
    if changed is None or answers & numbers_in("\n".join(changed)):
        return None

    return with_evidence(sample, spans, changed)


def numbers_in(text: str) -> set[str]:
    """The values of the numbers in a text, in digits: 1,000 is 1000, 2.0 is 2, "five" is 5; of the parts of a date one each."""
    parts = [
        part for word in words_of(text) for part in (_SEPARATOR.split(word) if _OF_TIMES.search(word) else [word])
    ]
    values = (str(_VALUES.get(part, part)) for part in parts)
    return {re.sub(r"^0+(?=\d)", "", value) for value in values if value[:1].isdigit()}


def with_other_numbers(texts: Sequence[str], avoid: Collection[str], rng: random.Random) -> list[str] | None:
    """Texts in which every number is another one.

    A number that occurs several times becomes the same one everywhere, in digits as in words, and two numbers become two, as
    long as there are enough.

    Args:
        texts: what to change.
        avoid: values, as of `numbers_in`, that no new number may have.
        rng: draws the numbers.

    Returns:
        The texts; None where a number can become no other, or where there are more than `MAX_NUMBERS`.
    """
    table: dict[str, str] = {}
    taken: set[str] = set()

    def other(match: re.Match[str]) -> str:
        old = match["digits"] or str(_VALUES[match["word"].lower()])
        if old not in table:
            if len(table) == MAX_NUMBERS:
                raise LookupError(old)

            table[old] = _other(old, avoid, taken, rng)
            taken.add(table[old])

        return _spelled(int(table[old]), match["word"]) if match["word"] else table[old]

    try:
        return [_NUMBER.sub(other, text) for text in texts]
    except LookupError:
        return None


def _other(old: str, avoid: Collection[str], taken: Collection[str], rng: random.Random) -> str:
    """A number like another, of another value; one that is not taken where a few draws find any."""
    found = None
    for _ in range(TRIES):
        new = _like(old, rng)
        if new != old and numbers_in(new).isdisjoint(avoid):
            if new not in taken:
                return new

            found = found or new

    if found is None:
        raise LookupError(old)

    return found


def _like(old: str, rng: random.Random) -> str:
    """A number of the form of another: as many digits in as many parts, of one that has a word another one that has."""
    for words in _CLASSES:
        if old in map(str, words) or (len(old) == 1 and 9 in words):
            return str(rng.choice(list(words)))

    parts = _SEPARATOR.split(old)
    zero = not old.strip("0.,:/-")
    limited = bool(_OF_TIMES.search(old))
    return "".join(part if _SEPARATOR.fullmatch(part) else _part_like(part, zero, limited, rng) for part in parts)


def _part_like(part: str, zero: bool, limited: bool, rng: random.Random) -> str:
    """Other digits: zeros in front stay, and so do parts of zeros alone ("1,000"), unless the whole number is `zero`."""
    digits = part if zero else part.lstrip("0")
    if not digits:
        return part

    if limited and len(part) <= 2:
        ceiling = min(10 ** len(part) - 1, next(ceiling for ceiling in _CEILINGS if int(part) <= ceiling))
        return str(rng.randint(1, ceiling)).zfill(len(part))

    if len(part) == 4 and int(part[:2]) in _CENTURIES:
        return part[:2] + "".join(rng.choices("0123456789", k=2))

    drawn = rng.choice("123456789") + "".join(rng.choices("0123456789", k=len(digits) - 1))
    return drawn.zfill(len(part))


def _spelled(value: int, like: str) -> str:
    """A number in words, with the capitals of another one."""
    word = _WORDS[value]
    return word.upper() if like.isupper() else word.capitalize() if like[0].isupper() else word
