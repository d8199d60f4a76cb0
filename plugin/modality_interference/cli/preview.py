"""`modality-interference preview`: clean rows beside their twins, in the terminal and as a page."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .dataset_folder import DatasetDir, MediaDir, checked_folder, checked_media_dir, stay_offline
from .terminal import say, width, wrapped


if TYPE_CHECKING:
    from rich.text import Text

    from ..report.text import Piece
    from ..results import MediaThumbnail
    from .preview_rows import PreviewedRow, PreviewedTwin

DESCRIPTION = """\
Show clean rows beside their twins. They are printed in the terminal and written to a page. The twins are those that a
run with the same seed makes. No model and no tokenizer is loaded, so twins that are too long for a run's `cutoff_len`
are shown, too. The dataset's files must be in the dataset folder."""
EXAMPLES = """\
modality-interference preview my_data pets
modality-interference preview my_data pets --media-dir /data/images
modality-interference preview my_data pets -n 20 --seed 7 -o pets.html"""


def run(
    dataset_dir: DatasetDir,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The name of a dataset in dataset_info.json.")],
    rows: Annotated[int, typer.Option("-n", min=1, metavar="ROWS", help="How many rows, evenly spread.")] = 8,
    seed: Annotated[int, typer.Option(metavar="SEED", help="The run's `seed`.")] = 42,
    media_dir: MediaDir = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = Path("preview.html"),
) -> int:
    """Write the page, print the rows, and say where the page is."""
    folder, media = checked_folder(dataset_dir), checked_media_dir(media_dir)
    stay_offline()

    from ..files import write_text
    from ..report.templating import render

    previewed, total = preview_rows(folder, dataset, rows, seed, media)
    page = render("preview.html.j2", rows=previewed, dataset=dataset, folder=folder.name, seed=seed, total=total)
    write_text(output, page)
    title = f"{dataset} of {folder.name}: {len(previewed)} of {total:,} rows, twins of seed {seed}"
    say(printable(title), "bold")
    for row in previewed:
        for line in _row_lines(row):
            say(line)

    say(f"\nThe page: {printable(str(output.resolve()))}")
    return 0


def preview_rows(
    folder: Path, name: str, rows: int, seed: int, media_dir: Path | None = None
) -> tuple[list["PreviewedRow"], int]:
    """Convert rows of a dataset.

    Args:
        folder: the dataset folder.
        name: of the dataset.
        rows: how many, spread evenly over the dataset; all where it has no more.
        seed: of the twins.
        media_dir: a run's `media_dir`; None for the dataset folder.

    Returns:
        what to show, and how many rows the dataset has.

    Raises:
        ModalityInterferenceError: with all problems of the dataset's entry, or why its data cannot be read.
    """
    from ..dataset_dir.entry import absent_column_problems
    from ..integration.offline import open_dataset
    from .preview_rows import previewed_row

    entry = checked_entry(folder, name)
    with open_dataset(name, entry, folder, seed, media_dir) as dataset:
        refuse(name, absent_column_problems(entry, dataset.columns))
        total = len(dataset.rows)
        shown = min(rows, total)
        folders = [folder] if media_dir is None else [folder, media_dir]
        indexes = [number * total // shown for number in range(shown)]
        return [previewed_row(example, folders) for example in dataset.examples(indexes)], total


def checked_entry(
    folder: Path, name: str, change: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A dataset's entry, in which there is no problem and whose data is in the folder.

    Args:
        folder: the dataset folder.
        name: of the dataset.
        change: what a command's options change in it.

    Raises:
        ModalityInterferenceError: with all problems of the entry.
    """
    from ..dataset_dir.entry import dataset_problems, remote_source
    from ..dataset_dir.info import INFO_FILE, read_info
    from ..integration.extensions import known_formats
    from ..messages import listed, suggestion

    info = read_info(folder)
    if name not in info.datasets:
        refuse(name, info.problems)
        raise ModalityInterferenceError(
            f"`{INFO_FILE}` has no dataset `{name}`.{suggestion(name, info.datasets)} It has: {listed(info.datasets)}."
        )

    entry = info.datasets[name]
    if change is not None and isinstance(entry, dict):
        entry = change(entry)

    refuse(name, dataset_problems(name, entry, folder, known_formats()))
    if elsewhere := remote_source(entry):
        raise ModalityInterferenceError(
            f"dataset `{name}` is not on this machine ({elsewhere}), and this command downloads nothing. Save some of its "
            "rows as JSON Lines or Parquet in a dataset folder, and name that file as `file_name`."
        )

    return entry


def refuse(name: str, problems: list[str]) -> None:
    """Raise a ModalityInterferenceError with the problems of a dataset, where there are any."""
    if problems:
        raise ModalityInterferenceError("\n- ".join([f"dataset `{name}` cannot be shown:", *problems]))


# The rows as text for the terminal.


def _row_lines(row: "PreviewedRow") -> Iterator["Text"]:
    from rich.text import Text

    from ..report.text import shortened

    depends = "dropped" if row.dropped else f"depends on {row.kind}" if row.kind != "plain" else "plain"
    yield Text()
    yield Text("─" * width(), "dim")
    yield Text(f"row {row.row:,} ({depends})", "bold")
    if not row.dropped:
        yield _labelled("prompt", shortened(row.prompt))
        if row.options:
            yield _labelled("options", "\n".join(_option(*option) for option in row.options))

        yield _labelled("answer", shortened(row.answer), "good")
        yield from _media_lines(row.images, row.clips)

    for reason in row.reasons:
        yield _labelled("dropped", reason, "bad")

    for twin in row.twins:
        yield from _twin_lines(twin)

    if row.counterfactuals:
        yield Text()
        yield Text("  without its evidence (the answer is not to be kept):", "bold")
        for twin in row.counterfactuals:
            yield from _twin_lines(twin)


def _option(letter: str, text: str, right: bool) -> str:
    return f"{letter}: {text}{' (right)' if right else ''}"


def _twin_lines(twin: "PreviewedTwin") -> Iterator["Text"]:
    from rich.text import Text

    target = f", claims: {twin.target}" if twin.target is not None else ""
    yield Text()
    yield wrapped(printable(f"{twin.perturbation}{target}"), "  ~ ")
    for piece in twin.pieces:
        yield from _change_lines(piece)

    for line in _media_lines(twin.images or [], twin.clips):
        yield Text("  ").append_text(line)

    if twin.kept:
        yield Text("  ").append_text(_labelled("unchanged", ", ".join(twin.kept)))


def _change_lines(piece: "Piece") -> Iterator["Text"]:
    text = printable(piece.text.strip("\n"))
    if piece.change == "added":
        yield wrapped(text, "    + ", style="good")
    elif piece.change == "removed":
        yield wrapped(text, "    - ", style="bad")


def _media_lines(images: list["MediaThumbnail"], clips: list["MediaThumbnail"]) -> Iterator["Text"]:
    if images:
        captions = (f"{image.caption}, {image.size[0]} x {image.size[1]}" for image in images if image.size)
        yield _labelled("images", "\n".join(captions))

    for clip in clips:
        yield _labelled(clip.modality, clip.caption)


def _labelled(label: str, text: str, style: str = "") -> "Text":
    """`  label     text`, the text wrapped beside its label."""
    return wrapped(printable(text), f"  {label:<10}", " " * 12, style)
