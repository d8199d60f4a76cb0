r"""Read which option a generated answer names; an answer that cannot be read is counted, not guessed.

An answer *declares* an option ("The answer is B", `\boxed{B}`, "B because ...", a line "B: dog"): the last declaration wins. Where
it declares nothing, it may *mention* one: that counts where it is the only one, is not denied, not asked and not quoted.

The options' texts are first replaced by one private-use character each, so that a pattern can ask for "a letter or a text".
"""

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..data.options import letters
from . import answer_phrases as phrases
from .answer_text import SPAN, SPAN_END, THOUGHT, OptionTexts, without_thought


_UNREADABLE = -1  # in place of an option's index: a declaration that names none
_CONTEXT = 300  # characters before and after a statement that are looked at
_MANY = 50  # options of one statement, at most


def parse_choice(text: str, choices: tuple[str, ...]) -> int | None:
    """Find which option an answer names: by its letter ("B", "**(B)**", "答案是B"), by its text, or by both.

    Args:
        text: what the model wrote.
        choices: the options, in the order of their letters.

    Returns:
        the option's index; None where the answer names none, several, or a letter and another option's text. Of a very long
        answer only the end is read: what is declared last counts.
    """
    answer = without_thought(text, THOUGHT)
    return None if answer is None else _reader(choices).read(answer[-_LONGEST:])


_LONGEST = 10_000  # characters; a server may send megabytes, and patterns would take minutes over them


@dataclass(frozen=True)
class _Named:
    """Options named at one place of an answer.

    Attributes:
        start: where the place starts.
        end: where it ends.
        options: their indices.
        wins: whether a mention may be the answer; one that is asked or quoted, or a declaration "according to the text", only
            stands beside others.
    """

    start: int
    end: int
    options: frozenset[int]
    wins: bool = True


@lru_cache(maxsize=1024)
def _reader(choices: tuple[str, ...]) -> "_Reader":
    return _Reader(choices)


class _Reader:
    """Reads answers to questions with these options."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self.texts = OptionTexts(choices)
        self.letters = {
            name: self.texts.letters.get(name, frozenset()) | {index}
            for index, name in enumerate(letters(len(choices)))
        }
        self.letters |= {name: options for name, options in self.texts.letters.items() if name not in self.letters}

    def read(self, answer: str) -> int | None:
        """The option that an answer without its thought names."""
        exact = self.texts.exact(answer)
        if exact is not None:
            return _only(self.letters.get(answer.strip().upper(), frozenset()) | {exact})

        return self._read(self.texts.coded(answer))

    def _read(self, text: str) -> int | None:
        declared = []
        for span in phrases.SPANS.finditer(text):
            found = self._read(span[1])
            declared.append(_Named(*span.span(), frozenset([_UNREADABLE if found is None else found])))

        text = phrases.SPANS.sub(lambda span: "\n" * len(span[0]), text).replace(SPAN, "\n").replace(SPAN_END, "\n")
        lines = list(_parts(phrases.LINE, text, 0, len(text)))
        listed = self._listed(text, lines)
        declared += [*self._statements(text, [lines[number] for number in listed]), *self._lines(text, lines, listed)]
        if not declared:
            return self._mentioned(text)

        firm = [named for named in declared if named.wins]
        if not firm and any(other.options != declared[0].options for other in (*declared, *self._mentions(text))):
            return None  # what a text says is an answer only where nothing else is named

        last = max(firm or declared, key=lambda named: (named.end, -named.start))
        return None if self._taken_back(text, last) else _only(last.options)

    # --- names

    def _names(self, text: str, start: int, small: bool = True, texts: bool = True) -> _Named | None:
        """The options that a statement names from `start` on: "B", "(B) dog", "A or B"; None where it names none."""
        opening = phrases.BEFORE_FIRST.match(text, start)
        first = self._name(text, opening.end() if opening else start, small, texts)
        if first is None:
            return None

        end, options = first.end, first.options
        for _ in range(_MANY):
            between = phrases.BETWEEN.match(text, end)
            following = self._name(text, between.end(), small=False, texts=True) if between else None
            denied = following and phrases.DENIED_LETTER.match(text, following.end)
            if following and denied and following.options & options:  # "option C: red cat is wrong"
                return None

            if following is None or denied or not phrases.GOES_ON.match(text, following.end):
                break

            end, options = following.end, options | following.options

        return _Named(first.start, end, options)

    def _name(self, text: str, start: int, small: bool, texts: bool) -> _Named | None:
        match = phrases.NAME.match(text, start)
        if match is None or (match[2] and not texts):
            return None

        if match[2]:
            return _Named(start, match.end(), self.texts.of(match[2]))

        options = self._letter(match[1], text, match.end(), small)
        return None if options is None else _Named(start, match.end(), options)

    def _letter(self, name: str, text: str, end: int, small: bool) -> frozenset[int] | None:
        """The options of a letter that ends at `end`; None where it is none, but an article or a pronoun, say."""
        if len(name) > 1:
            unknown = (
                frozenset([_UNREADABLE])
                if len(self.letters) > len(string.ascii_uppercase) and name.isupper()
                else None
            )
            return self.letters.get(name, unknown)

        if (name in "Aa" and phrases.ARTICLE.match(text, end)) or (name in "Ii" and phrases.PRONOUN.match(text, end)):
            return None

        if name.islower():
            return self.letters.get(name.upper()) if small else None

        return self.letters.get(name, frozenset([_UNREADABLE]))

    # --- declarations

    def _statements(self, text: str, listed: list[tuple[int, int]]) -> Iterator[_Named]:
        """Phrases that declare an option; one that lists of options follow declares none."""
        for patterns, last in ((phrases.DECLARING, False), (phrases.DECLARING_AT_END, True)):
            for pattern, small, texts in patterns:
                for match in pattern.finditer(text):
                    named = self._names(text, match.end(), small, texts)
                    if named is None or (last and not phrases.ENDS.match(text, named.end)):
                        continue

                    inside = any(start <= named.start < end for start, end in listed)
                    if "\n" in text[match.start() : named.start] and (inside or not self._stands_alone(text, named)):
                        continue

                    if not self._refused(text, match, named.end) and not self._listed_next(text, named):
                        yield _Named(match.start(), named.end, named.options, not _attributed(text, match.start()))

        for match in phrases.CORRECT.finditer(text):
            options = self._called_correct(text, match)
            excepted = phrases.EXCEPTED.search(_before(phrases.SENTENCE_END, text, match.start()))
            if options and not excepted and not self._refused(text, match, match.end()):
                yield _Named(match.start(), match.end(), options, not _attributed(text, match.start()))

    def _listed_next(self, text: str, named: _Named) -> bool:
        """Whether the next line lists the next option, so that the statement was the head of a list."""
        item = phrases.NEXT_ITEM.match(text, named.end)
        following = self.letters.get(item[1], frozenset()) if item else frozenset()
        return any(option - 1 in named.options for option in following)

    def _stands_alone(self, text: str, named: _Named) -> bool:
        """Whether the line of an option is nothing but the option."""
        start, end = text.rfind("\n", 0, named.start) + 1, text.find("\n", named.end)
        return self._bare(text, start, len(text) if end < 0 else end) is not None

    def _called_correct(self, text: str, match: re.Match[str]) -> frozenset[int] | None:
        if match["text"]:  # "the dog is right there"
            return self.texts.of(match["text"]) if match["copula"] or "正确" in match[0] else None

        before = text[max(0, match.start() - 10) : match.start()]
        return self._letter(match[1], text, match.end(1), small=bool(phrases.CALLED_OPTION.search(before)))

    def _refused(self, text: str, match: re.Match[str], end: int) -> bool:
        """Whether a statement is denied, quoted, asked, supposed, or one of several alternatives."""
        starts_clause = phrases.CLAUSE.match(match[0])  # "but"
        head = _before(phrases.CLAUSE, text, match.start())
        clause = "" if starts_clause else head
        sentence = _before(phrases.SENTENCE_END, text, match.start())
        own = re.split(r"[,:]", match[0].rstrip(" :,"))[-1]
        return bool(
            phrases.DENIED_LETTER.match(text, end)
            or phrases.NOT_DECLARING.search(phrases.AFFIRMED.sub("", f"{clause} {own}"))
            or phrases.HYPOTHETICAL.search(clause)
            or phrases.BY_CAPTION.search(sentence)
            or phrases.SECOND.search(head if match[0].startswith(":") else clause)
            or phrases.QUOTED.search(f"{clause} {match[0]}")
            or phrases.JOINED.search(clause)
            or (phrases.SUPPOSED.search(match[0]) and phrases.CONDITION.search(sentence))
        )

    def _lines(self, text: str, lines: list[tuple[int, int]], listed: set[int]) -> Iterator[_Named]:
        """Lines and first and last sentences that are nothing but an option, and a letter that a line begins with."""
        if not lines:
            return

        bare = [self._bare(text, *line) for line in lines]
        sentences = [part for line in lines for part in _parts(phrases.SENTENCES, text, *line)]
        others = [line for number, line in enumerate(lines) if number not in listed]
        unlisted = [part for line in others for part in _parts(phrases.SENTENCES, text, *line)]
        all_bare = [self._bare(text, *part) for part in unlisted or sentences]
        if all(all_bare):
            yield _Named(0, len(text), frozenset().union(*(named.options for named in all_bare if named)))
            return

        for number, named in enumerate(bare):
            outer = number in (0, len(lines) - 1)
            follows = number > 0 and phrases.OPTIONS_FOLLOW.search(text[slice(*lines[number - 1])])
            if named and number not in listed and not follows and (outer or not self._is_text(text, named)):
                yield named

        if not bare[0] and 0 not in listed:
            yield from self._leading(text, *lines[0])

        last = self._bare(text, *sentences[-1])
        if last and not bare[-1] and (not self._is_text(text, last) or not self._others(text, last)):
            yield last

    def _bare(self, text: str, start: int, end: int) -> _Named | None:
        """What a line or sentence names that says nothing else."""
        part = text[start:end]
        named = self._names(part, 0)
        return _Named(start, end, named.options) if named and phrases.ONLY_SIGNS.fullmatch(part, named.end) else None

    def _is_text(self, text: str, named: _Named) -> bool:
        return phrases.LETTER.search(text, named.start, named.end) is None

    def _listed(self, text: str, lines: list[tuple[int, int]]) -> set[int]:
        """The lines that list options: two or more one after the other that begin with letters in order."""
        order = {letter: index for index, letter in enumerate(self.letters)}
        found: set[int] = set()
        previous = None
        for number, (start, end) in enumerate(lines):
            item = phrases.ITEM.match(text, start, end)
            index = order.get(item[1]) if item else None
            if index is not None and previous is not None and index > previous:
                found |= {number - 1, number}

            previous = index

        return found

    def _leading(self, text: str, start: int, end: int) -> Iterator[_Named]:
        """What the first line declares by its first sentence or letter."""
        first = next(iter(_parts(phrases.SENTENCES, text, start, end)))
        named = self._bare(text, *first)
        match = phrases.LEADING.match(text, start, end)
        if named is None and match is not None:
            mark, name = match["mark"].strip(), match[1]
            small = name.isupper() or mark[:1] in (")", ".", ":")
            options = self._letter(name, text, match.end(1), small) if mark or name != "I" else None
            behind = (phrases.DENIED_LETTER, phrases.DENIED_AT_ONCE)
            if options is not None and not any(denial.match(text, match.end(1)) for denial in behind):
                named = _Named(start, match.end("mark"), options)
        elif named is None:
            named = self._leading_verdict(text, start)

        if named is None or self._begins_list(text, named, end):
            return

        following = next(iter(_parts(phrases.SENTENCES, text, named.end, end)), None)
        conflict = following and not self._is_text(text, named) and self._asserted(text, *following)
        yield _Named(named.start, named.end, named.options | (conflict or frozenset()))

    def _leading_verdict(self, text: str, start: int) -> _Named | None:
        """Yes, no, true or false at the beginning, about which the rest may say more."""
        named = self._name(text, start, small=False, texts=True)
        verdicts = self.texts.verdicts
        if named is None or text[start] not in verdicts or not phrases.VERDICT_ENDS.match(text, named.end):
            return None

        others = (other for other in self._mentions(text) if text[other.start] not in verdicts)
        return None if any(other.options != named.options for other in others) else named

    def _begins_list(self, text: str, named: _Named, end: int) -> bool:
        together = self._names(text, named.start)
        if together and len(together.options) > 1 and together.options != named.options:
            return True

        return any(
            self.letters.get(item[1], named.options) != named.options
            and not phrases.NOT_DECLARING.search(_before(phrases.CLAUSE, text, item.start()))
            for item in phrases.LATER_ITEM.finditer(text, named.end, end)
        )

    # --- mentions

    def _mentioned(self, text: str) -> int | None:
        """The only option that an answer mentions, which declares none."""
        if phrases.LEFT_OPEN.search(text):
            return None

        options, wins = frozenset[int](), False
        for mention in self._mentions(text):
            options, wins = options | mention.options, wins or mention.wins
            if len(options) > 1:
                return None

        return _only(options) if wins else None

    def _mentions(self, text: str) -> Iterator[_Named]:
        """The options that are mentioned and not denied."""
        for match in phrases.NAME.finditer(text):
            before = text[max(0, match.start() - 20) : match.start()]
            clause = phrases.AFFIRMED.sub("", _before(phrases.CLAUSE, text, match.start()))
            options: frozenset[int] | None
            if match[2]:
                options, marked = self.texts.of(match[2]), True
                denied = phrases.DENIED.match(_after(phrases.CLAUSE, text, match.end()))
                if text[match.end() : match.end() + 1] == ")":  # "A (cat) is wrong"
                    denied = denied or phrases.DENIED_LETTER.match(text, match.end())
            else:
                marked = bool(phrases.MARKED.search(before))
                options = self._letter(match[1], text, match.end(), small=marked)
                denied = phrases.DENIED_LETTER.match(text, match.end()) or phrases.DENIED_AT_ONCE.match(
                    text, match.end()
                )

            if options is None or denied or phrases.DENYING.search(clause):
                continue

            end = phrases.SENTENCE_END.search(text, match.end(), match.end() + _CONTEXT)
            asked = end is not None and end[0] == "?"
            quoted = (
                phrases.QUOTED.search(clause) or phrases.CAPTION.search(before) or phrases.HYPOTHETICAL.search(clause)
            )
            yield _Named(match.start(), match.end(), options, marked and not asked and not quoted)

    def _others(self, text: str, named: _Named) -> bool:
        """Whether another option is mentioned, other than as what a caption says."""
        return any(other.wins and other.options != named.options for other in self._mentions(text))

    def _asserted(self, text: str, start: int, end: int) -> frozenset[int]:
        """The option that a sentence ends with, where it mentions no other."""
        named = list(self._mentions(text[start:end]))
        alone = len(named) == 1 and named[0].wins and phrases.ONLY_SIGNS.fullmatch(text[start:end], named[0].end)
        return named[0].options if alone else frozenset()

    def _taken_back(self, text: str, last: _Named) -> bool:
        """Whether the last declaration is followed by a correction that declares nothing."""
        correction = phrases.TAKEN_BACK.search(text, last.end)
        if correction is None:
            return False

        after = [other.options for other in self._mentions(text) if other.start >= correction.end()]
        return bool(phrases.NO.search(text, correction.end())) or any(options != last.options for options in after)


# --- Helpers ----------------------------------------------------------------------------------------------------------


def _only(options: frozenset[int]) -> int | None:
    return next(iter(options)) if len(options) == 1 and _UNREADABLE not in options else None


def _attributed(text: str, start: int) -> bool:
    """Whether a declaration is what a text says: "According to the text, the answer is A"."""
    return phrases.BY_TEXT.search(_before(phrases.SENTENCE_END, text, start)) is not None


def _parts(separator: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of the parts of a text that hold more than signs."""
    for match in [*separator.finditer(text, start, end), None]:
        stop = match.start() if match else end
        if not phrases.ONLY_SIGNS.fullmatch(text, start, stop):
            yield stop - len(text[start:stop].lstrip(" \n.:;,!-")), stop

        start = match.end() if match else end


def _before(border: re.Pattern[str], text: str, end: int) -> str:
    """What stands before `end`, from the last border on."""
    part = text[max(0, end - _CONTEXT) : end].rstrip(" ([\"'")
    return part[max((match.end() for match in border.finditer(part)), default=0) :]


def _after(border: re.Pattern[str], text: str, start: int) -> str:
    """What stands behind `start`, up to the next border."""
    part = text[start : start + _CONTEXT]
    match = border.search(part)
    return part[: match.start()] if match else part
