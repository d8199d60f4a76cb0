"""Text for a terminal: wrapped, coloured where that is wanted, harmless where it comes from untrusted data.

rich is imported where something is printed: it would double the time that `--help` takes.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, Union


if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


_MIN_WIDTH, _MAX_WIDTH = 40, 120
_UNLIMITED = 100_000  # columns
_STYLES = {"good": "green", "bad": "red"}


def escape_unencodable() -> None:
    """Let stdout and stderr write backslash escapes for characters that their encodings do not have."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def width() -> int:
    """Columns to write on: those of the terminal, at least 40 and at most 120; 80 where there is no terminal."""
    return max(_MIN_WIDTH, min(_MAX_WIDTH, shutil.get_terminal_size().columns))


def console(file: TextIO, columns: int | None = None) -> "Console":
    """A console that writes to stdout or stderr. Markup is off: square brackets of data stay as they are.

    Colours are on in a terminal, unless NO_COLOR (no-color.org) is set or the terminal is a dumb one.

    Args:
        file: the stream.
        columns: the width; that of `width()` by default.
    """
    from rich.console import Console
    from rich.theme import Theme

    terminal = file.isatty() and os.environ.get("TERM") != "dumb"
    return Console(
        file=file,
        color_system="standard" if terminal and not os.environ.get("NO_COLOR") else None,
        force_terminal=terminal,
        width=columns or width(),
        theme=Theme(_STYLES),
        markup=False,
        emoji=False,
        highlight=False,
    )


def say(text: Union[str, "Text"] = "", style: str | None = None) -> None:
    """Print a text without wrapping it.

    Args:
        text: what came from data has gone through `printable`.
        style: `good`, `bad`, or one of rich's own.
    """
    console(sys.stdout).print(text, style=style, soft_wrap=True)


def say_table(table: "Table") -> None:
    """Print a table as wide as its content, so that it is the same in every terminal and in files."""
    console(sys.stdout, _UNLIMITED).print(table)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, where that is a terminal.

    Args:
        title: what is in progress.

    Yields:
        shows how many of how many steps are done; the bar appears at the first call.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = console(sys.stderr)
    bar = Progress(
        *columns, console=screen, disable=not screen.is_terminal, refresh_per_second=2, redirect_stdout=False
    )

    def show(done: int, total: int) -> None:
        if not bar.task_ids:
            bar.add_task(title)
            bar.start()

        bar.update(bar.task_ids[0], completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()


def wrapped(text: str, first: str, rest: str | None = None, style: str = "") -> "Text":
    """Wrap a printable text to `width()`; its line breaks are kept.

    Args:
        text: may have several lines.
        first: the beginning of the first line.
        rest: the beginning of all others; spaces of the same length by default.
        style: of the text, not of the beginnings.
    """
    from rich.text import Text

    rest = " " * len(first) if rest is None else rest
    lines = Text(text, style).wrap(console(sys.stdout), width() - len(first), overflow="fold")
    leads = (first if index == 0 else rest for index in range(len(lines)))
    return Text("\n").join(_without_end(Text(lead).append_text(line)) for lead, line in zip(leads, lines))


def _without_end(line: "Text") -> "Text":
    line.rstrip()
    return line
