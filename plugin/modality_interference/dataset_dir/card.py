"""The card of a dataset folder, README.md: its metadata, which the Hugging Face Hub reads, and its headings."""

import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import DatasetCard

from ..errors import ModalityInterferenceError
from ..files import read_text
from ..messages import listed, shown


CARD_FILE = "README.md"
MAX_BYTES = 1_000_000
HEADINGS = ("Source", "Licence", "Size", "Mapping", "Known problems")
_SPELLINGS = {"license": "licence"}
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r" {0,3}(```|~~~)")


# What `DatasetCardData` documents.
SIZE_CATEGORIES = (
    "n<1K 1K<n<10K 10K<n<100K 100K<n<1M 1M<n<10M 10M<n<100M 100M<n<1B 1B<n<10B 10B<n<100B 100B<n<1T n>1T other".split()
)
_TEXTS = ("language", "license", "size_categories", "tags", "task_categories", "task_ids")
_MAX_METADATA = 16_384  # characters
_MAX_DEPTH = 16


def card_problems(folder: Path) -> list[str]:
    """Problems of the card: it is missing, its metadata is not valid, a heading of `HEADINGS` has no text."""
    try:
        text = read_text(folder, CARD_FILE, MAX_BYTES)
    except ModalityInterferenceError as error:
        return [f"{error}. A dataset folder needs a card with the headings {', '.join(HEADINGS)}"]

    block, body = _split(text)
    problems = [] if block is None else _metadata_problems(block)
    sections = _sections(body)
    for heading in HEADINGS:
        name = heading.lower()
        if name not in sections:
            problems.append(f"`{CARD_FILE}` has no heading `{heading}`")
        elif not sections[name]:
            problems.append(f"`{CARD_FILE}` says nothing under the heading `{heading}`")

    return problems


def _split(text: str) -> tuple[str | None, str]:
    """The metadata, which is YAML between two lines `---` at the beginning, and the rest; None where there is none."""
    first, *lines = text.lstrip().splitlines(keepends=True) or [""]
    if first.rstrip() == "---":
        for number, line in enumerate(lines):
            if line.rstrip() == "---":
                return "".join(lines[:number]), "".join(lines[number + 1 :])

    return None, text


def _metadata_problems(block: str) -> list[str]:
    try:
        metadata = _read_metadata(block)
    except Exception as error:  # YAML's own errors, and what constructors of dates and huge numbers raise
        kind = "" if isinstance(error, ModalityInterferenceError) else f"{type(error).__name__}: "
        why = " ".join(f"{kind}{error}".split())
        return [f"the metadata at the beginning of `{CARD_FILE}` cannot be read ({why[:300]}); fix the YAML"]

    problems = []
    for key in _TEXTS:
        value = metadata.get(key)
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(text, str) and text for text in texts):
            problems.append(
                f"`{key}` in the metadata of `{CARD_FILE}` must be a text or a list of texts, found {shown(value)}"
            )
        elif value is not None and key == "size_categories":
            problems += (
                f"`{key}` in the metadata of `{CARD_FILE}` is {shown(text)}. Allowed: {listed(SIZE_CATEGORIES)}"
                for text in texts
                if text not in SIZE_CATEGORIES
            )

    return problems


def _read_metadata(block: str) -> dict[str, Any]:
    """Metadata as the hub's own library reads it, without a connection.

    That library finds the block by a regular expression whose time grows with the square of the block's length, PyYAML's
    scanner is as slow on deep nesting, and aliases can make a small text huge: all three are refused before.

    Raises:
        ModalityInterferenceError: it is too long or too deep, or has aliases.
        Exception: it is not YAML, not an object, or holds a value that Python cannot read.
    """
    if len(block) > _MAX_METADATA:
        raise ModalityInterferenceError(f"it is longer than {_MAX_METADATA:,} characters")

    depth = 0
    for event in yaml.parse(block, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ModalityInterferenceError(f"it is nested more than {_MAX_DEPTH} levels deep")

        if isinstance(event, yaml.AliasEvent):
            raise ModalityInterferenceError("it has aliases (`*name`), which are not allowed")

    lines = "\n".join(line for line in block.splitlines() if line.strip())
    return DatasetCard(f"---\n{lines}\n---\n").data.to_dict()


def _sections(text: str) -> dict[str, bool]:
    """Whether there is text under each heading, by its name in lower case; subsections count for their section."""
    found: dict[str, bool] = {}
    open_sections: list[tuple[int, str]] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.fullmatch(line)
        if heading is not None:
            level, name = len(heading[1]), heading[2].lower()
            name = _SPELLINGS.get(name, name)
            open_sections = [section for section in open_sections if section[0] < level] + [(level, name)]
            found.setdefault(name, False)
        elif line.strip():
            found |= {name: True for _, name in open_sections}

    return found
