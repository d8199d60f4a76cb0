"""`modality-interference list`: the formats and perturbations that there are."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..printable import printable
from .terminal import say, wrapped


if TYPE_CHECKING:
    from rich.text import Text

    from ..data.catalog import Described, DescribedFormat, DescribedPerturbation, DescribedSet

DESCRIPTION = """\
List the perturbations, the formats and the keys of a `twins` block, each with what it does, what it takes and its
defaults; those of installed extensions, too. Needs no dataset and no model."""
EXAMPLES = """\
modality-interference list --json
modality-interference list"""


def run(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")] = False) -> int:
    """Print what is registered."""
    from ..data.catalog import described_formats, described_keys, described_perturbations, described_standard
    from ..integration.extensions import load_extensions

    load_extensions()
    perturbations, formats, keys = described_perturbations(), described_formats(), described_keys()
    standard = described_standard()
    if as_json:
        found: dict[str, list[Any]] = {
            "perturbations": perturbations,
            "standard": standard,
            "formats": formats,
            "twins": keys,
        }
        print(json.dumps({name: [asdict(item) for item in items] for name, items in found.items()}, indent=2))
        return 0

    _say_part(
        "Perturbations (`perturbations` and `counterfactuals` of a `twins` block)",
        map(_perturbation_lines, perturbations),
    )
    _say_part('What `"perturbations": "standard"` stands for, by what may change', map(_standard_lines, standard))
    _say_part("Formats (`formatting` of an entry)", map(_format_lines, formats))
    _say_part("Keys of a `twins` block", map(_described_lines, keys))
    return 0


def _say_part(title: str, items: Iterable[Iterable["Text"]]) -> None:
    say(title, "bold")
    for lines in items:
        for line in lines:
            say(line)

        say()


def _perturbation_lines(item: "DescribedPerturbation") -> Iterator["Text"]:
    yield from _head(item, f"changes {item.changes}{', also for counterfactuals' if item.removes_evidence else ''}")
    if item.needs:
        yield wrapped(printable(f"needs {item.needs}"), "    ")

    for parameter in item.parameters:
        yield from _described_lines(parameter, "  ")


def _standard_lines(item: "DescribedSet") -> Iterator["Text"]:
    yield wrapped(f"{item.name}: {', '.join(item.perturbations)}", "  ")


def _format_lines(item: "DescribedFormat") -> Iterator["Text"]:
    yield from _head(item, "")
    optional = f" [{', '.join(_lettered(item.optional))}]" if item.optional else ""
    yield wrapped(printable(f"columns: {', '.join(item.columns)}{optional}"), "    ", " " * 6)
    if item.ranking_columns:
        pairs = f"with `ranking: true`: {', '.join(item.ranking_columns)}, in place of {', '.join(item.columns)}"
        yield wrapped(printable(pairs), "    ", " " * 6)

    yield wrapped(printable(f"keys of `twins`: {', '.join(item.keys)}"), "    ", " " * 6)


def _head(item: "DescribedPerturbation | DescribedFormat", changes: str) -> Iterator["Text"]:
    from rich.text import Text

    from ..data.catalog import is_extension

    package = f"of {item.package}" if is_extension(item) else ""
    aside = ", ".join(filter(None, (changes, package)))
    yield Text(printable(f"  {item.name}"), "bold").append(f" ({printable(aside)})" if aside else "", "not bold")
    if item.description:
        yield wrapped(printable(item.description), "    ")


def _described_lines(item: "Described", indent: str = "") -> Iterator["Text"]:
    """`  name: what it does. Allowed: ... Default: ...`."""
    default = "Must be given." if item.required else f"Default: {_shown(item.default)}."
    # a help may begin with what is allowed
    sentences = (item.help, f"Allowed: {item.allowed}" if item.allowed and item.allowed not in item.help else "")
    text = " ".join([*(f"{sentence.rstrip('.')}." for sentence in sentences if sentence), default])
    yield wrapped(printable(f"{item.name}: {text}"), f"{indent}  ", f"{indent}    ")


def _shown(default: object) -> str:
    return "unset" if default is None else json.dumps(default, ensure_ascii=False)


def _lettered(columns: list[str]) -> list[str]:
    """Columns, those that are called by letters as a range."""
    letters = [column for column in columns if len(column) == 1]
    others = [column for column in columns if len(column) > 1]
    return [f"{letters[0]} to {letters[-1]}", *others] if letters else others
