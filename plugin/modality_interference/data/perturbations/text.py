"""Perturbations of text: a distractor before the question, or noise after it."""

import random
import re
import string
from importlib import resources

from pydantic import Field, field_validator

from ...modality import Modality
from ..dataset import RawDataset, RowContext
from ..registry import Parameters, formats, register_perturbation
from ..sample import Sample, without_placeholders


MAX_SENTENCES = 32
MAX_LINES = 64
MAX_TOKENS = 500_000
OPTION = "{option}"
# Sentences for `unrelated_text`, written for this package, in several registers, one a line. None speaks of images, questions or
# their answers, and none holds a number, so that a sentence is a distractor and never a hint; a test keeps it so.
SENTENCES = tuple(filter(None, resources.files(__package__).joinpath("sentences.txt").read_text("utf-8").splitlines()))


class UnrelatedText(Parameters):
    """Parameters of `unrelated_text`.

    Attributes:
        sentences: how many sentences.
    """

    sentences: int = Field(1, ge=1, le=MAX_SENTENCES, description=f"a whole number from 1 to {MAX_SENTENCES}")


class TargetOption(Parameters):
    """Base of perturbations that name a wrong option, the target: the dataset must have options."""

    def check(self, dataset: RawDataset) -> None:
        """Look for options."""
        layout = formats()[dataset.formatting]
        if "choices" in layout.optional and "choices" not in dataset.columns:
            raise dataset.error(
                "a perturbation names a wrong option (`misleading_text`, `misleading_caption`), but the dataset names "
                "no options. Name its `choices` and `answer` in `columns`, or remove the perturbation."
            )


class MisleadingText(TargetOption):
    """Parameters of `misleading_text`.

    Attributes:
        template: the sentence; `{option}` stands for the wrong option, and "a" before it becomes "an" where it must.
            The default is the paper's (arXiv 2505.19616).
    """

    template: str = Field(
        "This picture seems to depict a {option}.",
        max_length=10_000,
        description="a text that holds {option} and no media placeholder",
    )

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str) -> str:
        if OPTION not in template or without_placeholders(template) != template:
            raise ValueError("not such a text")

        return template


class GivenText(Parameters):
    """`given_text` has no parameters, but needs a column."""

    def check(self, dataset: RawDataset) -> None:
        """Look for the column `distractors`."""
        if "distractors" not in dataset.columns:
            raise dataset.error(
                "`given_text` takes the dataset's own distractors, but `columns` names no `distractors`. Name the column, or "
                "use `unrelated_text`."
            )


class OcrText(Parameters):
    """Parameters of `ocr_text`.

    Attributes:
        lines: how many lines of the form.
    """

    lines: int = Field(6, ge=1, le=MAX_LINES, description=f"a whole number from 1 to {MAX_LINES}")


class LongContext(Parameters):
    """Parameters of `long_context`.

    Attributes:
        tokens: how many letters, each of which tokenizers make one token of; the default is MMA-Bench's (arXiv 2511.22826).
    """

    tokens: int = Field(10_000, ge=1, le=MAX_TOKENS, description=f"a whole number from 1 to {MAX_TOKENS:,}")


@register_perturbation("unrelated_text", changes=Modality.TEXT, parameters=UnrelatedText)
def unrelated_text(
    sample: Sample, rng: random.Random, context: RowContext, parameters: UnrelatedText
) -> Sample | None:
    """True but irrelevant sentences before the question."""
    return sample.before_question(" ".join(rng.sample(SENTENCES, parameters.sentences)))


@register_perturbation("misleading_text", changes=Modality.TEXT, parameters=MisleadingText)
def misleading_text(
    sample: Sample, rng: random.Random, context: RowContext, parameters: MisleadingText
) -> Sample | None:
    """A sentence that claims a wrong option."""
    return _claim_wrong_option(sample, rng, parameters.template)


@register_perturbation("misleading_caption", changes=Modality.TEXT, parameters=TargetOption)
def misleading_caption(
    sample: Sample, rng: random.Random, context: RowContext, parameters: TargetOption
) -> Sample | None:
    """A caption with a wrong class before the question, in MMA-Bench's words (arXiv 2511.22826)."""
    return _claim_wrong_option(sample, rng, f"Video_caption: {OPTION}.")


@register_perturbation("given_text", changes=Modality.TEXT, parameters=GivenText)
def given_text(sample: Sample, rng: random.Random, context: RowContext, parameters: GivenText) -> Sample | None:
    """One of the distractors that the dataset brings."""
    return sample.before_question(rng.choice(sample.distractors)) if sample.distractors else None


@register_perturbation("ocr_text", changes=Modality.TEXT, parameters=OcrText)
def ocr_text(sample: Sample, rng: random.Random, context: RowContext, parameters: OcrText) -> Sample | None:
    """A scanned form, misread (out of distribution: meant for diagnosis, not for training)."""
    return sample.before_question(_scanned_form(rng, parameters.lines))


@register_perturbation("long_context", changes=Modality.TEXT, parameters=LongContext)
def long_context(sample: Sample, rng: random.Random, context: RowContext, parameters: LongContext) -> Sample | None:
    """Random small letters with spaces between them after the question."""
    return sample.after_question(" ".join(rng.choices(string.ascii_lowercase, k=parameters.tokens)))


def _claim_wrong_option(sample: Sample, rng: random.Random, template: str) -> Sample | None:
    """The sample with a sentence before the question that names a wrong option, drawn at random."""
    wrong = sample.wrong_choices
    target = rng.choice(wrong) if wrong else None
    twin = sample.before_question(fill(template, target)) if target is not None else None
    return twin.changed(target=target) if twin is not None else None


_OPTION = re.compile(r"(?:\b([Aa])n?\s+)?\{option\}")
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


# `ocr_text`: text as a scanner reads it from a form, fields and values with misread letters

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


def _scanned_form(rng: random.Random, lines: int) -> str:
    """A random form of so many lines, misread."""
    return "\n".join(_misread(rng, _line(rng)) for _ in range(lines))


def _line(rng: random.Random) -> str:
    words = " ".join(rng.sample(_WORDS, rng.randint(1, 3)))
    number = f"{rng.randrange(10**5):05d}-{rng.randrange(100):02d}"
    return f"{rng.choice(_FIELDS)}: {rng.choice((words, number, f'{words} {number}'))}"


def _misread(rng: random.Random, line: str) -> str:
    return "".join(_misread_character(rng, character) for character in line)


def _misread_character(rng: random.Random, character: str) -> str:
    if character == " ":
        return "" if rng.random() < _LOST_SPACE_RATE else " "

    if character in _MISREAD and rng.random() < _MISREAD_RATE:
        return _MISREAD[character]

    return character + rng.choice(_SPECKS) if rng.random() < _SPECK_RATE else character
