"""Perturbations of text: a distractor beside the question, or noise after it."""

import random
import string
from importlib import resources

from pydantic import Field, field_validator

from ...modality import Modality
from ..dataset import RawDataset, RowContext
from ..registry import Parameters, register_perturbation
from ..sample import Sample, without_placeholders
from .claims import OPTION, bare, claim, fill
from .ocr import scanned_form
from .placement import place
from .registers import TextRegister, draw_family, word
from .targets import TargetAnswer, TargetOption, draw_target


MAX_SENTENCES = 32
MAX_LINES = 64
MAX_TOKENS = 500_000
# Sentences for `unrelated_text`, written for this package, in several registers, one a line. None speaks of images, questions or
# their answers, and none holds a number, so that a sentence is a distractor and never a hint; a test keeps it so.
SENTENCES = tuple(filter(None, resources.files(__package__).joinpath("sentences.txt").read_text("utf-8").splitlines()))


class UnrelatedText(TextRegister):
    """Parameters of `unrelated_text`.

    Attributes:
        sentences: how many sentences.
    """

    sentences: int = Field(1, ge=1, le=MAX_SENTENCES, description=f"a whole number from 1 to {MAX_SENTENCES}")


class MisleadingText(TextRegister, TargetAnswer):
    """Parameters of `misleading_text`.

    Attributes:
        template: the sentence of every claim; `{option}` stands for the wrong option, and "a" before it becomes "an" where it
            must. None for a sentence that fits the option, see `claims`: of nouns the paper's (arXiv 2505.19616).
    """

    template: str | None = Field(
        None,
        max_length=10_000,
        description="a text that holds {option} and no media placeholder",
    )

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str | None) -> str | None:
        if template is not None and (OPTION not in template or without_placeholders(template) != template):
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
    """True but irrelevant sentences beside the question."""
    sentences = " ".join(rng.sample(SENTENCES, parameters.sentences))
    family = draw_family(parameters.families, rng)
    twin = place(sample, word(family, rng, sentences), parameters.positions, rng)
    return twin.changed(family=family) if twin is not None else None


@register_perturbation("misleading_text", changes=Modality.TEXT, parameters=MisleadingText)
def misleading_text(
    sample: Sample, rng: random.Random, context: RowContext, parameters: MisleadingText
) -> Sample | None:
    """A sentence that claims a wrong option; of a row without options, a wrong answer."""
    target = draw_target(sample, rng, context, parameters.answers)
    if target is None:
        return None

    template = parameters.template
    sentence = claim(target, sample.choices or ()) if template is None else fill(template, target)
    family = draw_family(parameters.families, rng)
    twin = place(sample, word(family, rng, sentence, target), parameters.positions, rng)
    return twin.changed(target=target, family=family) if twin is not None else None


@register_perturbation("misleading_caption", changes=Modality.TEXT, parameters=TargetOption)
def misleading_caption(
    sample: Sample, rng: random.Random, context: RowContext, parameters: TargetOption
) -> Sample | None:
    """A caption with a wrong class before the question, in MMA-Bench's words (arXiv 2511.22826)."""
    target = draw_target(sample, rng, context) if sample.choices is not None else None
    twin = sample.before_question(f"Video_caption: {bare(target)}.") if target is not None else None
    return twin.changed(target=target) if twin is not None else None


@register_perturbation("given_text", changes=Modality.TEXT, parameters=GivenText)
def given_text(sample: Sample, rng: random.Random, context: RowContext, parameters: GivenText) -> Sample | None:
    """One of the distractors that the dataset brings."""
    return sample.before_question(rng.choice(sample.distractors)) if sample.distractors else None


@register_perturbation("ocr_text", changes=Modality.TEXT, parameters=OcrText)
def ocr_text(sample: Sample, rng: random.Random, context: RowContext, parameters: OcrText) -> Sample | None:
    """A scanned form, misread (out of distribution: meant for diagnosis, not for training)."""
    return sample.before_question(scanned_form(rng, parameters.lines))


@register_perturbation("long_context", changes=Modality.TEXT, parameters=LongContext)
def long_context(sample: Sample, rng: random.Random, context: RowContext, parameters: LongContext) -> Sample | None:
    """Random small letters with spaces between them after the question."""
    return sample.after_question(" ".join(rng.choices(string.ascii_lowercase, k=parameters.tokens)))
