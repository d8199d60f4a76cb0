"""Rows of a dataset folder's own files through the plugin's data path: without model, tokenizer and network.

Dataset folders come from untrusted places: only files inside the folder are opened, by LLaMA-Factory's loader and by PIL,
and media in a folder that the user has named.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import datasets
from datasets import Dataset

from ..data import schema
from ..data.converter import PlainRow
from ..data.formats.audio_visual import ask_each
from ..data.records import ROW
from ..dataset_dir.rows import Example, TriedClips, read_example
from ..errors import ModalityInterferenceError
from ..files import MediaFolders
from . import entries, loading
from .plugin import deactivate, require


Converter = Callable[[dict[str, Any], int], dict[str, Any]]


@dataclass
class LocalDataset:
    """A dataset of the dataset folder.

    Attributes:
        name: in `dataset_info.json`.
        folder: the dataset folder.
        rows: the raw rows, media undecoded, with the columns that the entry names.
        columns: all that the data has.
        media_folders: where its media may be opened.
        make_converter: makes what turns a raw row and its index into an aligned row.
    """

    name: str
    folder: Path
    rows: Dataset
    columns: list[str]
    media_folders: MediaFolders
    make_converter: Callable[[], Converter]

    def examples(self, indexes: Iterable[int]) -> Iterator[Example]:
        """Convert rows and read their media; see `read_example`.

        Raises:
            ModalityInterferenceError: the entry does not fit the data.
        """
        convert, clips = self.make_converter(), TriedClips()
        for index in indexes:
            yield read_example(lambda: convert(self.rows[index], index), index, self.media_folders, clips)


@contextmanager
def open_dataset(
    name: str,
    entry: dict[str, Any],
    folder: Path,
    seed: int,
    media_dir: Path | None = None,
    max_samples: int | None = None,
) -> Iterator[LocalDataset]:
    """Load a dataset as LLaMA-Factory does.

    Args:
        name: in `dataset_info.json`.
        entry: its entry, which names a file and in which the checks of `dataset_dir` find nothing.
        folder: the dataset folder.
        seed: of the twins, as a run's `seed`.
        media_dir: as a run's `media_dir`; None for the dataset folder.
        max_samples: as a run's; media of other rows that twins borrow are of these rows, too. None for all rows.

    Raises:
        ModalityInterferenceError: LLaMA-Factory or the plugin refuses the entry or cannot read the data.
    """
    folder = folder.resolve()
    with _quiet(), TemporaryDirectory(prefix="modality_interference_") as cache:
        attribute, data_args = _attribute(name, entry), _data_args(folder, media_dir)
        folders = loading.media_folders(data_args)
        rows = _rows(attribute, data_args, cache)
        if max_samples is not None:
            rows = rows.select(range(min(max_samples, len(rows))))

        layout, columns = loading.layout_of(attribute), [name for name in rows.column_names if name != ROW]
        if layout is None:
            make_converter: Callable[[], Converter] = partial(_plain_converter, attribute, data_args)
        else:
            rows = loading.readable_rows(rows, attribute, layout)
            make_converter = partial(
                loading.twin_converter, rows, columns, attribute, layout, data_args, seed, folders
            )
            if layout.asks_per_modality:
                rows = ask_each(rows, attribute.twins.asked_modalities)

        yield LocalDataset(name, folder, rows, columns, folders, make_converter)


@contextmanager
def open_rows(name: str, entry: dict[str, Any], folder: Path) -> Iterator[Dataset]:
    """All columns of a dataset's rows, media undecoded, rows that are not UTF-8 empty; see `open_dataset`."""
    with _quiet(), TemporaryDirectory(prefix="modality_interference_") as cache:
        yield schema.mark_invalid_text(_rows(_attribute(name, entry), _data_args(folder.resolve()), cache))


def _data_args(folder: Path, media_dir: Path | None = None) -> Any:
    arguments = require("llamafactory.hparams", "DataArguments").DataArguments
    return arguments(dataset_dir=str(folder), media_dir=None if media_dir is None else str(media_dir))


def _rows(attribute: Any, data_args: Any, cache: str) -> Dataset:
    rows = schema.undecoded(_load(attribute, data_args, cache))
    if not len(rows):
        raise ModalityInterferenceError(f"dataset `{attribute.twin_name}`: it has no rows")

    return rows


def _attribute(name: str, entry: dict[str, Any]) -> Any:
    deactivate()  # a run of this process may have left the plugin in place
    parser = require("llamafactory.data.parser", "get_dataset_list", "DatasetAttr.join")
    try:
        with _swapped(parser.DatasetAttr, "join", entries.join(parser.DatasetAttr.join)):
            return entries.get_dataset_list(parser.get_dataset_list)([name], {name: entry})[0]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _refused(name, "LLaMA-Factory cannot read its entry", error) from error


def _load(attribute: Any, data_args: Any, cache: str) -> Dataset:
    """LLaMA-Factory's own loading, up to where rows are aligned."""
    loader = require("llamafactory.data.loader", "_load_single_dataset", "align_dataset")
    model_args = SimpleNamespace(cache_dir=cache, hf_hub_token=None)
    attribute.num_samples = None  # of all rows, in the order of the file
    try:
        with (
            _swapped(loader, "align_dataset", lambda rows, *_: rows),
            _swapped(loader, "load_dataset", entries.load_dataset(loader.load_dataset)),
        ):
            load = entries.load_single_dataset(loader._load_single_dataset)
            return load(attribute, model_args, data_args, training_args=None)
    except ModalityInterferenceError:
        raise
    except Exception as error:  # from LLaMA-Factory, datasets, the file system
        raise _refused(attribute.twin_name, "its data cannot be read", error.__cause__ or error) from error


def _refused(name: str, what: str, error: BaseException) -> ModalityInterferenceError:
    if isinstance(error, ModalityInterferenceError):
        return error

    reason = " ".join(str(error).split())[:300]
    return ModalityInterferenceError(f"dataset `{name}`: {what}: {type(error).__name__}: {reason}")


def _plain_converter(attribute: Any, data_args: Any) -> Converter:
    """Of an extension's plain format."""
    module = require("llamafactory.data.converter", "get_dataset_converter")
    converter = module.get_dataset_converter(attribute.formatting, attribute, data_args)
    name = PlainRow(attribute.twin_name)

    def convert(row: dict[str, Any], index: int) -> dict[str, Any]:
        aligned = converter(row)
        return aligned | name(aligned, index)

    return convert


@contextmanager
def _swapped(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    stock = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, stock)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries say about files and rows from the terminal: the caller says it once, and better."""
    loggers = [logging.getLogger(name) for name in ("llamafactory", "datasets")]
    levels = [logger.level for logger in loggers]
    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)

        if bars:
            datasets.enable_progress_bars()
