"""Score generated answers: parse them against the options; what cannot be parsed is counted, not guessed."""

import re

from ..batch import Question
from ..twins.answers import LETTERS
from .likelihood import scored_row
from .results import ScoredRow


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


def score_generated(questions: list[Question], texts: list[str]) -> list[ScoredRow]:
    """Score what a model wrote.

    With options, an answer is right where it names the right one; an answer that cannot be parsed is wrong. Where the
    answer is free, it is right where it is the row's own but for case, spaces and a full stop. An answer that cannot be
    parsed differs from one that can.

    Args:
        questions: clean rows and twins.
        texts: the model's answer to each.
    """
    parsed = [
        parse_choice(text, question.choices) if question.choices else _loose(text)
        for question, text in zip(questions, texts)
    ]
    return [
        _score(question, text, own, parsed[question.clean]) for question, text, own in zip(questions, texts, parsed)
    ]


def _score(question: Question, text: str, own: int | str | None, clean: int | str | None) -> ScoredRow:
    right = question.answer if question.choices else _loose(question.response)
    is_twin = question.batch_row != question.clean
    return scored_row(
        question,
        answer=question.choices[own] if isinstance(own, int) else (None if own is None else text.strip()),
        correct=own == right,
        flipped=own != clean if is_twin else None,
        misled=None if question.planted is None else own == question.planted,
    )
