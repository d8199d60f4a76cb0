"""A suite as VLMEvalKit's TSV: questions about images, and in a file of their own those without.

VLMEvalKit (`vlmeval/dataset`) takes a file of a dataset that it does not know for multiple choice where it has the columns `A` and
`B`, and for free answers otherwise; it leaves out rows without an image where the file has that column; an image is base64, a list
of them, or the index of the row that has it; and pandas reads the cells.
"""

import base64
import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

import pandas as pd

from ..data.options import LETTERS
from ..data.options import letter as letter_of
from ..errors import ModalityInterferenceError
from ..modality import Modality
from .lmms_eval import task_name
from .rows import Asked, Suite


_ABOUT = ("dataset", "row", "perturbation", "family", "target")


def files(suite: Suite) -> dict[str, bytes | str]:
    """The files of the export; what VLMEvalKit cannot ask is left out, and counted in the suite.

    Raises:
        ModalityInterferenceError: the suite has videos or audio, or nothing that VLMEvalKit can ask.
    """
    other = [modality.value for modality in suite.modalities if modality is not Modality.IMAGE]
    if other:
        raise ModalityInterferenceError(
            f"dataset `{suite.name}` has {' and '.join(other)}, which VLMEvalKit's TSV cannot hold; export with `--to hf` or "
            "`--to lmms-eval`."
        )

    suite.asked = [asked for asked in suite.asked if _fits(suite, asked)]
    name = task_name(suite.name)
    about_images = [asked for asked in suite.asked if asked.media[Modality.IMAGE]]
    others = [asked for asked in suite.asked if not asked.media[Modality.IMAGE]]
    tables = {f"{name}.tsv": about_images, f"{name}_text.tsv": others}
    found = {file: _tsv(asked) for file, asked in tables.items() if asked}
    if not found:
        raise ModalityInterferenceError(f"dataset `{suite.name}` has no question that VLMEvalKit can ask.")

    return {**found}


def _fits(suite: Suite, asked: Asked) -> bool:
    texts = [*asked.row.options, _question(asked)]
    if len(asked.row.options) > len(LETTERS):
        suite.drop(f"more than {len(LETTERS)} options, for VLMEvalKit")
    elif any(_lost(text) for text in texts):
        suite.drop("a text that pandas reads as a missing value, for VLMEvalKit")
    else:
        return True

    return False


def _lost(text: str) -> bool:
    """Whether pandas reads a cell as missing, as it does an option "None"."""
    return bool(pd.isna(pd.read_csv(StringIO(f"a\tb\n{_quoted([text, 'x'])}"), sep="\t").iloc[0, 0]))


def _quoted(cells: Sequence[Any]) -> str:
    stream = StringIO()
    csv.writer(stream, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def _question(asked: Asked) -> str:
    """The text of a question; its options are columns, from which VLMEvalKit writes them."""
    row = asked.row
    return row.question if row.question is not None and row.options else row.text


def _tsv(asked: Sequence[Asked]) -> str:
    lettered = [item for item in asked if item.row.question is not None]
    letters = LETTERS[: max((len(item.row.options) for item in lettered), default=0)]
    images = any(item.media[Modality.IMAGE] for item in asked)
    head = ["index", *(["image"] if images else []), "question", *letters, "answer", "category", *_ABOUT]
    return "".join(map(_quoted, [head, *_lines(asked, letters, images)]))


def _lines(asked: Sequence[Asked], letters: str, images: bool) -> Iterable[list[Any]]:
    stored: dict[tuple[str, ...], str] = {}
    for item in asked:
        row = item.row
        options = row.options if row.question is not None else ()
        files = tuple(file.digest for file in item.media[Modality.IMAGE])
        own = [_images(item) if files not in stored else stored[files]] if images else []
        stored.setdefault(files, row.id)
        answer = letter_of(row.answer) if options and row.answer is not None else row.right
        cells = [*options, *[""] * (len(letters) - len(options))]
        about = ["" if value is None else value for value in (getattr(row, name) for name in _ABOUT)]
        yield [row.id, *own, _question(item), *cells, answer, row.perturbation, *about]


def _images(asked: Asked) -> str:
    found = [base64.b64encode(file.data).decode() for file in asked.media[Modality.IMAGE]]
    return found[0] if len(found) == 1 else str(found)
