"""Text as a scanner reads it: misread letters, lost spaces, specks; and forms of such text."""

import random


_FIELDS = (
    "INVOICE NO", "DATE", "ACCOUNT", "SUBTOTAL", "SHIP TO", "REF", "TEL", "APPROVED BY", "QTY", "UNIT PRICE",
    "REMARKS", "FAX", "DEPT", "PO BOX", "DELIVERY", "TERMS", "COST CENTRE", "SIGNATURE", "BRANCH", "CLERK",
)  # fmt: skip
_WORDS = (
    "Miller", "Warehouse", "Oslo", "net", "Smith & Sons", "Building", "Supplies", "Hill Road", "copied", "Lisbon",
    "void", "Industrial Park", "per month", "Bolt", "Solder", "Receipt", "Central Office", "Glossop", "paid", "Ltd",
)  # fmt: skip
_MISREAD = {"O": "0", "l": "1", "I": "l", "S": "5", "B": "8", "e": "c", "i": "j", "h": "b", "a": "o", "G": "6"}
_SPECKS = ("~", "_", "'", "|", "..", ",", "^")
_MISREAD_RATE = 0.2  # of the letters that look like another
_LOST_SPACE_RATE = 0.15
_SPECK_RATE = 0.03


def scanned_form(rng: random.Random, lines: int) -> str:
    """A random form of so many lines, misread."""
    return "\n".join(misread(rng, _line(rng)) for _ in range(lines))


def misread(rng: random.Random, text: str) -> str:
    """A text with letters misread, spaces lost and specks added."""
    return "".join(_misread_character(rng, character) for character in text)


def _line(rng: random.Random) -> str:
    words = " ".join(rng.sample(_WORDS, rng.randint(1, 3)))
    number = f"{rng.randrange(10**5):05d}-{rng.randrange(100):02d}"
    return f"{rng.choice(_FIELDS)}: {rng.choice((words, number, f'{words} {number}'))}"


def _misread_character(rng: random.Random, character: str) -> str:
    if character == " ":
        return "" if rng.random() < _LOST_SPACE_RATE else " "

    if character in _MISREAD and rng.random() < _MISREAD_RATE:
        return _MISREAD[character]

    return character + rng.choice(_SPECKS) if rng.random() < _SPECK_RATE else character
