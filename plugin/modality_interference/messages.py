"""The wording that messages about bad input share: what was found, what is allowed, what was probably meant."""

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


_SHORTENER = reprlib.Repr()
_SHORTENER.maxstring = _SHORTENER.maxother = _SHORTENER.maxlong = 80
_LISTED = 40  # a dataset may have thousands of columns or classes; a message should not


def shown(value: Any) -> str:
    """A value as a message shows it: its repr, shortened to about a line."""
    try:
        return _SHORTENER.repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits
        return f"a huge value of type {type(value).__name__}"


def listed(names: Iterable[str]) -> str:
    """Names as a message lists them: in backticks, shortened where there are very many."""
    every = list(names)
    text = ", ".join(f"`{name}`" for name in every[:_LISTED])
    return f"{text}, ... ({len(every)} in all)" if len(every) > _LISTED else text or "none"


def suggestion(name: str, names: Iterable[str]) -> str:
    """` Did you mean ...?` where one of `names` is close to `name`, else nothing."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""
