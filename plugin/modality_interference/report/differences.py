"""Paired differences between runs, and what can be claimed of them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ..evaluation.calibration import calibration_difference
from ..evaluation.rates import rate_table, sure_answers
from ..evaluation.statistics import (
    UnitSums,
    difference_p,
    mean_difference_p,
    mean_intervals,
    share_difference,
)
from ..modality import CLEAN
from ..results import HIGHER_IS_BETTER, Estimate, RateName, ScoredRow
from .compared import (
    SIGNIFICANCE,
    THRESHOLD,
    ComparedCondition,
    Difference,
    Headline,
    Verdict,
)


def pair(reference: Sequence[ScoredRow], other: Sequence[ScoredRow]) -> pd.DataFrame:
    """Match the rows of two runs by dataset, content and perturbation.

    Rows with the same content, repeated in a dataset, are matched in their order.

    Returns:
        a line per row that both runs scored, in the order of the reference: the columns of `rate_table` for the reference,
        and with `_other` for the other run.
    """
    on = ["dataset", "perturbation", "key", "repeat"]
    return _frame(reference).merge(_frame(other), on=on, suffixes=("", "_other"))


def _frame(rows: Sequence[ScoredRow]) -> pd.DataFrame:
    """A line per row, sorted by index; `repeat` counts earlier rows with the same content."""
    frame = rate_table(rows).sort_values("row", kind="stable")
    return frame.assign(repeat=frame.groupby(["dataset", "perturbation", "key"]).cumcount())


def differences(pairs: pd.DataFrame, rates: Sequence[RateName], seed: int) -> dict[RateName, Difference]:
    """The differences of those of `rates` that both runs have, not yet judged.

    Args:
        pairs: lines that `pair` made, of one condition.
        rates: any.
        seed: of the bootstrap.
    """
    units = pairs.unit.factorize()[0]
    found: dict[RateName, Difference] = {}
    for rate in rates:
        if rate == "ece":
            found |= _calibration_difference(pairs, seed)
            continue

        changes = (pairs[f"{rate}_other"] - pairs[rate]).to_numpy()
        present = changes == changes  # not nan
        if present.any():
            found[rate] = _difference(rate, UnitSums.of(changes[present], units[present]), seed)

    return found


def _calibration_difference(pairs: pd.DataFrame, seed: int) -> dict[RateName, Difference]:
    """Of the rows whose confidences both runs know."""
    both = pairs[pairs.confidence.notna() & pairs.confidence_other.notna()]
    units = pd.Index(both.unit.unique())
    reference, other = (sure_answers(both, units, run=run) for run in ("", "_other"))
    if reference is None or other is None:
        return {}

    (value, low, high), p = calibration_difference(reference, other, seed)
    return {"ece": Difference(value=value, low=low, high=high, examples=len(both), p=p)}


def _largest(rate: RateName) -> float:
    """The largest difference of a rate: an excess is between -1 and 1 itself."""
    return 2.0 if rate == "excess_misled_rate" else 1.0


def _difference(rate: RateName, sample: UnitSums, seed: int) -> Difference:
    if rate in ("causal_effect", "evidence_margin"):
        limits = (-1.0, 1.0) if rate == "causal_effect" else None
        (value, low, high), p = mean_intervals([sample], seed, limits)[0], mean_difference_p(sample)
    else:
        largest = _largest(rate)
        (value, low, high), p = share_difference(sample, largest), difference_p(sample)

    return Difference(value=value, low=low, high=high, examples=int(sample.rows), p=p)


def judged_together(*parts: Sequence[ComparedCondition]) -> list[list[ComparedCondition]]:
    """Give every difference its verdict: Holm's correction is over all conditions and rates of a run together.

    Args:
        parts: all that a page shows.
    """
    from statsmodels.stats.multitest import multipletests  # slow to import

    conditions = [condition for part in parts for condition in part]
    verdicts: dict[tuple[int, str, RateName], Difference] = {}
    for run in dict.fromkeys(name for condition in conditions for name in condition.figures):
        found = {
            (index, run, rate): difference
            for index, condition in enumerate(conditions)
            if run in condition.figures
            for rate, difference in condition.figures[run].differences.items()
        }
        if found:
            adjusted = multipletests([difference.p for difference in found.values()], SIGNIFICANCE, "holm")[1].tolist()
            verdicts |= {key: _judged(key[2], found[key], p) for key, p in zip(found, adjusted)}

    judged = iter([_with_verdicts(index, condition, verdicts) for index, condition in enumerate(conditions)])
    return [[next(judged) for _ in part] for part in parts]


def _judged(rate: RateName, difference: Difference, p_holm: float) -> Difference:
    verdict: Verdict = "unclear"
    if p_holm <= SIGNIFICANCE:
        verdict = "better" if (difference.value > 0) == (rate in HIGHER_IS_BETTER) else "worse"
        verdict = verdict if abs(difference.value) >= THRESHOLD else "negligible"

    return difference.model_copy(update={"p_holm": p_holm, "verdict": verdict})


def _with_verdicts(
    index: int, condition: ComparedCondition, verdicts: dict[tuple[int, str, RateName], Difference]
) -> ComparedCondition:
    figures = {
        run: rates.model_copy(update={"differences": {rate: verdicts[index, run, rate] for rate in rates.differences}})
        for run, rates in condition.figures.items()
    }
    return condition.model_copy(update={"figures": figures})


def headlines(table: pd.DataFrame, pairs: Mapping[str, pd.DataFrame], seed: int) -> list[Headline]:
    """A headline for each run.

    Args:
        table: the tidy tables of all runs, lines of all rows of each dataset.
        pairs: of each run but the reference, what `pair` made.
        seed: of the bootstrap.
    """
    runs = list(table.run.unique())
    whole = table[~(table.abstention | table.removed).astype(bool)]
    shared = whole[whole.groupby(["dataset", "perturbation", "rate"]).run.transform("nunique") == len(runs)]
    is_clean = shared.perturbation == CLEAN
    parts: dict[str, tuple[RateName, pd.DataFrame]] = {
        "clean_accuracy": ("accuracy", shared[is_clean & (shared.rate == "accuracy")]),
        "perturbed_accuracy": ("accuracy", shared[~is_clean & (shared.rate == "accuracy")]),
        "flip_rate": ("flip_rate", shared[shared.rate == "flip_rate"]),
        "excess_misled_rate": ("excess_misled_rate", shared[shared.rate == "excess_misled_rate"]),
    }
    found = []
    for run in runs:
        own = {name: lines[lines.run == run] for name, (_, lines) in parts.items()}
        perturbed = own["perturbed_accuracy"].reset_index(drop=True)
        worst = None if perturbed.empty else perturbed.loc[perturbed.value.idxmin()]
        compared = {
            name: _mean_difference(pairs[run], rate, own[name], seed)
            for name, (rate, _) in parts.items()
            if run in pairs and len(own[name])
        }
        found.append(
            Headline(
                run=run,
                worst_accuracy=None if worst is None else worst.value,
                worst=None if worst is None else (worst.dataset, worst.perturbation),
                differences={name: difference for name, difference in compared.items() if difference is not None},
                **{name: lines.value.mean() for name, lines in own.items() if len(lines)},
            )
        )

    return found


def _mean_difference(
    pairs: pd.DataFrame, rate: RateName, conditions: pd.DataFrame, seed: int
) -> Estimate[float] | None:
    """The difference of a mean over conditions with its BCa interval over units; None without a shared row."""
    on = ["dataset", "perturbation"]
    changes = pairs.assign(change=pairs[f"{rate}_other"] - pairs[rate]).merge(conditions[on], on=on)
    changes = changes[changes.change.notna()]
    if changes.empty:
        return None

    sizes = changes.groupby(on).change.transform("size")
    weights = (1 / sizes / (1 / sizes).sum()).to_numpy()
    sample = UnitSums.of(changes.change.to_numpy(), changes.unit.factorize()[0], weights=weights)
    largest = _largest(rate)
    value, low, high = mean_intervals([sample], seed, (-largest, largest))[0]
    return Estimate(value=value, low=low, high=high)
