"""Text as a scanner reads it from a form: fields and values with misread letters."""

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


def scanned_form(draw: random.Random, lines: int) -> str:
    """Draw a form of so many lines, misread."""
    return "\n".join(_misread(draw, _line(draw)) for _ in range(lines))


def _line(draw: random.Random) -> str:
    words = " ".join(draw.sample(_WORDS, draw.randint(1, 3)))
    number = f"{draw.randrange(10**5):05d}-{draw.randrange(100):02d}"
    return f"{draw.choice(_FIELDS)}: {draw.choice((words, number, f'{words} {number}'))}"


def _misread(draw: random.Random, line: str) -> str:
    return "".join(_misread_character(draw, character) for character in line)


def _misread_character(draw: random.Random, character: str) -> str:
    if character == " ":
        return "" if draw.random() < _LOST_SPACE_RATE else " "

    if character in _MISREAD and draw.random() < _MISREAD_RATE:
        return _MISREAD[character]

    return character + draw.choice(_SPECKS) if draw.random() < _SPECK_RATE else character
