"""One scored answer, and the rates that answers have a share in."""

import re
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from ..modality import CLEAN


ROUNDING = 1e-6
MOST = 10**12  # of any count; Python's numbers out of a file know no end
RateName = Literal[
    "accuracy",
    "accuracy_norm",
    "flip_rate",
    "causal_effect",
    "misled_rate",
    "other_modality_rate",
    "excess_misled_rate",
    "ece",
    "abstention_rate",
    "false_abstention_rate",
    "unparsable_rate",
    "unchanged_rate",
    "confidence",
    "evidence_margin",
]
COUNTERFACTUAL_RATES: tuple[RateName, ...] = (
    "unchanged_rate",
    "accuracy",
    "confidence",
    "ece",
    "evidence_margin",
    "abstention_rate",
)
RATES: tuple[RateName, ...] = tuple(  # of clean rows and twins
    name for name in get_args(RateName) if name not in ("unchanged_rate", "confidence", "evidence_margin")
)
HIGHER_IS_BETTER: tuple[RateName, ...] = (
    "accuracy",
    "accuracy_norm",
    "abstention_rate",
    "evidence_margin",
)  # of all other rates, less is better
_SWAPPED = re.compile(r"swapped_(video|audio)(_\d+)?")  # labels; a number where it is not the first of its name


class Result(BaseModel):
    """Base of all results: immutable, finite numbers; unknown keys of later releases are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class ScoredRow(Result):
    """One answer of the model, to a clean row, to a twin or to a counterfactual row.

    Attributes:
        dataset: name in `dataset_info.json`.
        row: the row's index in the dataset.
        key: identity of the row's content; runs are compared on rows with the same key.
        kind: what the answer depends on, a name that `batch_mix` knows.
        perturbation: its label, `clean` for the clean row.
        answer: the model's, an option's text where the row has options; None where it could not be parsed.
        correct: whether it is the right one.
        correct_norm: whether the option with the highest likelihood divided by its length is the right one; None where
            options are not scored by likelihood.
        flipped: whether it differs from the answer to the clean row; None for clean rows.
        causal_effect: Jensen-Shannon divergence between the answer distributions of the clean row and of this one, in
            bits; None for clean rows, and where answers are generated.
        misled: whether it is the target option, the wrong option that the perturbation names; None where it names none.
            The target option of another clip's frames or audio is that clip's class; that of a clean row is the class of
            the modality that is not asked about, where the clip itself shows one thing and sounds like another.
        clean_misled: whether the clean row's free answer is the target, too; None where the answer is an option's text, which
            tells it, and where the perturbation claims nothing.
        clip: the row of the data, where it is asked several questions; None where the row is one itself.
        options: how many options the question offers; None where the answer is free.
        right: the right answer, an option's text where the row has options.
        target: the target option's text; of a free answer the wrong answer that the perturbation claims.
        family: the family of texts that the perturbation took its words from; None where it has no families.
        abstention: the option that says that one cannot tell; None where none is offered.
        removed: whether black frames or silence are in place of what the answer depends on; None where they are not.
        options_unread: true where the row has options and is scored as a free answer, as its response is a sentence.
        medium: the name of the row's first file; None where it has none.
        confidence: the probability of the answer among the options; None where they are not scored by likelihood.
        evidence_margin: of a counterfactual row that is scored by likelihood, the right answer's mean log-probability per token
            after the clean row less that after this one, in nats; None for all other rows.
        response: what the model wrote, as it wrote it; None where answers are scored by likelihood.
    """

    dataset: str
    row: int
    key: int
    kind: str
    perturbation: str
    correct: bool
    answer: str | None = None
    correct_norm: bool | None = None
    flipped: bool | None = None
    causal_effect: float | None = Field(default=None, ge=-ROUNDING, le=1 + ROUNDING)
    misled: bool | None = None
    clean_misled: bool | None = None
    clip: int | None = None
    options: int | None = Field(default=None, ge=0, le=MOST)
    right: str | None = None
    target: str | None = None
    family: str | None = None
    response: str | None = None
    abstention: str | None = None
    removed: bool | None = None
    options_unread: bool | None = None
    medium: str | None = None
    confidence: float | None = Field(default=None, ge=-ROUNDING, le=1 + ROUNDING)
    evidence_margin: float | None = None

    @property
    def abstained(self) -> bool | None:
        """Whether the answer is that one cannot tell; None where that is not offered."""
        return None if self.abstention is None else self.answer == self.abstention

    @property
    def unchanged(self) -> bool | None:
        """Whether it is the clean row's answer, which both rows gave; None for clean rows."""
        return None if self.flipped is None else self.answer is not None and not self.flipped

    @property
    def unit(self) -> tuple[str, int]:
        """What is drawn independently, the unit of all statistics: the example; of clips the clip, whatever it is asked."""
        return self.dataset, self.row if self.clip is None else self.clip

    @property
    def identity(self) -> tuple[str, int, str]:
        """What distinguishes the row from all others of a run."""
        return self.dataset, self.row, self.perturbation

    @property
    def is_misaligned(self) -> bool:
        """Whether frames and audio are of different classes: another clip's in place of the row's own, or a clip's as it is."""
        return is_misaligned(self.perturbation, self.misled is not None)

    @property
    def shares(self) -> dict[RateName, float | bool | None]:
        """The row's share in every rate that it tells alone, None where it has none."""
        return {
            "accuracy": self.correct,
            "accuracy_norm": self.correct_norm,
            "flip_rate": self.flipped,
            "causal_effect": self.causal_effect,
            "misled_rate": None if self.is_misaligned else self.misled,
            "other_modality_rate": self.misled if self.is_misaligned else None,
            "abstention_rate": self.abstained if self.right == self.abstention else None,
            "false_abstention_rate": self.abstained if self.right != self.abstention else None,
            "unparsable_rate": self.answer is None,
        }


def is_misaligned(perturbation: str, has_target: bool) -> bool:
    """Whether a row's frames and audio are of different classes.

    Args:
        perturbation: its label.
        has_target: whether it has a target option. A clean row has one where the clip itself shows one thing and sounds like
            another.
    """
    return _SWAPPED.fullmatch(perturbation) is not None or (perturbation == CLEAN and has_target)
