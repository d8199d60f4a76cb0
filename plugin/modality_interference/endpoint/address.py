"""Where requests go: the base URL of an API and the key for it, both of which stay out of every text."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import ModalityInterferenceError


KEY_VARIABLE = "OPENAI_API_KEY"
_NO_KEY = "EMPTY"  # what vLLM's documentation sends where a server asks for no key; the client wants one
_LOCAL = re.compile(r"localhost|127(\.\d+){3}|::1")
_REQUEST = "/chat/completions"


@dataclass(frozen=True)
class Address:
    """An API.

    Attributes:
        url: its base URL, which ends in `/v1` as a rule; never shown.
        host: its host, and the port where the URL names one; all that reports say.
        key: what authorizes a request, `EMPTY` where there is no key.
    """

    url: str = field(repr=False)
    host: str
    key: str = field(repr=False)

    @property
    def has_key(self) -> bool:
        """Whether there is a key."""
        return self.key != _NO_KEY

    @property
    def is_exposed(self) -> bool:
        """Whether a key, questions and media would cross a network as plain text."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not _LOCAL.fullmatch(parts.hostname or "")

    def without_key(self, text: str) -> str:
        """A text of the server, in which a key that it repeats is blotted out."""
        return text.replace(self.key, "[key]") if self.has_key else text


def read_address(url: str, key_variable: str | None = None) -> Address:
    """Check a base URL, and take the key from the environment.

    Args:
        url: with or without `/v1`.
        key_variable: the environment variable that holds the key; None for `OPENAI_API_KEY`, which need not be set.

    Raises:
        ModalityInterferenceError: it is no address of an API, or holds what belongs into the environment; the variable is not set.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")

    if parts.scheme not in ("http", "https") or not host:
        raise ModalityInterferenceError(
            "`--endpoint` is not the address of an API. Allowed: `http://` or `https://`, a host, a port and a path, such as "
            "`http://localhost:8000/v1`."
        )

    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ModalityInterferenceError(
            f"`--endpoint` holds more than an address of {host}: a user, a password, or something behind `?` or `#`. Such text "
            "ends up in logs. Write the address alone, and put the key into an environment variable "
            f"(`{KEY_VARIABLE}`, or another one that `--api-key-env` names)."
        )

    path = parts.path.rstrip("/").removesuffix(_REQUEST) or "/v1"
    shown = f"[{host}]" if ":" in host else host
    place = shown if port is None else f"{shown}:{port}"
    return Address(f"{parts.scheme}://{place}{path}", place, _read_key(key_variable))


def _read_key(variable: str | None) -> str:
    name = variable or KEY_VARIABLE
    key = os.environ.get(name, "").strip()
    if not key and variable is not None:
        raise ModalityInterferenceError(
            f"`--api-key-env` names the environment variable `{name}`, which is not set. Set it to the key."
        )

    if not (key.isascii() and key.isprintable()):
        raise ModalityInterferenceError(
            f"The key in the environment variable `{name}` holds characters that no key has. Set it again, without line breaks."
        )

    return key or _NO_KEY
