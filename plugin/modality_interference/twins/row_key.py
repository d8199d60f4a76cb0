"""Row keys, and the random numbers that come from them."""

import json
import os
import random
import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any


def row_key(dataset: str, example: Mapping[str, Any]) -> int:
    """The key of a raw row: from its content, so it does not change with row order, sharding or streaming.

    Columns without a value count as absent, as Arrow fills gaps with None. Of an embedded picture only the bytes
    count: its path differs between a streamed and a downloaded dataset.

    Args:
        dataset: the dataset's name; the same row in two datasets has two keys.
        example: the raw row: strings, numbers, bytes, dates, PIL pictures, numpy values, and lists and dicts of them.

    Returns:
        63 bits (so that Arrow's int64 holds it) of BLAKE2b over a canonical encoding.
    """
    digest = blake2b(digest_size=8)
    _feed(digest, dataset)
    _feed(digest, example)
    return int.from_bytes(digest.digest(), "big") >> 1


def seeded(seed: int, dataset: str, key: int, purpose: str) -> random.Random:
    """A generator that depends on these four only, never on Python's hash seed, the worker or the rank."""
    text = json.dumps([seed, dataset, key, purpose])
    return random.Random(int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big"))


def _feed(digest: "blake2b", value: Any) -> None:
    """Feed one value, as type, length and content, so that no two different values feed the same bytes."""
    if value is None:
        _put(digest, "none", b"")
    elif isinstance(value, Mapping):
        _feed_mapping(digest, value)
    elif isinstance(value, (list, tuple)):
        _put(digest, "list", struct.pack("<q", len(value)))
        for item in value:
            _feed(digest, item)
    elif isinstance(value, str):
        _put(digest, "str", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, (bytes, bytearray)):
        _put(digest, "bytes", bytes(value))
    elif isinstance(value, bool):
        _put(digest, "bool", bytes([value]))
    elif isinstance(value, int):
        _put(digest, "int", format(value, "x").encode())
    elif isinstance(value, float):
        _put(digest, "float", struct.pack("<d", value))
    else:
        _feed_object(digest, value)


def _feed_mapping(digest: "blake2b", value: Mapping[str, Any]) -> None:
    if _is_embedded_picture(value):
        _feed(digest, os.path.basename(value["path"] or "") if value["bytes"] is None else value["bytes"])
        return

    present = sorted((str(name), item) for name, item in value.items() if item is not None)
    _put(digest, "dict", struct.pack("<q", len(present)))
    for name, item in present:
        _feed(digest, name)
        _feed(digest, item)


def _is_embedded_picture(value: Mapping[str, Any]) -> bool:
    """Whether this is how `datasets` hands over an undecoded picture."""
    if set(value) != {"bytes", "path"}:
        return False

    return isinstance(value["bytes"], (bytes, type(None))) and isinstance(value["path"], (str, type(None)))


def _feed_object(digest: "blake2b", value: Any) -> None:
    """Feed what `datasets` may decode a cell to, known by its methods so that nothing heavy is imported here."""
    if hasattr(value, "mode") and hasattr(value, "tobytes"):  # a PIL picture
        _feed(digest, [value.mode, *value.size, value.tobytes()])
    elif hasattr(value, "dtype") and hasattr(value, "tolist"):  # a numpy value
        _feed(digest, value.tolist())
    elif hasattr(value, "isoformat"):  # a date
        _feed(digest, value.isoformat())
    else:  # anything else, a video decoder say, may repr to its address: the other columns tell the rows apart
        _put(digest, "object", type(value).__qualname__.encode())


def _put(digest: "blake2b", kind: str, content: bytes) -> None:
    digest.update(f"{kind}:{len(content)}:".encode())
    digest.update(content)
