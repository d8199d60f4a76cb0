"""The page of a comparison."""

from collections.abc import Sequence

from .comparison import Comparison, Run, verdict
from .comparison_summary import comparison_summary
from .conditions import RATE_TITLES
from .plots import Plot
from .prompts import PROMPTS
from .provenance import moment
from .render import render


def comparison_page(comparison: Comparison, plots: Sequence[Plot]) -> str:
    """Fill `comparison.html.j2`."""
    found = comparison.conditions
    return render(
        "comparison.html.j2",
        comparison=comparison,
        summary=comparison_summary(comparison),
        plots=plots,
        datasets=list(dict.fromkeys(condition.dataset for condition in found)),
        perturbations=list(dict.fromkeys(condition.perturbation for condition in found)),
        prompts=PROMPTS,
        rates=comparison.rates,
        rate_titles=RATE_TITLES,
        verdict=verdict,
        origin=[(run.name, _origin(run)) for run in comparison.runs],
    )


def _origin(run: Run) -> dict[str, str]:
    return {
        "folder": run.folder,
        "diagnosed": moment(run.created),
        "seed": str(run.seed),
        "scoring": run.scoring,
        **run.model,
    }
