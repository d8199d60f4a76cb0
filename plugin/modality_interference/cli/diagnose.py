"""`modality-interference diagnose`: from a model and a data file to a report, without a recipe."""

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from . import endpoint as served
from .recognised import Counterfactuals, Perturbations, Relevant, Yes, confirm, parsed_perturbations, parsed_relevant
from .terminal import progress_bar, say, say_table


if TYPE_CHECKING:
    from rich.table import Table

    from ..integration.diagnose import DiagnosisPlan, LocalModel
    from ..integration.prepare import OpenData
    from ..modality import Modality
    from ..results import Diagnosis

DESCRIPTION = """\
Measure whether a model's answers change because of inputs that should not matter. Every question is asked as it is,
and again with such an input, for instance a misleading sentence beside an image. Writes a page and its figures into
DIR, with the data and the recipe with which `llamafactory-cli train` repeats the run. DATA may be a file of questions
with right answers: its columns are recognised by their names, shown, and confirmed."""
EXAMPLES = """\
modality-interference diagnose Qwen/Qwen2.5-VL-3B-Instruct pets.jsonl --relevant image
modality-interference diagnose saves/merged MMBench_DEV_EN.tsv --relevant image -n 500 --perturb misleading_text
modality-interference diagnose Qwen/Qwen3-VL-8B-Instruct my_data:pets --adapter saves/lora --scoring generate
modality-interference diagnose --endpoint http://localhost:8000/v1 --model NAME pets.jsonl --relevant image"""


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder with a model, or a name on the hub.")],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="A file (jsonl, json, csv, tsv, parquet), or FOLDER:NAME, a dataset of a folder's dataset_info.json.",
        ),
    ] = None,
    relevant: Relevant = None,
    perturb: Perturbations = None,
    counterfactual: Counterfactuals = None,
    rows: Annotated[
        int,
        typer.Option(
            "-n", min=1, metavar="ROWS", help="How many rows: of a file drawn at random, of an entry the first."
        ),
    ] = 200,
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
    free_answers: Annotated[
        Literal["exact", "contained", "anls"],
        typer.Option(
            help="When a written answer to a question without options is right: equal words, words that it holds, or similar."
        ),
    ] = "exact",
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Rows at a time; their changed copies come on top.")
    ] = 4,
    media_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="From where paths of media start.  [default: the folder of the data]"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of every random choice.")] = 42,
    yes: Yes = False,
    endpoint: served.Url = None,
    endpoint_model: served.ServerModel = None,
    api_key_env: served.KeyVariable = None,
    concurrency: served.Concurrency = 8,
    timeout: served.Timeout = 120,
    max_tokens: served.MaxTokens = 1024,
    video: served.Video = "frames",
    frames: served.Frames = 8,
    price_in: served.PriceIn = None,
    price_out: served.PriceOut = None,
    dry_run: served.DryRun = False,
) -> int:
    """Plan, run, and say what was found."""
    _use_one_card()
    gone = parsed_perturbations(counterfactual)
    wishes = _Wishes(parsed_relevant(relevant), parsed_perturbations(perturb), gone, media_dir, yes)
    if endpoint is None:
        if data is None:
            raise typer.BadParameter("MODEL and DATA are needed, or `--endpoint`, `--model` and DATA")

        if endpoint_model is not None or dry_run:
            raise typer.BadParameter("`--model` and `--dry-run` are for `--endpoint`")

        if free_answers != "exact" and scoring != "generate":
            raise typer.BadParameter("`--free-answers` compares what a model writes; add `--scoring generate`")

        from ..integration.diagnose import LocalModel
        from ..integration.model_template import require_model, template_of
        from ..integration.prepare import split_address

        split_address(data)  # it is refused before the hub is asked for the model
        require_model(model)
        if template is None:
            template, why = template_of(model)
            say(printable(f"Template: {template} ({why})"))

        plan = _plan(data, wishes, _stem(model, adapter), output, rows, seed, scoring)
        plan = replace(plan, free_answers=free_answers)
        _diagnose(plan, LocalModel(model, template, adapter, batch_size))
        return 0

    if data is not None or endpoint_model is None:
        raise typer.BadParameter("with `--endpoint URL`, name the model by `--model NAME`, and DATA alone")

    if adapter is not None or template is not None:
        raise typer.BadParameter("`--adapter` and `--template` are for models of this machine")

    from ..endpoint.address import read_address
    from ..endpoint.client import require_client
    from ..endpoint.run import Endpoint

    require_client()
    address = read_address(endpoint, api_key_env)
    server = Endpoint(address, endpoint_model, concurrency, max_tokens, timeout, video, frames, price_in, price_out)
    with TemporaryDirectory(prefix="modality_interference_") if dry_run else nullcontext() as folder:
        plan = _plan(model, wishes, _stem(endpoint_model), output, rows, seed, scoring, folder)
        plan = replace(plan, free_answers=free_answers)
        if dry_run:
            served.say_volume(plan, server)
            return 0

        served.ask_server(plan, server)

    print_findings(plan.output_dir)
    return 0


def _use_one_card() -> None:
    """Show torch, which is not imported yet, one GPU: LLaMA-Factory refuses several in one process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = "0" if visible is None else visible.split(",")[0]


def _stem(*names: str | None) -> str:
    """What the folder of a model's reports is called, by the model and its adapter."""
    return "-".join(Path(name).absolute().name for name in names if name is not None)


@dataclass(frozen=True)
class _Wishes:
    """What options say of the data; None for what fits."""

    relevant: "tuple[Modality, ...] | None"
    perturbations: list[str] | None
    counterfactuals: list[str] | None
    media_dir: Path | None
    yes: bool


def _plan(
    data: str,
    wishes: _Wishes,
    model: str,
    output: Path | None,
    rows: int,
    seed: int,
    scoring: Literal["likelihood", "generate"],
    data_folder: str | None = None,
) -> "DiagnosisPlan":
    """Find out what is to be asked, and write the data where it is not a dataset with twins already.

    It is written into `data_folder`; by default, into a folder of `output`.
    """
    from ..integration.diagnose import DATA_FOLDER, DiagnosisPlan
    from ..integration.prepare import open_entry, open_file, plain_name, read_entry, split_address

    place, name = split_address(data)
    entry = None if name is None else read_entry(place, name)
    output = output or Path("saves", plain_name(model), plain_name(name or place.stem))
    folder, media_dir = Path(data_folder or output / DATA_FOLDER), wishes.media_dir
    if name is None or entry is None:
        with open_file(place, media_dir) as opened:
            name, media_dir = opened.name, opened.media_dir
            confirm(opened, wishes.yes)
            _write(opened, wishes, folder, rows, seed)
    elif "twins" in entry and (wishes.relevant, wishes.perturbations, wishes.counterfactuals) == (None, None, None):
        folder, media_dir = place, media_dir or place
    elif "file_name" in entry:
        with open_entry(place, name, entry, media_dir) as opened:
            media_dir = opened.media_dir
            _write(opened, wishes, folder, rows, seed)
    else:
        raise ModalityInterferenceError(
            f"dataset `{name}` is not on this machine. Give its entry a `twins` block (docs/data.md), and leave out "
            "`--relevant`, `--perturb` and `--counterfactual`."
        )

    return DiagnosisPlan(folder, (name,), media_dir, rows, seed, scoring, output)


def _write(opened: "OpenData", wishes: _Wishes, folder: Path, rows: int, seed: int) -> None:
    """Write the data into the output folder, and say what will be changed."""
    from ..data.spec import PERTURBATION_KEYS
    from ..integration.prepare import twins_entry, write_folder

    keys = twins_entry(opened, wishes.relevant, wishes.perturbations, wishes.counterfactuals)
    block = keys["twins"]
    count = write_folder(opened, keys, folder, rows, seed)
    names, gone = (
        ", ".join(item if isinstance(item, str) else item["name"] for item in block.get(key, []))
        for key in PERTURBATION_KEYS
    )
    depends = block.get("relevant")
    what = ", ".join(depends) if isinstance(depends, list) else f"as the column `{depends}` says"
    say(printable(f"{count:,} rows. Answers depend on: {what}. Changed copies: {names}."))
    if gone:
        say(printable(f"Copies without the evidence: {gone}."))


def _diagnose(plan: "DiagnosisPlan", model: "LocalModel") -> None:
    """Let a model of this machine answer, and print what was found."""
    from ..integration.diagnose import RECIPE_FILE, diagnosis_recipe, run_recipe, write_recipe

    recipe = diagnosis_recipe(plan, model)
    write_recipe(plan.output_dir / RECIPE_FILE, recipe)
    say(printable(f"The recipe: {plan.output_dir / RECIPE_FILE}. Loading the model."))
    with progress_bar("Asking the model") as show_progress:
        run_recipe(recipe, show_progress)

    print_findings(plan.output_dir)


def print_findings(folder: Path) -> None:
    """Print the rates of a folder's diagnosis, what they say in words, and where the page is."""
    from ..report.grounding import grounding_sentences
    from ..report.summary import diagnosis_summary
    from ..report.table import of_all, tidy_table
    from ..results import read_diagnosis

    diagnosis = read_diagnosis(folder)
    say()
    say_table(_rates(diagnosis))
    say()
    for sentence in diagnosis_summary(of_all(tidy_table(diagnosis))):
        say(printable(sentence.striptags()))

    for text in grounding_sentences(diagnosis):
        say(printable(text))

    for note in diagnosis.notes:
        say(printable(note))

    say(f"\nThe page: {printable(str((folder / 'interference.html').resolve()))}")


def _rates(diagnosis: "Diagnosis") -> "Table":
    """A line per dataset and perturbation, with the rates that people look at first."""
    from rich.table import Table

    from ..report.text import interval
    from ..results import RateName

    titles: dict[RateName, str] = {"accuracy": "accuracy", "flip_rate": "answers that change", "misled_rate": "misled"}
    every = [figures for result in diagnosis.datasets.values() for figures in result.perturbations.values()]
    shown = {rate: title for rate, title in titles.items() if any(rate in figures.rates for figures in every)}
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
