"""`modality-interference diagnose`: from a model and a data file to a report, without a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .terminal import progress_bar, say, say_table


if TYPE_CHECKING:
    from rich.table import Table

    from ..integration.diagnose import DiagnosisPlan, LocalModel
    from ..results import Diagnosis

DESCRIPTION = """\
Measure whether a model's answers change because of inputs that should not matter. Every question is asked as it is,
and again with such an input, for instance a misleading sentence beside an image. Writes a page, its figures, and the
recipe with which `llamafactory-cli train` repeats the run."""
EXAMPLES = """\
modality-interference diagnose Qwen/Qwen2.5-VL-3B-Instruct my_data:pets -n 200
modality-interference diagnose saves/merged my_data:pets -o saves/pets --scoring generate"""


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder with a model, or a name on the hub.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="An entry of a dataset_info.json, as FOLDER:NAME.")],
    rows: Annotated[int, typer.Option("-n", min=1, metavar="ROWS", help="How many rows.")] = 200,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="For the report.  [default: saves/MODEL/NAME]"),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(metavar="PATH", help="A LoRA adapter of the model.", show_default=False)
    ] = None,
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="LLaMA-Factory's chat template.  [default: the model's]")
    ] = None,
    scoring: Annotated[
        Literal["likelihood", "generate"],
        typer.Option(help="Take the most likely option, or let the model write and look for an option in that."),
    ] = "likelihood",
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Rows at a time; their changed copies come on top.")
    ] = 4,
    media_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="From where paths of media start.  [default: the folder of the data]"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of every random choice.")] = 42,
) -> int:
    """Plan, run, and say what was found."""
    folder, separator, name = data.rpartition(":")
    if not separator or not Path(folder).is_dir():
        raise ModalityInterferenceError(f"`{data}` is no FOLDER:NAME with a dataset folder.")

    stem = Path(model.rstrip("/")).name
    output = Path("saves", stem, name) if output is None else output

    from ..integration.diagnose import DiagnosisPlan, LocalModel
    from ..integration.model_template import template_of

    plan = DiagnosisPlan(
        dataset_dir=Path(folder),
        datasets=(name,),
        media_dir=Path(folder) if media_dir is None else media_dir,
        max_samples=rows,
        seed=seed,
        scoring=scoring,
        output_dir=output,
    )
    if template is None:
        template, why = template_of(model)
        say(printable(f"Template: {template} ({why})"))

    _diagnose(plan, LocalModel(model, template, adapter, batch_size))
    return 0


def _diagnose(plan: "DiagnosisPlan", model: "LocalModel") -> None:
    """Let the model answer, and print what was found. The one place that knows who answers."""
    from ..integration.diagnose import RECIPE_FILE, diagnosis_recipe, run_recipe, write_recipe

    recipe = diagnosis_recipe(plan, model)
    write_recipe(plan.output_dir / RECIPE_FILE, recipe)
    with progress_bar("Asking the model") as show_progress:
        run_recipe(recipe, show_progress)

    _print_findings(plan.output_dir)


def _print_findings(folder: Path) -> None:
    from ..report.summary import diagnosis_summary
    from ..report.table import of_all, tidy_table
    from ..results import read_diagnosis

    diagnosis = read_diagnosis(folder)
    say()
    say_table(_rates(diagnosis))
    say()
    for sentence in diagnosis_summary(of_all(tidy_table(diagnosis))):
        say(printable(sentence.striptags()))

    for note in diagnosis.notes:
        say(printable(note))

    say(f"\nThe page: {printable(str((folder / 'interference.html').resolve()))}")


def _rates(diagnosis: "Diagnosis") -> "Table":
    """A line per dataset and perturbation, with the rates that people look at first."""
    from rich.table import Table

    from ..report.text import interval
    from ..results import RateName

    shown: dict[RateName, str] = {"accuracy": "accuracy", "flip_rate": "answers that change", "misled_rate": "misled"}
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("dataset", "perturbation", "rows"):
        table.add_column(title, justify="right" if title == "rows" else "left")

    for title in shown.values():
        table.add_column(title, justify="right")

    for dataset, result in diagnosis.datasets.items():
        for perturbation, figures in result.perturbations.items():
            rates = [interval(figures.rates[rate]) if rate in figures.rates else "" for rate in shown]
            table.add_row(printable(dataset), printable(perturbation), f"{figures.rows:,}", *rates)

    return table
