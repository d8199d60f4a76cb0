"""What a model wrote, made ready to be read: without its thought and markup, with a code in place of every option's text."""

import html
import re
import unicodedata
from collections.abc import Callable
from typing import TypeAlias

from ..data.options import letters


SPAN, SPAN_END = "\ue000", "\ue001"  # `\boxed{...}` and `<answer>...</answer>`: what stands between them is declared
_CHARACTERS = str.maketrans(
    dict.fromkeys("’‘´`", "'")
    | dict.fromkeys("“”„«»「」『』《》", '"')
    | dict.fromkeys("‐‑‒–−", "-")
    | {"【": "(", "】": ")", "〔": "(", "〕": ")", "。": ". ", "、": ", ", "—": " - ", "\r": "\n", "⁄": "/"}
    | dict(
        zip("選擇項確對沒錯無與還別為應該當結論說寫稱", "选择项确对没错无与还别为应该当结论说写称")
    )  # traditional Chinese
)
_ANSWER_TAG = r"(?:(?:final[_ ]?)?answer|ans|choice|option|conclusion)"
_MARKUP: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^'{3}\w{0,20}\s*$", ""),  # fences of code
    (r"~~[^~\n]{0,200}~~", " "),  # struck out
    (rf"<\s?{_ANSWER_TAG}(?:\s[^<>\n]{{0,100}})?>|<\|begin_of_box\|>", f"\n{SPAN}"),
    (rf"<\s?/\s?{_ANSWER_TAG}\s?>|<\|end_of_box\|>", f"{SPAN_END}\n"),
    (r"<\|[^|<>\n]{0,80}\|>", " "),  # special tokens
    (r"<([a-z])>(?![^<]{0,400}</)", r"(\1)"),  # <B> is a letter, <b>B</b> is bold
    (r"</?[a-z][^<>\n]{0,200}>", " "),
    (r"^\s{0,8}(?:#{1,6}\s*|>+\s?(?!\s?\d)|[-+*•·●▪◦]\s+)+", ""),  # headings, citations, lists
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


THOUGHT = ("<think>", "</think>")  # what most models open and close a thought with, where no template says otherwise
_OTHER_THOUGHTS = (
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
    ("<thinking>", "</thinking>"),
)  # of Kimi-VL, Magistral, ...


def without_thought(text: str, words: tuple[str, str]) -> str | None:
    """An answer without the thought before it.

    Args:
        text: what the model wrote; the opening word may stand in its prompt instead.
        words: what opens and what closes a thought; spaces and newlines around them do not matter. Where it is `THOUGHT`, that of
            models whose template nobody knows, other words are looked for, too.

    Returns:
        what follows the last thought; None where a thought is not closed.
    """
    for pair in (words, *_OTHER_THOUGHTS) if words == THOUGHT else (words,):
        opening, closing = (word.strip() for word in pair)
        text = text.rpartition(closing)[2] if closing else text
        if opening and opening in text:
            return None

    return text


def plain(text: str) -> str:
    """Text without markup, with numbers, quotes and dashes written in one way; what is declared stands in `SPAN`."""
    text = "".join(" " if unicodedata.category(character) in ("Co", "Cs") else character for character in text)
    text = unicodedata.normalize("NFKC", html.unescape(text))
    kept = (character for character in text if character == "°" or unicodedata.category(character) not in ("Cf", "So"))
    text = "".join(kept).translate(_CHARACTERS)
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
_NUMBER = r"\d+(?:[.,:/-]\d+)*"
_CJK = r"\u2e80-\u9fff\uac00-\ud7af"  # Chinese, Japanese and Korean put no spaces between words
_TOKEN = re.compile(rf"(?<![\w)])-?{_NUMBER}|(?<!\w)\.\d+|{_NUMBER}|[{_CJK}]|[^\W\d{_CJK}]+|[^\w\s-]")
_SPACE = re.compile(r"\s+")
_ARTICLES = ("a", "an", "the")
_VERDICTS = ("yes", "no", "true", "false", "是", "否")
_PARTS_OF_WORDS = ("是", "否", "有", "对", "错")
_NO_ENDS = re.compile(
    r"[^\S\n]*(?:[^\w\s]|\n|$)|\s+(?:there|it|they|the|this|that|he|she|we|because|since|as|or|and|is)\b", re.I
)
_ALONE_BEFORE, _ALONE_AFTER = re.compile(r"(?:(?<!\w)|(?<=案是)|(?<=案为))"), re.compile(r"的?(?!\w)")
_UNIT_GOES_ON = re.compile(r"[/^]\w")
Words: TypeAlias = tuple[str, ...]


class OptionTexts:
    """Finds the texts of a question's options in answers.

    A text is a run of words, numbers and signs; spaces, hyphens and (in a plain text) underscores between them do not count.

    Args:
        choices: the options.

    Attributes:
        letters: options whose text is one letter, by that letter; they are no texts.
        verdicts: the codes of yes, no, true and false.
    """

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._normalized = [normalized(choice) for choice in choices]
        self.letters: dict[str, frozenset[int]] = {}
        options: dict[Words, frozenset[int]] = {}  # equal ones cannot be told apart
        for index, text in enumerate(_without_letters([_bare(choice) for choice in choices])):
            if re.fullmatch("[A-Za-z]", text):
                self.letters[text.upper()] = self.letters.get(text.upper(), frozenset()) | {index}
            elif words := _words(text):
                options[words] = options.get(words, frozenset()) | {index}

        self._options = list(options.values())
        self._codes = {words: chr(_FIRST_CODE + code) for code, words in enumerate(options)}
        self.verdicts = {code for words, code in self._codes.items() if words[0] in _VERDICTS}
        self._by_first: dict[str, list[Words]] = {}
        for words in sorted(options, key=len, reverse=True):  # "red light" before "red"
            self._by_first.setdefault(words[0], []).append(words)

    def exact(self, answer: str) -> int | None:
        """The option that is just this answer."""
        answer = normalized(answer)
        return self._normalized.index(answer) if self._normalized.count(answer) == 1 else None

    def coded(self, answer: str) -> str:
        """A plain answer with a code in place of every option's text, and of the article before it."""
        text = plain(answer)
        tokens = [(match[0].casefold(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
        pieces, end, place = [], 0, 0
        while place < len(tokens):
            words = self._option_at(text, tokens, place)
            if words is None:
                place += 1
                continue

            start = tokens[place][1]
            if place and tokens[place - 1][0] in _ARTICLES and _SPACE.fullmatch(text, tokens[place - 1][2], start):
                start = max(end, tokens[place - 1][1])

            place += len(words)
            pieces += [text[end:start], self._codes[words]]
            end = tokens[place - 1][2]
            if words[0] in _PARTS_OF_WORDS and len(words) == 1:
                end = _ALONE_AFTER.match(text, end).end()  # type: ignore[union-attr]

        return "".join([*pieces, text[end:]])

    def of(self, code: str) -> frozenset[int]:
        """The indices of a code's options: several where their texts are alike."""
        return self._options[ord(code) - _FIRST_CODE]

    def _option_at(self, text: str, tokens: list[tuple[str, int, int]], place: int) -> Words | None:
        for words in self._by_first.get(tokens[place][0], ()):
            found = tokens[place : place + len(words)]
            if len(found) == len(words) and all(word == token for word, (token, *_) in zip(words, found)):
                start, end = found[0][1], found[-1][2]
                if (
                    not _inside_word(text, start)
                    and not _inside_word(text, end)
                    and _stands_alone(text, words, start, end)
                ):
                    return words

        return None


def _inside_word(text: str, place: int) -> bool:
    """Whether a word goes on at a place: "cat" in "cats", "10" in "10th"."""
    return 0 < place < len(text) and _is_word(text[place - 1]) and _is_word(text[place])


def _is_word(character: str) -> bool:
    return character.isalnum() and not re.match(f"[{_CJK}]", character)


def _stands_alone(text: str, words: Words, start: int, end: int) -> bool:
    """Whether an option that may be an article or a part of other words is none here."""
    if words == ("no",):
        return _NO_ENDS.match(text, end) is not None

    if words[0][-1].isdigit() and _UNIT_GOES_ON.match(text, end):  # "5 km" in "5 km/h"
        return False

    if words[0] in _PARTS_OF_WORDS and len(words) == 1:
        return _ALONE_BEFORE.match(text, start) is not None and _ALONE_AFTER.match(text, end) is not None

    return True


def _bare(option: str) -> str:
    return plain(option).replace(SPAN, "").replace(SPAN_END, "").strip().rstrip(".!").strip("\"' ")


def _without_letters(texts: list[str]) -> list[str]:
    """Options without letters of their own ("A. red", "B. green")."""
    found = [re.match(r"[(\[]?([A-Z]{1,2})[)\].:]+\s*(?=\S)", text) for text in texts]
    if tuple(match[1] for match in found if match) != letters(len(texts)):
        return texts

    return [text[match.end() :] for match, text in zip(found, texts) if match]


def _words(text: str) -> Words:
    words = tuple(match[0].casefold() for match in _TOKEN.finditer(text))
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words
