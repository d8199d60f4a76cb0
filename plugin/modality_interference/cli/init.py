"""`modality-interference init`: a dataset entry and a training recipe for a data file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .check import Findings, check_dataset, say_findings
from .recognised import Perturbations, Relevant, Yes, confirm, parsed_perturbations, parsed_relevant
from .terminal import say


if TYPE_CHECKING:
    from ..integration.prepare import OpenData

DESCRIPTION = """\
Write what fine-tuning on a data file needs: an entry in a dataset_info.json, which says what the answers depend on and
what is to be changed beside it, and a recipe for `llamafactory-cli train`, in which every key of the plugin is
explained. The file's columns are recognised, shown and confirmed, and the first rows are tried. Entries that are there
already stay. Exits with 1 if `modality-interference check` finds a problem in what was written."""
EXAMPLES = """\
modality-interference init my_data/pets.jsonl --relevant image
modality-interference init MMBench_DEV_EN.tsv -o my_data --relevant image --model Qwen/Qwen3-VL-8B-Instruct"""
_MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
TRIED = 32  # rows


def run(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A file of questions with answers: jsonl, json, csv, tsv, parquet.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The dataset folder.  [default: the folder of DATA]"),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="What to tune: a folder, or a name on the hub.")
    ] = _MODEL,
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="LLaMA-Factory's chat template.  [default: the model's]")
    ] = None,
    relevant: Relevant = None,
    perturb: Perturbations = None,
    media_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="From where paths of media start.  [default: the folder of DATA]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the dataset.  [default: that of the file]")
    ] = None,
    yes: Yes = False,
) -> int:
    """Write both, and say how to go on."""
    from ..integration.model_template import template_of
    from ..integration.prepare import open_file, plain_name, twins_entry

    if name is not None and name != plain_name(name):
        raise typer.BadParameter(f"`--name {name}` may hold letters, digits, `_`, `-` and `.`")

    if not data.is_file():
        raise ModalityInterferenceError(f"`{data}` is not a file.")

    template = template or template_of(model)[0]
    folder = output or data.parent
    with open_file(data, media_dir, name) as opened:
        confirm(opened, yes)
        keys = twins_entry(opened, parsed_relevant(relevant), parsed_perturbations(perturb), to_train=True)
        elsewhere = opened.media_dir if opened.media_dir.resolve() != folder.resolve() else None
        recipe = folder / f"{opened.name}_finetune.yaml"
        text = _recipe_text(recipe, model, template, folder, elsewhere, opened.name)
        _write(opened, keys, folder, recipe, text)

    say(printable(f"\nDataset `{opened.name}` is in {folder / 'dataset_info.json'}; the recipe is {recipe}."))
    if not _tried(opened.name, folder, elsewhere):
        return 1

    media = f" --media-dir {elsewhere}" if elsewhere is not None else ""
    say("Go on with:")
    for command in (
        f"modality-interference preview {folder} {opened.name}{media}",
        f"modality-interference check {folder}{media}",
        f"llamafactory-cli train {recipe}",
    ):
        say(printable(f"  {command}"))

    return 0


def _tried(name: str, folder: Path, media_dir: Path | None) -> bool:
    """Check the first rows as `check` does, and say what was found; False where something must be fixed."""
    from ..dataset_dir.info import read_info
    from ..integration.extensions import known_formats

    entry = read_info(folder).datasets[name]
    notes, problems = check_dataset(name, entry, folder, media_dir, known_formats(), TRIED)
    say_findings(Findings({name: notes}, problems))
    return not problems


def _recipe_text(recipe: Path, model: str, template: str, folder: Path, media_dir: Path | None, name: str) -> str:
    from ..integration.training_recipe import training_recipe

    return training_recipe(recipe, model, template, folder, media_dir, name, Path("saves", name))


def _write(opened: "OpenData", keys: dict[str, Any], folder: Path, recipe: Path, text: str) -> None:
    """Write the entry, the recipe, and the rows where the file cannot be read as it is.

    Raises:
        ModalityInterferenceError: something is there that would be overwritten. Nothing has been written then.
    """
    from ..dataset_dir.info import INFO_FILE, merge_entries, read_info
    from ..files import write_text
    from ..integration.prepare import write_rows

    in_place = opened.file is not None and opened.file.parent.resolve() == folder.resolve()
    file = opened.file.name if in_place and opened.file is not None else f"{opened.name}.parquet"
    entry = {"file_name": file, **keys}
    present = read_info(folder).datasets.get(opened.name) if (folder / INFO_FILE).exists() else None
    if present not in (None, entry):
        raise ModalityInterferenceError(
            f"{folder / INFO_FILE} has another dataset `{opened.name}`. Choose another `--name`, or remove that entry."
        )

    taken = [recipe] if recipe.exists() and recipe.read_bytes() != text.encode() else []
    taken += [folder / file] if not in_place and present is None and (folder / file).exists() else []
    if taken:
        raise ModalityInterferenceError(f"{taken[0]} exists already. Choose another `--name`, or move it away.")

    if not in_place:
        write_rows(opened, entry, folder, range(len(opened.rows)))

    merge_entries(folder, {opened.name: entry})
    write_text(recipe, text)
