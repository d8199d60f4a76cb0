"""A diagnosis as a flat list: one condition per dataset and perturbation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..diagnose.results import Diagnosis, Rate, RateName
from ..modality import CLEAN


RATE_TITLES: dict[RateName, str] = {
    "accuracy": "Accuracy",
    "flip_rate": "Flip rate",
    "causal_effect": "Causal effect",
    "misled_rate": "Misled rate",
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
    """

    dataset: str
    kind: str
    perturbation: str
    rows: int
    rates: Mapping[RateName, Rate]
    clean: Mapping[RateName, Rate]

    @property
    def name(self) -> tuple[str, str]:
        """Dataset and perturbation."""
        return self.dataset, self.perturbation

    @property
    def is_clean(self) -> bool:
        """Whether these are the dataset's clean rows."""
        return self.perturbation == CLEAN


def conditions(diagnosis: Diagnosis) -> list[Condition]:
    """All of a diagnosis, in its order."""
    found = []
    for dataset, result in diagnosis.datasets.items():
        clean = result.perturbations.get(CLEAN)
        found += [
            Condition(dataset, result.kind, perturbation, figures.rows, figures.rates, clean.rates if clean else {})
            for perturbation, figures in result.perturbations.items()
        ]

    return found


def rates_present(found: Sequence[Condition]) -> list[RateName]:
    """The rates that any condition has, in the order in which pages show them."""
    return [rate for rate in RATE_TITLES if any(rate in condition.rates for condition in found)]
