"""One question of a suite: a clean row, a twin or a counterfactual row, with all that its answer is scored by."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Self

from pydantic import Field, model_validator

from ..data.formats.choice import question_alone
from ..data.records import TwinRecord, Variant
from ..data.sample import Message, References, without_placeholders
from ..dataset_dir.rows import Example
from ..media.reference import first_file_name, is_removed
from ..modality import CLEAN, MEDIA, Modality, from_bits, kind_of
from ..results import Result
from .media_files import MediaFile, media_file


_LABEL = 40  # characters of a perturbation's label in an id: VLMEvalKit takes longer cells for images, from 65 on


class SuiteRow(Result):
    """A question of a suite, without its media.

    Attributes:
        id: names the question in results; of its row, its perturbation and a digest of all that a model is given.
        dataset: name in `dataset_info.json`.
        row: the row's index in the dataset.
        key: identity of the row's content.
        clip: the row of the data, where it is asked several questions.
        kind: what the answer depends on, a name that `batch_mix` knows.
        perturbation: its label, `clean` for a clean row.
        system: the system prompt, "" where there is none.
        prompt: the turns before the answer; placeholders stand for the media, in order.
        question: what is asked, without options, instruction and placeholders; None where the prompt does not tell them apart.
        options: the options, empty where the answer is free.
        answer: the index of the right option.
        response: the right answer as the dataset has it.
        target: the wrong option that the perturbation names; the wrong answer, where there are no options.
        family: the family of texts that it took its words from; None where it has no families.
        abstention: the option that says that one cannot tell.
        removed: whether a modality that the answer depends on was taken away.
        medium: the name of the row's first file; "" where it has none.
    """

    id: str
    dataset: str
    row: int = Field(ge=0)
    key: int
    clip: int | None = None
    kind: str
    perturbation: str
    system: str = ""
    prompt: list[Message]
    question: str | None = None
    options: tuple[str, ...] = ()
    answer: int | None = None
    response: str
    target: str | None = None
    family: str | None = None
    abstention: str | None = None
    removed: bool = False
    medium: str = ""

    @model_validator(mode="after")
    def _has_its_answer(self) -> Self:
        if self.answer is not None and not 0 <= self.answer < len(self.options):
            raise ValueError("`answer` must be the index of an option")

        return self

    @property
    def right(self) -> str:
        """The right answer: an option's text where the row has options."""
        return self.response if self.answer is None else self.options[self.answer]

    @property
    def text(self) -> str:
        """All that is asked as one text, without placeholders."""
        turns = [self.system, *(message["content"] for message in self.prompt)]
        return "\n\n".join(filter(None, (without_placeholders(turn).strip() for turn in turns)))


@dataclass(frozen=True)
class Asked:
    """A question with its media.

    Attributes:
        row: the question.
        media: for image, video and audio, a file for every placeholder.
    """

    row: SuiteRow
    media: dict[Modality, list[MediaFile]]


@dataclass
class Suite:
    """The questions of one dataset.

    Attributes:
        name: of the dataset, in `dataset_info.json`.
        seed: of the twins.
        asked: clean rows, each followed by its twins and its rows without the evidence.
        dropped: why rows or twins are left out, and how many.
    """

    name: str
    seed: int
    asked: list[Asked] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def perturbations(self) -> list[str]:
        """The labels, `clean` first."""
        found = {asked.row.perturbation for asked in self.asked}
        return sorted(found, key=lambda label: (label != CLEAN, label))

    @property
    def modalities(self) -> list[Modality]:
        """The modalities of its media."""
        return [modality for modality in MEDIA if any(asked.media[modality] for asked in self.asked)]

    def drop(self, kind: str) -> None:
        """Count a row or a twin that is left out."""
        self.dropped[kind] = self.dropped.get(kind, 0) + 1


def add_example(suite: Suite, example: Example) -> None:
    """Add a row and what is made of it to a suite; what a run would drop is counted.

    Args:
        suite: gets them.
        example: the row, its media read.
    """
    for reason in [example.dropped] if example.dropped else [*example.problems, *example.dropped_twins]:
        suite.drop(reason.kind)

    if example.dropped or example.problems or example.record is None:
        return

    files: dict[tuple[Modality, str], MediaFile] = {}
    for variant in _variants(example, example.record):
        media = {
            modality: [_file(files, modality, reference, example) for reference in variant.media[modality]]
            for modality in MEDIA
        }
        suite.asked.append(Asked(_row(example, example.record, variant, media), media))


def _variants(example: Example, record: TwinRecord) -> Iterator[Variant]:
    clean = example.aligned
    yield Variant(CLEAN, clean["_prompt"], clean["_system"] or "", record.media, record.target)
    yield from example.twins
    yield from example.counterfactuals


def _file(
    files: dict[tuple[Modality, str], MediaFile], modality: Modality, reference: str, example: Example
) -> MediaFile:
    if (modality, reference) not in files:
        stored = [example.aligned[f"_{own}{MEDIA[modality]}"] or [] for own in ("", "twin_")]
        files[modality, reference] = media_file(modality, reference, *stored)

    return files[modality, reference]


def _row(example: Example, record: TwinRecord, variant: Variant, media: dict[Modality, list[MediaFile]]) -> SuiteRow:
    content = variant.prompt[-1]["content"]
    given = [record.dataset, record.key, variant.perturbation, variant.system, variant.prompt, record.choices]
    digests = [file.digest for modality in MEDIA for file in media[modality]]
    digest = blake2b(json.dumps([*given, digests]).encode(), digest_size=5).hexdigest()
    alone = question_alone(content, record.choices) if len(variant.prompt) == 1 and not variant.system else None
    return SuiteRow(
        id=f"{record.row}_{variant.perturbation[:_LABEL]}_{digest}",
        dataset=record.dataset,
        row=record.row,
        key=record.key,
        clip=record.clip,
        kind=kind_of(record.relevant),
        perturbation=variant.perturbation,
        system=variant.system or "",
        prompt=[{"role": turn["role"], "content": turn["content"]} for turn in variant.prompt],
        question=None if alone is None else without_placeholders(alone).strip(),
        options=record.choices,
        answer=record.answer,
        response=example.aligned["_response"][0]["content"],
        target=variant.target,
        family=variant.family,
        abstention=record.abstention,
        removed=_is_removed(record, variant.media),
        medium=first_file_name(example.aligned[f"_{column}"] or () for column in MEDIA.values()),
    )


def _is_removed(record: TwinRecord, media: References) -> bool:
    return any(is_removed(name) for modality in from_bits(record.relevant) for name in media.get(modality, ()))
