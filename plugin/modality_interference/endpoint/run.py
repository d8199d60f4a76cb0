"""The diagnosis of a model behind an API: from a plan to a report."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..errors import ModalityInterferenceError
from ..evaluation.counterfactuals import parted, with_counterfactuals
from ..evaluation.rates import dataset_results
from ..evaluation.write import diagnosis_of
from ..integration.callbacks import write_report
from ..integration.diagnose import DiagnosisPlan
from ..integration.offline import LocalDataset, open_dataset
from ..integration.prepare import read_entry
from ..modality import CLEAN
from ..results import Diagnosis, RunMetadata, ScoredRow, write_results
from .address import Address
from .asking import Asking, Line, Progress
from .client import TOP_LOGPROBS, Limits, Manner, connected, require_client
from .gallery import found_flips
from .journal import JOURNAL_FILE, Journal, JournalError, open_journal, read_lines
from .media import VideoForm
from .questions import AskedRow, asked_row
from .reply import Answer
from .scoring import letters_of, score_answers


_PACKAGES = ("llamafactory-modality-interference", "llamafactory", "datasets", "openai")
_CHARACTERS_PER_TOKEN = 4  # of English text, roughly
_SHOWN = 5  # reasons that a note names


@dataclass(frozen=True)
class Endpoint:
    """A model behind an API, and how to ask it.

    Attributes:
        address: where it is.
        model: its name there.
        concurrency: how many requests may be under way.
        max_tokens: of an answer.
        timeout: seconds until a reply.
        video: whether videos are sent as frames or as files.
        frames: how many frames of each.
        price_in: of a million tokens of prompts, in any currency; None where it is not known.
        price_out: of a million tokens of answers.
    """

    address: Address
    model: str
    concurrency: int = 8
    max_tokens: int = 1024
    timeout: float = 120.0
    video: VideoForm = "frames"
    frames: int = 8
    price_in: float | None = None
    price_out: float | None = None

    def cost(self, prompt_tokens: int, answer_tokens: int) -> float | None:
        """What tokens cost; None where no price is known."""
        if self.price_in is None and self.price_out is None:
            return None

        return (prompt_tokens * (self.price_in or 0) + answer_tokens * (self.price_out or 0)) / 1_000_000


@dataclass(frozen=True)
class Volume:
    """What a run would send.

    Attributes:
        rows: how many rows.
        requests: how many questions, each clean row, each twin and each counterfactual row.
        answered: how many of them a journal answers already, or another of them does.
        media: files, of those that are left.
        media_bytes: their size.
        text_tokens: a rough number, of their texts.
        dropped: rows and twins that cannot be asked.
    """

    rows: int
    requests: int
    answered: int
    media: int
    media_bytes: int
    text_tokens: int
    dropped: int


def count_requests(plan: DiagnosisPlan, endpoint: Endpoint) -> Volume:
    """Count what a run would send; sends and writes nothing.

    Raises:
        ModalityInterferenceError: a dataset or the journal cannot be read.
    """
    path = plan.output_dir / JOURNAL_FILE
    known = set(read_lines(path.read_bytes(), str(path)).answers) if path.is_file() else set[str]()
    rows, requests, answered, media, size, characters, dropped = 0, 0, 0, 0, 0, 0, 0
    with _opened(plan) as opened:
        for row in _rows(opened, endpoint):
            rows, dropped = rows + 1, dropped + len(row.dropped)
            for item in row.items:
                requests += 1
                if item.prompt.digest in known:
                    answered += 1
                    continue

                known.add(item.prompt.digest)
                media += len(item.prompt.media)
                size += sum(len(medium.data) for medium in item.prompt.media)
                characters += item.prompt.characters

    return Volume(rows, requests, answered, media, size, characters // _CHARACTERS_PER_TOKEN, dropped)


def diagnose(plan: DiagnosisPlan, endpoint: Endpoint, show_progress: Progress) -> Diagnosis:
    """Ask what is not in the journal, score all, write the report; a second start goes on where the first has ended.

    Args:
        plan: what is asked.
        endpoint: of whom.
        show_progress: is told how many rows are done.

    Returns:
        what was written into `interference.json`.

    Raises:
        ModalityInterferenceError: a dataset cannot be read; the server refuses all; the journal is another run's; the folder cannot be
            written.
    """
    require_client()
    with _opened(plan) as opened, open_journal(plan.output_dir) as journal:
        journal.begin(_identity(plan, endpoint))
        asking = asyncio.run(_ask(plan, endpoint, opened, journal, show_progress))
        return _write(plan, endpoint, opened, journal, asking)


def _identity(plan: DiagnosisPlan, endpoint: Endpoint) -> dict[str, Any]:
    """What must be the same for an answer to count; prompts are known by their digests."""
    return {
        "model": endpoint.model,
        "endpoint": endpoint.address.host,
        "max_tokens": endpoint.max_tokens,
        "seed": plan.seed,
        "scoring": plan.scoring,
    }


async def _ask(
    plan: DiagnosisPlan, endpoint: Endpoint, opened: list[LocalDataset], journal: Journal, show_progress: Progress
) -> Asking:
    stored = journal.lines.manner
    try:
        manner = Manner.from_dict(stored) if stored else Manner(TOP_LOGPROBS if plan.scoring == "likelihood" else 0)
    except ValueError as error:
        raise JournalError(
            f"{plan.output_dir / JOURNAL_FILE}: a line with `manner` is not what a run writes. Remove the line or the file."
        ) from error

    limits = Limits(endpoint.max_tokens, endpoint.timeout)
    async with connected(endpoint.address, endpoint.model, limits, manner) as server:
        total = sum(len(dataset.rows) for dataset in opened)
        asking = Asking(server, journal, endpoint.concurrency, show_progress, total)
        await asking.run(_rows(opened, endpoint))
        return asking


@contextmanager
def _opened(plan: DiagnosisPlan) -> Iterator[list[LocalDataset]]:
    entries = {name: read_entry(plan.dataset_dir, name) for name in plan.datasets}
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                open_dataset(
                    name,
                    entries[name],
                    plan.dataset_dir,
                    plan.seed,
                    media_dir=plan.media_dir,
                    max_samples=plan.max_samples,
                )
            )
            for name in plan.datasets
        ]


def _rows(opened: Sequence[LocalDataset], endpoint: Endpoint) -> Iterator[AskedRow]:
    for dataset in opened:
        for example in dataset.examples(range(len(dataset.rows))):
            yield asked_row(example, endpoint.video, endpoint.frames)


def _write(
    plan: DiagnosisPlan, endpoint: Endpoint, opened: list[LocalDataset], journal: Journal, asking: Asking
) -> Diagnosis:
    answers = [[journal.find(digest) for digest in line.digests] for line in asking.lines]
    rows, gone = parted(
        row
        for line, own in zip(asking.lines, answers)
        for row in score_answers(line.questions, own, plan.free_answers)
    )
    if not rows:
        raise ModalityInterferenceError(
            f"no row has an answer: {_counted([*asking.dropped, *asking.failures]) or 'there are no rows'}."
        )

    used = {digest: journal.find(digest) for line in asking.lines for digest in line.digests}
    known = [answer for answer in used.values() if answer is not None]
    about_letters = _about_letters(asking.lines, answers)
    metadata = RunMetadata(
        model={
            "name_or_path": endpoint.model,
            "endpoint": endpoint.address.host,
            "temperature": 0 if asking.server.manner.temperature else None,
            "max_tokens": endpoint.max_tokens,
        },
        data={
            "dataset_dir": str(plan.dataset_dir),
            **({} if plan.media_dir == plan.dataset_dir else {"media_dir": str(plan.media_dir)}),
            "eval_dataset": list(plan.datasets),
            "max_samples": plan.max_samples,
            "video": f"{endpoint.frames} frames" if endpoint.video == "frames" else "files",
        },
        run={"output_dir": str(plan.output_dir), **_spent(endpoint, known), "asked": asking.requests},
        seed=plan.seed,
        scoring="top_logprobs" if about_letters else "generate",
        free_answers=plan.free_answers,
    )
    datasets = {dataset.name: dataset for dataset in opened}
    indexes = {
        (line.questions[0].dataset, line.questions[0].row): line.index for line in asking.lines if line.questions
    }
    gallery, unmoved = found_flips(rows, gone, lambda name, row: datasets[name].examples([indexes[name, row]]))
    notes = [*_about_answers(rows, asking, answers), *about_letters]
    results = dataset_results(rows, plan.seed, generated=True)
    results = with_counterfactuals(results, rows, gone, plan.seed)
    diagnosis = diagnosis_of(rows, results, metadata, step=0, notes=notes, gallery=gallery, unmoved=unmoved)
    diagnosis = diagnosis.model_copy(update={"versions": {name: version(name) for name in _PACKAGES}})
    write_results(plan.output_dir, diagnosis, rows, gone)
    write_report(plan.output_dir, diagnosis, rows)
    return diagnosis


def _spent(endpoint: Endpoint, answers: Sequence[Answer]) -> dict[str, Any]:
    """Tokens of all answers, whenever they were asked for, and what they cost."""
    prompt, answer = (sum(getattr(one, f"{kind}_tokens") for one in answers) for kind in ("prompt", "answer"))
    cost = endpoint.cost(prompt, answer)
    return {
        "requests": len(answers),
        "prompt_tokens": prompt or None,
        "answer_tokens": answer or None,
        "cost": None if cost is None else round(cost, 6),
    }


def _about_answers(rows: list[ScoredRow], asking: Asking, answers: list[list[Answer | None]]) -> list[str]:
    notes = []
    total, unanswered = sum(map(len, answers)), sum(own.count(None) for own in answers)  # the same question asked once
    if asking.dropped:
        notes.append(f"{len(asking.dropped)} rows or twins could not be asked: {_counted(asking.dropped)}.")

    if asking.failures:
        notes.append(
            f"{unanswered} of {total} questions were not answered, and are left out: {_counted(asking.failures)}. The same "
            "command asks them again."
        )

    cut = sum(answer.cut for own in answers for answer in own if answer is not None)
    if cut:
        notes.append(f"{cut} of {total} answers were cut at the largest number of tokens.")

    if not asking.server.manner.temperature and any(row.perturbation != CLEAN for row in rows):
        notes.append(
            "The server refuses `temperature`, so that answers are drawn at random: some change without any perturbation."
        )

    return notes


def _counted(reasons: Sequence[str]) -> str:
    """Reasons by their kinds, the most frequent first."""
    kinds = Counter(
        reason.partition(": ")[0] if ": " in reason and not reason.startswith("HTTP") else reason for reason in reasons
    )
    named = [f"{kind} ({count})" for kind, count in kinds.most_common(_SHOWN)]
    return "; ".join([*named, *(["and others"] if len(kinds) > _SHOWN else [])])


def _about_letters(lines: Sequence[Line], answers: list[list[Answer | None]]) -> list[str]:
    """How many answers were scored by the probabilities of letters, and how many of these lists hold all letters."""
    asked = [
        letters_of(question, answer)
        for line, own in zip(lines, answers)
        for question, answer in zip(line.questions, own)
        if answer is not None and question.choices
    ]
    scored = [found for found in asked if found is not None]
    if not scored:
        return []

    whole = sum(found.distribution is not None for found in scored)
    return [
        f"{len(scored)} of {len(asked)} answers to questions with options are letters, scored by the server's probabilities of the "
        f"letters; the others are read. The lists of {whole} hold all letters. A letter that is missing is no more probable than the "
        "least probable token of its list; such answers have no causal effect."
    ]
