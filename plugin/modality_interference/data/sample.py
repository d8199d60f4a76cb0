"""A sample: a row between parsing and tokenizing, what a perturbation gets and what it returns."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import Unusable
from ..media.reference import removed_reference, row_reference
from ..modality import MEDIA, Modality


# LLaMA-Factory's {"role": "user" | "assistant" | "observation" | "function", "content": ...}
Message = dict[str, str]
CHOSEN, REJECTED, WITHHELD = "chosen", "rejected", "withheld"  # a pair's answers, and their columns
References = dict[Modality, tuple[str, ...]]  # of image, video and audio, empty where there is none
# LLaMA-Factory reads its placeholders from these environment variables, with these defaults (extras/constants.py).
PLACEHOLDERS = {
    Modality.IMAGE: os.getenv("IMAGE_PLACEHOLDER", "<image>"),
    Modality.VIDEO: os.getenv("VIDEO_PLACEHOLDER", "<video>"),
    Modality.AUDIO: os.getenv("AUDIO_PLACEHOLDER", "<audio>"),
}
_ANY_PLACEHOLDER = "|".join(re.escape(placeholder) for placeholder in PLACEHOLDERS.values())
_LEADING_MEDIA = re.compile(rf"(?:\s*(?:{_ANY_PLACEHOLDER}))+\s*")


def no_media() -> References:
    """The references of a row without media."""
    return dict.fromkeys(MEDIA, ())


@dataclass(frozen=True)
class Partner:
    """A clip of another class, whose video or audio a twin may take.

    Attributes:
        media: its raw video and its raw audio.
        labels: what they show and sound like, where that is known.
    """

    media: dict[Modality, Any]
    labels: dict[Modality, str]


@dataclass(frozen=True)
class Span:
    """A part of a sample's prompt.

    Attributes:
        message: the index of the turn in `prompt`; None for the system prompt.
        start: of the part in the turn's text.
        end: behind the part.
    """

    message: int | None
    start: int
    end: int


@dataclass(frozen=True)
class Sample:
    """One question and its answer, with media by reference (`media/image.py` says what references look like).

    Attributes:
        prompt: the turns before the answer, the last one from the user (or a tool).
        response: the assistant's answer, one message.
        system: the system prompt, "" where there is none.
        tools: the tools as JSON, "" where there are none.
        media: for image, video and audio, a reference for every placeholder, in order.
        choices: the options that the answer is among, where the row has options.
        answer: the index of the right option in `choices`.
        distractors: distractor sentences that the dataset brings.
        target: the wrong option or answer that a perturbation claims to be right; of a row without perturbation, the class of the
            modality that is not asked about, where its clip itself shows one thing and sounds like another.
        family: the family of texts that a perturbation took its words from, where it has several.
        partner: the clip to swap video or audio with, where the format or the dataset chooses it.
        abstention: the option that says that one cannot tell, where the row offers one.
        rejected: of a pair, the answer that is worse than `response`; None of other rows.
        withheld: of a pair, the answer that withholds, where the dataset brings one.
        references: all right answers of a row without options that brings several, `response` among them.
        evidence: where the prompt, as it was parsed, says what the answer is read from, in order; empty where the row does not
            name it.
    """

    prompt: list[Message]
    response: list[Message]
    system: str = ""
    tools: str = ""
    media: References = field(default_factory=no_media)
    choices: tuple[str, ...] | None = None
    answer: int | None = None
    distractors: tuple[str, ...] = ()
    target: str | None = None
    family: str | None = None
    partner: Partner | None = None
    abstention: str | None = None
    rejected: Message | None = None
    withheld: Message | None = None
    references: tuple[str, ...] = ()
    evidence: tuple[Span, ...] = ()

    @property
    def answers(self) -> list[Message]:
        """The response; of a pair, the chosen and the rejected answer, and the withheld one where there is one."""
        return [*self.response, *(one for one in (self.rejected, self.withheld) if one is not None)]

    @property
    def right_answer(self) -> str:
        """The right option's text; of a row without options the response."""
        return (
            self.response[0]["content"] if self.choices is None or self.answer is None else self.choices[self.answer]
        )

    @property
    def wrong_choices(self) -> tuple[str, ...]:
        """The options that a perturbation can claim to be right: none that says the same as the right one, nor abstention.

        Nor an option "A" where A is the right one's letter. Empty where nobody knows which is right.
        """
        if self.choices is None or self.answer is None:
            return ()

        right = {text.strip().casefold() for text in (self.choices[self.answer], self.response[0]["content"])}
        return tuple(
            choice for choice in self.choices if choice != self.abstention and choice.strip().casefold() not in right
        )

    def before_question(self, text: str) -> "Sample | None":
        """The sample with `text` in front of its last user message, behind leading media so that they stay in front.

        Returns:
            The new sample; None where it has no user message.
        """
        return self.with_question(lambda question: f"{text}\n{question}")

    def after_question(self, text: str) -> "Sample | None":
        """The sample with `text` behind its last user message; None where it has no user message."""
        return self.with_question(lambda question: f"{question}\n{text}")

    @property
    def question(self) -> str | None:
        """The last user message without its leading media; None where there is none."""
        index = self._last_user_message()
        return None if index is None else _split_media(self.prompt[index]["content"])[1]

    def with_question(self, change: Callable[[str], str]) -> "Sample | None":
        """The sample with a change of its last user message, its leading media apart; None where it has no user message."""
        index = self._last_user_message()
        if index is None:
            return None

        media, question = _split_media(self.prompt[index]["content"])
        return self._with_content(index, media + change(question))

    def with_media(self, modality: Modality, references: tuple[str, ...]) -> "Sample | None":
        """The sample with other media in place of its own, or with media where it had none.

        Args:
            modality: image, video or audio.
            references: as many as the sample has; any number where it has none (then the placeholders go to the start
                of the first user message).

        Returns:
            The new sample; None where there is no user message to put placeholders into.
        """
        changed = self.changed(media={**self.media, modality: references})
        if self.media[modality]:
            return changed

        users = [index for index, message in enumerate(self.prompt) if message["role"] == "user"]
        if not users:
            return None

        content = PLACEHOLDERS[modality] * len(references) + self.prompt[users[0]]["content"]
        return changed._with_content(users[0], content)

    def with_removed(self, modality: Modality) -> "Sample":
        """The sample whose videos show black frames, or whose audio is silent; as many of them, of the same length."""
        return self.changed(media={**self.media, modality: tuple(map(removed_reference, self.media[modality]))})

    def with_missing_placeholders(self) -> "Sample":
        """The sample with placeholders in front of its first message for every kind of medium that has none yet."""
        text = "".join(message["content"] for message in self.prompt)
        missing = "".join(
            placeholder * len(self.media[modality])
            for modality, placeholder in PLACEHOLDERS.items()
            if placeholder not in text
        )
        return self._with_content(0, missing + self.prompt[0]["content"]) if missing else self

    def check_placeholders(self) -> None:
        """Raise `Unusable` unless every media placeholder has its medium and every medium its placeholder.

        LLaMA-Factory counts the same way, over prompt and response, and stops the whole run on a difference.
        """
        text = "\n".join([message["content"] for message in (*self.prompt, *self.response)])
        for modality, placeholder in PLACEHOLDERS.items():
            found, media = text.count(placeholder), len(self.media[modality])
            counts = f"{found} `{placeholder}` in the messages, {media} {modality}(s) in the row"
            if found > media:
                raise Unusable(
                    f"{modality} token without {modality}", f"{counts}; remove the token, or add the {modality}"
                )

            if found < media:
                fix = f"put `{placeholder}` where each belongs into the text, or remove the {modality}"
                raise Unusable(f"{modality} without its token", f"{counts}; {fix}")

    def changed(self, **changes: Any) -> "Sample":
        """The sample with other values: a `dataclasses.replace` without the time that a frozen class's constructor takes."""
        sample = object.__new__(Sample)
        sample.__dict__.update(self.__dict__, **changes)
        return sample

    def _last_user_message(self) -> int | None:
        users = [index for index, message in enumerate(self.prompt) if message["role"] == "user"]
        return users[-1] if users else None

    def _with_content(self, index: int, content: str) -> "Sample":
        prompt = list(self.prompt)
        prompt[index] = {**prompt[index], "content": content}
        return self.changed(prompt=prompt)


@dataclass(frozen=True)
class ParsedRow:
    """What a format makes of one raw row.

    Attributes:
        sample: its question and answer.
        media: for image, video and audio, the raw media that the sample's references `row:0`, `row:1`, ... name.
    """

    sample: Sample
    media: dict[Modality, list[Any]]


def own_references(media: Mapping[Modality, Sequence[Any]]) -> References:
    """References to all of a row's own media."""
    return {modality: tuple(map(row_reference, range(len(media.get(modality) or ())))) for modality in MEDIA}


def _split_media(content: str) -> tuple[str, str]:
    media = _LEADING_MEDIA.match(content)
    start = media.end() if media else 0
    return content[:start], content[start:]


def placeholder_spans(text: str) -> list[tuple[int, int]]:
    """Where the media placeholders of a text start and end."""
    return [match.span() for match in re.finditer(_ANY_PLACEHOLDER, text)]


def without_placeholders(text: str) -> str:
    """Text with media placeholders removed: a distractor may not bring any."""
    return re.sub(_ANY_PLACEHOLDER, "", text)
