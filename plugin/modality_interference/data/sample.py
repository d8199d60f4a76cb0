"""A row between reading and tokenizing: what a perturbation gets and what it returns."""

import os
import re
from dataclasses import dataclass
from typing import Any

from ..errors import Unusable
from ..modality import Modality


Message = dict[
    str, str
]  # {"role": "user" | "assistant" | "observation" | "function", "content": ...}, LLaMA-Factory's
# LLaMA-Factory reads its placeholders from these environment variables, with these defaults (extras/constants.py).
PLACEHOLDERS = {
    Modality.IMAGE: os.getenv("IMAGE_PLACEHOLDER", "<image>"),
    Modality.VIDEO: os.getenv("VIDEO_PLACEHOLDER", "<video>"),
    Modality.AUDIO: os.getenv("AUDIO_PLACEHOLDER", "<audio>"),
}
_ANY_PLACEHOLDER = "|".join(re.escape(placeholder) for placeholder in PLACEHOLDERS.values())
_LEADING_MEDIA = re.compile(rf"(?:\s*(?:{_ANY_PLACEHOLDER}))+\s*")


@dataclass(frozen=True)
class Partner:
    """A clip of another class, whose picture or sound a twin may take.

    Attributes:
        media: its raw video and its raw sound.
        labels: what they show and sound like; each is one of the row's options or the row's other class.
    """

    media: dict[Modality, Any]
    labels: dict[Modality, str]


@dataclass(frozen=True)
class Row:
    """One question and its answer, with media by reference (`twins/media.py` says what references look like).

    Attributes:
        prompt: the turns before the answer, the last one from the user (or a tool).
        response: the assistant's answer, one message.
        system: the system prompt, "" where there is none.
        tools: the tools as JSON, "" where there are none.
        images: a reference for every image placeholder, in order.
        videos: likewise.
        audios: likewise.
        choices: the options that the answer is among, where the row has options.
        answer: the index of the right option in `choices`.
        facts: distractor sentences that the dataset brings.
        planted: the wrong option that a perturbation claims to be right.
        partner: the clip to swap picture or sound with, where the format chooses it.
    """

    prompt: list[Message]
    response: list[Message]
    system: str = ""
    tools: str = ""
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    audios: tuple[str, ...] = ()
    choices: tuple[str, ...] | None = None
    answer: int | None = None
    facts: tuple[str, ...] = ()
    planted: str | None = None
    partner: Partner | None = None

    @property
    def wrong_choices(self) -> tuple[str, ...]:
        """The options that do not say the same as the right one; empty where nobody knows which is right."""
        if self.choices is None or self.answer is None:
            return ()

        right = self.choices[self.answer].strip().casefold()
        return tuple(choice for choice in self.choices if choice.strip().casefold() != right)

    def media(self, modality: Modality) -> tuple[str, ...]:
        """The references of a media modality (not text)."""
        return {Modality.IMAGE: self.images, Modality.VIDEO: self.videos, Modality.AUDIO: self.audios}[modality]

    def with_media(self, modality: Modality, references: tuple[str, ...]) -> "Row":
        """The row with as many other references of a media modality."""
        return self.changed(**{f"{modality}s": references})

    def before_question(self, text: str) -> "Row | None":
        """The row with `text` in front of its last user message, behind leading media so that they stay in front.

        Returns:
            The new row; None where the row has no user message.
        """
        index = self._last_user_message()
        if index is None:
            return None

        content = self.prompt[index]["content"]
        media = _LEADING_MEDIA.match(content)
        start = media.end() if media else 0
        return self._with_content(index, f"{content[:start]}{text}\n{content[start:]}")

    def after_question(self, text: str) -> "Row | None":
        """The row with `text` behind its last user message; None where the row has no user message."""
        index = self._last_user_message()
        if index is None:
            return None

        return self._with_content(index, f"{self.prompt[index]['content']}\n{text}")

    def with_images(self, images: tuple[str, ...]) -> "Row | None":
        """The row with other pictures in place of its own, or with pictures where it had none.

        Args:
            images: as many references as the row has; any number where it has none (then the placeholders go to the
                start of the first user message).

        Returns:
            The new row; None where there is no user message to put placeholders into.
        """
        if self.images:
            return self.changed(images=images)

        users = [index for index, message in enumerate(self.prompt) if message["role"] == "user"]
        if not users:
            return None

        content = PLACEHOLDERS[Modality.IMAGE] * len(images) + self.prompt[users[0]]["content"]
        return self._with_content(users[0], content).changed(images=images)

    def with_missing_placeholders(self) -> "Row":
        """The row with placeholders in front of its first message for every kind of medium that has none yet."""
        text = "".join(message["content"] for message in self.prompt)
        missing = "".join(
            placeholder * len(self.media(modality))
            for modality, placeholder in PLACEHOLDERS.items()
            if placeholder not in text
        )
        return self._with_content(0, missing + self.prompt[0]["content"]) if missing else self

    def check_placeholders(self) -> None:
        """Raise `Unusable` unless every media placeholder has its medium and every medium its placeholder.

        LLaMA-Factory counts the same way, over prompt and response, and stops the whole run on a difference.
        """
        text = "\n".join([message["content"] for message in (*self.prompt, *self.response)])
        numbers = (len(self.images), len(self.videos), len(self.audios))
        for (modality, placeholder), media in zip(PLACEHOLDERS.items(), numbers):
            found = text.count(placeholder)
            if found != media:
                detail = f"{found} `{placeholder}` in the messages, {media} {modality}(s) in the row"
                raise Unusable(f"{modality} token without {modality}", detail)

    def changed(self, **changes: Any) -> "Row":
        """The row with other values; `dataclasses.replace`, without the time that a frozen class's constructor takes."""
        row = object.__new__(Row)
        row.__dict__.update(self.__dict__, **changes)
        return row

    def _last_user_message(self) -> int | None:
        users = [index for index, message in enumerate(self.prompt) if message["role"] == "user"]
        return users[-1] if users else None

    def _with_content(self, index: int, content: str) -> "Row":
        prompt = list(self.prompt)
        prompt[index] = {**prompt[index], "content": content}
        return self.changed(prompt=prompt)


@dataclass(frozen=True)
class Reading:
    """What a format makes of one raw row: a row, and the raw media that its references `row:0`, `row:1`, ... name."""

    row: Row
    images: list[Any]
    videos: list[Any]
    audios: list[Any]

    def with_missing_placeholders(self) -> "Reading":
        """The reading of `Row.with_missing_placeholders`."""
        return Reading(self.row.with_missing_placeholders(), self.images, self.videos, self.audios)


def without_placeholders(text: str) -> str:
    """Text with media placeholders removed: a distractor may not bring any."""
    return re.sub(_ANY_PLACEHOLDER, "", text)
