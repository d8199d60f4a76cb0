"""Figures, changes of texts and origins as people read them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from statistics import stdev
from typing import Any

from markupsafe import Markup, escape

from ..results import Rate, Tuning


SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
SCORINGS = {
    "likelihood": "by option likelihood",
    "generate": "by generated answers",
    "top_logprobs": "by the probabilities of option letters",
}


def percent(share: float) -> str:
    """`97.2 %`, with a space that does not break."""
    return f"{100 * share:.1f}{SPACE}%"


def bits(effect: float) -> str:
    """`0.412 bits`, with a space that does not break."""
    return f"{effect:.3f}{SPACE}bits"


def figure(value: float, name: str) -> str:
    """A rate called `name` in its unit: `97.2 %`, `0.412 bits`, `1.84 nats`, an excess as `+3.1`."""
    if name == "causal_effect":
        return bits(value)

    if name == "evidence_margin":
        return f"{number(value, 2)}{SPACE}nats"

    return change(value, name) if name == "excess_misled_rate" else percent(value)


def interval(rate: Rate) -> str:
    """A share with its interval: `97.2 % (95.1 to 98.6)`."""
    return f"{percent(rate.value)} {ends(rate.low, rate.high, 'accuracy')}"


def compared_with(clean: float | None, chance: float | None = None, by_chance: float | None = None) -> list[str]:
    """What a rate is to be compared with, a line each, without what is None or NaN.

    Args:
        clean: the rate of the clean rows: `clean 46.6 %`.
        chance: the accuracy of guessing, which is told where there are no clean rows: `guessing 25.0 %`.
        by_chance: the calibration error of a calibrated model: `by chance 4.1 %`.
    """
    named = (("clean", clean), ("guessing", chance), ("by chance", by_chance))
    found = {name: f"{name} {percent(share)}" for name, share in named if share is not None and share == share}
    if "clean" in found:
        found.pop("guessing", None)

    return list(found.values())


def ends(low: float | None, high: float | None, name: str) -> str:
    """The interval of a rate called `name`: `(95.1 to 98.6)`, in the unit of its value."""
    if low is None or high is None:
        return "(one example)"

    scale, digits = _scale(name)
    return f"({number(scale * low, digits)} to {number(scale * high, digits)})"


def spread(values: Sequence[float], name: str) -> str:
    """The standard deviation of a rate called `name` over runs, and its values: `sd 1.2; 95.0, 96.9, 97.2`."""
    scale, digits = _scale(name)
    shown = ", ".join(number(scale * value, digits) for value in values)
    return f"sd {number(scale * stdev(values), digits)}; {shown}"


def change(difference: float, name: str) -> str:
    """A difference of a rate called `name`, in percentage points, bits or nats, with its sign: `+3.1`, `±0.0`."""
    scale, digits = _scale(name)
    shown = number(scale * difference, digits)
    if shown.startswith(MINUS):
        return shown

    return f"{'+' if float(shown) else '±'}{shown}"


def number(value: float, digits: int) -> str:
    """With a proper minus sign, and none before a zero."""
    size = f"{abs(value):.{digits}f}"
    return MINUS + size if value < 0 and float(size) else size


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,797 rows`."""
    return f"{number:,}{SPACE}{singular if number == 1 else plural or singular + 's'}"


def joined(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)

    return f"{', '.join(items[:-1])} and {items[-1]}"


def _scale(name: str) -> tuple[int, int]:
    """Shares are shown in percent with one digit, effects in bits with three, margins in nats with two."""
    return {"causal_effect": (1, 3), "evidence_margin": (1, 2)}.get(name, (100, 1))


_MOST_WORDS = 1000  # compared word by word; longer texts only from both ends
_LONGEST = 800  # characters of one piece that are shown
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Piece:
    """A stretch of a perturbed text.

    Attributes:
        change: `same`, `added` or `removed`.
        text: of the perturbed text; of the clean one where it was removed.
    """

    change: str
    text: str


def changes(clean: str, perturbed: str) -> list[Piece]:
    """The perturbed text against the clean one, long stretches shortened."""
    return [Piece(change, shortened(text)) for change, text in _compare(clean, perturbed)]


def shortened(text: str) -> str:
    """A text without its middle where it is long."""
    if len(text) <= _LONGEST:
        return text

    half = _LONGEST // 2
    return f"{text[:half]} [… {len(text) - 2 * half:,} characters …] {text[-half:]}"


def _compare(clean: str, perturbed: str) -> Iterator[tuple[str, str]]:
    before, after = _WORDS.findall(clean), _WORDS.findall(perturbed)
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    middle_before, middle_after = before[start : len(before) - end], after[start : len(after) - end]
    yield from _stretch("same", after[:start])
    if not middle_before or len(middle_before) + len(middle_after) > _MOST_WORDS:
        yield from _stretch("removed", middle_before)
        yield from _stretch("added", middle_after)
    else:
        for change, i, j, k, l in SequenceMatcher(None, middle_before, middle_after).get_opcodes():
            yield from _stretch("removed", middle_before[i:j] if change != "equal" else [])
            yield from _stretch("same" if change == "equal" else "added", middle_after[k:l])

    yield from _stretch("same", after[len(after) - end :])


def _stretch(change: str, words: list[str]) -> Iterator[tuple[str, str]]:
    if words:
        yield change, "".join(words)


def _common(one: list[str], other: list[str]) -> int:
    """How many words both begin with."""
    return next((index for index, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def described(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as text; those that are not set are left out."""
    return {name: encodable(_text(value)) for name, value in values.items() if value is not None}


def tuned(tuning: Tuning) -> str:
    """How a model was tuned: `from models/base (lora, 600 steps, in this run), saved in saves/tuned`."""
    details = [
        *filter(None, [tuning.method]),
        *([counted(tuning.steps, "step")] if tuning.steps is not None else []),
        *(["in this run"] if tuning.in_this_run else []),
    ]
    parts = [f"from {tuning.base}" if tuning.base else "from a model that its folder does not name"]
    parts += [f"with the adapter {joined(tuning.adapters)}"] if tuning.adapters else []
    parts += [f"({', '.join(details)})"] if details else []
    text = " ".join(parts)
    if tuning.folder and tuning.folder not in tuning.adapters:
        text += f", saved in {tuning.folder}"

    return encodable(text)


def visible(answer: str | None) -> str:
    """An answer that can be seen: what does not print is written as escapes; `unparsable` where there is none."""
    if answer is None:
        return "unparsable"

    if not answer.strip():
        return f"(nothing but {answer!r})" if answer else "(empty)"

    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in encodable(answer)
    )


def breakable(text: str) -> Markup:
    """A path, name or version that may break behind slashes and underscores; escaped."""
    return Markup(re.sub("([/_])", r"\1<wbr>", str(escape(text))))


def encodable(text: str) -> str:
    """Text without the lone surrogates that JSON escapes and file names can bring, which no file can hold."""
    return text.encode(errors="replace").decode()


def moment(created: str) -> str:
    """`12 January 2026, 10:31 UTC`; what is not an ISO 8601 time stays as it is."""
    try:
        time = datetime.fromisoformat(created).astimezone(UTC)
    except (ValueError, OverflowError):
        return created

    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value

    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return joined(value)

    return json.dumps(value, ensure_ascii=False)
