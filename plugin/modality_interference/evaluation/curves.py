"""The rates of a run's evaluations, step by step, out of the Trainer's log."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..results import CURVE_RATES, CurvePoint, Curves, ScoredRow


def curves_of(log_history: Sequence[Mapping[str, Any]], rows: Iterable[ScoredRow], prefix: str = "eval") -> Curves:
    """The rates by dataset and perturbation, those that the log has, with Wilson intervals.

    The log holds values alone. The intervals take them as shares of as many examples (of clips: clips) as the latest
    evaluation scored: every evaluation of a run scores the same ones.

    Args:
        log_history: of the Trainer's state, entries with `step` and `<prefix>_<dataset>_<perturbation>_<rate>`. Of two
            evaluations after the same step, the last counts.
        rows: of the latest evaluation. The metrics' names alone do not tell its datasets and perturbations, as both may
            hold underscores.
        prefix: of the metrics.
    """
    units: dict[tuple[str, str], set[Any]] = {}
    for row in rows:
        units.setdefault((row.dataset, row.perturbation), set()).add(row.unit)

    found: Curves = {}
    for (dataset, perturbation), own in units.items():
        for rate in CURVE_RATES:
            metric = f"{prefix}_{dataset}_{perturbation}_{rate}"
            values = {entry["step"]: entry[metric] for entry in log_history if metric in entry}
            if values:
                points = [_point(step, value, len(own)) for step, value in sorted(values.items())]
                found.setdefault(dataset, {}).setdefault(perturbation, {})[rate] = points

    return found


def _point(step: int, value: float, units: int) -> CurvePoint:
    from statsmodels.stats.proportion import proportion_confint  # its import takes a second

    low, high = proportion_confint(value * units, units, method="wilson")
    return CurvePoint(step=step, value=value, low=min(low, value), high=max(high, value))
