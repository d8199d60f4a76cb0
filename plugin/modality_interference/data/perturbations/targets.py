"""The target: the wrong option, or of rows without options the wrong answer, that a perturbation claims to be right."""

import random
import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from ..dataset import TRIES, RawDataset, RowContext
from ..matching import distinct, words_of
from ..registry import Parameters, formats
from ..sample import Sample, without_placeholders
from .claims import Kind, bare, kind_of


MAX_ANSWER = 200  # characters of an answer that can be claimed; longer ones are texts of their own
MAX_ANSWERS = 10_000
ENOUGH_TRIES = 16  # after which an answer of the same type and length will do, whatever it names
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
_Answer = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ANSWER, strip_whitespace=True)]


class TargetOption(Parameters):
    """Base of perturbations that name a wrong option: the dataset must have options."""

    def check(self, dataset: RawDataset) -> None:
        """Look for options."""
        if not has_options(dataset):
            raise dataset.error(
                "`misleading_caption` names a wrong option, but the dataset names no options. Name its `choices` and `answer` "
                "in `columns`, or use `misleading_text`, which takes wrong answers from other rows."
            )


class TargetAnswer(Parameters):
    """Base of perturbations that name a wrong option, or a wrong answer where the dataset has no options.

    Attributes:
        answers: of a dataset without options, what wrong answers are drawn from; None for the answers of its other rows.
    """

    answers: Annotated[tuple[_Answer, ...], Field(min_length=2, max_length=MAX_ANSWERS)] | None = Field(
        None,
        description=f"a list of 2 to {MAX_ANSWERS:,} texts of at most {MAX_ANSWER} characters without media placeholders",
    )

    @field_validator("answers")
    @classmethod
    def _check_answers(cls, answers: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if any(without_placeholders(answer) != answer for answer in answers or ()):
            raise ValueError("not such texts")

        return answers

    def check(self, dataset: RawDataset) -> None:
        """Look for options, or other rows to take answers from."""
        if has_options(dataset):
            if self.answers is not None:
                raise dataset.error(
                    "`answers` is for datasets without options, and this one has them. Remove the key."
                )
        elif self.answers is None and dataset.other_rows is None and not dataset.ranking:
            raise dataset.error(
                "a perturbation names a wrong answer (`misleading_text`, `typographic_image`). Without options it is drawn "
                "from other rows, and streaming has no random access. Give the answers: "
                '{"name": "misleading_text", "answers": ["red", "blue"]}, or set `streaming: false`.'
            )


def has_options(dataset: RawDataset) -> bool:
    """Whether the rows of a dataset have options, of the data or made by the format."""
    return "choices" not in formats()[dataset.formatting].optional or "choices" in dataset.columns


def draw_target(
    sample: Sample, rng: random.Random, context: RowContext, answers: Sequence[str] | None = None
) -> str | None:
    """Draw a wrong option; of a row without options a wrong answer, of a pair the rejected one.

    A wrong answer is of the type of the right one (a number, a letter, a date, yes or no, other words) and as long, and can be told from it
    by every rule of `matching`. To yes it is no.

    Args:
        sample: the clean row.
        rng: of the perturbation.
        context: knows the dataset's other rows.
        answers: what wrong answers are drawn from; None for the rejected answer where the row is a pair in which it can be told
            from the chosen one, and else for the answers of other rows.

    Returns:
        The target; None where the row has no wrong option, or too few tries found a wrong answer.
    """
    if sample.choices is not None:
        return rng.choice(sample.wrong_choices) if sample.wrong_choices else None

    right = answer_of(sample.response[0]["content"])
    if right is None:
        return None

    references = [one for one in map(answer_of, sample.references) if one is not None]

    def is_wrong(found: str) -> bool:
        return all(distinct(found, one) for one in (right, *references))

    rejected = answer_of(sample.rejected["content"]) if sample.rejected is not None and answers is None else None
    if rejected is not None and is_wrong(rejected):
        return rejected

    opposite = _OPPOSITES.get(" ".join(words_of(right)))
    if opposite is not None:
        return _in_case_of(right, opposite) if is_wrong(opposite) else None

    sought, kind, spare = _counterpart(right), kind_of(right), None
    for tried, found in enumerate(_candidates(rng, context, answers)):
        if spare is not None and tried >= ENOUGH_TRIES:
            break

        if found is None or answer_class(found) != sought or not is_wrong(found):
            continue

        if kind_of(found) is kind:
            return found

        spare = spare or found

    return spare


def answer_of(response: str) -> str | None:
    """A response without its thought and its full stop; None where it cannot be claimed."""
    text = _THOUGHT.sub("", response, count=1).strip()
    if not 0 < len(text) <= MAX_ANSWER or without_placeholders(text) != text or not words_of(text):
        return None

    return bare(text) if len(words_of(text)) <= 3 else text


def answer_class(text: str) -> tuple[str, int]:
    """The type of an answer, and how long it is, in doubling steps: what a wrong answer has in common with the right one."""
    words, kind = words_of(text), kind_of(text)
    if kind in (Kind.QUANTITY, Kind.DATE, Kind.TIME, Kind.LETTER):
        return kind.name, 0

    if kind is Kind.NUMBER or all(re.fullmatch(r"-?\d[\d.,]*", word) for word in words):
        digits = max(len(re.sub(r"\D.*", "", word.lstrip("-"))) for word in words)
        return Kind.NUMBER.name, (digits + 1) // 2

    verdict = words[0] if re.match(r"(?:yes|no)\b(?:[^\w\s]|$)", text, re.IGNORECASE) else "text"
    return verdict, max(len(words).bit_length(), 2)


def _counterpart(right: str) -> tuple[str, int]:
    """The class of a wrong answer: "Yes, ..." asks for one that begins with no."""
    name, length = answer_class(right)
    return _OPPOSITES.get(name, name), length


def _candidates(rng: random.Random, context: RowContext, answers: Sequence[str] | None) -> Iterator[str | None]:
    for _ in range(TRIES):
        if answers is not None:
            yield rng.choice(answers)
        else:
            found = context.other_row_answer(rng)
            yield None if found is None else answer_of(found)


def _in_case_of(like: str, text: str) -> str:
    """A word in small letters, in capitals or with a capital, as another text has it."""
    letters = [letter for letter in like if letter.isalpha()]
    if all(map(str.isupper, letters)):
        return text.upper()

    return text.capitalize() if letters[0].isupper() else text
