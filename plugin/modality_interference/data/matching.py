"""When two free answers say the same: normalised as VQA's evaluation does it, by containment, or by edit distance."""

import re
import unicodedata
from typing import Literal, get_args

import numpy as np


FreeAnswerRule = Literal["exact", "contained", "anls"]
ANLS_THRESHOLD = 0.5
_COMPARED = 10_000  # characters; time grows with the square, and both texts may come from a server
_NUMBER_WORDS = dict(
    zip("none zero one two three four five six seven eight nine ten".split(), "0 0 1 2 3 4 5 6 7 8 9 10".split())
)
_ARTICLES = ("a", "an", "the")
UNSPACED = (
    "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # scripts that put no spaces between words
)
_TOKEN = re.compile(rf"-?\d+(?:[.,:/]\d+)*|[{UNSPACED}]|[^\W_{UNSPACED}]+|[%#]|[^\w\s]", re.UNICODE)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_ZEROS = re.compile(r"(?<![\d.,:/])(-?\d+)(?:\.0+|(\.\d*?[1-9])0+)(?![\d.,:/])")


def words_of(text: str) -> tuple[str, ...]:
    """The words of an answer as they are compared.

    Without case, articles and punctuation, numbers to ten as digits: the normalisation of the VQA evaluation (Antol et al.,
    arXiv 1505.00468). Unlike there, an article at the end stays ("vitamin A"), and so do signs inside a number and before it
    ("1/2", "-5") and percent; 1,000 is 1000 and 2.0 is 2. Chinese, Japanese and Thai are compared by character.
    """
    text = re.sub(r"(?<=\w)['’‘](?=\w)", "", unicodedata.normalize("NFKC", text).casefold()).replace("\u2212", "-")
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _ZEROS.sub(lambda match: match[1] + (match[2] or ""), text)
    text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
    tokens = [
        token
        for token in _TOKEN.findall(text)
        if token in "%#" or not unicodedata.category(token[0]).startswith("P") or len(token) > 1
    ]
    kept = [token for place, token in enumerate(tokens) if token not in _ARTICLES or place == len(tokens) - 1]
    return tuple(_NUMBER_WORDS.get(token, token) for token in kept)


def contains(text: str, part: str) -> bool:
    """Whether the words of `part`, which has some, stand in `text` one after the other."""
    whole, sought = words_of(text), words_of(part)
    return bool(sought) and any(
        whole[start : start + len(sought)] == sought for start in range(len(whole) - len(sought) + 1)
    )


def similarity(one: str, other: str) -> float:
    """1 less the Levenshtein distance of two texts over the length of the longer one; without regard to case and runs of spaces.

    It is the similarity of ANLS (Biten et al., arXiv 1905.13648), before its threshold of 0.5. Of very long texts only the
    beginnings are compared.
    """
    one, other = (" ".join(text.casefold().split())[:_COMPARED] for text in (one, other))
    longer = max(len(one), len(other))
    return 1.0 if not longer else 1 - _levenshtein(one, other) / longer


def matches(answer: str, right: str, rule: FreeAnswerRule) -> bool:
    """Whether an answer says what `right` says.

    Args:
        answer: what a model wrote.
        right: the expected text.
        rule: `exact`, equal words; `contained`, the words of `right` stand in the answer one after the other; `anls`,
            `similarity` is above 0.5.
    """
    if rule == "anls":
        shorter, longer = sorted(len(" ".join(text.split())) for text in (answer, right))
        return (shorter > ANLS_THRESHOLD * longer or not longer) and similarity(answer, right) > ANLS_THRESHOLD

    return _equal(answer, right) or (rule == "contained" and contains(answer, right))


def agree(one: str, other: str, rule: FreeAnswerRule) -> bool:
    """Whether two answers of a model say the same: one matches the other."""
    return matches(one, other, rule) or matches(other, one, rule)


def distinct(target: str, right: str) -> bool:
    """Whether an answer can be told from the right one by every rule."""
    return bool(words_of(target)) and not any(agree(target, right, rule) for rule in get_args(FreeAnswerRule))


def _equal(one: str, other: str) -> bool:
    found, expected = words_of(one), words_of(other)
    return found == expected if found or expected else one.strip() == other.strip()


def _levenshtein(one: str, other: str) -> int:
    """The edit distance, a row of the table at a time: a step to the right adds one, so a running minimum finds the best."""
    sought = np.frombuffer(other.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    steps = np.arange(len(other) + 1)
    row = steps
    for index, character in enumerate(one, 1):
        below = np.concatenate([[index], np.minimum(row[1:] + 1, row[:-1] + (sought != ord(character)))])
        row = np.minimum.accumulate(below - steps) + steps

    return int(row[-1])
