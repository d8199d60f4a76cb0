"""Rows whose text is not UTF-8: Arrow stores it unseen, and Python cannot read it."""

import pyarrow as pa
from datasets import Dataset, Features, IterableDataset, Value

from .formats import INVALID_TEXT


def mark_invalid_text(dataset: Dataset | IterableDataset) -> Dataset | IterableDataset:
    """Empty the rows that hold invalid UTF-8 and mark them, so that reading them does not kill the run.

    Args:
        dataset: raw rows. A stream stays as it is: what comes is not known beforehand.

    Returns:
        The same dataset where all text is valid; else one with the boolean column `INVALID_TEXT`.
    """
    if isinstance(dataset, IterableDataset) or _is_valid(dataset.data.table):
        return dataset

    marked = Features({**dataset.features, INVALID_TEXT: Value("bool")})
    emptied = dataset.with_format("arrow").map(_empty_invalid, batched=True, features=marked, desc="Looking for UTF-8")
    return emptied.with_format(None)


def _empty_invalid(table: pa.Table) -> pa.Table:
    invalid = [not _is_valid(table.slice(index, 1)) for index in range(len(table))]
    places = pa.array([None if bad else index for index, bad in enumerate(invalid)], pa.int64())
    return table.take(places).append_column(INVALID_TEXT, pa.array(invalid))


def _is_valid(table: pa.Table) -> bool:
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        return False

    return True
