"""Where a text goes in a question: before it, after it, or inside, between sentences or before the options."""

import random
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

from ..options import options_at
from ..sample import Sample, placeholder_spans


Position = Literal["before", "after", "inside"]
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*(?:\s+)(?=\S)|[。！？](?=\S)|\n+(?=[^\n])")
_LOOK_BACK = 24  # characters
_ABBREVIATED = re.compile(r"(?:\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|vs|etc|e\.g|i\.e|No|Fig)|^\s*\d+)\.\s+$")
_OPTIONS_HEAD = re.compile(r"^[ \t]*(?:options?|choices|answer choices)[ \t]*:?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_FIRST_OPTION = re.compile(r"^[ \t]*[(\[]?(?:A|a|1)[)\].:][ \t]*\S", re.MULTILINE)


def place(sample: Sample, text: str, positions: Sequence[Position], rng: random.Random) -> Sample | None:
    """The sample with a text at one of some positions, drawn from those that its last user message has.

    Args:
        sample: the row.
        text: what to put there.
        positions: where it may go.
        rng: draws where there are several places.

    Returns:
        The new sample; None where it has no user message, or only the inside is allowed and there is none.
    """
    question = sample.question
    if question is None:
        return None

    gaps = inner_gaps(question, sample.choices or ()) if "inside" in positions else []
    possible = [position for position in positions if position != "inside" or gaps]
    if not possible:
        return None

    position = rng.choice(possible) if len(possible) > 1 else possible[0]
    if position == "inside":
        gap = rng.choice(gaps)
        return sample.with_question(lambda content: _put(content, gap, text))

    return sample.before_question(text) if position == "before" else sample.after_question(text)


def inner_gaps(question: str, choices: Sequence[str] = ()) -> list[int]:
    """Places inside a question: between two sentences or lines, and before the options.

    None is in a media placeholder, in a list of options or after a heading ("Question:").

    Args:
        question: the message, without leading media.
        choices: the options that it lists, where they are known.
    """
    end = _options_start(question, choices)
    spans = placeholder_spans(question)
    ends = (match.end() for match in _SENTENCE_END.finditer(question))
    return [place for place in ends if place <= end and _divides(question, place, spans)]


def _divides(question: str, place: int, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether sentences end at a place, no heading or abbreviation, and no placeholder is around it."""
    before = question[max(0, place - _LOOK_BACK) : place]
    if not before.strip() or before.rstrip().endswith(":") or _ABBREVIATED.search(before):
        return False

    inside = bisect_left(spans, (place,)) - 1  # the last placeholder that starts before the place
    return inside < 0 or place >= spans[inside][1]


def _options_start(question: str, choices: Sequence[str]) -> int:
    """Where the list of options starts, with its heading; the end of the question where there is none."""
    starts = [match.start() for pattern in (_OPTIONS_HEAD, _FIRST_OPTION) if (match := pattern.search(question))]
    place = options_at(question, choices)
    if place is not None:
        starts.append(question.rfind("\n", 0, place) + 1 or place)

    start = min(starts, default=len(question))
    return start + len(question[start:]) - len(question[start:].lstrip("\n"))


def _put(question: str, gap: int, text: str) -> str:
    before, after = question[:gap], question[gap:]
    glue = "\n" if before.endswith("\n") or "\n" in text else " "
    return f"{before}{'' if before[-1].isspace() else glue}{text}{glue}{after}"
