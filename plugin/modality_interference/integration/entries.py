"""From `dataset_info.json` to raw rows: entries are checked, data that cannot be read is named, rows are numbered.

Each function takes LLaMA-Factory's own and returns its replacement. `modality-interference check` goes the same way.
"""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, IterableDataset, Value

from ..data.registry import formats
from ..data.sample import WITHHELD
from ..data.schema import numbered
from ..data.spec import TwinsSpec
from ..dataset_dir.entry import dataset_problem
from ..dataset_dir.faults import CSV, MAX_REASON, explain_fault
from ..errors import ModalityInterferenceError
from ..messages import shown
from ..modality import MEDIA
from .disk_errors import disk_error
from .extensions import known_formats
from .validation import refuse_unsafe


_HUB = "Check its name, `subset` and `split`, the connection, and that {} can be imported"
_FIXES = {
    "hf_hub": "Check its name, `subset` and `split`, the connection, and your access to it",
    "ms_hub": _HUB.format("`modelscope` (with its extra `modelscope[dataset]`)"),
    "om_hub": _HUB.format("`openmind`"),
}
_WHOLE_NUMBER = "^(0|-?[1-9][0-9]{0,17})$"  # as Python writes it, of 64 bits


class UnreadableData(ModalityInterferenceError):
    """Data files that cannot be read."""


def join(stock: Callable[..., None]) -> Callable[..., None]:
    """`DatasetAttr.join`, which also keeps the `twins` block and all columns."""

    @wraps(stock)
    def join_with_twins(self: Any, attr: dict[str, Any]) -> None:
        stock(self, attr)
        self.twins = attr.get("twins")
        self.twin_columns = attr.get("columns") or {}

    return join_with_twins


def get_dataset_list(
    stock: Callable[..., list], stage: str | None = None, needs_withheld: bool = False
) -> Callable[..., list]:
    """`get_dataset_list`, which also validates the `twins` blocks and remembers the datasets' names.

    Args:
        stock: LLaMA-Factory's.
        stage: the recipe's, which decides whether rows must be pairs of answers; None where no recipe is meant.
        needs_withheld: whether counterfactual rows need an answer that withholds.
    """

    @wraps(stock)
    def get_list(dataset_names: list[str] | None, dataset_dir: str | dict) -> list:
        if dataset_names and isinstance(dataset_dir, str) and os.path.isdir(dataset_dir):
            refuse_unsafe(dataset_names, Path(dataset_dir), known_formats())

        try:
            attributes = stock(dataset_names, dataset_dir)
        except (
            AttributeError,
            KeyError,
            TypeError,
        ) as error:  # of entries that lie elsewhere, which nobody has checked
            raise ModalityInterferenceError(
                f"An entry of {', '.join(dataset_names or [])} in the dataset_info.json of `dataset_dir` is not what "
                f"LLaMA-Factory reads: {type(error).__name__}: {error}. An entry is an object with `file_name` or "
                "`hf_hub_url`."
            ) from error

        for name, attribute in zip(dataset_names or [], attributes):
            attribute.twin_name = name
            attribute.twins = _parse_twins(name, attribute)
            if stage is not None:
                _check_pairs(name, attribute, stage, needs_withheld)

        return attributes

    return get_list


def _parse_twins(name: str, attribute: Any) -> TwinsSpec | None:
    block = getattr(attribute, "twins", None)
    if attribute.formatting in formats():
        columns = [column for column in MEDIA.values() if getattr(attribute, column, None)]
        return TwinsSpec.parse(block, dataset=name, formatting=attribute.formatting, columns=columns)

    if block is not None:
        raise ModalityInterferenceError(
            f"Dataset {name}: it has a `twins` block, but `formatting: {attribute.formatting}` makes no twins. "
            f"Use one of {', '.join(sorted(formats()))}, or remove the block."
        )

    return None


def _check_pairs(name: str, attribute: Any, stage: str, needs_withheld: bool) -> None:
    """Refuse datasets of the other kind; LLaMA-Factory's own error does not name them."""
    if attribute.ranking and stage != "dpo":
        raise ModalityInterferenceError(
            f"dataset `{name}`: `ranking: true` makes pairs of answers, and `stage: {stage}` trains on single ones. Use `stage: dpo`, "
            "or make an entry of the same file without `ranking`."
        )

    if stage == "dpo" and not attribute.ranking:
        raise ModalityInterferenceError(
            f'dataset `{name}`: `stage: dpo` needs pairs of answers. Add `"ranking": true`, and name the columns `chosen` and '
            "`rejected`."
        )

    if needs_withheld and attribute.twins is not None and attribute.twins.counterfactuals:
        if not attribute.twin_columns.get(WITHHELD):
            raise ModalityInterferenceError(
                f"dataset `{name}`: `preference_counterfactual: symmpo` needs an answer that withholds for rows without their "
                f'evidence, such as "I cannot tell from the image." Name its column in `columns.{WITHHELD}`, remove '
                "`counterfactuals` from the `twins` block, or use `preference_counterfactual: mdpo`."
            )


def load_single_dataset(stock: Callable[..., Any]) -> Callable[..., Any]:
    """`_load_single_dataset`, which names the dataset whose data cannot be read."""

    @wraps(stock)
    def load(dataset_attr: Any, *args: Any, **keys: Any) -> Any:
        try:
            return stock(dataset_attr, *args, **keys)
        except UnreadableData as error:
            raise ModalityInterferenceError(dataset_problem(dataset_attr.twin_name, str(error))) from error
        except ModalityInterferenceError:
            raise
        except Exception as error:  # from a hub's library, its import, the network
            if dataset_attr.load_from == "file" or isinstance(error, MemoryError) or disk_error(error) is not None:
                raise

            raise ModalityInterferenceError(
                dataset_problem(dataset_attr.twin_name, _not_loaded(dataset_attr, error))
            ) from error

    return load


def _not_loaded(attribute: Any, error: Exception) -> str:
    """Say that a dataset cannot be loaded from where its entry says."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_REASON]}"
    fix = _FIXES.get(attribute.load_from, "Check the address, and the access to it")
    return f"{shown(attribute.dataset_name)} cannot be loaded: {said}. {fix}"


def load_dataset(stock: Callable[..., Dataset | IterableDataset]) -> Callable[..., Dataset | IterableDataset]:
    """`load_dataset`, whose rows also say which rows of the file they are: `num_samples` and the like take some of them.

    Cells of CSV files stay what is written in them. Files that cannot be read are named, with row and column as far as they can
    be found.
    """

    @wraps(stock)
    def load(*args: Any, **keys: Any) -> Dataset | IterableDataset:
        try:
            is_csv = keys.get("path") == "csv" and keys.get("data_files")
            return numbered(_csv(stock, *args, **keys) if is_csv else stock(*args, **keys))
        except Exception as error:  # from pyarrow, pandas, json, datasets, the file system
            files = keys.get("data_files") or ()
            if not files or isinstance(error, MemoryError) or disk_error(error) is not None:
                raise

            if str(error).startswith("Unknown split"):
                raise UnreadableData(
                    f"`split` is {shown(str(keys.get('split')))}, and files have the split `train` alone, or parts of it such as "
                    "`train[:100]`"
                ) from error

            raise UnreadableData(explain_fault([Path(file) for file in files], error.__cause__ or error)) from error

    return load


def _csv(stock: Callable[..., Any], *args: Any, **keys: Any) -> Any:
    """Load CSV files as texts; columns of whole numbers alone become numbers.

    pandas would read the option "None" as no option, "1.50" as 1.5, "007" as 7, and 4 as 4.0 where another row has none.
    """
    columns = _header(keys["data_files"])
    if columns is None:  # the reader says what is wrong
        return stock(*args, **keys)

    texts = Features({column: Value("string") for column in columns})
    rows = stock(*args, **keys, **CSV, features=texts)
    numbers = {column: Value("int64") for column in columns if _are_whole_numbers(rows.data.column(column))}
    return rows.cast(Features({**texts, **numbers})) if numbers else rows


def _header(files: Sequence[str]) -> list[str] | None:
    """The columns of CSV files; None where they differ or cannot be read."""
    try:
        headers = [list(pd.read_csv(file, nrows=0, **CSV).columns) for file in files]
    except (OSError, ValueError):  # pandas' own errors, and text that is not UTF-8
        return None

    return headers[0] if all(header == headers[0] for header in headers) else None


def _are_whole_numbers(cells: pa.ChunkedArray) -> bool:
    """Whether all texts are; not where there are none."""
    return cells.null_count < len(cells) and pc.all(pc.match_substring_regex(cells, _WHOLE_NUMBER)).as_py()
