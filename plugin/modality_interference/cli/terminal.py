"""Text for a terminal: wrapped, coloured where that is wanted, harmless where it comes from strangers."""

import os
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass


# Control characters, which may move the cursor or worse, lone surrogates, and marks that turn the reading direction.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MIN_WIDTH, _MAX_WIDTH = 40, 120


def printable(text: str) -> str:
    """Text with what could confuse a terminal written as backslash escapes."""
    return _HARMFUL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(text: str = "") -> None:
    """Print a text whose data has gone through `printable`, whatever the terminal's encoding is."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def width() -> int:
    """Columns to write on: the terminal's, within what reads well."""
    return max(_MIN_WIDTH, min(_MAX_WIDTH, shutil.get_terminal_size().columns))


def wrapped(text: str, first: str, rest: str | None = None) -> str:
    """Wrap a printable text to `width()`, its line breaks kept.

    Args:
        text: may have several lines.
        first: stands before the first line.
        rest: before all others; spaces of the same length by default.
    """
    rest = " " * len(first) if rest is None else rest
    lines: list[str] = []
    for line in text.split("\n"):
        lead = rest if lines else first
        lines += textwrap.wrap(
            line,
            width(),
            initial_indent=lead,
            subsequent_indent=rest,
            replace_whitespace=False,
            break_on_hyphens=False,
        ) or [lead.rstrip()]

    return "\n".join(lines)


@dataclass(frozen=True)
class Paint:
    """Colours, where they are wanted.

    Attributes:
        on: whether they are.
    """

    on: bool

    @classmethod
    def for_stdout(cls) -> "Paint":
        """Colours for a terminal, unless NO_COLOR (no-color.org) or a dumb terminal is set."""
        return cls(sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def bold(self, text: str) -> str:
        """Bold."""
        return self._painted("1", text)

    def dim(self, text: str) -> str:
        """Dim."""
        return self._painted("2", text)

    def good(self, text: str) -> str:
        """Green: added, right."""
        return self._painted("32", text)

    def bad(self, text: str) -> str:
        """Red: removed, wrong."""
        return self._painted("31", text)

    def _painted(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text
