"""From what a user has, a file or an entry, to a dataset folder that a run reads; the user's own folder stays as it is.

A file is read by LLaMA-Factory's own loader, through an entry that is made for it and checked like any other.
"""

import csv
import io
import json
import os
import random
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datasets import Dataset
from huggingface_hub.constants import HF_HUB_CACHE

from ..data import schema
from ..data.formats.audio_visual import ASKED
from ..data.records import INVALID_TEXT, ROW
from ..data.registry import formats
from ..data.spec import COUNTERFACTUALS, PERTURBATION_KEYS
from ..data.standard import STANDARD, written_out
from ..dataset_dir.cells import is_image_index
from ..dataset_dir.entry import absent_column_problems, dataset_problems, twins_problems
from ..dataset_dir.info import INFO_FILE, read_info
from ..dataset_dir.recognition import Recognised, recognise
from ..dataset_dir.twins_entry import as_twins, checked, twins_of
from ..errors import ModalityInterferenceError
from ..files import is_inside, write_bytes, write_text
from ..messages import listed, shown, suggestion
from ..modality import Modality
from .extensions import known_formats
from .offline import open_rows


LOOKED_AT = 100  # rows, by which columns are recognised
TABLES = (".csv", ".json", ".jsonl", ".parquet", ".tsv")
_LONGEST_CELL = 1 << 28  # bytes, of a TSV: an image as base64
_INDEX = "index"  # VLMEvalKit's column of names of rows


@dataclass(frozen=True)
class OpenData:
    """Data that can be read now.

    Attributes:
        name: of the dataset.
        rows: all rows with all columns, media undecoded.
        recognised: what the columns are.
        media_dir: from where paths of media start.
        entry: the entry that a user has written; None for a bare file.
        file: the bare file, where LLaMA-Factory can read it as it is; None for others.
    """

    name: str
    rows: Dataset
    recognised: Recognised
    media_dir: Path
    entry: dict[str, Any] | None = None
    file: Path | None = None

    def example(self, column: str) -> Any:
        """A cell of a column, of the first row that has any."""
        return next((cell for cell in self.rows.select_columns(column)[:LOOKED_AT][column] if cell is not None), None)


def split_address(data: str) -> tuple[Path, str | None]:
    """`FOLDER:NAME` as folder and name; a file as its path and None.

    Raises:
        ModalityInterferenceError: it is neither.
    """
    folder, separator, name = data.rpartition(":")
    if Path(data).is_file():
        return Path(data), None

    if separator and Path(folder).is_dir():
        return Path(folder), name

    if Path(data).is_dir():
        names = read_info(Path(data)).datasets
        raise ModalityInterferenceError(
            f"`{data}` is a folder; name a dataset of its {INFO_FILE} as `{data}:NAME`, or a file. It has: {listed(names)}."
        )

    raise ModalityInterferenceError(
        f"`{data}` is neither a file ({listed(TABLES)}) nor FOLDER:NAME with a dataset of the folder's {INFO_FILE}."
    )


def read_entry(folder: Path, name: str) -> dict[str, Any]:
    """An entry of a dataset folder, in which there is no problem.

    Raises:
        ModalityInterferenceError: with all problems of the entry.
    """
    info = read_info(folder)
    if name not in info.datasets:
        problems = "".join(f" {problem}." for problem in info.problems)
        raise ModalityInterferenceError(
            f"`{folder / INFO_FILE}` has no dataset `{name}`.{suggestion(name, info.datasets)} It has: "
            f"{listed(info.datasets)}.{problems}"
        )

    entry = info.datasets[name]
    _refuse(dataset_problems(name, entry, folder, known_formats()))
    return entry


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ModalityInterferenceError(" ".join(f"{problem.removesuffix('.')}." for problem in problems))


@contextmanager
def open_entry(folder: Path, name: str, entry: dict[str, Any], media_dir: Path | None) -> Iterator[OpenData]:
    """Open the file of an entry.

    Raises:
        ModalityInterferenceError: it cannot be read, or no twins can be made of its format.
    """
    with open_rows(name, entry, folder) as rows:
        _refuse(absent_column_problems(entry, rows.column_names))
        yield OpenData(name, rows, as_twins(name, entry, rows.column_names), media_dir or folder, entry)


@contextmanager
def open_file(file: Path, media_dir: Path | None, name: str | None = None) -> Iterator[OpenData]:
    """Open a bare file, and recognise its columns.

    Args:
        file: the file.
        media_dir: from where paths of media start; None for the file's folder.
        name: of the dataset; None for that of the file.

    Raises:
        ModalityInterferenceError: it cannot be read, or its columns are not recognised.
    """
    name, media_dir = name or plain_name(file.stem), media_dir or file.parent
    with TemporaryDirectory(prefix="modality_interference_") as scratch:
        readable = _readable(file, Path(scratch))
        entry = {"file_name": readable.name}
        _refuse(dataset_problems(name, entry, readable.parent, known_formats()))
        with open_rows(name, entry, readable.parent) as rows:
            total = len(rows)
            looked_at = rows.select(sorted({place * total // LOOKED_AT for place in range(LOOKED_AT)}))
            columns = [column for column in rows.column_names if column not in (ROW, INVALID_TEXT, ASKED)]
            recognised = recognise(columns, looked_at.to_list(), schema.class_names(rows), str(media_dir.resolve()))
            as_it_is = file if readable == file and not recognised.readings else None
            yield OpenData(name, rows, recognised, media_dir, file=as_it_is)


def plain_name(text: str) -> str:
    """A text as the name of a dataset, which recipes list with commas between them, and of a file."""
    return re.sub(r"[^\w.-]+", "_", text).strip("_.-") or "data"


def _readable(file: Path, scratch: Path) -> Path:
    """The file, or what takes its place where LLaMA-Factory would not read it: a TSV as JSON Lines, a link as its target.

    The caches of hubs hold links to files without suffixes.
    """
    if file.suffix.lower() not in TABLES:
        raise ModalityInterferenceError(
            f"`{file}` is no table that is read here. Allowed: files that end in {listed(TABLES)}."
        )

    if not is_inside(file, file.parent) and not is_inside(file, HF_HUB_CACHE):
        raise ModalityInterferenceError(f"`{file}` is a link to `{file.resolve()}`; name that file, if you trust it.")

    suffix = file.suffix.lower()
    if suffix == ".tsv":
        lines = scratch / "rows.jsonl"
        with lines.open("w", encoding="utf-8") as stream:
            stream.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in _tsv_rows(file))

        return lines

    if file.is_symlink() or suffix != file.suffix:
        copy = scratch / f"rows{suffix}"
        try:
            os.link(file.resolve(), copy)
        except OSError:  # on another disk
            shutil.copyfile(file, copy)

        return copy

    return file


def _tsv_rows(file: Path) -> Iterator[dict[str, str | None]]:
    """Rows as texts; empty cells as None.

    Raises:
        ModalityInterferenceError: it is no TSV; names the line.
    """
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t")
            header = next(reader, [])
            twice = next((name for name in header if header.count(name) > 1), None)
            if twice is not None:
                raise ModalityInterferenceError(
                    f"`{file}` has two columns {shown(twice)} in its first line; rename one."
                )

            for cells in reader:
                if len(cells) > len(header):
                    raise ModalityInterferenceError(
                        f"`{file}`, line {reader.line_num}: {len(cells)} cells, and the first line names {len(header)} "
                        "columns. Put cells with tabs or line breaks into double quotes, and close these."
                    )

                if cells:
                    yield dict.fromkeys(header) | {name: cell or None for name, cell in zip(header, cells)}
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ModalityInterferenceError(f"`{file}` cannot be read as a TSV in UTF-8: {error}.") from error
    finally:
        csv.field_size_limit(before)


# What is written.


def twins_entry(
    data: OpenData,
    relevant: Sequence[Modality] | None,
    names: Sequence[str] | None,
    counterfactuals: Sequence[str] | None = None,
    to_train: bool = False,
) -> dict[str, Any]:
    """The entry of the data that is to be written, all but `file_name`.

    Args:
        data: of a file or of an entry.
        relevant: what the answers depend on; None for what the entry says, or where only one modality can be meant.
        names: the perturbations; None for the entry's own, or those that fit.
        counterfactuals: what takes the evidence away; None for the entry's own, or none.
        to_train: of a file, what fits is what to train on; see `twins_of`.

    Raises:
        ModalityInterferenceError: see `twins_of`; or a perturbation needs a pool of the user's folder.
    """
    block = (data.entry or {}).get("twins")
    keys = _changed(data, block, relevant, names) if block else twins_of(data.recognised, relevant, names, to_train)
    if counterfactuals is not None:
        gone = _chosen(keys["twins"].get(COUNTERFACTUALS, []), counterfactuals)
        keys = {**keys, "twins": {**keys["twins"], COUNTERFACTUALS: gone}}

    _refuse(twins_problems(data.name, keys, None))
    return keys


def _changed(
    data: OpenData, block: Mapping[str, Any], relevant: Sequence[Modality] | None, names: Sequence[str] | None
) -> dict[str, Any]:
    """The entry that a user has written, with other relevant modalities and perturbations."""
    block = dict(block)
    if relevant is not None:
        block["relevant"] = [modality.value for modality in relevant]

    if names is None:
        layout, where = formats()[(data.entry or {})["formatting"]], f"dataset `{data.name}`: `twins"
        items = written_out("perturbations", block, layout, data.recognised.columns, where)
        block["perturbations"] = [item for _, item in items or ()]
    else:
        own = block.get("perturbations", [])
        block["perturbations"] = _chosen([] if own == STANDARD else own, names)

    items = [item for key in PERTURBATION_KEYS for item in block.get(key, [])]
    if any(isinstance(item, Mapping) and "pool" in item for item in items):
        raise ModalityInterferenceError(
            f"dataset `{data.name}`: a perturbation takes images from a `pool` of the dataset folder, which is not copied. Name "
            "others by `--perturb`, or change `relevant` and `perturbations` in the entry itself."
        )

    return {key: value for key, value in (data.entry or {}).items() if key in ("formatting", "columns", "tags")} | {
        "twins": block
    }


def _chosen(items: Sequence[Any], names: Sequence[str] | None) -> list[Any]:
    """Perturbations by their names, with the parameters that an entry gives them; None for all of the entry's."""
    if names is None:
        return list(items)

    own: dict[str, list[Any]] = {}
    for item in items:
        own.setdefault(item["name"] if isinstance(item, Mapping) else item, []).append(item)

    return [item for name in checked(names) for item in own.get(name, [name])]


def write_folder(data: OpenData, keys: Mapping[str, Any], folder: Path, most: int, seed: int) -> int:
    """Write a dataset folder that holds rows of the data and their entry, and nothing else.

    Args:
        data: where the rows come from.
        keys: of their entry, from `twins_entry`.
        folder: where to write.
        most: how many rows.
        seed: of the draw.

    Returns:
        how many rows there are.

    Raises:
        ModalityInterferenceError: the folder cannot be written, or the entry has problems.
    """
    places = list(range(len(data.rows)))
    random.Random(seed).shuffle(places)  # so that with one seed, fewer rows are a part of more
    entry = {"file_name": f"{plain_name(data.name)}.parquet", **keys}
    count = write_rows(data, entry, folder, sorted(places[:most]))
    write_text(folder / INFO_FILE, json.dumps({data.name: entry}, ensure_ascii=False, indent=2) + "\n")
    _refuse(dataset_problems(data.name, entry, folder, known_formats()))
    return count


def write_rows(data: OpenData, entry: Mapping[str, Any], folder: Path, places: Sequence[int]) -> int:
    """Write rows as the Parquet file of an entry: the columns that it names, read as they were recognised.

    Args:
        data: where the rows come from.
        entry: names the file and its columns.
        folder: where to write.
        places: which rows.

    Returns:
        how many there are.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    columns = entry.get("columns") or formats()[entry["formatting"]].defaults
    relevant = entry["twins"].get("relevant")
    used = {*columns.values(), *([relevant] if isinstance(relevant, str) else [])}
    rows = data.rows.select(places).select_columns([name for name in data.rows.column_names if name in used])
    for column, reading in data.recognised.readings.items():
        own = rows[column] if column != columns.get("images") else _with_other_images(data.rows, column, places)
        cells = [reading.convert(cell) for cell in own]
        rows = rows.remove_columns(column).add_column(column, cells)

    stream = io.BytesIO()
    rows.to_parquet(stream)
    write_bytes(folder / entry["file_name"], stream.getvalue())
    return len(rows)


def _with_other_images(rows: Dataset, column: str, places: Sequence[int]) -> list[Any]:
    """Cells of a column; those that name another row's image by its index have that image."""
    cells = list(rows.select(places)[column])
    wanted = {cell.strip() for cell in cells if is_image_index(cell)}
    if not wanted or _INDEX not in rows.column_names or column == _INDEX:
        return cells

    found = {str(value): place for place, value in enumerate(rows[_INDEX]) if str(value) in wanted}
    images = {name: rows[place][column] for name, place in found.items()}
    return [images.get(cell.strip(), cell) if is_image_index(cell) else cell for cell in cells]
