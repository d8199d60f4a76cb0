"""Ask a server: find out how it wants to be asked, try again where that can help, stop where it cannot.

The official client sends requests, and repeats those that a server refuses for now (408, 409, 429, 5xx), that time out or break off: with
exponential back-off and jitter, or when `Retry-After` says. What it takes for an answer and is none is repeated here.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from ..errors import ModalityInterferenceError
from ..modality import Modality
from ..printable import printable
from .address import Address
from .prompt import AudioForm, Prompt
from .reply import MAX_REPLY_BYTES, Answer, Nonsense, Withheld, read_reply


TOP_LOGPROBS = 20  # the most that OpenAI and vLLM give
RETRIES = 5  # of the client: after about 0.5, 1, 2, 4 and 8 seconds
_FIRST_RETRIES = 2  # while nothing is known of the server
_MANNERS = 6  # that are tried at most
_NONSENSE = 3  # tries at a reply that is no answer
_PATIENCE = 0.5  # seconds before the first of them
_SHORTEST_SECRET = 8  # characters of a key; shorter ones are placeholders, such as "none", which answers may hold
_MAX_ERROR_BYTES = 64_000  # of the body of a refusal, as it is sent
_LONGEST_REASON = 300  # characters of what a server says
_REFUSED = (400, 413, 415, 422, 451)  # for this request
_HOPELESS = (401, 402, 403, 404, 405)  # for every request
_INSTALL = "pip install 'openai>=2', or this package with its extra `endpoint`"


class Hopeless(ModalityInterferenceError):
    """No request can succeed; the message says why."""


class Unanswered(Exception):  # noqa: N818
    """A question that the server did not answer.

    Attributes:
        refused: whether it refused this very request, which will be so again.
    """

    def __init__(self, reason: str, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(frozen=True)
class Manner:
    """How a server wants to be asked.

    Attributes:
        top_logprobs: how many alternatives of each token it is asked for; 0 where it gives none.
        token_limit: its name of the limit of an answer's length.
        temperature: whether it takes `temperature: 0`; its answers are drawn at random where it does not.
        audio_form: how it takes audio.
    """

    top_logprobs: Annotated[int, Field(ge=0, le=TOP_LOGPROBS)] = TOP_LOGPROBS
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True
    audio_form: AudioForm = "input_audio"

    def to_dict(self) -> dict[str, Any]:
        """As a journal holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Manner":
        """What a journal holds, as untrusted.

        Raises:
            ValueError: it is no manner.
        """
        return TypeAdapter(cls).validate_python(content)

    def others(self, said: str, has_audio: bool) -> Iterator["Manner"]:
        """What to try where a server has refused this manner: what it names; where it names nothing, less of what is optional.

        Args:
            said: by the server.
            has_audio: whether the request has audio.
        """
        fewer: dict[str, Any] = {"top_logprobs": 5 if self.top_logprobs > 5 and "top_logprobs" in said else 0}
        changes: dict[str, dict[str, Any]] = {
            "logprobs": fewer,
            "audio": {"audio_form": "audio_url" if has_audio else self.audio_form},
            "max_completion_tokens": {"token_limit": "max_completion_tokens"},
            "temperature": {"temperature": False},
        }
        named = [change for word, change in changes.items() if word in said]
        for change in named or [changes["logprobs"], changes["audio"]]:
            if (other := replace(self, **change)) != self:
                yield other


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        max_tokens: of an answer.
        timeout: seconds until a reply, of one try.
    """

    max_tokens: int
    timeout: float


class Server:
    """A model behind an API; made by `connected`."""

    def __init__(self, client: Any, address: Address, model: str, limits: Limits, manner: Manner) -> None:
        self.manner = manner
        self._client = client
        self._address = address
        self._model = model
        self._limits = limits
        self._known: set[tuple[bool, bool]] = (
            set()
        )  # kinds of requests that have been answered: with letters, with audio
        self._finding_out = asyncio.Lock()

    async def ask(self, prompt: Prompt, has_letters: bool) -> Answer:
        """Ask one question; the first of a kind finds out how the server takes it.

        Args:
            prompt: the question.
            has_letters: whether options have letters, whose probabilities count.

        Raises:
            Unanswered: there is no answer to it.
            Hopeless: there will be none to any.
        """
        kind = (has_letters, prompt.has(Modality.AUDIO))
        if kind not in self._known:
            async with self._finding_out:
                if kind not in self._known:
                    return await self._find_out(prompt, kind)

        return await self._ask(self._client, prompt, self._of(self.manner, has_letters))

    async def _find_out(self, prompt: Prompt, kind: tuple[bool, bool]) -> Answer:
        """Ask in one manner after the other, until the server takes one; of several refusals the first is told."""
        client = self._client.with_options(max_retries=_FIRST_RETRIES)
        manners, tried, first = [self.manner], set[Manner](), None
        while manners and len(tried) < _MANNERS:
            manner = manners.pop(0)
            tried.add(manner)
            try:
                answer = await self._ask(client, prompt, self._of(manner, has_letters=kind[0]))
            except Unanswered as error:
                first = first or error
                if not error.refused:
                    raise

                manners = [other for other in manner.others(str(error), kind[1]) if other not in tried] + manners
            else:
                silent = kind[0] and answer.text and not answer.top
                self.manner = replace(manner, top_logprobs=0) if silent else manner
                self._known |= {(letters, audio) for letters in {False, kind[0]} for audio in {False, kind[1]}}
                return answer

        assert first is not None  # or there would be an answer
        raise first

    @staticmethod
    def _of(manner: Manner, has_letters: bool) -> Manner:
        return manner if has_letters else replace(manner, top_logprobs=0)

    async def _ask(self, client: Any, prompt: Prompt, manner: Manner) -> Answer:
        reason = ""
        for attempt in range(_NONSENSE):
            if attempt:
                await asyncio.sleep(_PATIENCE * 2**attempt * random.uniform(0.75, 1.25))

            try:
                return self._without_key(read_reply(await self._send(client, prompt, manner), self._limits.max_tokens))
            except Withheld as error:
                raise Unanswered(str(error), refused=True) from None
            except Nonsense as error:
                reason = self._said(str(error))

        raise Unanswered(f"{_NONSENSE} times {reason}", refused=False)

    async def _send(self, client: Any, prompt: Prompt, manner: Manner) -> bytes:
        """The body of a reply."""
        import openai

        keys: dict[str, Any] = {"model": self._model, "messages": prompt.to_openai(manner.audio_form)}
        keys[manner.token_limit] = self._limits.max_tokens
        if manner.temperature:
            keys["temperature"] = 0

        if manner.top_logprobs:
            keys |= {"logprobs": True, "top_logprobs": manner.top_logprobs}

        try:
            # the raw bytes, of which no more are read than an answer can have
            create = client.chat.completions.with_streaming_response.create
            async with create(**keys) as response, asyncio.timeout(self._limits.timeout):
                body = bytearray()
                async for part in response.iter_bytes():
                    body += part
                    if len(body) > MAX_REPLY_BYTES:
                        raise Nonsense(f"a reply of more than {MAX_REPLY_BYTES:,} bytes")

                return bytes(body)
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        except openai.APITimeoutError:
            raise Unanswered(f"no reply within {self._limits.timeout:g} seconds", refused=False) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise Unanswered(self._said(f"no connection: {type(cause).__name__}: {cause}"), refused=False) from None
        except TimeoutError:
            raise Nonsense(f"a reply that did not end within {self._limits.timeout:g} seconds") from None
        except Nonsense:
            raise
        except openai.OpenAIError as error:
            raise Unanswered(self._said(f"{type(error).__name__}: {error}"), refused=False) from None
        except (
            Exception
        ) as error:  # of the HTTP library, whose name differs between the client's releases: a body that breaks off
            if not type(error).__module__.startswith(("httpx", "httpcore", "h11", "anyio")):
                raise

            raise Nonsense(f"a reply that broke off: {type(error).__name__}") from None

    def _refusal(self, error: Any) -> Exception:
        status = error.status_code
        said = self._said(f"HTTP {status}: {_words(error)}")
        if 300 <= status < 400:
            return Hopeless(
                f"the server sends requests elsewhere ({said}). Name the address that answers as `--endpoint`."
            )

        if status in _HOPELESS or getattr(error, "code", None) == "insufficient_quota":
            return Hopeless(f"the server refuses all requests: {said}. {_fix(status)}")

        return Unanswered(said, refused=status in _REFUSED)

    def _without_key(self, answer: Answer) -> Answer:
        """An answer whose texts do not hold the key, which a server may repeat."""
        if len(self._address.key) < _SHORTEST_SECRET:
            return answer

        blot = self._address.without_key
        top = {blot(token): value for token, value in answer.top.items()}
        return answer.model_copy(update={"text": blot(answer.text), "first": blot(answer.first), "top": top})

    def _said(self, text: str) -> str:
        """What a server said, as a message shows it."""
        return printable(" ".join(self._address.without_key(text).split())[:_LONGEST_REASON])


def _words(error: Any) -> str:
    """What an error's body says."""
    body = error.body
    found = body.get("message") or body.get("detail") if isinstance(body, dict) else body
    if isinstance(found, list):  # FastAPI's, which repeat the whole request, too
        found = "; ".join(str(item.get("msg")) for item in found if isinstance(item, dict))

    return str(found or error.message)


def _fix(status: int) -> str:
    if status in (401, 403):
        return "Check the key in the environment variable, and what it allows."

    if status == 402:
        return "Check the account."

    return "Check `--endpoint` (with or without `/v1`) and `--model`."


def require_client() -> None:
    """Look for the client.

    Raises:
        ModalityInterferenceError: it is not installed.
    """
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise ModalityInterferenceError(f"`--endpoint` needs the package openai: {_INSTALL}") from error


async def _shorten_refusal(response: Any) -> None:
    """Let no more be read of a refusal than a message needs; the client reads the whole body, whatever its size."""
    http = import_module(type(response).__module__.partition(".")[0])  # its name differs between the client's releases

    class Beginning(http.AsyncByteStream):  # type: ignore[name-defined, misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = _MAX_ERROR_BYTES
            async for part in whole:
                yield part[:left]
                left -= len(part)
                if left <= 0:
                    return

        async def aclose(self) -> None:
            await whole.aclose()

    if response.status_code >= 300:
        whole, response.stream = response.stream, Beginning()


@asynccontextmanager
async def connected(address: Address, model: str, limits: Limits, manner: Manner) -> AsyncIterator[Server]:
    """A server to ask.

    Args:
        address: where it is.
        model: its name there.
        limits: of each request.
        manner: how to ask it at first.
    """
    import openai

    # not followed: a redirection would bring questions and media to where nobody has sent them
    http = openai.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks={"response": [_shorten_refusal]})
    client = openai.AsyncOpenAI(
        api_key=address.key, base_url=address.url, timeout=limits.timeout, max_retries=RETRIES, http_client=http
    )
    async with client:
        yield Server(client, address, model, limits, manner)
