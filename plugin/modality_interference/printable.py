"""Text that may hold untrusted data, made harmless for terminals and logs."""

import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import wraps
from io import StringIO
from typing import Any


# What data could use to confuse a terminal or its reader. Written as escapes, so that this file shows what it means.
_HARMFUL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tab and line feed: may move the cursor, or worse
    "\ud800-\udfff"  # lone surrogates, which no encoding has
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks that turn the reading direction, or the shape of digits
    "\u2028\u2029"  # line and paragraph separators
    "\u200b-\u200d\u2060\ufeff"  # characters without width
    "]"
)


def printable(text: str) -> str:
    """Text in which backslash escapes replace what could confuse a terminal or its reader."""
    return _HARMFUL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_message(stock: Callable[[Any], str]) -> Callable[[Any], str]:
    """`LogRecord.getMessage`, whose text is printable: behind it, every logger and handler is the same."""

    @wraps(stock)
    def get_message(record: Any) -> str:
        return printable(stock(record))

    return get_message


def printable_traceback(stock: Callable[..., None]) -> Callable[..., None]:
    """`sys.excepthook`, whose text is printable; a hook that is not Python's own is left as it is."""
    if stock is not sys.__excepthook__:
        return stock

    @wraps(stock)
    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        sys.stderr.write(printable("".join(traceback.format_exception(kind, error, trace))))

    return show


@contextmanager
def printable_stdout() -> Iterator[None]:
    """Print what is printed inside at the end, in printable form; for code of others that prints rows of data."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        print(printable(printed.getvalue()), end="", flush=True)
