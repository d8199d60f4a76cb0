"""The built-in formats: how a raw row becomes a question with its answer."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from .answers import LETTERS, MAX_OPTIONS, Options, parse_answer, parse_options, present
from .media import row_reference
from .messages import shown
from .registry import register_format
from .row import BadRow, Message, Reading, Row, without_placeholders
from .source import Source, present_media


_MEDIA = ("images", "videos", "audios")
_CHAT = ("system", "tools", *_MEDIA, "choices", "answer", "facts")
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
        raise BadRow("no image", "the row has a label but no picture")

    others = [name for index, name in enumerate(classes) if index != right]
    options = [classes[right], *draw.sample(others, source.spec.option_count(len(classes)) - 1)]
    draw.shuffle(options)
    row = ask_options(source.spec.question, tuple(options), options.index(classes[right]), source.spec.answer)
    reading = with_media(row, {"images": images}, example, source)
    return reading.with_missing_placeholders()


@register_format(
    "alpaca_twins",
    columns=("prompt", "response"),
    optional=("query", "history", *_CHAT),
    base="alpaca",
    defaults={"prompt": "instruction", "query": "input", "response": "output"},
)
@register_format(
    "sharegpt_twins",
    columns=("messages",),
    optional=_CHAT,
    base="sharegpt",
    defaults={"messages": "conversations"},
)
@register_format(
    "openai_twins",
    columns=("messages",),
    optional=_CHAT,
    base="openai",
    defaults={"messages": "conversations"},
)
def read_chat(example: Mapping[str, Any], source: Source, draw: random.Random) -> Reading:
    """What LLaMA-Factory's own converter makes of the row, with options and facts where the dataset has them."""
    if source.base_converter is None:
        raise source.error(f"the format `{source.formatting}` needs LLaMA-Factory's converter, and none was given.")

    try:
        aligned = source.base_converter(_one_response(example, source, draw))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BadRow("unreadable row", f"LLaMA-Factory's converter: {type(error).__name__}: {error}") from error

    prompt, response = _messages(aligned["_prompt"]), _messages(aligned["_response"])
    if not response or not response[0]["content"].strip():
        raise BadRow("no assistant turn", "the turns end without an answer, or do not alternate as the format demands")

    row = Row(prompt, response[:1], system=_text(aligned, "_system"), tools=_text(aligned, "_tools"))
    choices = source.cell(example, "choices")
    if choices is not None:
        options = parse_options(choices)
        answer = parse_answer(source.cell(example, "answer"), options)
        row = row.changed(choices=options.texts, answer=answer)

    media = {column: source.checked_media(present_media(aligned[f"_{column}"]), column) for column in _MEDIA}
    reading = with_media(row, media, example, source)
    # unlike a chat, an instruction need not say where its picture stands: captions have no placeholder at all
    return reading.with_missing_placeholders() if "response" in source.columns else reading


def _one_response(example: Mapping[str, Any], source: Source, draw: random.Random) -> dict[str, Any]:
    """The row; where its response is a list of texts (captions, references), with one of them, drawn."""
    texts = source.cell(example, "response")
    if not isinstance(texts, (list, tuple)):
        return dict(example)

    texts = [text for text in texts if isinstance(text, str) and text.strip()]
    return {**example, source.columns["response"]: draw.choice(texts) if texts else None}


def _read_question(example: Mapping[str, Any], source: Source, options: Options, answer: Any) -> Reading:
    question = source.cell(example, "question")
    if question is not None and not isinstance(question, str):
        raise BadRow("question not understood", f"a question is a text, found {shown(question)}")

    if question is None or not without_placeholders(question).strip():
        raise BadRow("empty question", f"found {shown(question)}")

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


def _text(aligned: Mapping[str, Any], key: str) -> str:
    value = aligned[key] or ""
    if not isinstance(value, str):
        raise BadRow("unreadable row", f"`{key[1:]}` must be text, found {shown(value)}")

    return value


def _messages(messages: list[dict[str, Any]]) -> list[Message]:
    for message in messages:
        if not isinstance(message["content"], str):
            raise BadRow("unreadable row", f"the content of a turn must be text, found {shown(message['content'])}")

    return [{"role": message["role"], "content": message["content"]} for message in messages]


def classes_of(source: Source, column: str) -> Sequence[str]:
    """The class names that labels in a format's column come from."""
    return source.spec.classes or source.class_names.get(source.columns.get(column, "")) or ()


def find_class(label: Any, classes: Sequence[str]) -> int:
    """The index of the class that a label names, by its name or its index.

    Raises:
        BadRow: `label outside the class list`.
    """
    if isinstance(label, str) and label.strip() in classes:
        return classes.index(label.strip())

    if isinstance(label, str) and label.strip().isascii() and label.strip().isdecimal() and len(label) < 10:
        label = int(label)  # a CSV's index

    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(classes):
        return label

    raise BadRow("label outside the class list", f"label {shown(label)}, {len(classes)} classes: {shown(classes)}")
