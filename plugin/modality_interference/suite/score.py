"""From answers of other tools to a diagnosis: read, scored and compared as those that a run generates."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..batching.batch import Question
from ..data.matching import FreeAnswerRule
from ..errors import ModalityInterferenceError
from ..evaluation.answer_text import THOUGHT
from ..evaluation.counterfactuals import parted, with_counterfactuals
from ..evaluation.flips import surest_unmoved, worst_flips
from ..evaluation.generation import score_generated
from ..evaluation.rates import dataset_results, unique_rows
from ..evaluation.write import diagnosis_of
from ..messages import listed
from ..modality import CLEAN
from ..results import Diagnosis, Flip, RunMetadata, ScoredRow
from .folder import SuiteInfo
from .results import Answers
from .rows import SuiteRow


_NAMED = 3  # unknown ids in a message


@dataclass(frozen=True)
class Scored:
    """A suite's answers.

    Attributes:
        rows: clean rows and twins that were answered, scored.
        gone: counterfactual rows likewise.
        rule: how answers without options were compared with the right one.
        missing: how many questions have no answer, by perturbation.
        alone: how many twins are left out, because their clean row has no answer.
    """

    rows: list[ScoredRow]
    gone: list[ScoredRow]
    rule: FreeAnswerRule
    missing: dict[str, int]
    alone: int

    @property
    def notes(self) -> list[str]:
        """What a reader should know of what is missing."""
        notes = []
        if self.missing:
            parts = ", ".join(f"{count:,} of {label}" for label, count in self.missing.items())
            notes.append(f"Questions without an answer, which are left out: {parts}.")

        if self.alone:
            notes.append(f"{self.alone:,} answers to twins are left out, because their clean rows have no answer.")

        return notes


def score(questions: Sequence[SuiteRow], answers: Answers, rule: FreeAnswerRule = "exact") -> Scored:
    """Score the answers to a suite's questions.

    Args:
        questions: of the suite.
        answers: from `read_answers`.
        rule: how answers without options are compared with the right one.

    Raises:
        ModalityInterferenceError: there are answers to questions that the suite does not have, or none at all.
    """
    known = {question.id for question in questions}
    unknown = [name for name in (*answers.responses, *answers.failed) if name not in known]
    if unknown:
        raise ModalityInterferenceError(
            f"{len(unknown):,} of {len(answers.responses) + len(answers.failed):,} answers are to questions that the suite does not "
            f"have, such as {listed(unknown[:_NAMED])}. Name the suite by `--suite` that was answered: another seed, other "
            "rows or other media make other ids."
        )

    clean = {(row.dataset, row.row) for row in questions if row.perturbation == CLEAN and row.id in answers.responses}
    missing: dict[str, int] = {}
    kept = []
    for question in questions:
        if question.id not in answers.responses:
            missing[question.perturbation] = missing.get(question.perturbation, 0) + 1
        elif (question.dataset, question.row) in clean:
            kept.append(question)

    if not kept:
        raise ModalityInterferenceError("no question of the suite has an answer, together with its clean row.")

    return Scored(
        *parted(_scored(kept, answers, rule)), rule, missing, len(questions) - sum(missing.values()) - len(kept)
    )


def _scored(rows: Sequence[SuiteRow], answers: Answers, rule: FreeAnswerRule) -> list[ScoredRow]:
    place = {(row.dataset, row.row): index for index, row in enumerate(rows) if row.perturbation == CLEAN}
    questions = [_question(index, row, place[row.dataset, row.row]) for index, row in enumerate(rows)]
    return unique_rows(score_generated(questions, [answers.responses[row.id] for row in rows], THOUGHT, rule=rule))


def _question(index: int, row: SuiteRow, clean: int) -> Question:
    return Question(
        dataset=row.dataset,
        row=row.row,
        key=row.key,
        kind=row.kind,
        perturbation=row.perturbation,
        batch_row=index,
        clean=clean,
        choices=row.options,
        answer=row.answer,
        target=row.options.index(row.target) if row.target in row.options else None,
        claimed=None if row.options else row.target,
        family=row.family,
        response=row.response,
        clip=row.clip,
        abstention=row.abstention,
        removed=row.removed,
        medium=row.medium,
    )


def diagnosis(info: SuiteInfo, questions: Sequence[SuiteRow], scored: Scored, model: str, output: Path) -> Diagnosis:
    """The diagnosis of a suite's answers.

    Args:
        info: of the suite.
        questions: of the suite.
        scored: their answers.
        model: what the report calls the model.
        output: the folder of the report.
    """
    metadata = RunMetadata(
        model={"name_or_path": model},
        data={"eval_dataset": info.name, "suite": info.format, "suite_version": info.version},
        run={"output_dir": str(output)},
        seed=info.seed,
        scoring="generate",
        free_answers=scored.rule,
    )
    results = dataset_results(scored.rows, info.seed, generated=True)
    return diagnosis_of(
        scored.rows,
        with_counterfactuals(results, scored.rows, scored.gone, info.seed),
        metadata,
        step=0,
        notes=scored.notes,
        gallery=_shown(worst_flips(scored.rows), questions, scored.rows),
        unmoved=_shown(surest_unmoved(scored.gone, scored.rows), questions, scored.rows),
    )


def _shown(found: Sequence[ScoredRow], questions: Sequence[SuiteRow], rows: list[ScoredRow]) -> list[Flip]:
    """Flips, or answers that stayed, as texts: media are in the export."""
    asked = {(row.dataset, row.row, row.perturbation): row for row in questions}
    answered = {row.identity: row for row in rows}
    return [
        Flip(
            dataset=flip.dataset,
            row=flip.row,
            perturbation=flip.perturbation,
            prompt=_prompt(asked[flip.dataset, flip.row, CLEAN]),
            perturbed_prompt=_prompt(asked[flip.identity]),
            right_answer=asked[flip.identity].right,
            clean_answer=clean.answer,
            perturbed_answer=flip.answer,
            clean_response=clean.response,
            perturbed_response=flip.response,
            clean_correct=clean.correct,
            perturbed_correct=flip.correct,
            target=flip.target,
        )
        for flip in found
        if (clean := answered.get((flip.dataset, flip.row, CLEAN))) is not None
    ]


def _prompt(row: SuiteRow) -> str:
    turns = [row.system, *(message["content"] for message in row.prompt)]
    return "\n\n".join(filter(None, turns))
