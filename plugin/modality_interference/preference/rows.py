"""One preference pair: the prompt that a row or its twin asks, its media, and the two answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..data.options import letters
from ..data.records import TwinRecord, Variant
from ..data.sample import Message, without_placeholders
from ..dataset_dir.rows import Example
from ..errors import Unusable
from ..modality import CLEAN, MEDIA, Modality, from_bits
from ..results import ScoredRow
from ..suite.media_files import MediaFile, media_file
from .choice import Kind, Wanted


@dataclass(frozen=True)
class PairPrompt:
    """What is asked.

    Attributes:
        system: the system prompt, "" where there is none.
        tools: as LLaMA-Factory has them, "" where there are none.
        prompt: the turns before the answer.
        media: for image, video and audio, a file for every placeholder of the prompt.
    """

    system: str
    tools: str
    prompt: list[Message]
    media: dict[Modality, list[MediaFile]]


@dataclass(frozen=True)
class CleanRow:
    """The row whose twin misled the model, for pairs of which twins are made in training.

    Attributes:
        question: what it asks.
        relevant: what its answer depends on.
        choices: its options, empty where the answer is free.
        answer: the text of the right option; None where the answer is free.
    """

    question: PairPrompt
    relevant: tuple[Modality, ...]
    choices: tuple[str, ...]
    answer: str | None


@dataclass(frozen=True)
class Pair:
    """A pair.

    Attributes:
        kind: see `choice.Wanted`.
        dataset: whose row it is.
        row: the row's index there.
        perturbation: its label, `clean` for the row as it is.
        question: what is asked.
        chosen: the answer to prefer.
        rejected: the one to reject.
        withheld: that one cannot tell, in the words of this row.
        clean: of a `misled` pair, the row as it is; None of others.
    """

    kind: Kind
    dataset: str
    row: int
    perturbation: str
    question: PairPrompt
    chosen: str
    rejected: str
    withheld: str
    clean: CleanRow | None


def pair_of(example: Example, wanted: Wanted, abstention: str) -> Pair:
    """Make a pair.

    Args:
        example: the row with its twins, made again.
        wanted: the answer to reject.
        abstention: what is preferred to an invented answer where the row has no option that says that one cannot tell.

    Raises:
        Unusable: the row or twin is not what was diagnosed, or cannot be read.
    """
    record = example.record
    if example.problems or example.dropped or record is None:
        reason = next(iter(example.problems), None) or example.dropped
        raise Unusable(reason.kind if reason else "row that cannot be read")

    scored, variant = wanted.row, _variant(example, record, wanted.row.perturbation)
    if record.key != scored.key or (scored.target is not None and variant.target != scored.target):
        raise Unusable("row or twin that has changed since the diagnosis")

    right = example.aligned["_response"][0]["content"]
    withheld = abstention if record.abstention is None else _worded(record.abstention, record, right)
    chosen = withheld if wanted.kind == "invented" else right
    rejected = _rejected(scored, record, right)
    if rejected.strip() == chosen.strip():
        raise Unusable("answer that is the one to prefer")

    if not rejected.strip():
        raise Unusable("answer without words")

    # LLaMA-Factory takes it for a medium that the pair does not have, and ends the training
    if any(without_placeholders(text) != text for text in (chosen, rejected, withheld)):
        raise Unusable("media token in an answer")

    return Pair(
        kind=wanted.kind,
        dataset=scored.dataset,
        row=scored.row,
        perturbation=scored.perturbation,
        question=_question(example, variant),
        chosen=chosen,
        rejected=rejected,
        withheld=withheld,
        clean=_clean_row(example, record) if wanted.kind == "misled" else None,
    )


def _rejected(scored: ScoredRow, record: TwinRecord, right: str) -> str:
    """The answer to reject, as the row's own is written.

    Raises:
        Unusable: nobody knows what the model would answer.
    """
    answer = scored.answer or ""
    if answer in record.choices or scored.response is not None or scored.correct:
        return _worded(answer, record, right)

    # by likelihood, a wrong free answer is the most likely token behind each token of the right one: no text of the model's
    if scored.misled and scored.target is not None:
        return scored.target

    raise Unusable("free answer that was scored by likelihood")


def _clean_row(example: Example, record: TwinRecord) -> CleanRow:
    return CleanRow(
        question=_question(example, _variant(example, record, CLEAN)),
        relevant=tuple(modality for modality in Modality if modality in from_bits(record.relevant)),
        choices=record.choices,
        answer=None if record.answer is None else record.choices[record.answer],
    )


def _question(example: Example, variant: Variant) -> PairPrompt:
    return PairPrompt(
        system=variant.system or "",
        tools=example.aligned.get("_tools") or "",
        prompt=[{"role": turn["role"], "content": turn["content"]} for turn in variant.prompt],
        media={modality: _files(modality, variant.media[modality], example) for modality in MEDIA},
    )


def _variant(example: Example, record: TwinRecord, label: str) -> Variant:
    if label == CLEAN:
        clean = example.aligned
        return Variant(CLEAN, clean["_prompt"], clean["_system"] or "", record.media, record.target)

    for variant in (*example.twins, *example.counterfactuals):
        if variant.perturbation == label:
            return variant

    raise Unusable("twin that the dataset's entry does not make now")


def _worded(answer: str, record: TwinRecord, right: str) -> str:
    """An answer as the row's own is written, where that is an option's letter; so a pair differs in what it says alone.

    Args:
        answer: an option's text, or a free answer.
        record: has the options.
        right: the row's answer.
    """
    names = letters(len(record.choices))
    if record.answer is None or right.strip() != names[record.answer] or answer not in record.choices:
        return answer

    return names[record.choices.index(answer)]


def _files(modality: Modality, references: Sequence[str], example: Example) -> list[MediaFile]:
    stored = [example.aligned[f"_{own}{MEDIA[modality]}"] or [] for own in ("", "twin_")]
    return [media_file(modality, reference, *stored) for reference in references]
