"""A server's reply, which may be anything: read through pydantic models, and cut to what an answer can be."""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ModalityInterferenceError
from .letters import TokenProbabilities, holds_more_than_signs


MAX_REPLY_BYTES = 32_000_000  # an answer of 4,096 tokens with 20 alternatives each takes about 10 MB
_CHARACTERS_PER_TOKEN = 64  # of an answer, at most: more is no answer of so few tokens
_SIGNS_BEFORE = 4  # tokens of signs alone that may come before an answer's first letter


class Answer(BaseModel):
    """What a server said; as a journal holds it.

    Attributes:
        text: what the model wrote.
        first: the first token of the text that holds more than signs.
        top: the log-probabilities of the likeliest tokens in its place; empty where the server gives none.
        prompt_tokens: as the server counts them; 0 where it does not.
        answer_tokens: likewise.
        cut: whether the answer was cut at the largest number of tokens.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    text: str
    first: str = ""
    top: dict[str, float] = {}
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cut: bool = False

    @property
    def probabilities(self) -> TokenProbabilities | None:
        """The first token and its alternatives."""
        return (self.first, self.top) if self.top else None


class Nonsense(Exception):  # noqa: N818
    """A reply that is no answer; another try may bring one."""


class Withheld(ModalityInterferenceError):
    """A reply that says that there will be no answer to this question."""


class _Message(BaseModel):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: Any = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: Any = None


class _Alternative(BaseModel):
    token: str
    logprob: Annotated[float, Field(le=math.inf)]  # -inf of an impossible token, but not NaN
    bytes: list[int] | None = None

    @property
    def text(self) -> str:
        """The token's own bytes where they are known: its text may write spaces in other ways."""
        try:
            return bytes(self.bytes or ()).decode() or self.token
        except ValueError:  # part of a character, or no bytes at all
            return self.token


class _Token(_Alternative):
    top_logprobs: list[_Alternative] = []


def read_reply(body: bytes, max_tokens: int) -> Answer:
    """Read the body of a reply.

    Args:
        body: as it came.
        max_tokens: that were asked for.

    Raises:
        Nonsense: it is no JSON, or not what the API says.
        Withheld: the server filtered the answer.
    """
    try:
        content = json.loads(body)
        reply = _Reply.model_validate(content)
    except (ValidationError, ValueError, RecursionError) as error:
        raise Nonsense(f"a reply that is no chat completion: {_begin(body)}") from error

    if not reply.choices:
        raise Nonsense("a reply without `choices`")

    choice = reply.choices[0]
    text = _text(choice.message)
    if len(text) > _CHARACTERS_PER_TOKEN * max_tokens:
        raise Nonsense(f"an answer of {len(text):,} characters, where {max_tokens:,} tokens were asked for")

    if choice.finish_reason == "content_filter" and not text:
        raise Withheld("the server filtered the answer (`finish_reason: content_filter`)")

    usage, first = _usage(reply.usage), _first_token(choice.logprobs)
    return Answer(
        text=text,
        first="" if first is None else _sound(first.text),
        top={} if first is None else _top(first),
        prompt_tokens=usage.prompt_tokens,
        answer_tokens=usage.completion_tokens,
        cut=choice.finish_reason == "length",
    )


def _begin(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace"))


def _sound(text: str) -> str:
    """A text that files can hold: JSON can escape halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


_THOUGHTS = ("reasoning", "thinking", "redacted_thinking")  # types of parts that are no answer


def _text(message: _Message) -> str:
    content = message.content
    if isinstance(content, list):  # parts, as some servers write thoughts and text
        texts = (part.get("text") for part in content if part.get("type") not in _THOUGHTS)
        content = "".join(text for text in texts if isinstance(text, str))

    return _sound(content or message.refusal or "")


def _usage(value: Any) -> _Usage:
    try:
        found = _Usage.model_validate(value)
    except ValidationError:
        return _Usage()

    return found if min(found.prompt_tokens, found.completion_tokens) >= 0 else _Usage()


def _first_token(value: Any) -> _Token | None:
    """The first token that holds more than signs; None where the server gives no probabilities, or none that can be read."""
    items = value.get("content") if isinstance(value, dict) else None
    for item in items[:_SIGNS_BEFORE] if isinstance(items, list) else ():
        try:
            token = _Token.model_validate(item)
        except ValidationError:
            return None

        if holds_more_than_signs(token.text):
            return token

    return None


def _top(token: _Token) -> dict[str, float]:
    return _added([token, *token.top_logprobs]) if token.top_logprobs else {}


def _added(tokens: Sequence[_Alternative]) -> dict[str, float]:
    """Log-probabilities by text; of two tokens with one text the likelier, and the written one once."""
    found: dict[str, float] = {}
    for token in tokens:
        if math.isfinite(token.logprob):
            text = _sound(token.text)
            found[text] = max(token.logprob, found.get(text, -math.inf))

    return found
