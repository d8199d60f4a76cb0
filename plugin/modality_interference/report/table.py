"""A diagnosis as a table: one condition per dataset and perturbation, and per prompt where there are clips.

Prompts and conditions have the names of arXiv 2511.22826.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..modality import CLEAN, Modality
from ..results import Diagnosis, PerturbationResult, Rate, RateName


PROMPTS: dict[str, str] = {Modality.VIDEO: "visual", Modality.AUDIO: "audio"}  # by the kind of the rows
ALIGNED = "aligned"
REMOVED = "asked modality removed"
_TITLES = {  # in the order of the pages
    CLEAN: ALIGNED,
    "swapped_video": "misaligned",
    "swapped_audio": "misaligned",
    "black_frames": "other modality removed",
    "silence": "other modality removed",
    "misleading_caption": "misleading caption",
    "long_context": "long context",
}
_NUMBERED = re.compile(r"(.+?)_(\d+)")  # the label of a perturbation that is not the first of its name


def condition_title(perturbation: str, removed: bool = False) -> str:
    """The paper's name of a condition; the perturbation's own label where it is none of the paper's.

    Args:
        perturbation: its label.
        removed: whether the modality that is asked for was taken away from the rows.
    """
    numbered = _NUMBERED.fullmatch(perturbation)
    if perturbation not in _TITLES and numbered and numbered[1] in _TITLES:
        title = f"{_TITLES[numbered[1]]} {numbered[2]}"
    else:
        title = _TITLES.get(perturbation, perturbation)

    if not removed:
        return title

    return REMOVED if perturbation == CLEAN else f"{title}, {REMOVED}"


def condition_order(title: str) -> int:
    """Position of a condition among others: the paper's in its order, then all others."""
    order = list(dict.fromkeys(_TITLES.values()))
    return order.index(title) if title in order else len(order)


ConditionName = tuple[str, str]  # dataset and perturbation
RATE_TITLES: dict[RateName, str] = {
    "accuracy": "Accuracy",
    "flip_rate": "Flip rate",
    "causal_effect": "Causal effect",
    "misled_rate": "Misled rate",
    "other_modality_rate": "Other modality",
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
            found += sorted(members, key=lambda condition: condition_order(condition.title))

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


@dataclass(frozen=True)
class PromptLine:
    """One line of the table.

    Attributes:
        dataset: its name.
        title: of the condition.
        conditions: by prompt, those that the diagnosis has.
    """

    dataset: str
    title: str
    conditions: dict[str, Condition]


def prompt_lines(found: Sequence[Condition]) -> list[PromptLine]:
    """The lines of the table, those of a dataset together.

    Args:
        found: what `prompt_conditions` lists.
    """
    cells: dict[str, dict[str, dict[str, Condition]]] = {}
    for condition in found:
        cells.setdefault(condition.dataset, {}).setdefault(condition.title, {})[condition.prompt] = condition

    return [
        PromptLine(dataset, title, lines[title])
        for dataset, lines in cells.items()
        for title in sorted(lines, key=condition_order)
    ]
