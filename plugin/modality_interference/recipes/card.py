"""The card of a recipe: a README.md that says where the data comes from and what may be done with it."""

import re
from pathlib import Path

from ..errors import ModalityInterferenceError
from .info import read_text


CARD_FILE = "README.md"
MAX_BYTES = 1_000_000
HEADINGS = ("Source", "Licence", "Size", "Mapping", "Known problems")
_SPELLINGS = {"license": "licence"}
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r" {0,3}(```|~~~)")


def card_problems(folder: Path) -> list[str]:
    """Look for the card and for something under each of `HEADINGS`."""
    try:
        text = read_text(folder, CARD_FILE, MAX_BYTES)
    except ModalityInterferenceError as error:
        return [f"{error}. A recipe needs a card with the headings {', '.join(HEADINGS)}"]

    sections = _sections(text)
    problems = []
    for heading in HEADINGS:
        name = heading.lower()
        if name not in sections:
            problems.append(f"`{CARD_FILE}` has no heading `{heading}`")
        elif not sections[name]:
            problems.append(f"`{CARD_FILE}` says nothing under the heading `{heading}`")

    return problems


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
