"""The questions of a suite as Parquet: the same suite gives the same bytes."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..modality import MEDIA, Modality
from .rows import Asked


_ROWS_IN_GROUP = 100  # as the hub's viewer wants them, for rows with media
_MEDIUM = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # how `datasets` stores media
_COLUMNS = {
    "id": pa.string(),
    "dataset": pa.string(),
    "row": pa.int64(),
    "key": pa.int64(),
    "perturbation": pa.string(),
    "kind": pa.string(),
    "system": pa.string(),
    "prompt": pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
    "options": pa.list_(pa.string()),
    "label": pa.int64(),
    "answer": pa.string(),
    "target": pa.string(),
    "family": pa.string(),
}


def parquet(
    asked: Sequence[Asked], modalities: Sequence[Modality], metadata: dict[bytes, bytes] | None = None
) -> bytes:
    """A Parquet file of questions with their media.

    Args:
        asked: the questions, in order.
        modalities: which media get a column: a list of `{"bytes", "path"}` in each row, a file for every placeholder.
        metadata: of the schema.
    """
    table = pa.table(
        {
            **{name: pa.array([_cell(item, name) for item in asked], kind) for name, kind in _COLUMNS.items()},
            **{
                MEDIA[modality]: pa.array([_media(item, modality) for item in asked], pa.list_(_MEDIUM))
                for modality in modalities
            },
        }
    ).replace_schema_metadata(metadata)
    stream = BytesIO()
    pq.write_table(table, stream, row_group_size=_ROWS_IN_GROUP, compression="zstd")
    return stream.getvalue()


def _cell(item: Asked, name: str) -> Any:
    row = item.row
    values = {"label": row.answer, "answer": row.right, "options": list(row.options)}
    return values[name] if name in values else getattr(row, name)


def _media(item: Asked, modality: Modality) -> list[dict[str, Any]]:
    return [{"bytes": file.data, "path": file.name} for file in item.media[modality]]
