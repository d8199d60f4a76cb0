"""From a server's answers to scored rows."""

from collections.abc import Sequence
from dataclasses import replace

from ..batching.batch import Question
from ..data.matching import FreeAnswerRule
from ..evaluation.answer_text import THOUGHT
from ..evaluation.answers import parse_choice
from ..evaluation.generation import score_generated
from ..results import ScoredRow
from .letters import LetterScores, js_bits, letter_scores
from .reply import Answer


def score_answers(
    questions: Sequence[Question], answers: Sequence[Answer | None], rule: FreeAnswerRule = "exact"
) -> list[ScoredRow]:
    """Score the answers to a clean row and what is made of it, as a local run scores generated ones.

    Where the server gives probabilities and the answer is an option's letter, by its first token and by its text, the answer is the
    option whose letter is the most probable there. An answer whose first token merely looks like a letter ("A dog.") is read. First
    tokens say little of answers that begin otherwise (arXiv 2402.14499). The causal effect is the Jensen-Shannon divergence between the
    distributions over the options' letters, of a clean row and a twin whose lists hold all letters.

    Args:
        questions: the clean one first.
        answers: to each; None where there is none.
        rule: of answers without options, see `matching.matches`.

    Returns:
        a row for each question that was answered; nothing where the clean one was not.
    """
    if not answers or answers[0] is None:
        return []

    kept = [(question, answer) for question, answer in zip(questions, answers) if answer is not None]
    numbered = [replace(question, batch_row=number) for number, (question, _) in enumerate(kept)]
    scores = [letters_of(question, answer) for question, answer in kept]
    chosen = [None if found is None else found.best for found in scores]
    rows = score_generated(numbered, [answer.text for _, answer in kept], THOUGHT, rule=rule, chosen=chosen)
    return [rows[0], *(_with_effect(row, scores[0], own) for row, own in zip(rows[1:], scores[1:]))]


def letters_of(question: Question, answer: Answer) -> LetterScores | None:
    """The probabilities of the options; None where the answer is not a letter."""
    scores = letter_scores(answer.probabilities, len(question.choices))
    return scores if scores and parse_choice(answer.text, question.choices) == scores.written else None


def _with_effect(row: ScoredRow, clean: LetterScores | None, own: LetterScores | None) -> ScoredRow:
    if clean is None or own is None or clean.distribution is None or own.distribution is None:
        return row

    return row.model_copy(update={"causal_effect": js_bits(clean.distribution, own.distribution)})
