"""What a perturbation changed in a text, for people to see."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher


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
