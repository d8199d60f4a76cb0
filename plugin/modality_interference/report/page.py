"""The report of one diagnosis: a page and its plots."""

from collections.abc import Sequence
from pathlib import Path

from ..diagnose.results import Diagnosis, ScoredRow, write_bytes, write_text
from .attention_plots import CONTRASTS_FILE, SHARES_FILE, attention_plots
from .conditions import RATE_TITLES, conditions, prompt_conditions, rates_present
from .gallery import exhibit
from .plots import EFFECTS_FILE, PROFILES_FILE, Plot, effects_plot, profiles_plot, radar_plot, rates_plot
from .prompt_table import prompt_lines
from .prompts import PROMPTS
from .provenance import described, moment
from .render import render
from .summary import summary


HTML_FILE = "interference.html"


def write_report(folder: Path, diagnosis: Diagnosis, rows: Sequence[ScoredRow]) -> list[Path]:
    """Write `interference.html`, which needs no other file, and the plots as PNGs; each at once or not at all.

    Args:
        folder: where to, the run's output_dir.
        diagnosis: the figures.
        rows: the answers behind them.

    Returns:
        the files.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    found = conditions(diagnosis)
    whole = [radar_plot(found), rates_plot(found)] if rates_present(found) else []
    plots = [plot for plot in (profiles_plot(prompt_conditions(diagnosis)), *whole, effects_plot(rows)) if plot]
    plots += attention_plots(diagnosis.attention)
    for plot in plots:
        write_bytes(folder / plot.file_name, plot.picture.light)

    page = folder / HTML_FILE
    write_text(page, _page(diagnosis, plots))
    for name in {PROFILES_FILE, EFFECTS_FILE, SHARES_FILE, CONTRASTS_FILE} - {plot.file_name for plot in plots}:
        (folder / name).unlink(missing_ok=True)  # an earlier diagnosis's would contradict the page

    return [page, *(folder / plot.file_name for plot in plots)]


def _page(diagnosis: Diagnosis, plots: Sequence[Plot]) -> str:
    found = conditions(diagnosis)
    return render(
        "interference.html.j2",
        diagnosis=diagnosis,
        model=described(diagnosis.model).get("name_or_path", "a model"),
        created=moment(diagnosis.created),
        summary=summary(found),
        plots=plots,
        conditions=found,
        prompts=PROMPTS,
        prompt_lines=prompt_lines(prompt_conditions(diagnosis)),
        datasets=list(diagnosis.datasets),
        perturbations=list(dict.fromkeys(condition.perturbation for condition in found)),
        rates=rates_present(found),
        rate_titles=RATE_TITLES,
        gallery=[exhibit(flip) for flip in diagnosis.gallery],
        origin=_origin(diagnosis),
    )


def _origin(diagnosis: Diagnosis) -> list[tuple[str, dict[str, str]]]:
    run = {**diagnosis.run, "seed": diagnosis.seed, "scoring": diagnosis.scoring, "resamples": diagnosis.resamples}
    parts = {"Model": diagnosis.model, "Data": diagnosis.data, "Run": run, "Versions": diagnosis.versions}
    return [(title, described(values)) for title, values in parts.items()]
