"""`modality-interference suite`: publish frozen twins for other tools, and score these tools' answers."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import ModalityInterferenceError
from ..printable import printable
from .dataset_folder import MediaDir, checked_folder, checked_media_dir, stay_offline
from .diagnose import print_findings
from .terminal import progress_bar, say


if TYPE_CHECKING:
    from ..suite.folder import SuiteInfo
    from ..suite.rows import Suite

DESCRIPTION = "Publish frozen twins of a dataset for other tools, and score these tools' answers."
EXPORT_DESCRIPTION = """\
Write clean rows and their twins, with their media, in a format that other tools read: a Hugging Face dataset folder, a task
of lmms-eval, or VLMEvalKit's TSV. No model is loaded. The same seed gives the same bytes. Whether the media may be
published is for you to know."""
EXPORT_EXAMPLES = """\
modality-interference suite export my_data:pets -o pets_twins --to hf --license cc-by-4.0
modality-interference suite export my_data:pets -n 500 --perturb misleading_text,ocr_text -o pets_task --to lmms-eval"""
SCORE_DESCRIPTION = """\
Read the answers that another tool has got for a suite, and write the report: interference.json, the page and its plots. It
takes lmms-eval's files of samples (`--log_samples`), VLMEvalKit's predictions (xlsx, tsv, json), and JSON lines of
`{"id": ..., "response": ...}`."""
SCORE_EXAMPLES = """\
modality-interference suite score results/*/*_samples_pets_twins.jsonl --suite pets_task -o saves/pets
modality-interference suite score answers.jsonl --suite pets_twins -o saves/pets --model Qwen/Qwen2.5-VL-3B-Instruct"""
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")


class Format(StrEnum):
    """What to export to."""

    HF = "hf"
    LMMS_EVAL = "lmms-eval"
    VLMEVALKIT = "vlmevalkit"


def export(
    data: Annotated[
        str, typer.Argument(metavar="DIR:NAME", help="A dataset folder, and a dataset of its dataset_info.json.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="A new or an empty folder.")],
    to: Annotated[Format, typer.Option("--to", help="For which tool.")],
    rows: Annotated[
        int | None, typer.Option("-n", min=1, metavar="ROWS", help="How many rows, evenly spread.  [default: all]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of the twins, as a run's `seed`.")] = 42,
    perturb: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Perturbations.  [default: those of the dataset's entry]")
    ] = None,
    license: Annotated[
        str, typer.Option(metavar="ID", help="The data's licence, as the hub calls it, such as cc-by-4.0.")
    ] = "unknown",
    media_dir: MediaDir = None,
) -> int:
    """Write the export and say what it holds."""
    folder, name = _dataset(data)
    if not _LICENSE.fullmatch(license):
        raise ModalityInterferenceError(
            f"`--license {license}` is no identifier of a licence; allowed: such as cc-by-4.0, apache-2.0, other, unknown."
        )

    stay_offline()

    from ..files import check_new

    check_new(output)
    suite = _suite(folder, name, rows, seed, perturb, checked_media_dir(media_dir))
    info = _write(suite, output, to, license)
    counts = ", ".join(f"{label} {count:,}" for label, count in info.perturbations.items())
    say(printable(f"{name}: {counts}"), "bold")
    for kind, count in info.dropped.items():
        say(printable(f"  left out: {count:,} x {kind}"), "bad")

    if license == "unknown":
        say("The licence is unknown. Name it by `--license` before you publish the folder.")

    say(f"The suite: {printable(str(output.resolve()))}")
    return 0


def _dataset(text: str) -> tuple[Path, str]:
    folder, _, name = text.rpartition(":")
    if not folder or not name:
        raise ModalityInterferenceError(
            f"`{text}` does not name a dataset; write the dataset folder and the name in its dataset_info.json with a colon "
            "between them, such as my_data:pets."
        )

    return checked_folder(Path(folder)), name


def _suite(
    folder: Path, name: str, rows: int | None, seed: int, perturb: str | None, media_dir: Path | None
) -> "Suite":
    from ..dataset_dir.entry import absent_column_problems
    from ..integration.offline import open_dataset
    from ..suite.rows import Suite, add_example
    from .preview import checked_entry, refuse

    entry = checked_entry(folder, name, None if perturb is None else _perturbed(perturb))
    suite = Suite(name, seed)
    with open_dataset(name, entry, folder, seed, media_dir) as dataset, progress_bar("Rows") as progress:
        refuse(name, absent_column_problems(entry, dataset.columns))
        total = len(dataset.rows)
        count = min(rows or total, total)
        for done, example in enumerate(dataset.examples(number * total // count for number in range(count)), start=1):
            add_example(suite, example)
            progress(done, count)

    if not suite.asked:
        raise ModalityInterferenceError(
            "\n- ".join(
                [f"dataset `{name}`: no row can be used:", *(f"{n} x {kind}" for kind, n in suite.dropped.items())]
            )
        )

    return suite


def _perturbed(perturb: str) -> Any:
    """Puts the perturbations into an entry, in place of its own."""
    names = [name.strip() for name in perturb.split(",") if name.strip()]

    def change(entry: dict[str, Any]) -> dict[str, Any]:
        twins = entry.get("twins")
        if not isinstance(twins, dict):
            raise ModalityInterferenceError(
                "`--perturb` needs an entry with a `twins` block that says what the answer depends on (`relevant`)."
            )

        return {**entry, "twins": {**twins, "perturbations": names}}

    return change


def _write(suite: "Suite", output: Path, to: Format, license: str) -> "SuiteInfo":
    from ..suite import hugging_face, lmms_eval, vlmevalkit
    from ..suite.folder import info_of, write_suite

    files: dict[str, bytes | str]
    if to is Format.VLMEVALKIT:
        files = vlmevalkit.files(suite)  # which leaves out what cannot be asked
        info = info_of(suite, to, license)
    else:
        info = info_of(suite, to, license)
        files = hugging_face.files(suite, info) if to is Format.HF else lmms_eval.files(suite)

    write_suite(output, suite, info, files)
    return info


def score(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS", help="Files of answers, of one model.")],
    suite: Annotated[Path, typer.Option("--suite", metavar="DIR", help="The folder of the export that was answered.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder for the report.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What the report calls the model.  [default: the first file's name]"),
    ] = None,
    free_answers: Annotated[
        Literal["exact", "contained", "anls"],
        typer.Option(help="How answers without options are compared, as `diagnosis_free_answers`."),
    ] = "exact",
) -> int:
    """Write the report, and say what was found and where it is."""
    from ..report.page import write_report
    from ..results import write_results
    from ..suite.folder import read_suite
    from ..suite.results import read_answers
    from ..suite.score import diagnosis
    from ..suite.score import score as scored_answers

    info, questions = read_suite(suite)
    scored = scored_answers(questions, read_answers(results), free_answers)
    found = diagnosis(info, questions, scored, model or results[0].stem, output)
    write_results(output, found, scored.rows, scored.gone)
    write_report(output, found, scored.rows)
    print_findings(output)
    return 0
