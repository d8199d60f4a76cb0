"""Figures and counts as people read them."""

from collections.abc import Sequence

from ..diagnose.results import Rate


SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


def percent(share: float) -> str:
    """`97.2 %`, with a space that does not break."""
    return f"{100 * share:.1f}{SPACE}%"


def bits(effect: float) -> str:
    """`0.412 bits`, with a space that does not break."""
    return f"{effect:.3f}{SPACE}bits"


def interval(rate: Rate) -> str:
    """A share with its interval: `97.2 % (95.1 to 98.6)`."""
    return f"{percent(rate.value)} {ends(rate.low, rate.high, 'accuracy')}"


def ends(low: float | None, high: float | None, name: str) -> str:
    """The interval of a rate called `name`: `(95.1 to 98.6)`, in the unit of its value."""
    if low is None or high is None:
        return "(one example)"

    scale, digits = _scale(name)
    return f"({number(scale * low, digits)} to {number(scale * high, digits)})"


def change(difference: float, name: str) -> str:
    """A difference of a rate called `name`, in percentage points or bits, with its sign: `+3.1`, `±0.0`."""
    scale, digits = _scale(name)
    shown = number(scale * difference, digits)
    if shown.startswith(MINUS):
        return shown

    return f"{'+' if float(shown) else '±'}{shown}"


def number(value: float, digits: int) -> str:
    """With a proper minus sign, and none before a zero."""
    size = f"{abs(value):.{digits}f}"
    return MINUS + size if value < 0 and float(size) else size


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,797 rows`."""
    return f"{number:,}{SPACE}{singular if number == 1 else plural or singular + 's'}"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)

    return f"{', '.join(items[:-1])} and {items[-1]}"


def _scale(name: str) -> tuple[int, int]:
    """Shares are shown in percent with one digit, effects in bits with three."""
    return (1, 3) if name == "causal_effect" else (100, 1)
