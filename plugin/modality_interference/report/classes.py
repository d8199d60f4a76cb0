"""How a diagnosis went class by class: accuracies, the most frequent wrong answers, and what is taken for what."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..modality import CLEAN
from ..results import ScoredRow
from .table import PROMPTS


UNPARSABLE = "(unparsable)"  # an answer that names no option
_FEWEST_ROWS = 2  # of a class, on average: right answers that do not come again are no classes
_MOST_LINES = 1000  # of all tables


@dataclass(frozen=True)
class ClassFigures:
    """The answers to some rows of one class.

    Attributes:
        rows: how many they are.
        right: how many of them are right.
        wrong: the most frequent wrong answer; None where none is wrong.
        wrong_rows: how often it was given.
    """

    rows: int
    right: int
    wrong: str | None = None
    wrong_rows: int = 0

    @property
    def accuracy(self) -> float | None:
        """The share of right answers; None without rows."""
        return self.right / self.rows if self.rows else None

    @classmethod
    def of(cls, name: str, answers: Mapping[str, int]) -> "ClassFigures":
        """Figures of a class, from how often each answer was given to its rows."""
        wrong = sorted(((-count, answer) for answer, count in answers.items() if answer != name))
        first = {"wrong": wrong[0][1], "wrong_rows": -wrong[0][0]} if wrong else {}
        return cls(rows=sum(answers.values()), right=answers.get(name, 0), **first)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ClassGroup:
    """The classes of one dataset; of clips, of its questions about one modality.

    Attributes:
        dataset: its name.
        prompt: `visual` or `audio` of clips, else "".
        answers: for the clean rows and for their twins, by class, how often each answer was given.
    """

    dataset: str
    prompt: str
    answers: Mapping[bool, Mapping[str, Mapping[str, int]]]

    @property
    def title(self) -> str:
        """The dataset, and the prompt where it has several."""
        return f"{self.dataset}, {self.prompt} prompt" if self.prompt else self.dataset

    @property
    def classes(self) -> list[str]:
        """Sorted."""
        return sorted(self.answers[True])

    @property
    def has_twins(self) -> bool:
        """Whether any class has twins."""
        return bool(self.answers[False])

    def lines(self) -> list[tuple[str, ClassFigures, ClassFigures]]:
        """Class, figures of its clean rows and of their twins; the class that is recognized least first."""
        clean, twins = (
            {name: ClassFigures.of(name, self.answers[is_clean].get(name, {})) for name in self.classes}
            for is_clean in (True, False)
        )
        return [
            (name, clean[name], twins[name]) for name in sorted(clean, key=lambda name: (clean[name].accuracy, name))
        ]

    def confusion(self, clean: bool) -> tuple[NDArray[np.float64], list[str]]:
        """What is taken for what.

        Args:
            clean: whether of the clean rows, or of their twins.

        Returns:
            (classes, answers) shares of the rows of a class, nan where it has none, and the names of the answers: the classes,
            and behind them `other` where anything else was answered.
        """
        names = self.classes
        counts = np.zeros((len(names), len(names) + 1))
        for line, name in enumerate(names):
            for answer, count in self.answers[clean].get(name, {}).items():
                counts[line, names.index(answer) if answer in names else -1] += count

        counts = counts if counts[:, -1].any() else counts[:, :-1]
        with np.errstate(invalid="ignore"):
            return counts / counts.sum(axis=1, keepdims=True), [*names, "other"][: counts.shape[1]]


def class_groups(rows: Sequence[ScoredRow]) -> list[ClassGroup]:
    """The datasets whose right answers are classes: several options come again and again.

    Args:
        rows: all scored rows.

    Returns:
        In the order of the rows; of clips, the visual prompt first.
    """
    found: dict[tuple[str, str], dict[bool, dict[str, Counter[str]]]] = {}
    for row in rows:
        if row.right is None or row.options is None:
            continue

        answers = found.setdefault((row.dataset, PROMPTS.get(row.kind, "")), {True: {}, False: {}})
        answer = UNPARSABLE if row.answer is None else row.answer
        answers[row.perturbation == CLEAN].setdefault(row.right, Counter())[answer] += 1

    groups, left = [], _MOST_LINES
    for (dataset, prompt), answers in found.items():
        total, classes = sum(count.total() for count in answers[True].values()), len(answers[True])
        if 2 <= classes <= left and total >= _FEWEST_ROWS * classes:
            groups.append(ClassGroup(dataset, prompt, answers))
            left -= classes

    order = {name: place for place, name in enumerate(dict.fromkeys(group.dataset for group in groups))}
    prompts = ["", *PROMPTS.values()]
    return sorted(groups, key=lambda group: (order[group.dataset], prompts.index(group.prompt)))
