"""A word in a sentence: which article stands before it."""

import re


_PLACE = re.compile(r"(?:\b([Aa])n?\s+)?\{option\}")
_OWN_ARTICLE = re.compile(r"(?:an?|the|some)\s", re.IGNORECASE)
_VOWEL_LETTER_CONSONANT_SOUND = re.compile(r"(?:uni(?![nm])|eu|ewe|use|usu|uten|u[bkrst][aeiou]|one\b|once\b)")
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
    option = option.strip().rstrip(".")

    def place(match: re.Match[str]) -> str:
        if match[1] is None or _OWN_ARTICLE.match(option):
            return option

        return f"{match[1]}{'n' if _takes_an(option) else ''} {option}"

    return _PLACE.sub(place, template)


def _takes_an(option: str) -> bool:
    word = option.casefold()
    if _VOWEL_LETTER_CONSONANT_SOUND.match(word):
        return False

    return word[:1] in tuple("aeiou") or bool(_SILENT_H.match(word) or _SPOKEN_VOWEL.match(word))
