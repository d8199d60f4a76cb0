"""Accuracy by prompt and condition, as in the tables of arXiv 2511.22826."""

from collections.abc import Sequence
from dataclasses import dataclass

from .conditions import Condition
from .prompts import place


@dataclass(frozen=True)
class PromptLine:
    """One line of the table.

    Attributes:
        dataset: its name.
        title: of the condition.
        conditions: by prompt, those that the diagnosis has.
    """

    dataset: str
    title: str
    conditions: dict[str, Condition]


def prompt_lines(found: Sequence[Condition]) -> list[PromptLine]:
    """The lines of the table, those of a dataset together.

    Args:
        found: what `prompt_conditions` lists.
    """
    cells: dict[str, dict[str, dict[str, Condition]]] = {}
    for condition in found:
        cells.setdefault(condition.dataset, {}).setdefault(condition.title, {})[condition.prompt] = condition

    return [
        PromptLine(dataset, title, lines[title])
        for dataset, lines in cells.items()
        for title in sorted(lines, key=place)
    ]
