"""A diagnosis as a flat list: one condition per dataset and perturbation, and per prompt where there are clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..diagnose.results import Diagnosis, PerturbationResult, Rate, RateName
from ..modality import CLEAN
from .prompts import PROMPTS, condition_title, place


RATE_TITLES: dict[RateName, str] = {
    "accuracy": "Accuracy",
    "flip_rate": "Flip rate",
    "causal_effect": "Causal effect",
    "misled_rate": "Misled rate",
    "followed_other_sense_rate": "Followed other sense",
    "abstention_rate": "Abstention",
    "unparsable_rate": "Unparsable",
}


@dataclass(frozen=True)
class Condition:
    """One dataset under one perturbation.

    Attributes:
        dataset: its name.
        kind: what its answers depend on.
        perturbation: its label, `clean` for the clean rows.
        rows: how many were scored.
        rates: the figures that apply.
        clean: the figures of the dataset's clean rows; empty where there are none.
        prompt: the kind of the only rows that are meant, one of `PROMPTS`; "" for all.
    """

    dataset: str
    kind: str
    perturbation: str
    rows: int
    rates: Mapping[RateName, Rate]
    clean: Mapping[RateName, Rate]
    prompt: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """Dataset and perturbation."""
        return self.dataset, self.perturbation

    @property
    def title(self) -> str:
        """What the paper on clips calls it."""
        return condition_title(self.perturbation, self.is_abstention)

    @property
    def is_abstention(self) -> bool:
        """Whether the right answer is "cannot tell"."""
        return "abstention_rate" in self.rates

    @property
    def is_clean(self) -> bool:
        """Whether these are the dataset's clean rows."""
        return self.perturbation == CLEAN


def conditions(diagnosis: Diagnosis) -> list[Condition]:
    """All of a diagnosis, in its order."""
    return [
        condition
        for dataset, result in diagnosis.datasets.items()
        for condition in _conditions(dataset, result.kind, result.perturbations)
    ]


def prompt_conditions(diagnosis: Diagnosis) -> list[Condition]:
    """The figures of datasets of clips, the questions about what is seen and about what is heard apart."""
    found = []
    for dataset, result in diagnosis.datasets.items():
        kinds = result.kinds or {result.kind: result.perturbations}
        for prompt in PROMPTS:
            members = _conditions(dataset, prompt, kinds.get(prompt, {}), prompt)
            found += sorted(members, key=lambda condition: place(condition.title))

    return found


def _conditions(
    dataset: str, kind: str, results: Mapping[str, PerturbationResult], prompt: str = ""
) -> list[Condition]:
    clean = results.get(CLEAN)
    return [
        Condition(dataset, kind, perturbation, figures.rows, figures.rates, clean.rates if clean else {}, prompt)
        for perturbation, figures in results.items()
    ]


def rates_present(found: Sequence[Condition]) -> list[RateName]:
    """The rates that any condition has, in the order in which pages show them."""
    return [rate for rate in RATE_TITLES if any(rate in condition.rates for condition in found)]
