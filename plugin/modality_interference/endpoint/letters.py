"""The probabilities of options, from the `top_logprobs` of the letter that an answer begins with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..data.options import LETTERS


_SIGNS = " \t\n\r\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}\N{LOWER ONE EIGHTH BLOCK}()[]{}<>*_`'\".,:;#-"
TokenProbabilities = tuple[
    str, Mapping[str, float]
]  # the token that was written, and the log-probabilities of the likeliest


@dataclass(frozen=True)
class LetterScores:
    """What an answer's first token says of the options.

    Attributes:
        written: the option whose letter was written.
        log_probabilities: of each option, all forms of its letter together; None where the server's list does not hold it. It is
            no more probable than the least probable token of the list, then.
    """

    written: int
    log_probabilities: tuple[float | None, ...]

    @property
    def best(self) -> int:
        """The most probable option; one that the list does not hold is less probable than those that it holds."""
        return max(range(len(self.log_probabilities)), key=self._value)

    def _value(self, option: int) -> float:
        value = self.log_probabilities[option]
        return -math.inf if value is None else value

    @property
    def distribution(self) -> tuple[float, ...] | None:
        """The options' probabilities, which sum to 1; None unless the list holds all letters."""
        found = [value for value in self.log_probabilities if value is not None]
        if len(found) < len(self.log_probabilities):
            return None

        highest = max(found)
        weights = [math.exp(value - highest) for value in found]
        return tuple(weight / math.fsum(weights) for weight in weights)


def letter_scores(first: TokenProbabilities | None, options: int) -> LetterScores | None:
    """Read the options' probabilities.

    A token is a letter's where it is that letter and signs, in either case: "B", " b", "(B". Forms of one letter count together.

    Args:
        first: the first token of the answer that holds more than signs, see `client.py`.
        options: how many there are.

    Returns:
        None where the token that was written is no option's letter, so that its alternatives say nothing of the options.
    """
    if first is None or not 0 < options <= len(LETTERS):
        return None

    token, listed = first
    written = _option(token, options)
    if written is None:
        return None

    found: list[list[float]] = [[] for _ in range(options)]
    for other, value in listed.items():
        option = _option(other, options)
        if option is not None:
            found[option].append(value)

    scores = LetterScores(written, tuple(map(_together, found)))
    return scores if scores.log_probabilities[written] is not None else None


def _option(token: str, options: int) -> int | None:
    name = token.strip(_SIGNS).upper()
    return LETTERS.index(name) if len(name) == 1 and name in LETTERS[:options] else None


def _together(values: Sequence[float]) -> float | None:
    """The logarithm of the sum of probabilities, of which logarithms are given."""
    if not values or max(values) == -math.inf:
        return None

    highest = max(values)
    return highest + math.log(math.fsum(math.exp(value - highest) for value in values))


def holds_more_than_signs(token: str) -> bool:
    """Whether a token is the first of an answer, and not a space, a quotation mark or the like in front of it."""
    return bool(token.strip(_SIGNS))


def js_bits(first: Sequence[float], second: Sequence[float]) -> float:
    """The Jensen-Shannon divergence of two distributions over the same options, in bits (arXiv 2505.19616)."""
    middle = [(one + other) / 2 for one, other in zip(first, second)]
    return max(0.0, (_kl(first, middle) + _kl(second, middle)) / 2)


def _kl(first: Sequence[float], second: Sequence[float]) -> float:
    return math.fsum(one * math.log2(one / other) for one, other in zip(first, second) if one > 0)
