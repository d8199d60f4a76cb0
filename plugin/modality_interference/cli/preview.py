"""`modality-interference preview`: clean rows beside their twins, without a model."""

import argparse
from pathlib import Path
from typing import Any

from ..errors import ModalityInterferenceError
from .arguments import add_command, count, recipe_folder, stay_offline
from .exhibits import Exhibit, exhibit
from .terminal import printable, say


EXAMPLES = """\
  modality-interference preview my_recipe pets
  modality-interference preview my_recipe pets -n 20 --seed 7 -o pets.html"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "preview",
        "Show clean rows beside their twins, in the terminal and as a page. The twins are those that a run with the same "
        "seed makes. Neither model nor tokenizer is loaded, so twins that are too long for a run's `cutoff_len` are "
        "shown, too. The dataset's files must be in the recipe folder.",
        EXAMPLES,
    )
    parser.add_argument("recipe", metavar="RECIPE_DIR", help="a folder with a dataset_info.json (`dataset_dir`)")
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset in dataset_info.json")
    parser.add_argument(
        "-n", dest="rows", type=count, default=8, metavar="ROWS", help="how many rows, evenly spread (default: 8)"
    )
    parser.add_argument("--seed", type=int, default=42, help="the run's `seed` (default: 42, as a run's)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("preview.html"), metavar="FILE", help="default: preview.html"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page, print the rows, and say where the page is."""
    folder = recipe_folder(arguments.recipe)
    stay_offline()

    from ..files import write_text
    from ..report.templating import render
    from .preview_text import preview_text

    exhibits, total = collect(folder, arguments.dataset, arguments.rows, arguments.seed)
    about = dict(dataset=arguments.dataset, recipe=folder.name, seed=arguments.seed, total=total)
    write_text(arguments.output, render("preview.html.j2", exhibits=exhibits, **about))
    say(preview_text(exhibits, **about))
    say(f"\nThe page: {printable(str(arguments.output.resolve()))}")
    return 0


def collect(folder: Path, name: str, rows: int, seed: int) -> tuple[list["Exhibit"], int]:
    """Convert rows of a dataset.

    Args:
        folder: the recipe.
        name: of the dataset.
        rows: how many, spread evenly over the dataset; all where it has no more.
        seed: of the twins.

    Returns:
        what to show, and how many rows the dataset has.

    Raises:
        ModalityInterferenceError: with all problems of the dataset's entry, or why its data cannot be read.
    """
    from ..dataset_dir.entry import absent_columns
    from ..integration.offline import open_dataset

    entry = _find_entry(folder, name)
    with open_dataset(name, entry, folder, seed) as dataset:
        _refuse(name, absent_columns(entry, dataset.rows.column_names))
        total = len(dataset.rows)
        shown = min(rows, total)
        indexes = [place * total // shown for place in range(shown)]
        return [exhibit(example, folder) for example in dataset.examples(indexes)], total


def _find_entry(folder: Path, name: str) -> dict[str, Any]:
    from ..dataset_dir.entry import comes_from, dataset_problems
    from ..dataset_dir.info import INFO_FILE, read_info
    from ..integration.offline import known_formats
    from ..messages import listed, suggestion

    info = read_info(folder)
    if name not in info.datasets:
        _refuse(name, info.problems)
        raise ModalityInterferenceError(
            f"`{INFO_FILE}` has no dataset `{name}`.{suggestion(name, info.datasets)} It has: {listed(info.datasets)}."
        )

    entry = info.datasets[name]
    _refuse(name, dataset_problems(name, entry, folder, known_formats()))
    if elsewhere := comes_from(entry):
        raise ModalityInterferenceError(
            f"dataset `{name}` is not on this machine ({elsewhere}), and a preview downloads nothing. Save some of its "
            "rows as JSON Lines or Parquet in a recipe folder, and name that file as `file_name`."
        )

    return entry


def _refuse(name: str, problems: list[str]) -> None:
    if problems:
        raise ModalityInterferenceError("\n- ".join([f"dataset `{name}` cannot be shown:", *problems]))
