"""Read which option a generated answer names; an answer that cannot be read is counted, not guessed."""

import re

from ..data.options import LETTERS


_LETTER_PATTERNS = (
    re.compile(r"^\s*[(\[]?([A-Za-z])[)\].:,]*\s*$"),  # nothing but a letter
    re.compile(r"^\s*[(\[]?([A-Za-z])[)\].:,]\s*\S"),  # a letter, a mark, more; not "A dog", where it is an article
    re.compile(r"\b(?:[Aa]nswer|[Oo]ption|[Cc]hoice)(?:\s+is)?\s*:?\s*[(\[]?([A-Z])\b(?!\s+[a-z])"),
    re.compile(r"[(\[]([A-Z])[)\]]"),
)
_FIRST_MARKER = 0xF0000  # private-use characters stand for options that have been found


def parse_choice(text: str, choices: tuple[str, ...]) -> int | None:
    """Find which option an answer names: by its letter ("B", "(B)", "The answer is B"), by its text, or by both.

    Args:
        text: what the model wrote.
        choices: the options, in the order of their letters.

    Returns:
        the option's index; None where the answer names none, several, or a letter and another option's text.
    """
    answer, options = normalized(text), [normalized(choice) for choice in choices]
    if options.count(answer) == 1:
        return options.index(answer)

    by_letter = _named_by_letter(text, len(choices))
    by_text = _named_by_text(answer, options)
    if len(by_letter) == 1:
        return next(iter(by_letter)) if not by_text or by_letter <= by_text else None

    return next(iter(by_text)) if not by_letter and len(by_text) == 1 else None


def normalized(text: str) -> str:
    """An answer as it is compared: without regard to case, runs of spaces, outer quotes and full stops."""
    words = "".join(character for character in text if ord(character) < _FIRST_MARKER).casefold().split()
    return " ".join(words).strip(".!\"'` ")


def _named_by_letter(text: str, count: int) -> set[int]:
    found = {LETTERS.index(match[1].upper()) for pattern in _LETTER_PATTERNS for match in pattern.finditer(text)}
    return {index for index in found if index < count}


def _named_by_text(answer: str, options: list[str]) -> set[int]:
    """Options that the answer has as whole words, not counting those inside a longer one ("red" in "dark red").

    Args:
        answer: normalized.
        options: normalized.
    """
    for option in sorted(set(options), key=len, reverse=True):
        if option:
            answer = re.sub(rf"(?<!\w){re.escape(option)}(?!\w)", _markers(options, option), answer)

    last = _FIRST_MARKER + len(options)
    return {ord(character) - _FIRST_MARKER for character in answer if _FIRST_MARKER <= ord(character) < last}


def _markers(options: list[str], option: str) -> str:
    """One character for each option with this text."""
    return "".join(chr(_FIRST_MARKER + index) for index, other in enumerate(options) if other == option)
