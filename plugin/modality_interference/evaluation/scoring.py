"""Score a batch: by the likelihood of options or of free answers, or by what the model wrote."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..batching.batch import Answers, Question
from ..data.options import CANNOT_TELL
from ..results import ScoredRow
from ..train.losses import js
from .answers import normalized, parse_choice


def score_likelihood(
    questions: list[Question], answers: Answers, decode: Callable[[list[int]], str]
) -> list[ScoredRow]:
    """Score clean rows and twins by the model's likelihoods.

    A row with options is answered with the option of the highest likelihood. Its causal effect is the Jensen-Shannon
    divergence between the clean row's and its own distribution over the options (arXiv 2505.19616).

    A row without options is answered with the most likely token at every position of the right answer (teacher forcing),
    and is right where all tokens are. Its causal effect is the mean over these positions of the Jensen-Shannon divergence
    between the distributions over the vocabulary.

    Args:
        questions: of the batch; rows without an answer are left out.
        answers: logits at the answer positions of all its rows.
        decode: from token ids to text.
    """
    answered = (answers.lengths > 0).tolist()
    free = [question for question in questions if not question.choices and answered[question.batch_row]]
    likelihoods = option_likelihoods(questions, answers)
    scored = [
        _score_options(question, likelihoods[index], likelihoods[question.clean])
        for index, question in enumerate(questions)
        if question.choices
    ]
    return scored + _score_free(free, answers, decode)


def option_likelihoods(questions: list[Question], answers: Answers) -> list[Tensor]:
    """(options,) float64 log-probabilities over the options, for each question; empty where the answer is free."""
    options = [option for question in questions for option in question.options]
    tokens = [token for option in options for token in option.tokens]
    starts = answers.starts.tolist()
    positions = [starts[option.row] + option.offset + step for option in options for step in range(len(option.tokens))]
    device = answers.logits.device
    log_probabilities = torch.log_softmax(answers.logits, dim=-1)[
        torch.tensor(positions, dtype=torch.long, device=device), torch.tensor(tokens, dtype=torch.long, device=device)
    ]
    option_of_token = torch.repeat_interleave(
        torch.arange(len(options)), torch.tensor([len(option.tokens) for option in options], dtype=torch.long)
    )
    totals = torch.zeros(len(options), dtype=torch.float64).index_add(
        0, option_of_token, log_probabilities.double().cpu()
    )
    return [
        torch.log_softmax(part, dim=-1) for part in totals.split([len(question.options) for question in questions])
    ]


def _score_options(question: Question, own: Tensor, clean: Tensor) -> ScoredRow:
    chosen, clean_choice = int(own.argmax()), int(clean.argmax())
    return scored_row(
        question,
        answer=question.choices[chosen],
        correct=chosen == question.answer,
        flipped=chosen != clean_choice if _is_twin(question) else None,
        causal_effect=_bits(js(clean, own).item()) if _is_twin(question) else None,
        misled=None if question.target is None else chosen == question.target,
    )


def _score_free(questions: list[Question], answers: Answers, decode: Callable[[list[int]], str]) -> list[ScoredRow]:
    if not questions:
        return []

    device = answers.logits.device
    rows = torch.tensor([question.batch_row for question in questions], device=device)
    clean = torch.tensor([question.clean for question in questions], device=device)
    flips, effects = answers.flips(rows, clean).tolist(), _free_effects(answers, rows, clean).tolist()
    correct = answers.correct[rows].tolist()
    greedy = answers.logits.argmax(dim=-1)
    texts = [decode(ids.tolist()) for ids in greedy.split(answers.lengths.tolist())]
    return [
        scored_row(
            question,
            answer=texts[question.batch_row],
            correct=bool(correct[index]),
            flipped=flips[index] if _is_twin(question) else None,
            causal_effect=_bits(effects[index]) if _is_twin(question) else None,
        )
        for index, question in enumerate(questions)
    ]


def _free_effects(answers: Answers, rows: Tensor, clean: Tensor) -> Tensor:
    """(rows,) mean over answer positions of the divergence from the clean row, in nats."""
    own, partner = answers.partners(rows, clean)
    log_probabilities = torch.log_softmax(answers.logits, dim=-1)
    values = js(log_probabilities[partner], log_probabilities[own])
    sums = torch.zeros(answers.rows, device=values.device).index_add(0, answers.row[own], values)
    return (sums / answers.lengths.clamp(min=1))[rows]


def _is_twin(question: Question) -> bool:
    return question.batch_row != question.clean


def _bits(nats: float) -> float | None:
    """A divergence in bits; None where logits were not finite."""
    return max(nats, 0.0) / math.log(2) if math.isfinite(nats) else None  # rounding may leave equal ones below 0


def scored_row(question: Question, answer: str | None, **values: object) -> ScoredRow:
    """The scored row of a question; `values` are the fields of `ScoredRow` that the question does not tell."""
    can_tell = question.answer is None or question.choices[question.answer] != CANNOT_TELL
    return ScoredRow(
        dataset=question.dataset,
        row=question.row,
        key=question.key,
        kind=question.kind,
        perturbation=question.perturbation,
        answer=answer,
        abstained=None if can_tell else answer == CANNOT_TELL,
        clip=question.clip,
        options=len(question.choices) or None,
        right=question.choices[question.answer] if question.answer is not None else question.response or None,
        target=None if question.target is None else question.choices[question.target],
        **values,  # type: ignore[arg-type]
    )


def score_generated(questions: list[Question], texts: list[str]) -> list[ScoredRow]:
    """Score what a model wrote.

    With options, an answer is right where it names the right option; an answer that cannot be parsed is wrong, and differs
    from one that can be parsed. Without options, an answer is right where it is the expected text, case, spaces and a full
    stop apart.

    Args:
        questions: clean rows and twins.
        texts: the model's answer to each.
    """
    parsed = [
        parse_choice(text, question.choices) if question.choices else normalized(text)
        for question, text in zip(questions, texts)
    ]
    return [
        _score_text(question, text, own, parsed[question.clean])
        for question, text, own in zip(questions, texts, parsed)
    ]


def _score_text(question: Question, text: str, own: int | str | None, clean: int | str | None) -> ScoredRow:
    right = question.answer if question.choices else normalized(question.response)
    return scored_row(
        question,
        answer=question.choices[own] if isinstance(own, int) else (None if own is None else text.strip()),
        response=text,
        correct=own == right,
        flipped=own != clean if _is_twin(question) else None,
        misled=None if question.target is None else own == question.target,
    )
