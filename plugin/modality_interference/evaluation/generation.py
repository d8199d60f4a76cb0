"""Generated answers: from token ids to what a model wrote, and its score."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from ..batching.batch import Question
from ..data.instructions import ANSWER_LINE
from ..results import ScoredRow
from .answer_text import normalized, without_thought
from .answers import parse_choice
from .scoring import scored_row


_TAIL = 24  # tokens at a prompt's end that may open a thought
# the line that a chain of thought is asked to end in, also as "**Final answer:**" and with a full-width colon
_ANSWER = re.compile(
    rf"^[\W_]*(?:(?:the|final)\s+)*{ANSWER_LINE[:-1]}[*_`\s]*[:：][*_`\s]*", re.IGNORECASE | re.MULTILINE
)


@dataclass
class GeneratedText:
    """Turns generated tokens into text.

    Attributes:
        tokenizer: the model's.
        thought_words: what opens and what closes a thought, as LLaMA-Factory's template says.
    """

    tokenizer: Any
    thought_words: tuple[str, str]

    @cached_property
    def thought_tokens(self) -> frozenset[int]:
        """Special tokens that a thought's words are made of; they must neither be lost nor end an answer."""
        words = (word.strip() for word in self.thought_words)
        tokens = {token for word in words for token in self.tokenizer.encode(word, add_special_tokens=False)}
        return frozenset(tokens & set(self.tokenizer.all_special_ids))

    def texts(self, generated: Tensor) -> list[str]:
        """What was written, without special tokens but those of a thought.

        Args:
            generated: (rows, tokens), padding in place of the prompt.
        """
        dropped = set(self.tokenizer.all_special_ids) - self.thought_tokens
        kept = [[token for token in row if token not in dropped] for row in generated.tolist()]
        return [self.tokenizer.decode(row, skip_special_tokens=False) for row in kept]

    def opened(self, prompts: Tensor) -> list[bool]:
        """Whether each prompt ends in the opening of a thought, which the model then continues.

        Args:
            prompts: (rows, tokens), padded on the left.
        """
        opening = self.thought_words[0].strip()
        ends = [self.tokenizer.decode(row, skip_special_tokens=False) for row in prompts[:, -_TAIL:].tolist()]
        return [bool(opening) and end.rstrip().endswith(opening) for end in ends]

    def stops(self, token_ids: Sequence[int]) -> list[int]:
        """The tokens that end an answer, of those that LLaMA-Factory lets end it: all special ones."""
        return [token for token in token_ids if token not in self.thought_tokens]


def score_generated(
    questions: list[Question],
    texts: list[str],
    thought_words: tuple[str, str],
    opened: Sequence[bool] | None = None,
    reasoned: bool = False,
) -> list[ScoredRow]:
    """Score what a model wrote, without its thought.

    With options, an answer is right where it names the right option; an answer that cannot be parsed is wrong, and differs
    from one that can be parsed. Without options, an answer is right where it is the expected text, case, spaces and a full
    stop apart. An answer whose thought is not closed cannot be parsed.

    Of a chain of thought, the answer is what follows the last "Answer:" that begins a line. Without one, an option may be read
    from the whole text, and a free answer cannot be parsed.

    Args:
        questions: clean rows and twins.
        texts: what the model wrote to each.
        thought_words: what opens and what closes a thought.
        opened: whether a question's prompt has opened a thought.
        reasoned: whether the prompt has asked for a chain of thought.
    """
    opening = thought_words[0]
    whole = [opening + text if begun else text for text, begun in zip(texts, opened or [False] * len(texts))]
    answers = [without_thought(text, thought_words) for text in whole]
    if reasoned:
        answers = [_concluded(answer, bool(question.choices)) for question, answer in zip(questions, answers)]

    parsed = [_parse(question, answer) for question, answer in zip(questions, answers)]
    return [
        _score(question, text, answer, own, parsed[question.clean], thought_words)
        for question, text, answer, own in zip(questions, texts, answers, parsed)
    ]


def _concluded(text: str | None, readable: bool) -> str | None:
    """What a chain of thought ends in; without an answer line the whole text where options can be read from it, else None."""
    lines = list(_ANSWER.finditer(text or ""))
    if text is None or not lines:
        return text if readable else None

    rest = text[lines[-1].end() :].strip()
    return rest if readable else rest.partition("\n")[0].strip("*_` ")


def _parse(question: Question, answer: str | None) -> int | str | None:
    if answer is None:
        return None

    return parse_choice(answer, question.choices) if question.choices else normalized(answer)


def _score(
    question: Question,
    text: str,
    answer: str | None,
    own: int | str | None,
    clean: int | str | None,
    thought_words: tuple[str, str],
) -> ScoredRow:
    if question.choices:
        shown, right = None if own is None else question.choices[int(own)], question.answer
    else:
        expected = without_thought(question.response, thought_words) or question.response
        shown, right = None if answer is None else answer.strip(), normalized(expected)  # type: ignore[assignment]

    return scored_row(
        question,
        answer=shown,
        response=text,
        correct=own == right,
        flipped=own != clean if question.batch_row != question.clean else None,
        misled=None if question.target is None else own == question.target,
    )
