"""From a converted row to what a server is asked, and to what is scored: the questions of a local run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..batching.batch import Question
from ..batching.example import TokenizedExample, TokenizedRow
from ..batching.questions import question
from ..data.options import LETTERS
from ..data.records import TwinRecord, Variant
from ..data.sample import Message
from ..dataset_dir.rows import Example
from ..errors import Unusable
from ..evaluation.answer_text import THOUGHT, without_thought
from ..modality import CLEAN, is_counterfactual
from .journal import Place
from .media import MediaEncoder, VideoForm
from .prompt import Prompt, make_prompt


@dataclass(frozen=True)
class Asked:
    """A clean row, a twin or a counterfactual row, and its prompt.

    Attributes:
        question: what scoring needs to know; its `batch_row` and `clean` count the rows of its example.
        prompt: what is sent.
    """

    question: Question
    prompt: Prompt

    @property
    def place(self) -> Place:
        """What names it in a journal."""
        return self.question.dataset, self.question.row, self.question.perturbation

    @property
    def has_letters(self) -> bool:
        """Whether its options have letters, in whose probabilities an answer can be read."""
        return 0 < len(self.question.choices) <= len(LETTERS)


@dataclass(frozen=True)
class AskedRow:
    """A row: its clean question, its twins' and those without its evidence.

    Attributes:
        index: of the row in its dataset.
        items: the clean question first; empty where the row cannot be asked.
        dropped: why it, or some of what is made of it, cannot be asked: kinds, and what was found.
    """

    index: int
    items: tuple[Asked, ...]
    dropped: tuple[str, ...] = ()


def asked_row(example: Example, video: VideoForm, frames: int) -> AskedRow:
    """What is asked of a row; media are encoded here.

    Args:
        example: as `LocalDataset.examples` gives it.
        video: whether videos are sent as frames or as files.
        frames: how many frames of each.
    """
    record = example.record
    if record is None or example.dropped or example.problems:
        reasons = [example.dropped] if example.dropped else example.problems
        return AskedRow(example.index, (), tuple(map(str, reasons)))

    encoder = MediaEncoder(example.aligned, video, frames)
    dropped = [str(reason) for reason in example.dropped_twins]
    rows: list[tuple[TwinRecord | Variant, TokenizedRow, Prompt]] = []
    for row in _asked(record, example):
        prompt, system = _texts(row, example)
        try:
            made = make_prompt(prompt, system, encoder.encode(row.media))
        except Unusable as error:
            if row is record:
                return AskedRow(example.index, (), (str(error),))

            what = "row" if is_counterfactual(_label(row)) else "twin"
            dropped.append(f"{_label(row)} {what}, {error}")
        else:
            rows.append((row, _untokenized(row), made))

    described = described_example(example)
    response = example.aligned["_response"][0]["content"]
    response = without_thought(response, THOUGHT) or response
    items = tuple(
        Asked(question(number, row, described, clean=0, response=response), prompt)
        for number, (_, row, prompt) in enumerate(rows)
    )
    return AskedRow(example.index, items, tuple(dropped))


def described_example(example: Example) -> TokenizedExample:
    """All that is known of a row but its tokens, which are the server's.

    Args:
        example: with a record.
    """
    record = example.record
    assert record is not None
    described = TokenizedExample.of_record(record, example.aligned, _untokenized(record))
    return replace(
        described,
        variants=[_untokenized(variant) for variant in example.twins],
        counterfactuals=[_untokenized(variant) for variant in example.counterfactuals],
    )


def _asked(record: TwinRecord, example: Example) -> list[TwinRecord | Variant]:
    return [record, *example.twins, *example.counterfactuals]


def _untokenized(row: TwinRecord | Variant) -> TokenizedRow:
    family = row.family if isinstance(row, Variant) else None
    return TokenizedRow([], [], references=row.media, perturbation=_label(row), target=row.target, family=family)


def _label(row: TwinRecord | Variant) -> str:
    return row.perturbation if isinstance(row, Variant) else CLEAN


def _texts(row: TwinRecord | Variant, example: Example) -> tuple[list[Message], str | None]:
    """Turns before the answer, and the system prompt."""
    if isinstance(row, Variant):
        return row.prompt, row.system

    aligned: dict[str, Any] = example.aligned
    return aligned["_prompt"], aligned["_system"]


def shown_prompts(example: Example) -> Iterator[tuple[str, str]]:
    """The label and the text of a clean row, of its twins and of its counterfactual rows, as pages show them; media as placeholders."""
    assert example.record is not None
    for row in _asked(example.record, example):
        turns, system = _texts(row, example)
        texts = [("system", system)] if system else []
        texts += [(turn["role"], turn["content"]) for turn in turns]
        yield (
            _label(row),
            "\n\n".join(f"[{role}] {text}" for role, text in texts) if len(texts) > 1 else texts[0][1],
        )
