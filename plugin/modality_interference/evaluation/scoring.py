"""Score a batch by the likelihood of options or of free answers."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..batching.answer_logits import Answers
from ..batching.batch import OptionTokens, Question
from ..modality import is_counterfactual
from ..results import ScoredRow
from ..train.answer_losses import cross_entropy, cross_entropy_and_divergences, js


def score_likelihood(
    questions: list[Question],
    answers: Answers,
    decode: Callable[[list[int]], str],
    likelihoods: list[Tensor] | None = None,
    claims: Answers | None = None,
) -> list[ScoredRow]:
    """Score clean rows and twins by the model's likelihoods.

    A row with options is answered with the option of the highest likelihood: the sum of the log-probabilities of its tokens,
    without the turn's end (unless one option begins another). Its causal effect is the Jensen-Shannon divergence between
    the clean row's and its own distribution over the options (arXiv 2505.19616).

    A row without options, or whose response is neither an option nor its letter, is answered with the most likely token at
    every position of the right answer (teacher forcing), and is right where all tokens are. Its causal effect is the mean over these positions of the Jensen-Shannon divergence
    between the distributions over the vocabulary. It is misled where the wrong answer that its perturbation claims is more
    likely than the right one, by the sums of the log-probabilities of their tokens, the turn's end included. Of several turns, the last one is the answer; a skipped thought is no
    part of it.

    Args:
        questions: of the batch; rows without an answer are left out.
        answers: logits at the answer positions of all its rows, compared at `TwinBatch.last_answer`.
        decode: from token ids to text.
        likelihoods: see `option_likelihoods`; unset: those of `answers`.
        claims: logits by which a claimed answer is compared with the right one, and the right one with and without its evidence;
            unset: `answers`.
    """
    judged = torch.ones_like(answers.row) if answers.compared is None else answers.compared.long()
    answered = (answers.row_sums(judged) > 0).tolist()
    free = [question for question in questions if not question.options and answered[question.batch_row]]
    likelihoods = option_likelihoods(questions, answers) if likelihoods is None else likelihoods
    claims = answers if claims is None else claims
    margins = evidence_margins([question for question in questions if answered[question.batch_row]], claims)
    scored = [
        _score_options(question, likelihoods[index], likelihoods[question.clean], margins.get(question.batch_row))
        for index, question in enumerate(questions)
        if question.options
    ]
    return scored + _score_free(free, answers, decode, claims, margins)


def option_likelihoods(questions: list[Question], answers: Answers) -> list[Tensor]:
    """(options,) float64 log-likelihoods of the options of each question; empty where the answer is free."""
    beginnings = [question.beginning for question in questions if question.beginning is not None]
    options = [option for question in questions for option in question.options]
    found = _log_likelihoods([*beginnings, *options], answers)
    of_beginnings = iter(found[: len(beginnings)])
    parts = found[len(beginnings) :].split([len(question.options) for question in questions])
    return [
        part if question.beginning is None else part + next(of_beginnings) for question, part in zip(questions, parts)
    ]


def _log_likelihoods(places: list[OptionTokens], answers: Answers) -> Tensor:
    """(places,) float64 sums of the log-probabilities of their tokens, each given the tokens before it."""
    at, tokens, place_of_token = answers.reads(places)
    log_probabilities = torch.log_softmax(answers.logits.float(), dim=-1)[at, tokens]
    totals = torch.zeros(len(places), dtype=torch.float64)
    return totals.index_add(0, place_of_token.cpu(), log_probabilities.double().cpu())


def evidence_margins(questions: Sequence[Question], answers: Answers) -> dict[int, float]:
    """How much the evidence of counterfactual rows is worth, by their row in the batch; without those that are not finite.

    It is the mean log-probability, in nats, of the tokens of the right answer (of the last turn, its end included, without a
    skipped thought) after the clean row, less that after the counterfactual row.

    Args:
        questions: that have an answer.
        answers: logits at the answer positions of all rows, compared at `TwinBatch.last_answer`.
    """
    gone = [question for question in questions if is_counterfactual(question.perturbation)]
    if not gone:
        return {}

    device = answers.row.device
    own, clean = (
        torch.tensor([getattr(question, name) for question in gone], device=device) for name in ("batch_row", "clean")
    )
    kept = torch.isin(answers.row, torch.cat([own, clean]))
    kept = kept if answers.compared is None else kept & answers.compared
    right = Answers(answers.logits[kept], answers.targets[kept], answers.row[kept], answers.rows)
    entropy = right.row_means(cross_entropy(right).double())
    margins = (entropy[own] - entropy[clean]).tolist()
    return {question.batch_row: margin for question, margin in zip(gone, margins) if math.isfinite(margin)}


def _score_options(question: Question, own: Tensor, clean: Tensor, margin: float | None) -> ScoredRow:
    chosen, clean_choice = int(own.argmax()), int(clean.argmax())
    # `acc_norm` of lm-evaluation-harness: lm_eval/api/task.py divides by `len(choice)`; of equal ones the first
    by_length = int((own / torch.tensor(question.option_lengths, dtype=own.dtype)).argmax())
    own, clean = torch.log_softmax(own, dim=-1), torch.log_softmax(clean, dim=-1)
    return scored_row(
        question,
        answer=question.choices[chosen],
        correct=chosen == question.answer,
        correct_norm=by_length == question.answer,
        flipped=chosen != clean_choice if _is_twin(question) else None,
        causal_effect=_bits(js(clean, own).item()) if _is_twin(question) else None,
        misled=None if question.target is None else chosen == question.target,
        confidence=_probability(own[chosen].item()),
        evidence_margin=margin,
    )


def _score_free(
    questions: list[Question],
    answers: Answers,
    decode: Callable[[list[int]], str],
    claims: Answers,
    margins: Mapping[int, float],
) -> list[ScoredRow]:
    if not questions:
        return []

    device = answers.logits.device
    rows = torch.tensor([question.batch_row for question in questions], device=device)
    clean = torch.tensor([question.clean for question in questions], device=device)
    flips, effects = answers.flips(rows, clean).tolist(), _free_effects(answers, rows, clean).tolist()
    correct = answers.correct[rows].tolist()
    texts = _greedy_texts(answers, decode)
    misled = _misled(questions, claims)
    return [
        scored_row(
            question,
            answer=texts[question.batch_row],
            free=True,
            correct=bool(correct[index]),
            flipped=flips[index] if _is_twin(question) else None,
            causal_effect=_bits(effects[index]) if _is_twin(question) else None,
            misled=misled[index][0],
            clean_misled=misled[index][1],
            evidence_margin=margins.get(question.batch_row),
        )
        for index, question in enumerate(questions)
    ]


def _misled(questions: list[Question], answers: Answers) -> list[tuple[bool | None, bool | None]]:
    """Whether each row and its clean row have the claimed answer more likely than the right one; None where nothing is claimed."""
    likelihoods = iter(_log_likelihoods([place for one in questions for place in one.claims], answers).tolist())
    found: list[tuple[bool | None, bool | None]] = []
    for question in questions:
        if not question.claims:
            found.append((None, None))
            continue

        right, wrong, clean_right, clean_wrong = (next(likelihoods) for _ in question.claims)
        found.append((wrong > right, clean_wrong > clean_right))

    return found


def _free_effects(answers: Answers, rows: Tensor, clean: Tensor) -> Tensor:
    """(rows,) mean over the answer's positions of the divergence from the clean row, in nats."""
    return cross_entropy_and_divergences(answers, rows, clean, "js", temperature=1.0)[1]


def _greedy_texts(answers: Answers, decode: Callable[[list[int]], str]) -> list[str]:
    """The most likely token at every position of each row's answer, as a text."""
    found: list[list[int]] = [[] for _ in range(answers.rows)]
    kept = torch.ones_like(answers.row) if answers.compared is None else answers.compared
    for row, token, judged in zip(answers.row.tolist(), answers.logits.argmax(dim=-1).tolist(), kept.tolist()):
        if judged:
            found[row].append(token)

    return [decode(ids) for ids in found]


def _is_twin(question: Question) -> bool:
    return question.batch_row != question.clean


def _bits(nats: float) -> float | None:
    """A divergence in bits; None where logits were not finite."""
    return max(nats, 0.0) / math.log(2) if math.isfinite(nats) else None  # rounding may leave equal ones below 0


def _probability(log_probability: float) -> float | None:
    return math.exp(log_probability) if math.isfinite(log_probability) else None  # None where logits were not finite


def scored_row(question: Question, answer: str | None, free: bool = False, **values: object) -> ScoredRow:
    """The scored row of a question.

    Args:
        question: what is asked.
        answer: the model's.
        free: whether it is scored as a free answer, though the question may have options.
        values: the fields of `ScoredRow` that the question does not tell.
    """
    return ScoredRow(
        dataset=question.dataset,
        row=question.row,
        key=question.key,
        kind=question.kind,
        perturbation=question.perturbation,
        answer=answer,
        abstention=None if free else question.abstention,
        removed=question.removed or None,
        medium=question.medium or None,
        clip=question.clip,
        options=None if free else len(question.choices) or None,
        options_unread=True if free and question.choices else None,
        right=question.choices[question.answer] if question.answer is not None else question.response or None,
        target=question.claimed if question.target is None else question.choices[question.target],
        family=question.family,
        **values,  # type: ignore[arg-type]
    )
