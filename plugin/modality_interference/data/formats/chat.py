"""Formats that LLaMA-Factory's own converters read: alpaca, sharegpt and openai."""

import random
from collections.abc import Mapping
from typing import Any

from ...errors import Unusable
from ...messages import shown
from ...modality import MEDIA, Modality
from ..dataset import RawDataset, present_media
from ..options import Options, cell_text, letter, parse_answer, parse_options, possible_answers
from ..registry import register_format
from ..sample import CHOSEN, REJECTED, WITHHELD, Message, ParsedRow, Sample, without_placeholders
from .choice import with_media


_CHAT = ("system", "tools", *MEDIA.values(), "choices", "answer", "distractors", "evidence")
_PAIR = (CHOSEN, REJECTED)


@register_format(
    "alpaca_twins",
    columns=("prompt", "response"),
    optional=("query", "history", *_CHAT),
    base="alpaca",
    defaults={"prompt": "instruction", "query": "input", "response": "output"},
    ranking_columns=("prompt", *_PAIR),
)
@register_format(
    "sharegpt_twins",
    columns=("messages",),
    optional=_CHAT,
    base="sharegpt",
    defaults={"messages": "conversations"},
    ranking_columns=("messages", *_PAIR),
)
@register_format(
    "openai_twins",
    columns=("messages",),
    optional=_CHAT,
    base="openai",
    defaults={"messages": "conversations"},
    ranking_columns=("messages", *_PAIR),
)
def read_chat(example: Mapping[str, Any], dataset: RawDataset, rng: random.Random) -> ParsedRow:
    """What LLaMA-Factory's own converter makes of the row, with options and distractors where the dataset has them."""
    if dataset.base_converter is None:
        raise dataset.error(f"the format `{dataset.formatting}` needs LLaMA-Factory's converter, and none was given.")

    try:
        aligned = dataset.base_converter(_readable(example, dataset, rng))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Unusable("unreadable row", f"LLaMA-Factory's converter: {type(error).__name__}: {error}") from error

    prompt, response = _messages(aligned["_prompt"]), _messages(aligned["_response"])
    if not response or not response[0]["content"].strip():
        raise Unusable(
            "no assistant turn", "the turns end without an answer, or do not alternate as the format demands"
        )

    rejected, withheld = _other_answers(response, dataset.cell(example, WITHHELD)) if dataset.ranking else (None, None)
    sample = Sample(prompt, response[:1], system=_text(aligned, "_system"), tools=_text(aligned, "_tools"))
    references = tuple(_responses(example, dataset))
    sample = sample.changed(rejected=rejected, withheld=withheld, references=references if references[1:] else ())
    choices = dataset.cell(example, "choices")
    if choices is not None:
        options = parse_options(choices)
        answer = parse_answer(dataset.answer(example), options, dataset.answers)
        _check_agrees(response[0]["content"], answer, options)
        sample = sample.changed(choices=options.texts, answer=answer)

    media = {
        modality: dataset.checked_media(present_media(aligned[f"_{column}"]), modality)
        for modality, column in MEDIA.items()
    }
    # unlike a chat, an instruction need not say where its image belongs: captions have no placeholder at all
    return with_media(sample, media, example, dataset, fill_placeholders="prompt" in dataset.columns)


def _check_agrees(response: str, answer: int, options: Options) -> None:
    """Refuse a row whose response is an option, or its letter, and not the one that `answer` names.

    Raises:
        Unusable: `answer contradicts the response`.
    """
    said = possible_answers(response, options)
    if said and answer not in said:
        raise Unusable(
            "answer contradicts the response",
            f"the response is {shown(response)}, and `answer` names option {letter(answer)}, {shown(options.texts[answer])}; "
            "indices count from 0",
        )


def _other_answers(response: list[Message], withheld: Any) -> tuple[Message, Message | None]:
    """The rejected answer and the withheld one of a pair.

    Args:
        response: what LLaMA-Factory's converter makes of the row: the chosen and the rejected answer.
        withheld: the cell of the column `withheld`.

    Raises:
        Unusable: the row is no pair of two different answers.
    """
    if len(response) != 2 or not response[1]["content"].strip():
        raise Unusable(
            "no pair of answers",
            "`chosen` and `rejected` must be texts, of `sharegpt_twins` and `openai_twins` messages of the assistant",
        )

    if withheld is not None and not isinstance(withheld, str):
        raise Unusable("unreadable row", f"`{WITHHELD}` must be text, found {shown(withheld)}")

    chosen, rejected = response
    answers = [chosen, rejected]
    if withheld is not None and withheld.strip():
        answers.append({"role": chosen["role"], "content": withheld})

    texts = [answer["content"] for answer in answers]
    stripped = [text.strip() for text in texts]
    if len(set(stripped)) < len(stripped):
        raise Unusable("answers of a pair are the same", f"found {shown(max(stripped, key=stripped.count))} twice")

    if any(without_placeholders(text) != text for text in texts):
        raise Unusable(
            "media token in an answer", "an answer of a pair can bring no image, video or audio; remove the token"
        )

    return rejected, answers[2] if len(answers) > 2 else None


def _readable(example: Mapping[str, Any], dataset: RawDataset, rng: random.Random) -> dict[str, Any]:
    """The row as LLaMA-Factory's converter reads it.

    A response that is a number or a date becomes text, and one of several (captions, references) is chosen at random.
    """
    found, responses = dict(example), _responses(example, dataset)
    if responses or isinstance(dataset.cell(example, "response"), (list, tuple)):
        found[dataset.columns["response"]] = rng.choice(responses) if responses else None

    images = dataset.columns.get(MEDIA[Modality.IMAGE])
    if images is not None and isinstance(found.get(images), (list, tuple, Mapping)):
        found[images] = present_media(found[images])

    return found


def _responses(example: Mapping[str, Any], dataset: RawDataset) -> list[str]:
    """All right answers of a row whose format has a column of them."""
    value = dataset.cell(example, "response")
    texts = [cell_text(item) for item in (value if isinstance(value, (list, tuple)) else [value])]
    return [text for text in texts if text is not None and text.strip()]


def _text(aligned: Mapping[str, Any], key: str) -> str:
    value = aligned[key] or ""
    if not isinstance(value, str):
        raise Unusable("unreadable row", f"`{key[1:]}` must be text, found {shown(value)}")

    return value


def _messages(messages: list[dict[str, Any]]) -> list[Message]:
    for message in messages:
        if not isinstance(message["content"], str):
            raise Unusable("unreadable row", f"the content of a turn must be text, found {shown(message['content'])}")

    return [{"role": message["role"], "content": message["content"]} for message in messages]
