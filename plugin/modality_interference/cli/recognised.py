"""What was recognised of a data file, shown and confirmed."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..printable import printable
from .terminal import say, say_table


if TYPE_CHECKING:
    from ..integration.prepare import OpenData
    from ..modality import Modality

Relevant = Annotated[
    str | None,
    typer.Option(
        metavar="KIND[,KIND]",
        help="What the right answers depend on: image, text, video, audio. All else may change, and the answers must not.  "
        "[default: what the entry says, or the only possibility]",
    ),
]
Perturbations = Annotated[
    list[str] | None,
    typer.Option(
        "--perturb",
        metavar="NAME",
        help="What to change; several times, or with commas, for several; `modality-interference list` shows all.  [default: what fits the rows]",
    ),
]
Counterfactuals = Annotated[
    list[str] | None,
    typer.Option(
        "--counterfactual",
        metavar="NAME",
        help="What takes the evidence away, to see whether the answer goes with it; several times for several.  [default: what the "
        "entry says, or none]",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether the columns were recognised rightly.")]
_LONGEST_EXAMPLE = 60  # characters


def parsed_relevant(text: str | None) -> "tuple[Modality, ...] | None":
    """The modalities of `--relevant`, in the order of all modalities."""
    from ..data.spec import read_relevant
    from ..modality import Modality

    if text is None:
        return None

    try:
        found = read_relevant(text)
    except ValueError as error:
        raise typer.BadParameter(f"`--relevant` is {error}") from error

    return tuple(modality for modality in Modality if modality in found)


def parsed_perturbations(names: list[str] | None) -> list[str] | None:
    """The names of `--perturb`, which may also hold commas."""
    return [name.strip() for text in names for name in text.split(",")] if names else None


def confirm(data: "OpenData", yes: bool) -> None:
    """Show the columns that were recognised, and ask whether to go on, where somebody can answer.

    Raises:
        typer.Abort: the answer is no.
    """
    _show(data)
    if yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        say(f"Going on with these columns ({'--yes' if yes else 'no terminal to ask'}).")
    else:
        typer.confirm("Is this right?", default=True, abort=True)


def _show(data: "OpenData") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("what", "column", "for example", "read as"):
        table.add_column(title)

    for key, column in data.recognised.columns.items():
        reading = data.recognised.readings.get(column)
        table.add_row(
            printable(key), printable(column), _brief(data.example(column)), reading.words if reading else ""
        )

    say(printable(f"{len(data.rows):,} rows, read as `{data.recognised.formatting}`:"), "bold")
    say_table(table)


def _brief(cell: Any) -> str:
    if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
        return f"{len(cell['bytes']):,} bytes"

    text = " ".join(str(cell)[:1000].split())
    return printable(text if len(text) <= _LONGEST_EXAMPLE else f"{text[:_LONGEST_EXAMPLE]}...")
