"""What a model wrote, made ready to be read: without its thought and markup, with a code in place of every option's text."""

import re
import unicodedata
from collections.abc import Callable

from ..data.options import letters


SPAN, SPAN_END = "\ue000", "\ue001"  # `\boxed{...}` and `<answer>...</answer>`: what stands between them is declared
_CHARACTERS = str.maketrans(
    dict.fromkeys("’‘´`", "'")
    | dict.fromkeys("“”„«»「」『』《》", '"')
    | dict.fromkeys("‐‑‒–−", "-")
    | {"【": "(", "】": ")", "〔": "(", "〕": ")", "。": ". ", "、": ", ", "—": " - ", "\r": "\n"}
)
_ANSWER_TAG = r"(?:(?:final[_ ]?)?answer|ans|choice|option|conclusion)"
_MARKUP: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^'{3}\w{0,20}\s*$", ""),  # fences of code
    (r"~~[^~\n]{0,200}~~", " "),  # struck out
    (rf"<\s?{_ANSWER_TAG}\s?>|<\|begin_of_box\|>", f"\n{SPAN}"),
    (rf"<\s?/\s?{_ANSWER_TAG}\s?>|<\|end_of_box\|>", f"{SPAN_END}\n"),
    (r"<\|[^|<>\n]{0,80}\|>", " "),  # special tokens
    (r"<([a-z])>(?![^<]{0,400}</)", r"(\1)"),  # <B> is a letter, <b>B</b> is bold
    (r"</?[a-z][^<>\n]{0,200}>", " "),
    (r"^\s{0,8}(?:#{1,6}\s*|>+\s?|[-+*•·●▪◦]\s+)+", ""),  # headings, citations, lists
    (r"(?<!\d)\*+|\*+(?!\d)|\|", " "),
    (r"\\[()\[\]]|\\(?:left|right)(?![a-z])", " "),
    (r"\$\$?(?=[^\s$])([^$\n]{1,200})(?<=[^\s$])\$\$?(?!\d)", r" \1 "),
    (r"\\([%_$&#])", r"\1"),
    (r"\\[,;:! ]", " "),
    (r"\b(?:can't|can not)\b", "cannot"),
    (r"(?<=[a-z])n't\b", " not"),
    (r"(?<![\w)])\+(?=\d)", ""),
    (r"(?<=\d)\s+%", "%"),
    (r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda match: match[0].replace(",", "")),  # 1,000
    (r"(?<![\d.,])(\d+)(?:\.0+|(\.\d*?[1-9])0+)(?!\d|[.,]\d)", lambda match: match[1] + (match[2] or "")),  # 1.50
    (r"_", " "),
    (r"[^\S\n]+", " "),
)
_COMPILED = [(re.compile(pattern, re.IGNORECASE | re.MULTILINE), new) for pattern, new in _MARKUP]
_LATEX_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}")
_LATEX_TEXT = re.compile(r"\\(?:text\w*|math\w+|operatorname)\s*\{([^{}]*)\}")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_NESTED = 8  # braces in braces that are looked into
_NUMBERED = re.compile(r"^ ?([1-9]\d?)[.)] (?=\S)", re.MULTILINE)


def normalized(text: str) -> str:
    """A free answer as it is compared: without regard to case, runs of spaces, outer quotes and full stops."""
    return " ".join(text.casefold().split()).strip(".!\"'` ")


def without_thought(text: str, words: tuple[str, str]) -> str | None:
    """An answer without the thought before it.

    Args:
        text: what the model wrote; the opening word may stand in its prompt instead.
        words: what opens and what closes a thought; spaces and newlines around them do not matter.

    Returns:
        what follows the last thought; None where a thought is not closed.
    """
    opening, closing = (word.strip() for word in words)
    answer = text.rpartition(closing)[2] if closing else text
    return None if opening and opening in answer else answer


def plain(text: str) -> str:
    """Text without markup, with numbers, quotes and dashes written in one way; what is declared stands in `SPAN`."""
    text = "".join(" " if unicodedata.category(character) in ("Co", "Cs") else character for character in text)
    text = unicodedata.normalize("NFKC", text)
    text = "".join(character for character in text if unicodedata.category(character) != "Cf").translate(_CHARACTERS)
    for _ in range(_NESTED):
        before = text
        text = _LATEX_FRACTION.sub(r"\1/\2", _LATEX_TEXT.sub(r"\1", text))
        text = _LATEX_BOX.sub(rf"\n{SPAN}\1{SPAN_END}\n", text)
        if text == before:
            break

    for pattern, new in _COMPILED:
        text = pattern.sub(new, text)

    numbers = {int(match[1]) for match in _NUMBERED.finditer(text)}
    if {1, 2} <= numbers:  # a numbered list; one number alone may be an answer
        text = _NUMBERED.sub("", text)

    return text + SPAN_END if text.count(SPAN) > text.count(SPAN_END) else text


# --- Options ----------------------------------------------------------------------------------------------------------

CODE = "[\U000f0000-\U000ffffd]"  # private-use characters, each in place of an option's text
_FIRST_CODE = 0xF0000
_WORD = r"[^\W\u2e80-\u9fff\uac00-\ud7af]"  # Chinese, Japanese and Korean put no spaces between words
_NO_ENDS = r"(?=\s*(?:[^\w\s]|$)|\s+(?:there|it|they|the|this|that|he|she|we|because|since|as|or|and|is)\b)"
_VERDICTS = ("yes", "no", "true", "false", "是", "否")


class OptionTexts:
    """Finds the texts of a question's options in answers.

    Args:
        choices: the options.

    Attributes:
        letters: options whose text is one letter, by that letter; they are no texts.
        verdicts: the codes of yes, no, true and false.
    """

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._normalized = [normalized(choice) for choice in choices]
        self.letters: dict[str, frozenset[int]] = {}
        words: dict[tuple[str, ...], frozenset[int]] = {}  # equal ones cannot be told apart
        for index, text in enumerate(_without_letters([_bare(choice) for choice in choices])):
            if re.fullmatch("[A-Za-z]", text):
                self.letters[text.upper()] = self.letters.get(text.upper(), frozenset()) | {index}
            elif found := _words(text):
                words[found] = words.get(found, frozenset()) | {index}

        longest_first = sorted(words, key=lambda found: len("".join(found)), reverse=True)  # "red cat" before "cat"
        self._options = [words[found] for found in longest_first]
        self.verdicts = {
            chr(_FIRST_CODE + code) for code, (first, *_) in enumerate(longest_first) if first in _VERDICTS
        }
        patterns = "|".join(f"({_pattern(found)})" for found in longest_first) or "(?!)"
        self._pattern = re.compile(rf"(?<!{_WORD})(?:(?:an?|the)\s+)?(?:{patterns})", re.IGNORECASE)

    def exact(self, answer: str) -> int | None:
        """The option that is just this answer."""
        answer = normalized(answer)
        return self._normalized.index(answer) if self._normalized.count(answer) == 1 else None

    def coded(self, answer: str) -> str:
        """A plain answer with a code in place of every option's text."""
        return self._pattern.sub(lambda match: chr(_FIRST_CODE + (match.lastindex or 1) - 1), plain(answer))

    def of(self, code: str) -> frozenset[int]:
        """The indices of a code's options: several where their texts are alike."""
        return self._options[ord(code) - _FIRST_CODE]


def _bare(option: str) -> str:
    return plain(option).replace(SPAN, "").replace(SPAN_END, "").strip().rstrip(".!").strip("\"' ")


def _without_letters(texts: list[str]) -> list[str]:
    """Options without letters of their own ("A. red", "B. green")."""
    found = [re.match(r"[(\[]?([A-Z]{1,2})[)\].:]+\s*(?=\S)", text) for text in texts]
    if tuple(match[1] for match in found if match) != letters(len(texts)):
        return texts

    return [text[match.end() :] for match, text in zip(found, texts) if match]


def _words(text: str) -> tuple[str, ...]:
    """The words of an option, without article; the sign of a number belongs to it, its unit does not."""
    sign = "-" if re.match(r"-\d", text) else ""
    words = [word for word in re.split(r"[\s-]+", text.casefold()) if word]
    if len(words) > 1 and words[0] in ("a", "an", "the"):
        words = words[1:]

    parts = [part for word in words for part in re.split(r"(?<=\d)(?=[^\W\d_])", word)]
    return (sign + parts[0], *parts[1:]) if parts else ()


def _pattern(words: tuple[str, ...]) -> str:
    """The pattern of an option: spaces, underscores or hyphens between its words, nothing of a word or number around it."""
    if words == ("no",):  # which is an article, too
        return "no" + _NO_ENDS

    if words[0] in ("是", "否", "有", "对", "错"):  # which are parts of other words
        return rf"(?:(?<!\w)|(?<=案是)|(?<=案为)){words[0]}的?(?!\w)"

    first, last = words[0][0], words[-1][-1]
    before = r"(?<![-.])(?<!\d[,:/])" if first.isdigit() else ""
    after = (rf"(?!{_WORD})" if re.match(_WORD, last) else "") + (r"(?![.,:/-]\d)" if last.isdigit() else "")
    spaces = [
        r"[\s-]*" if one[-1].isdigit() and other[0].isalpha() else r"[\s-]+" for one, other in zip(words, words[1:])
    ]
    return before + "".join(re.escape(word) + space for word, space in zip(words, [*spaces, ""])) + after
