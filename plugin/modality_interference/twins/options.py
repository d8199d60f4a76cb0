"""How the options of a question would be answered: the tokens that tell each from the others."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from .answers import LETTERS
from .remembering import remembered


_REMEMBERED = 4096  # options: rows share classes and letters, or nothing
_PROBES = ("A", "B")  # answers that differ in everything but the turn's end


@dataclass
class OptionEncoder:
    """Tokenizes options as the template writes an answer.

    Attributes:
        encode: from an answer's text to its label ids.
    """

    encode: Callable[[str], list[int]]
    _known: OrderedDict = field(default_factory=OrderedDict, repr=False)

    def option_ids(self, choices: list[str], answer: int, response: str, labels: list[int]) -> list[list[int]]:
        """The tokens that tell each option from the others.

        They are an answer's tokens without the turn's end; where one option begins like another one ends ("1" and "10"),
        all keep the end, which then tells them apart.

        Args:
            choices: the options.
            answer: the index of the right one.
            response: the row's answer: the right option's text, or its letter.
            labels: the label ids of the row's last turn.

        Returns:
            a list per option; nothing where the response is neither text nor letter, so that the answer is free.
        """
        answers = _answers(choices, answer, response.strip())
        if answers is None:
            return []

        full = [self._labels(text) for text in answers]
        if full[answer] != labels:  # a template that writes an answer according to its prompt
            return []

        end = self._end()
        short = [ids[: len(ids) - end] for ids in full]
        if not all(short):
            return []

        return full if _one_begins_another(short) else short

    def _labels(self, text: str) -> list[int]:
        return remembered(self._known, _REMEMBERED, text, lambda: self.encode(text))

    def _end(self) -> int:
        """Number of tokens that every answer ends in."""
        first, second = (self._labels(text)[::-1] for text in _PROBES)
        same = [one == other for one, other in zip(first, second)]
        return same.index(False) if False in same else len(same)


def _answers(choices: list[str], answer: int, response: str) -> list[str] | None:
    if response == choices[answer].strip():
        return [choice.strip() for choice in choices]

    return list(LETTERS[: len(choices)]) if response == LETTERS[answer] else None


def _one_begins_another(options: list[list[int]]) -> bool:
    ordered = sorted(options)  # an option stands right before those that begin with it
    return any(after[: len(before)] == before for before, after in zip(ordered, ordered[1:]))
