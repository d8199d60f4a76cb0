"""What the diagnosis asks of a batch: its questions, the tokens that tell options apart, and the rows that bring further options."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..data.options import LETTERS
from ..modality import CLEAN, IGNORE_LABEL, kind_of
from .batch import OptionTokens, Question
from .media_reader import remembered


def last_turn_start(labels: list[int]) -> int:
    """Where the labels of the last turn start; earlier turns may have labels too."""
    start = len(labels)
    while start > 0 and labels[start - 1] != IGNORE_LABEL:
        start -= 1

    return start


Row = dict[str, Any]


def ask(rows: list[Row], examples: list[Row], twin_of: list[int]) -> list[Question]:
    """Make the questions of a batch; add rows for options that the batch's own rows do not show.

    A row's logits tell the likelihood of the right option, whose tokens it holds, and of all options of one token. Another
    option of several tokens takes a row of its own, appended to all three lists.

    Args:
        rows: clean rows, each followed by its twins.
        examples: the example that each row belongs to.
        twin_of: the place of each row's clean row.

    Returns:
        a question for every row that was there before.
    """
    return [
        question(place, rows[place], examples[place], twin_of[place], _options(place, rows, examples, twin_of))
        for place in range(len(rows))
    ]


def prompt_of(row: Row) -> Row:
    """A row without its answer, for generation."""
    start = last_turn_start(row["labels"])
    return {**row, "input_ids": row["input_ids"][:start], "labels": [IGNORE_LABEL] * start}


def question(
    place: int, row: Row, example: Row, clean: int, options: tuple[OptionTokens, ...] = (), response: str = ""
) -> Question:
    """What the diagnosis knows of one row; see `Question`."""
    choices, answer = tuple(example.get("choices") or ()), example.get("answer", -1)
    target = row.get("target") or None
    return Question(
        dataset=example.get("dataset") or "",
        row=example.get("row", -1),
        key=example.get("key", 0),
        kind=kind_of(example.get("relevant") or 0),
        perturbation=row.get("perturbation") or CLEAN,
        batch_row=place,
        clean=clean,
        choices=choices if example.get("option_ids") else (),
        answer=answer if example.get("option_ids") else None,
        target=choices.index(target) if target in choices and example.get("option_ids") else None,
        options=options,
        response=response,
    )


def _options(place: int, rows: list[Row], examples: list[Row], twin_of: list[int]) -> tuple[OptionTokens, ...]:
    row, start = rows[place], last_turn_start(rows[place]["labels"])
    offset = sum(label != IGNORE_LABEL for label in row["labels"][:start])  # labels of earlier turns
    found = []
    for index, tokens in enumerate(examples[place].get("option_ids") or ()):
        if index == examples[place]["answer"] or len(tokens) == 1:
            found.append(OptionTokens(place, offset, tuple(tokens)))
            continue

        found.append(OptionTokens(len(rows), 0, tuple(tokens)))
        labels = [IGNORE_LABEL] * start + list(tokens)
        rows.append({**row, "input_ids": [*row["input_ids"][:start], *tokens], "labels": labels})
        examples.append(examples[place])
        twin_of.append(twin_of[place])

    return tuple(found)


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
