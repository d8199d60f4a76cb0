"""Counterfactual rows of several runs: how many answers stay without their evidence, and paired differences to the reference."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ..evaluation.statistics import UnitSums, difference_p, share_difference
from ..results import Diagnosis, ScoredRow
from .differences import SIGNIFICANCE, ComparedEvidence, Difference, RunEvidence, judged


def compared_evidence(
    diagnoses: Mapping[str, Diagnosis], rows: Mapping[str, Sequence[ScoredRow]]
) -> list[ComparedEvidence]:
    """The unchanged rates of all runs, judged: Holm's correction is over those of a run together. Less is better.

    Args:
        diagnoses: by run, the reference first.
        rows: by run, the answers to its counterfactual rows.
    """
    names = list(diagnoses)
    conditions: dict[tuple[str, str], dict[str, RunEvidence]] = defaultdict(dict)
    found = {name: _differences(rows[names[0]], rows[name]) for name in names[1:]}
    for name, diagnosis in diagnoses.items():
        verdicts = _judged(found.get(name, {}))
        for dataset, result in diagnosis.datasets.items():
            for label, own in result.counterfactuals.items():
                if "unchanged_rate" in own.rates:
                    conditions[dataset, label][name] = RunEvidence(
                        rows=own.rows,
                        unchanged_rate=own.rates["unchanged_rate"],
                        difference=verdicts.get((dataset, label)),
                    )

    return [ComparedEvidence(dataset=name[0], perturbation=name[1], figures=own) for name, own in conditions.items()]


def _differences(reference: Sequence[ScoredRow], other: Sequence[ScoredRow]) -> dict[tuple[str, str], Difference]:
    """Of each dataset and label the difference of the unchanged rates, of the rows that both runs scored."""
    theirs, changes = _by_content(other), defaultdict(list)
    for identity, row in _by_content(reference).items():
        if identity in theirs:
            change = float(bool(theirs[identity].unchanged)) - float(bool(row.unchanged))
            changes[row.dataset, row.perturbation].append((change, row.unit))

    found = {}
    for name, pairs in changes.items():
        units = {unit: index for index, unit in enumerate(dict.fromkeys(unit for _, unit in pairs))}
        values = np.array([change for change, _ in pairs])
        sample = UnitSums.of(values, np.array([units[unit] for _, unit in pairs], dtype=np.intp))
        value, low, high = share_difference(sample)
        found[name] = Difference(value=value, low=low, high=high, examples=len(pairs), p=difference_p(sample))

    return found


def _by_content(rows: Sequence[ScoredRow]) -> dict[tuple[str, str, int, int], ScoredRow]:
    """Rows by dataset, label and content; those with the same content are numbered in their order."""
    seen: Counter[tuple[str, str, int]] = Counter()
    found = {}
    for row in sorted(rows, key=lambda row: row.row):
        content = (row.dataset, row.perturbation, row.key)
        found[*content, seen[content]] = row
        seen[content] += 1

    return found


def _judged(found: dict[tuple[str, str], Difference]) -> dict[tuple[str, str], Difference]:
    from statsmodels.stats.multitest import multipletests  # slow to import

    if not found:
        return {}

    adjusted = multipletests([difference.p for difference in found.values()], SIGNIFICANCE, "holm")[1].tolist()
    return {name: judged("unchanged_rate", found[name], p) for name, p in zip(found, adjusted)}
