"""Generated answers: from token ids to what a model wrote, and its score."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from ..batching.batch import Question
from ..data.instructions import ANSWER_LINE
from ..data.matching import FreeAnswerRule, agree, matches
from ..results import ScoredRow
from .answer_text import without_thought
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
    texts: Sequence[str],
    thought_words: tuple[str, str],
    opened: Sequence[bool] | None = None,
    reasoned: bool = False,
    rule: FreeAnswerRule = "exact",
    chosen: Sequence[int | None] | None = None,
) -> list[ScoredRow]:
    """Score what a model wrote, without its thought.

    With options, an answer is right where it names the right option; an answer that cannot be parsed is wrong, and differs
    from one that can be parsed. Without options, `rule` says whether an answer is the expected text, or the wrong one that
    the perturbation claims; an answer that has both is right. It differs from the clean one where neither matches the other
    and not both are right. An answer whose thought is not closed cannot be parsed.

    Of a chain of thought, the answer is what follows the last "Answer:" that begins a line. Without one, an option may be read
    from the whole text, and a free answer cannot be parsed.

    Args:
        questions: clean rows and twins.
        texts: what the model wrote to each.
        thought_words: what opens and what closes a thought.
        opened: whether a question's prompt has opened a thought.
        reasoned: whether the prompt has asked for a chain of thought.
        rule: of answers without options, see `matching.matches`.
        chosen: the option of an answer that is known otherwise than from its text; None where the text is read.
    """
    opening = thought_words[0]
    whole = [opening + text if begun else text for text, begun in zip(texts, opened or [False] * len(texts))]
    answers = [without_thought(text, thought_words) for text in whole]
    if reasoned:
        answers = [_concluded(answer, bool(question.choices)) for question, answer in zip(questions, answers)]

    parsed = [
        option
        if option is not None
        else parse_choice(answer, question.choices)
        if question.choices and answer is not None
        else None
        for question, answer, option in zip(questions, answers, chosen or [None] * len(answers))
    ]
    scored = []
    for question, text, answer, own in zip(questions, texts, answers, parsed):
        if question.choices:
            scored.append(_score_choice(question, text, own, parsed[question.clean]))
        else:
            expected = without_thought(question.response, thought_words) or question.response
            scored.append(_score_free(question, text, answer, answers[question.clean], expected, rule))

    return scored


def _concluded(text: str | None, readable: bool) -> str | None:
    """What a chain of thought ends in; without an answer line the whole text where options can be read from it, else None."""
    lines = list(_ANSWER.finditer(text or ""))
    if text is None or not lines:
        return text if readable else None

    rest = text[lines[-1].end() :].strip()
    return rest if readable else rest.partition("\n")[0].strip("*_` ")


def _score_choice(question: Question, text: str, own: int | None, clean: int | None) -> ScoredRow:
    return scored_row(
        question,
        answer=None if own is None else question.choices[own],
        response=text,
        correct=own == question.answer,
        flipped=own != clean if question.batch_row != question.clean else None,
        misled=None if question.target is None else own == question.target,
    )


def _score_free(
    question: Question, text: str, answer: str | None, clean: str | None, expected: str, rule: FreeAnswerRule
) -> ScoredRow:
    def says(words: str | None, sought: str) -> bool:
        return words is not None and matches(words, sought, rule)

    def misled(words: str | None) -> bool | None:
        return None if question.claimed is None else says(words, question.claimed) and not says(words, expected)

    if answer is None or clean is None:
        same = answer is None and clean is None
    else:
        same = agree(answer, clean, rule) or (says(answer, expected) and says(clean, expected))

    return scored_row(
        question,
        answer=None if answer is None else answer.strip(),
        response=text,
        correct=says(answer, expected),
        flipped=not same if question.batch_row != question.clean else None,
        misled=misled(answer),
        clean_misled=misled(clean),
    )
