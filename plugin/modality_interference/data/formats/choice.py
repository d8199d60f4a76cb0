"""Formats of questions with options: multiple choice, lettered columns, image classification."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import Unusable
from ...media.image import row_reference
from ...messages import shown
from ..dataset import Source
from ..options import LETTERS, MAX_OPTIONS, Options, parse_answer, parse_options, present
from ..registry import register_format
from ..sample import Reading, Row, without_placeholders


_MEDIA = ("images", "videos", "audios")
_ASKED = {"letter": "Answer with the letter of the right option.", "text": "Answer with the text of the right option."}


@register_format(
    "multiple_choice_twins",
    columns=("question", "choices", "answer"),
    optional=(*_MEDIA, "context", "facts"),
    keys=("answer",),
)
def read_multiple_choice(example: Mapping[str, Any], source: Source, draw: random.Random) -> Reading:
    """Question, options, answer and media: the form of most benchmarks."""
    return _read_question(
        example, source, parse_options(source.cell(example, "choices")), source.cell(example, "answer")
    )


@register_format(
    "lettered_choice_twins",
    columns=("question", "A", "B", "answer"),
    optional=(*LETTERS[2:], *_MEDIA, "context", "facts"),
    keys=("answer",),
)
def read_lettered_choice(example: Mapping[str, Any], source: Source, draw: random.Random) -> Reading:
    """The same with a column for every option, as MMBench and SEED-Bench have; `columns` names them by letter."""
    letters = [letter for letter in LETTERS if source.columns.get(letter)]
    options = parse_options({letter: present(source.cell(example, letter)) for letter in letters})
    answer = source.cell(example, "answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(letters):
        answer = letters[answer]  # a number counts the columns, empty ones too

    return _read_question(example, source, options, answer)


def check_classes(source: Source, column: str = "label") -> None:
    """Look for the classes that labels in a format's column come from, and whether a question can offer so many.

    Raises:
        ModalityInterferenceError: there are none, they do not fit the column, or they are too many.
    """
    name, classes = source.columns[column], classes_of(source, column)
    if len(classes) < 2:
        raise source.error(
            f"the label column `{name}` has no class names. Give a list of at least two names as "
            "`twins.classes`, or make the column a ClassLabel."
        )

    named = source.class_names.get(name)
    if source.spec.classes is not None and named is not None and len(named) != len(source.spec.classes):
        raise source.error(
            f"`twins.classes` has {len(source.spec.classes)} names, but the ClassLabel column "
            f"`{name}` has {len(named)} classes. Give as many names, or remove the key."
        )

    if len(set(classes)) < len(classes):
        raise source.error("`twins.classes` names a class twice; give every class a name of its own.")

    if source.spec.option_count(len(classes)) > MAX_OPTIONS:
        raise source.error(
            f'`twins.options` is "all", and there are {len(classes)} classes. A question can have {MAX_OPTIONS} '
            "options: give a number."
        )


@register_format(
    "image_classification_twins",
    columns=("images", "label"),
    optional=("facts",),
    keys=("answer", "classes", "options", "question"),
    check=check_classes,
)
def read_image_classification(example: Mapping[str, Any], source: Source, draw: random.Random) -> Reading:
    """A picture and its class; the wrong options are drawn among the other classes."""
    classes = classes_of(source, "label")
    right = find_class(source.cell(example, "label"), classes)
    images = source.media(example, "images")
    if not images:
        raise Unusable("no image", "the row has a label but no picture")

    others = [name for index, name in enumerate(classes) if index != right]
    options = [classes[right], *draw.sample(others, source.spec.option_count(len(classes)) - 1)]
    draw.shuffle(options)
    row = ask_options(source.spec.question, tuple(options), options.index(classes[right]), source.spec.answer)
    reading = with_media(row, {"images": images}, example, source)
    return reading.with_missing_placeholders()


def _read_question(example: Mapping[str, Any], source: Source, options: Options, answer: Any) -> Reading:
    question = source.cell(example, "question")
    if question is not None and not isinstance(question, str):
        raise Unusable("question not understood", f"a question is a text, found {shown(question)}")

    if question is None or not without_placeholders(question).strip():
        raise Unusable("empty question", f"found {shown(question)}")

    context = present(source.cell(example, "context"))
    asked = f"{context}\n{question}" if isinstance(context, str) else question
    row = ask_options(asked, options.texts, parse_answer(answer, options), source.spec.answer)
    reading = with_media(row, {column: source.media(example, column) for column in _MEDIA}, example, source)
    return reading.with_missing_placeholders()


def ask_options(question: str, options: Sequence[str], answer: int, how: str) -> Row:
    """The question in the paper's words (arXiv 2505.19616), and a line that says what an answer looks like.

    Args:
        question: may hold media placeholders.
        options: what they say.
        answer: the index of the right one.
        how: "letter" or "text".
    """
    lines = [f"{LETTERS[index]}: {option}" for index, option in enumerate(options)]
    content = "\n".join(["Question:", question, "Option:", *lines, _ASKED[how]])
    right = LETTERS[answer] if how == "letter" else options[answer]
    prompt, response = [{"role": "user", "content": content}], [{"role": "assistant", "content": right}]
    return Row(prompt, response, choices=tuple(options), answer=answer)


def with_media(row: Row, media: dict[str, list[Any]], example: Mapping[str, Any], source: Source) -> Reading:
    """A row with its own media, by column, and with its facts."""
    images, videos, audios = (media.get(column, []) for column in _MEDIA)
    row = row.changed(
        images=_references(images),
        videos=_references(videos),
        audios=_references(audios),
        facts=_facts(source.cell(example, "facts")),
    )
    return Reading(row, images, videos, audios)


def _references(media: list[Any]) -> tuple[str, ...]:
    return tuple(row_reference(index) for index in range(len(media)))


def _facts(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    texts = [without_placeholders(item).strip() for item in items if isinstance(item, str)]
    return tuple(text for text in texts if text)


def classes_of(source: Source, column: str) -> Sequence[str]:
    """The class names that labels in a format's column come from."""
    return source.spec.classes or source.class_names.get(source.columns.get(column, "")) or ()


def find_class(label: Any, classes: Sequence[str]) -> int:
    """The index of the class that a label names, by its name or its index.

    Raises:
        Unusable: `label outside the class list`.
    """
    if isinstance(label, str) and label.strip() in classes:
        return classes.index(label.strip())

    if isinstance(label, str) and label.strip().isascii() and label.strip().isdecimal() and len(label) < 10:
        label = int(label)  # a CSV's index

    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(classes):
        return label

    raise Unusable("label outside the class list", f"label {shown(label)}, {len(classes)} classes: {shown(classes)}")
