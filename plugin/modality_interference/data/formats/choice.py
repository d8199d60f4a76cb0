"""Formats of questions with options: multiple choice, lettered columns, image classification."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import Unusable
from ...messages import shown
from ...modality import MEDIA, Modality
from ..dataset import RawDataset
from ..evidence import find_evidence
from ..options import (
    LETTERS,
    MAX_OPTIONS,
    AnswersAre,
    Options,
    cell_text,
    letter,
    lettered,
    parse_answer,
    parse_options,
    present,
    what_answers_are,
    whole,
)
from ..registry import register_format
from ..sample import ParsedRow, Partner, Sample, own_references, placeholder_spans, without_placeholders


_LOOKED_AT = 10_000  # rows of a dataset, evenly spaced, that tell what its answers are
_REFERS = re.compile(
    r"(?i:(?:all|any|both|either|neither|none|some)\b.*\b(?:above|below)\b)"
    r"|(?i:(?:all|both|either|neither|only|options?)\b ?)*\(?[A-H]\)?(?:, ?\(?[A-H]\)?)*,? ?(?:and|or|nor|&|/) ?\(?[A-H]\b"
)
_QUESTION = "What does this picture show?"
SWAPPED = {Modality.VIDEO: "swapped_video", Modality.AUDIO: "swapped_audio"}  # columns, called as the perturbations
OPTIONS = "{options}"  # in a question of a `twins` block
_INSTRUCTIONS = {
    "letter": "Answer with the letter of the right option.",
    "text": "Answer with the text of the right option.",
}


@register_format(
    "multiple_choice_twins",
    columns=("question", "choices", "answer"),
    optional=(*MEDIA.values(), *SWAPPED.values(), "context", "distractors", "evidence"),
    keys=("answer", "shuffle_options"),
)
def read_multiple_choice(example: Mapping[str, Any], dataset: RawDataset, rng: random.Random) -> ParsedRow:
    """Question, options, answer and media: the form of most benchmarks."""
    options = parse_options(dataset.cell(example, "choices"))
    return _read_question(
        example, dataset, rng, options, parse_answer(dataset.answer(example), options, dataset.answers)
    )


@register_format(
    "lettered_choice_twins",
    columns=("question", "A", "B", "answer"),
    optional=(*LETTERS[2:], *MEDIA.values(), "context", "distractors", "evidence"),
    keys=("answer", "shuffle_options"),
)
def read_lettered_choice(example: Mapping[str, Any], dataset: RawDataset, rng: random.Random) -> ParsedRow:
    """The same with a column for every option, as MMBench and SEED-Bench have; `columns` names them by letter."""
    options, answer = _lettered_options(example, dataset), dataset.answer(example)
    column = _counted_column(answer, dataset)
    is_text = dataset.answers is AnswersAre.TEXTS and cell_text(answer) in options.texts
    right = parse_answer(answer if column is None or is_text else column, options, dataset.answers)
    return _read_question(example, dataset, rng, options, right)


def _lettered_options(example: Mapping[str, Any], dataset: RawDataset) -> Options:
    return parse_options({column: dataset.cell(example, column) for column in _lettered_columns(dataset)})


def _lettered_columns(dataset: RawDataset) -> list[str]:
    return [column for column in LETTERS if dataset.columns.get(column)]


def _counted_column(answer: Any, dataset: RawDataset) -> str | None:
    """The column that a number counts, empty ones too; None of other answers."""
    named, answer = _lettered_columns(dataset), whole(answer)
    is_number = isinstance(answer, int) and not isinstance(answer, bool)
    return named[answer] if is_number and 0 <= answer < len(named) else None


def find_what_answers_are(dataset: RawDataset) -> AnswersAre | None:
    """Tell from its rows whether a dataset's answers are texts or places of options; None where they, or a stream, do not tell."""
    named = {key: dataset.columns.get(key) for key in ("choices", "answer", *LETTERS)}
    columns = [column for column in named.values() if column]
    rows = dataset.other_rows
    if rows is None or named["answer"] is None or not (named["choices"] or named["A"]):
        return None

    if hasattr(rows, "select_columns"):
        rows = rows.select_columns(list(dict.fromkeys(columns)))

    return what_answers_are(_answers_of(dataset, rows))


def _answers_of(dataset: RawDataset, rows: Any) -> Iterator[tuple[Any, Options]]:
    for index in range(0, len(rows), -(-len(rows) // _LOOKED_AT) or 1):
        row = rows[index]
        answer = dataset.answer(row)
        try:
            if dataset.columns.get("choices"):
                yield answer, parse_options(dataset.cell(row, "choices"))
            else:
                options = _lettered_options(row, dataset)
                unlabelled = Options(options.texts, (), options.values)
                yield answer if _counted_column(answer, dataset) in (None, *options.labels) else None, unlabelled
        except Unusable:  # it will be dropped where its own turn comes
            continue


def check_classes(dataset: RawDataset, column: str = "label") -> None:
    """Look for the classes that labels in a format's column come from, and whether a question can offer so many.

    Raises:
        ModalityInterferenceError: there are none, they do not fit the column, or they are too many.
    """
    name, classes = dataset.columns[column], classes_of(dataset, column)
    if len(classes) < 2:
        raise dataset.error(
            f"the label column `{name}` has {f'the class {shown(classes[0])} alone' if classes else 'no class names'}. Give a "
            "list of at least two names as `twins.classes`, or make the column a ClassLabel. Of labels that are texts no names "
            "are needed, but with `streaming`."
        )

    named = dataset.class_names.get(name)
    if dataset.spec.classes is not None and named is not None and len(named) != len(dataset.spec.classes):
        raise dataset.error(
            f"`twins.classes` has {len(dataset.spec.classes)} names, but the ClassLabel column "
            f"`{name}` has {len(named)} classes. Give as many names, or remove the key."
        )

    if len(set(classes)) < len(classes):
        raise dataset.error("`twins.classes` names a class twice; give every class a name of its own.")

    if dataset.spec.option_count(len(classes)) > MAX_OPTIONS:
        raise dataset.error(
            f'`twins.options` is "all", and there are {len(classes)} classes. A question can have {MAX_OPTIONS} '
            "options: give a number."
        )


@register_format(
    "image_classification_twins",
    columns=("images", "label"),
    optional=("distractors",),
    keys=("answer", "classes", "options", "question"),
    labels=("label",),
    check=check_classes,
)
def read_image_classification(example: Mapping[str, Any], dataset: RawDataset, rng: random.Random) -> ParsedRow:
    """An image and its class; the wrong options are drawn among the other classes."""
    classes = classes_of(dataset, "label")
    right = find_class(dataset.cell(example, "label"), classes)
    images = dataset.media(example, Modality.IMAGE)
    if not images:
        raise Unusable("no image", "the row has a label but no image")

    others = [name for index, name in enumerate(classes) if index != right]
    options = [classes[right], *rng.sample(others, dataset.spec.option_count(len(classes)) - 1)]
    rng.shuffle(options)
    question = dataset.spec.question if isinstance(dataset.spec.question, str) else _QUESTION
    sample = ask_classes(question, tuple(options), options.index(classes[right]), dataset.spec.answer)
    return with_media(sample, {Modality.IMAGE: images}, example, dataset)


def _read_question(
    example: Mapping[str, Any], dataset: RawDataset, rng: random.Random, options: Options, answer: int
) -> ParsedRow:
    question = dataset.cell(example, "question")
    if question is not None and not isinstance(question, str):
        raise Unusable("question not understood", f"a question is a text, found {shown(question)}")

    if question is None or not without_placeholders(question).strip():
        raise Unusable("empty question", f"found {shown(question)}")

    context = _context(dataset.cell(example, "context"))
    asked = question if context is None else f"{context}\n{question}"
    order = list(range(len(options.texts)))
    if dataset.spec.shuffle_options and not any(map(_needs_its_place, options.texts)):
        rng.shuffle(order)

    right = order.index(answer)
    sample = ask_options(asked, [options.texts[index] for index in order], right, dataset.spec.answer)
    sample = sample.changed(partner=_other_clip(example, dataset))
    media = {modality: dataset.media(example, modality) for modality in MEDIA}
    return with_media(sample, media, example, dataset)


def _context(value: Any) -> str | None:
    """A row's context: a text, or a list of texts one below the other; None where it has none."""
    items = [item for item in (value if isinstance(value, (list, tuple)) else [value]) if present(item) is not None]
    texts = [cell_text(item) for item in items]
    if None in texts:
        raise Unusable("context not understood", f"a context is a text or a list of texts, found {shown(value)}")

    return "\n".join(map(str, texts)) or None


def _needs_its_place(option: str) -> bool:
    """Whether an option is about others, "Both A and B" or "All of the above", or shows a medium, which come in order."""
    return bool(_REFERS.match(option) or placeholder_spans(option))


def _other_clip(example: Mapping[str, Any], dataset: RawDataset) -> Partner | None:
    """The video and the audio that a row names to swap its own with; of no known class."""
    media: dict[Modality, Any] = {}
    for modality, column in SWAPPED.items():
        found = dataset.media(example, modality, column)
        if len(found) > 1:
            raise Unusable("no swapped clip", f"`{column}` holds {len(found)} media; one is allowed")

        media |= {modality: found[0]} if found else {}

    return Partner(media, {}) if media else None


def ask_options(question: str, options: Sequence[str], answer: int, how: str) -> Sample:
    """The question in the paper's words (arXiv 2505.19616), and a line that says what an answer looks like.

    Args:
        question: may hold media placeholders.
        options: what they say.
        answer: the index of the right one.
        how: "letter" or "text".
    """
    lines = lettered(options)
    content = "\n".join(["Question:", question, "Option:", *lines, _INSTRUCTIONS[how]])
    return _asked(content, options, answer, how)


def question_alone(content: str, options: Sequence[str]) -> str | None:
    """The question of a prompt that `ask_options` wrote, and what a perturbation has put before and behind it.

    Args:
        content: the prompt.
        options: what they say.

    Returns:
        The prompt without options and instruction; None where it was written otherwise.
    """
    lines = "\n".join(lettered(options))
    for instruction in _INSTRUCTIONS.values():
        before, options_end, after = content.partition(f"\nOption:\n{lines}\n{instruction}")
        start, header, question = before.partition("Question:\n")
        if options and options_end and header:
            return f"{start}{question}{after}"

    return None


def ask_classes(question: str, options: Sequence[str], answer: int, how: str) -> Sample:
    """A question out of a `twins` block: the whole prompt where it says with `{options}` where the options go.

    Args:
        question: its words. `{options}` stands for the options with commas between them, and their letters where a letter is
            the answer; without it, the question is put as `ask_options` puts it.
        options: what they say.
        answer: the index of the right one.
        how: "letter" or "text".
    """
    if OPTIONS not in question:
        return ask_options(question, options, answer, how)

    items = lettered(options) if how == "letter" else options
    return _asked(question.replace(OPTIONS, ", ".join(items)), options, answer, how)


def _asked(content: str, options: Sequence[str], answer: int, how: str) -> Sample:
    right = letter(answer) if how == "letter" else options[answer]
    prompt, response = [{"role": "user", "content": content}], [{"role": "assistant", "content": right}]
    return Sample(prompt, response, choices=tuple(options), answer=answer)


def with_media(
    sample: Sample,
    media: Mapping[Modality, list[Any]],
    example: Mapping[str, Any],
    dataset: RawDataset,
    fill_placeholders: bool = True,
) -> ParsedRow:
    """A sample with its row's own media, distractors and evidence.

    Args:
        sample: without media.
        media: the row's raw media.
        example: the raw row.
        dataset: the dataset.
        fill_placeholders: whether media of a modality without any placeholder get theirs in front of the first message.

    Raises:
        Unusable: the prompt does not have the evidence that the row names.
    """
    distractors = _distractors(dataset.cell(example, "distractors"))
    sample = sample.changed(media=own_references(media), distractors=distractors)
    if fill_placeholders:
        sample = sample.with_missing_placeholders()

    if dataset.columns.get("evidence"):
        sample = sample.changed(evidence=find_evidence(sample, dataset.cell(example, "evidence")))

    return ParsedRow(sample, {modality: media.get(modality, []) for modality in MEDIA})


def _distractors(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    texts = [without_placeholders(item).strip() for item in items if isinstance(item, str)]
    return tuple(text for text in texts if text)


def classes_of(dataset: RawDataset, column: str) -> Sequence[str]:
    """The class names that labels in a format's column come from."""
    return dataset.spec.classes or dataset.class_names.get(dataset.columns.get(column, "")) or ()


def find_class(label: Any, classes: Sequence[str]) -> int:
    """The index of the class that a label names, by its name or its index.

    Raises:
        Unusable: `label outside the class list`.
    """
    label = whole(label)
    if isinstance(label, str) and label.strip() in classes:
        return classes.index(label.strip())

    if isinstance(label, str) and label.strip().isascii() and label.strip().isdecimal() and len(label) < 10:
        label = int(label)  # a CSV's index

    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(classes):
        return label

    raise Unusable("label outside the class list", f"label {shown(label)}, {len(classes)} classes: {shown(classes)}")
