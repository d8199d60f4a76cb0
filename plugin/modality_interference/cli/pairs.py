"""`modality-interference pairs`: preference pairs out of diagnoses."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ModalityInterferenceError, Unusable
from ..printable import printable
from .dataset_folder import checked_folder, checked_media_dir, stay_offline
from .terminal import progress_bar, say


if TYPE_CHECKING:
    from ..preference.choice import Source, Wanted
    from ..preference.rows import Pair

DESCRIPTION = """\
Make preference pairs out of diagnoses, as a dataset folder for `stage: dpo`: the right answer is preferred to the one that a
twin misled the model to (`misled`), and saying that one cannot tell to an answer whose evidence was gone (`invented`).
RUN_DIR is the output_dir of a diagnosis. Its twins are made again, so its data must be here as it was. No model is loaded."""
EXAMPLES = """\
modality-interference pairs saves/pets -o pets_pairs
modality-interference pairs saves/pets saves/pets_2 --kinds invented -n 2000 --abstention "I cannot see that." -o pets_pairs"""


def run(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR", help="The output_dir of a run with a diagnosis.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="A new or an empty folder.")],
    kinds: Annotated[Literal["both", "misled", "invented"], typer.Option(help="Which pairs to make.")] = "both",
    pairs: Annotated[
        int | None,
        typer.Option("-n", min=1, metavar="PAIRS", help="At most so many, drawn at random.  [default: all]"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of that draw.")] = 42,
    abstention: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="What is preferred to an invented answer, where the question has no option that says that one cannot tell.",
        ),
    ] = "I cannot tell from what I am given.",
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The dataset folder.  [default: the one that the diagnosis names]"),
    ] = None,
    media_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="From where paths of media start.  [default: where the diagnosis says]"),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="The name of the dataset.")] = "pairs",
) -> int:
    """Write the folder, and say what it holds."""
    from ..files import check_new
    from ..integration.prepare import plain_name
    from ..preference.choice import KINDS, drawn, wanted_rows
    from ..preference.folder import PairsFolder

    if name != plain_name(name):
        raise typer.BadParameter(f"`--name {name}` may hold letters, digits, `_`, `-` and `.`")

    if not abstention.strip():
        raise typer.BadParameter("`--abstention` must not be empty")

    check_new(output)
    folder = None if data is None else checked_folder(data)
    media = checked_media_dir(media_dir)
    stay_offline()
    wanted = wanted_rows(runs, folder, media, KINDS if kinds == "both" else [kinds])
    if not wanted:
        raise ModalityInterferenceError(_nothing(kinds))

    written, dropped, target = Counter[str](), Counter[str](), PairsFolder(output, name)
    with progress_bar("Pairs") as progress:
        chosen = drawn(wanted, pairs, seed)
        for done, made in enumerate(_made(chosen, abstention), start=1):
            if isinstance(made, Unusable):
                dropped[made.kind] += 1
            else:
                target.add(made)
                written[made.kind] += 1

            progress(done, len(chosen))

    reasons = [f"{count:,} x {kind}" for kind, count in sorted(dropped.items())]
    if not written:
        raise ModalityInterferenceError("\n- ".join(["no pair can be made of these diagnoses:", *reasons]))

    target.finish()
    say(printable(f"{name}: {', '.join(f'{kind} {count:,}' for kind, count in sorted(written.items()))}"), "bold")
    for reason in reasons:
        say(printable(f"  left out: {reason}"), "bad")

    read = dict.fromkeys(
        str(place) for item in chosen for place in (item.source.folder, item.source.media_dir) if place
    )
    say(printable(f"Rows and media were read from {', '.join(read)}."))
    say(
        printable(
            f"The pairs: {output.resolve()}. Train on them with `stage: dpo`, `dataset_dir: {output}`, `dataset: {name}`."
        )
    )
    say("The rows come from the diagnosis: diagnose the tuned model on others.")
    return 0


def _nothing(kinds: str) -> str:
    needs = {
        "misled": "rows that are answered right, and wrongly under a perturbation",
        "invented": "answers to rows whose evidence is gone (`counterfactuals` of a `twins` block, `drop_asked_modality`)",
    }
    return f"these diagnoses have nothing to make pairs of: no {' and no '.join(needs.values() if kinds == 'both' else [needs[kinds]])}."


def _made(wanted: Sequence["Wanted"], abstention: str) -> Iterator["Pair | Unusable"]:
    """A pair of each row, or why there is none; rows of one dataset are read together."""
    sources: dict[Source, list[Wanted]] = {}
    for item in wanted:
        sources.setdefault(item.source, []).append(item)

    for source, items in sources.items():
        yield from _made_of(source, items, abstention)


def _made_of(source: "Source", items: Sequence["Wanted"], abstention: str) -> Iterator["Pair | Unusable"]:
    from ..dataset_dir.entry import absent_column_problems
    from ..integration.offline import open_dataset
    from ..preference.rows import pair_of
    from .preview import checked_entry, refuse

    entry = checked_entry(source.folder, source.dataset)
    rows: dict[int, list[Wanted]] = {}
    for item in items:
        rows.setdefault(item.row.row, []).append(item)

    with open_dataset(
        source.dataset, entry, source.folder, source.seed, source.media_dir, source.max_samples
    ) as dataset:
        refuse(source.dataset, absent_column_problems(entry, dataset.columns))
        yield from (
            Unusable("row that the dataset does not have now")
            for index in rows
            if index >= len(dataset.rows)
            for _ in rows[index]
        )
        for example in dataset.examples(index for index in rows if index < len(dataset.rows)):
            for item in rows[example.index]:
                try:
                    yield pair_of(example, item, abstention)
                except Unusable as error:
                    yield error
