"""Read which option a generated answer names; what cannot be read is counted, not guessed."""

import re

from ..data.options import LETTERS


_LETTERS = (
    re.compile(r"^\s*[(\[]?([A-Za-z])[)\].:,]*\s*$"),  # nothing but a letter
    re.compile(r"^\s*[(\[]?([A-Za-z])[)\].:,]\s*\S"),  # a letter, a mark, more; not "A dog", where it is an article
    re.compile(r"\b(?:[Aa]nswer|[Oo]ption|[Cc]hoice)(?:\s+is)?\s*:?\s*[(\[]?([A-Z])\b(?!\s+[a-z])"),
    re.compile(r"[(\[]([A-Z])[)\]]"),
)


def parse_choice(text: str, choices: tuple[str, ...]) -> int | None:
    """Find which option an answer names: by its letter ("B", "(B)", "The answer is B"), by its text, or by both.

    Args:
        text: what the model wrote.
        choices: the options, in the order of their letters.

    Returns:
        the option's index; None where the answer names none, several, or a letter and another option's text.
    """
    said, options = _loose(text), [_loose(choice) for choice in choices]
    if options.count(said) == 1:
        return options.index(said)

    letters = _letters(text, len(choices))
    mentioned = _mentioned(said, options)
    if len(letters) == 1:
        return next(iter(letters)) if not mentioned or letters <= mentioned else None

    return next(iter(mentioned)) if not letters and len(mentioned) == 1 else None


def _letters(text: str, count: int) -> set[int]:
    found = {LETTERS.index(match[1].upper()) for pattern in _LETTERS for match in pattern.finditer(text)}
    return {index for index in found if index < count}


def _mentioned(said: str, options: list[str]) -> set[int]:
    """Options that the answer has as whole words, not counting those inside a longer one ("red" in "dark red")."""
    for option in sorted(set(options), key=len, reverse=True):
        if option:
            said = re.sub(rf"(?<!\w){re.escape(option)}(?!\w)", _mark(options, option), said)

    return {ord(character) - _MARKS for character in said if _MARKS <= ord(character) < _MARKS + len(options)}


_MARKS = 0xF0000  # private-use characters stand for options that have been found


def _mark(options: list[str], option: str) -> str:
    return "".join(chr(_MARKS + index) for index, other in enumerate(options) if other == option)


def _loose(text: str) -> str:
    words = "".join(character for character in text if ord(character) < _MARKS).casefold().split()
    return " ".join(words).strip(".!\"'` ")
