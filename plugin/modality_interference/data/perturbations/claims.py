"""The sentence that claims an option: it fits what the option is, by plain rules and lists of English words.

A noun has the sentence of the paper (arXiv 2505.19616), "This picture seems to depict a dog.". What the rules do not know for
sure, other languages among it, is quoted: 'The answer is "...".' suits everything.
"""

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

from . import option_words as words


OPTION = "{option}"


class Kind(StrEnum):
    """What an option is; the value is the sentence that claims it."""

    NOUN = "This picture seems to depict a {option}."
    BARE = "This picture seems to depict {option}."  # plural, uncountable, a name, or with an article of its own
    NUMBER = "The number seems to be {option}."
    QUANTITY = "The value seems to be {option}."
    DATE = "The date seems to be {option}."
    TIME = "The time seems to be {option}."
    LETTER = "The letter seems to be {option}."
    VERDICT = "The answer seems to be {option}."
    QUALITY = "It seems to be {option} in this picture."
    SENTENCE = 'This seems to be the case: "{option}".'
    OTHER = 'The answer is "{option}".'


def claim(option: str, siblings: Sequence[str] = ()) -> str:
    """A sentence that says that an option is right.

    Args:
        option: what it says.
        siblings: all options of the row, which may tell whether "orange" is a fruit or a colour, and "Lyon" a name.
    """
    text, kind = bare(option), kind_of(option, siblings)
    if kind in (Kind.OTHER, Kind.SENTENCE) and '"' in text:
        return kind.value.replace('"', "'").replace(OPTION, text)

    if kind is Kind.BARE and text.casefold() in words.PLACES_WITH_THE:
        text = f"the {text}"
    elif kind is Kind.BARE and _ARTICLE_AS_OF_A_SENTENCE.match(text):
        text = text[0].lower() + text[1:]

    sentence = fill(kind.value, text)
    return sentence.removesuffix(".") if sentence.endswith("..") else sentence


def bare(option: str) -> str:
    """An option without spaces around it and a full stop at its end, but for an abbreviation's and where it is nothing else."""
    option = option.strip()
    return option if _ABBREVIATION.search(option) else option.rstrip(".") or option


# the rules, from what is sure to what is left

_ABBREVIATION = re.compile(r"\b[A-Za-z]\.[A-Za-z]\.$")
_ARTICLE_AS_OF_A_SENTENCE = re.compile(r"(?:An?|The|Some) [a-z]")
_TIME = re.compile(
    r"\d{1,2}(?::\d{2}){1,2}(?: ?[ap]\.?m\.?)?|\d{1,2} ?[ap]\.?m\.?|\d{1,2} o'clock|noon|midnight", re.IGNORECASE
)
_MONTH = rf"(?:{'|'.join(words.MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?"
_DATE = re.compile(
    rf"\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH},?(?: \d{{4}})?|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?|{_MONTH},? \d{{4}}"
    r"|\d{4}-\d{1,2}-\d{1,2}|\d{1,2}([/.])\d{1,2}\1\d{2,4}",
    re.IGNORECASE,
)
_DIGITS = r"[-+−]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)"
_NUMBER = re.compile(rf"{_DIGITS}(?:/\d+)?")
_RANGE = re.compile(rf"(?:{_DIGITS})(?: ?[-–] ?| to )(?:{_DIGITS})%?")
_MONEY = re.compile(rf"[$€£¥₹] ?{_DIGITS}(?: ?[a-z]+)?", re.IGNORECASE)
_UNIT = re.compile(rf"({_DIGITS}(?:/\d+)?) ?(\D.*)")
_SIGNS = re.compile(r'[=<>*^+|\\{}\[\]~@#$%&"“”„«»;:/?!\n]|--')
_WORD = re.compile(r"[^\W_]+(?:['’\-.][^\W_]+)*\.?")


def kind_of(option: str, siblings: Sequence[str] = ()) -> Kind:
    """What an option is; arguments as those of `claim`."""
    option, stops = bare(option), option.rstrip().endswith(".")
    small = option.casefold()
    if len(option) > _LONGEST or not any(map(str.isalnum, option)):
        return Kind.OTHER

    if re.fullmatch("[A-Za-z]", option):
        return Kind.LETTER

    if small in ("yes", "no", "true", "false"):
        return Kind.VERDICT

    found = _number_like(option, small)
    if found is not None:
        return found

    text = re.sub(r"\s*\([^()]*\)$", "", option.replace("_", " "))
    tokens = _WORD.findall(text)
    if not tokens or _SIGNS.search(text) or _ABBREVIATION.search(text) or _is_mixed(tokens):
        return Kind.OTHER

    if (language := _foreign(tokens)) is not None:
        return language

    if stops and tokens[0][0].isupper() and len(tokens) >= _SHORTEST_SENTENCE:
        return Kind.SENTENCE

    return _of_words(text, tokens, siblings)


def _number_like(option: str, small: str) -> Kind | None:
    if _TIME.fullmatch(option):
        return Kind.TIME

    if _DATE.fullmatch(option):
        return Kind.DATE

    if _NUMBER.fullmatch(option) or all(word in words.NUMBER_WORDS for word in re.split("[ -]", small)):
        return Kind.NUMBER

    if _RANGE.fullmatch(option) or _MONEY.fullmatch(option):
        return Kind.QUANTITY

    unit = _UNIT.fullmatch(small)
    return Kind.QUANTITY if unit and unit[2].strip() in words.UNITS else None


def _is_mixed(tokens: list[str]) -> bool:
    """Whether digits and letters stand in one word ("B12"), or a number stands where it counts nothing."""
    digits = [any(map(str.isdigit, token)) for token in tokens]
    counted = digits[0] and tokens[0].isdecimal() and len(tokens) > 1 and not any(digits[1:])
    return any(digits) and not counted


def _foreign(tokens: list[str]) -> Kind | None:
    """What a text in another language than English is: a name where all its words are capitalised."""
    letters = [letter for token in tokens for letter in token if letter.isalpha()]
    if not all(unicodedata.name(letter, "").startswith("LATIN ") for letter in letters):
        return Kind.OTHER

    foreign = [token for token in tokens if not token.isascii() and token.casefold() not in words.LOANWORDS]
    if any("’" not in token for token in foreign):
        return Kind.BARE if all(token[0].isupper() for token in tokens) else Kind.OTHER

    first = tokens[0].casefold()
    inner = {token for token in tokens[1:] if token in words.FOREIGN}
    if len(tokens) > 1 and ((first in words.FOREIGN and tokens[0].islower()) or (inner and tokens[0].islower())):
        return Kind.OTHER

    return None


def _of_words(text: str, tokens: list[str], siblings: Sequence[str]) -> Kind:
    small = [token.casefold().replace("’", "'") for token in tokens]
    if (sentence := _sentence(text, tokens, small)) is not None:
        return sentence

    if _is_fixed(" ".join(small), tokens, small):
        return Kind.OTHER

    if _is_quality(small, siblings):
        return Kind.QUALITY

    name = _name(text, tokens, small, siblings)
    if name is not None:
        return name

    if small[0] in words.DETERMINERS or tokens[0].isdecimal():
        return Kind.BARE if len(tokens) <= _LONGEST_PHRASE else Kind.OTHER

    return _noun_phrase(text, tokens, small)


_LONGEST_PHRASE = 6  # words
_SHORTEST_SENTENCE = 4
_LONGEST = 300  # characters; the patterns are not for more


def _sentence(text: str, tokens: list[str], small: list[str]) -> Kind | None:
    if small[0] in words.SUBORDINATORS:
        return Kind.OTHER

    if len(tokens) > 1 and small[0] in words.CONTRACTIONS:
        return Kind.SENTENCE

    verb = next((place for place, word in enumerate(small) if word in words.FINITE_VERBS), None)
    if verb:
        return Kind.SENTENCE

    if (verb == 0 and len(tokens) > 1) or len(tokens) > _LONGEST_PHRASE + 2:
        return Kind.OTHER

    return None


def _is_fixed(phrase: str, tokens: list[str], small: list[str]) -> bool:
    """Whether it is no noun phrase at all: "left", "none of the above", "under the table", "to eat", "quickly", "NASA"."""
    capitals = any(len(token) > 1 and token.isupper() and token.isalpha() for token in tokens)
    if phrase in words.FIXED or phrase.startswith(words.FIXED_STARTS):
        return True

    if small[0] in words.PREPOSITIONS or small[-1] in words.PREPOSITIONS:
        return True

    if capitals and (len(tokens) == 1 or all(token.isupper() for token in tokens)):
        return phrase not in words.PLACES_WITH_THE

    if len(tokens) == 1:
        return phrase.endswith("ly") and len(phrase) > 5 and not phrase.endswith(words.NOT_ADVERBS)

    return small[0] in words.VERBS and (small[1] in words.DETERMINERS | words.PREPOSITIONS or tokens[0].islower())


def _is_quality(small: list[str], siblings: Sequence[str]) -> bool:
    if small[-1] in words.SHADES or not all(map(_is_adjective, small)):
        return False

    if set(small) <= words.COLOURS_OR_NOUNS:  # a colour, unless it stands beside things
        others = [bare(other).casefold() for other in siblings if bare(other).casefold() not in small]
        return not others or any(other in words.COLOURS for other in others)

    return True


def _is_adjective(word: str) -> bool:
    if word in words.COLOURS | words.COLOURS_OR_NOUNS | words.SHADES | words.QUALITIES:
        return True

    return word.endswith(("ous", "less", "ful", "ed")) and len(word) > 4 and word not in words.NOUNS_LIKE_QUALITIES


_NAMES = words.PLACES | words.PLACES_OF_WORDS | words.PLACES_WITH_THE | words.BRANDS


def _name(text: str, tokens: list[str], small: list[str], siblings: Sequence[str]) -> Kind | None:
    """A proper name, which takes no article; None where it is none, or nobody can tell."""
    phrase = " ".join(small)
    capital = [token[0].isupper() for token in tokens]
    if phrase in _NAMES and (capital[0] or phrase not in words.NAMED_LIKE_THINGS):
        return Kind.BARE

    if not capital[0]:
        return None

    if small[-1].endswith("'s"):
        return Kind.BARE

    if len(tokens) > 1 and all(capital):
        titled = small[0].rstrip(".") in words.TITLES | words.FIRST_NAMES
        if titled or small[0] == "the" or re.match(r"[A-Z]\.", text) or phrase in words.FIRST_NAMES:
            return Kind.BARE

    if len(tokens) > 2 and capital[-1] and any(word in ("of", "the", "de", "von", "van", "da") for word in small[1:]):
        return Kind.BARE if small[0] in words.FIRST_NAMES else Kind.OTHER

    known = [bare(other).casefold() for other in siblings]
    names = any(other in _NAMES for other in known)
    return Kind.BARE if names and all(bare(other)[:1].isupper() for other in siblings) and all(capital) else None


def _noun_phrase(text: str, tokens: list[str], small: list[str]) -> Kind:
    if len(tokens) > _LONGEST_PHRASE or "," in text or {"and", "or"} & set(small):
        return Kind.OTHER

    if small[0].endswith("ing") and len(small[0]) > 4:
        if (kind := _activity(small)) is not None:
            return kind

    end = next((place for place, word in enumerate(small) if place and word in words.PREPOSITIONS), len(small))
    return Kind.BARE if _takes_no_article(small[end - 1]) else Kind.NOUN


def _activity(small: list[str]) -> Kind | None:
    """What a phrase is that begins with a word in -ing; None where that is a part of a noun."""
    if len(small) == 1:
        return Kind.BARE if small[0] not in words.ING_NOUNS or small[0] in words.GERUNDS else None

    if small[1] in words.DETERMINERS | words.PREPOSITIONS:
        return Kind.BARE

    is_noun = small[0] in words.ING_NOUNS and (small[0] not in words.GERUNDS or small[-1] in words.HEADS_AFTER_ING)
    return None if is_noun else Kind.OTHER


def _takes_no_article(head: str) -> bool:
    """Whether a noun is uncountable or plural."""
    head = head.rsplit("-", 1)[-1]
    if head in words.UNCOUNTABLE | words.PLURAL:
        return True

    if head.endswith("men"):
        return head not in words.NOT_MEN

    return head.endswith("s") and not head.endswith(("ss", "us", "is", "'s")) and head not in words.SINGULAR


# articles

_OPTION = re.compile(r"(?:\b([Aa])n?\s+)?\{option\}")
_OWN_ARTICLE = re.compile(r"(?:an?|the|some)\s", re.IGNORECASE)
_VOWEL_LETTER_CONSONANT_SOUND = re.compile(r"(?:uni(?![nmd])|u-|eu|ewe|use|usu|uten|u[bkrst][aeiou]|one\b|once\b)")
_SILENT_H = re.compile(r"(?:hour|honest|honou?r|heir)")
_SPOKEN_VOWEL = re.compile(r"(?:8\d*|1[18])(?!\d)|[aefhilmnorsx]\b")  # eight, eleven, eighteen; letters by name


def fill(template: str, option: str) -> str:
    """Put an option into a sentence.

    Args:
        template: holds `{option}`, maybe with "a" or "an" before it. Other braces are left alone.
        option: what to put there; loses a full stop at its end.

    Returns:
        The sentence, with the article that the option takes, or with none but the option's own.
    """
    option = bare(option)

    def put(match: re.Match[str]) -> str:
        if match[1] is None or _OWN_ARTICLE.match(option):
            return option

        return f"{match[1]}{'n' if _takes_an(option) else ''} {option}"

    return _OPTION.sub(put, template)


def _takes_an(option: str) -> bool:
    word = option.casefold()
    if _VOWEL_LETTER_CONSONANT_SOUND.match(word):
        return False

    return word[:1] in tuple("aeiou") or bool(_SILENT_H.match(word) or _SPOKEN_VOWEL.match(word))
