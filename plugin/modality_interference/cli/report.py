"""`modality-interference report`: the page of a run, or of several side by side."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .terminal import say


DESCRIPTION = """\
Build the page of a diagnosis, or compare several. A run is an output_dir with the files that a diagnosis wrote
(interference.json, interference_rows.jsonl). With one run its page and plots are built again. Several runs are shown
side by side, with their differences on the examples that they share. With --groups, runs that differ by their seed
alone are shown together: means, spreads over seeds, and tests over seeds."""
EXAMPLES = """\
modality-interference report saves/plugin -o page
modality-interference report saves/plugin -o page --model-card saves/plugin/README.md
modality-interference report saves/base saves/plain saves/plugin -o comparison --names base,plain,plugin
modality-interference report saves/plain_* saves/plugin_* -o seeds --groups plain,plain,plain,plugin,plugin,plugin"""


def run(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR", help="The output_dir of a run with a diagnosis.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder for the page.")],
    names: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Names of the runs.  [default: names of their folders]")
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(metavar="A,A,B,B,...", help="The group of each run, where runs differ by their seed alone."),
    ] = None,
    model_card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A model's card, such as its README.md, that gets the run's rates: a section and metadata.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Write the page and say where it is."""
    if model_card is not None and len(runs) > 1:
        raise ModalityInterferenceError("`--model-card` is for one run; name the run of the card's model only.")

    if groups is None:
        page = _write(runs, output, _run_names(names, len(runs)))
    elif names is None:
        from ..report.seeds import compare_groups

        page = compare_groups(runs, output, [name.strip() for name in groups.split(",")])
    else:
        raise ModalityInterferenceError("`--groups` names the groups, and their runs have no names; remove `--names`.")

    say(f"The page: {printable(str(page.resolve()))}")
    if model_card is not None:
        from ..report.model_card import update_card
        from ..results import read_diagnosis

        update_card(model_card, read_diagnosis(runs[0]))
        say(f"The card: {printable(str(model_card.resolve()))}")

    return 0


def _run_names(text: str | None, runs: int) -> list[str] | None:
    """The names in `--names`; None where it was not given."""
    if text is None:
        return None

    names = [name.strip() for name in text.split(",")]
    if runs == 1:
        raise ModalityInterferenceError("`--names` is for several runs; remove it, or name more than one RUN_DIR.")

    if len(names) != runs or not all(names) or len(set(names)) < runs:
        raise ModalityInterferenceError(
            f"`--names {text}` must give each of the {runs} runs a name of its own, such as `--names base,plain`."
        )

    return names


def _write(runs: list[Path], output: Path, names: list[str] | None) -> Path:
    """Write the page; returns its path."""
    if len(runs) > 1:
        from ..report.comparison import compare_runs

        return compare_runs(runs, output, names)

    from ..report.page import write_report
    from ..results import read_diagnosis, read_rows

    files = write_report(output, read_diagnosis(runs[0]), read_rows(runs[0]))
    return next(file for file in files if file.suffix == ".html")
