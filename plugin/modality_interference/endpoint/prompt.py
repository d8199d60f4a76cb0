"""What one request asks: turns of text and media, in the order of the text."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

from ..data.sample import PLACEHOLDERS, Message
from ..errors import Unusable
from ..modality import Modality


AudioForm = Literal["input_audio", "audio_url"]
_ROLES = {"user": "user", "assistant": "assistant"}
_ANY = re.compile("|".join(f"({re.escape(word)})" for word in PLACEHOLDERS.values()))


@dataclass(frozen=True)
class Medium:
    """One file of a request.

    Attributes:
        kind: image, video or audio.
        mime: its media type.
        data: its bytes.
        digest: of what a model gets to see or hear of it; the same however it was encoded.
    """

    kind: Modality
    mime: str
    data: bytes = field(repr=False)
    digest: str

    def to_openai(self, audio_form: AudioForm) -> dict[str, Any]:
        """The content part of the chat completions API."""
        encoded = b64encode(self.data).decode()
        if self.kind is Modality.AUDIO and audio_form == "input_audio":
            return {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}

        name = f"{self.kind}_url"
        return {"type": name, name: {"url": f"data:{self.mime};base64,{encoded}"}}


Part = str | Medium


@dataclass(frozen=True)
class Prompt:
    """The turns before the answer.

    Attributes:
        turns: role and content of each; a system prompt is the first.
    """

    turns: tuple[tuple[str, tuple[Part, ...]], ...]

    @cached_property
    def digest(self) -> str:
        """What tells this prompt from all others; a journal knows answers by it."""
        found = sha256()
        for role, parts in self.turns:
            for part in (f"role {role}", *parts):
                text = part if isinstance(part, str) else f"{part.kind} {part.digest}"
                kind = b"text" if isinstance(part, str) else b"medium"
                found.update(b"%b %d " % (kind, len(text.encode())) + text.encode())

        return found.hexdigest()

    @property
    def media(self) -> list[Medium]:
        """All of its files."""
        return [part for _, parts in self.turns for part in parts if isinstance(part, Medium)]

    @property
    def characters(self) -> int:
        """How long its texts are together."""
        return sum(len(part) for _, parts in self.turns for part in parts if isinstance(part, str))

    def has(self, kind: Modality) -> bool:
        """Whether it has such a medium."""
        return any(medium.kind is kind for medium in self.media)

    def to_openai(self, audio_form: AudioForm) -> list[dict[str, Any]]:
        """The `messages` of the chat completions API."""
        return [{"role": role, "content": _content(parts, audio_form)} for role, parts in self.turns]


def _content(parts: Sequence[Part], audio_form: AudioForm) -> str | list[dict[str, Any]]:
    if all(isinstance(part, str) for part in parts):
        return "".join(map(str, parts))

    return [{"type": "text", "text": part} if isinstance(part, str) else part.to_openai(audio_form) for part in parts]


def make_prompt(
    turns: Sequence[Message], system: str | None, media: Mapping[Modality, Sequence[Sequence[Medium]]]
) -> Prompt:
    """Put media in the place of their placeholders, as LLaMA-Factory's templates do.

    Args:
        turns: before the answer, as aligned rows hold them.
        system: the system prompt; "" for the server's own.
        media: for image, video and audio, what each placeholder stands for, in order: a video may be several images.

    Raises:
        Unusable: a turn is of a tool, or the assistant's with media, which servers do not take.
    """
    left = {modality: iter(items) for modality, items in media.items()}
    found: list[tuple[str, tuple[Part, ...]]] = [("system", (system,))] if system else []
    for turn in turns:
        if turn["role"] not in _ROLES:
            raise Unusable("turn of a tool", "questions with tools cannot be sent to a server; leave such rows out")

        parts = tuple(_parts(turn["content"], left))
        if turn["role"] == "assistant" and any(isinstance(part, Medium) for part in parts):
            raise Unusable("media in the assistant's turn", "servers take media of the user alone")

        found.append((_ROLES[turn["role"]], parts))

    return Prompt(tuple(found))


def _parts(text: str, left: Mapping[Modality, Iterator[Sequence[Medium]]]) -> Iterator[Part]:
    """The texts between placeholders, and what these stand for."""
    start = 0
    for match in _ANY.finditer(text):
        if text[start : match.start()]:
            yield text[start : match.start()]

        yield from next(left[list(PLACEHOLDERS)[(match.lastindex or 1) - 1]])
        start = match.end()

    if text[start:]:
        yield text[start:]
