"""What the diagnosis asks of a batch: its questions, and the rows that bring further options."""

from typing import Any

from ..batch import OptionTokens, Question
from ..modality import CLEAN, IGNORE_LABEL, kind_of
from .processor import last_turn_start


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
    planted = row.get("planted") or None
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
        planted=choices.index(planted) if planted in choices and example.get("option_ids") else None,
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
