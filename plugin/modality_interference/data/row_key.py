"""Row keys, and the random numbers that come from them."""

import json
import os
import random
import struct
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any


def row_key(dataset: str, example: Mapping[str, Any]) -> int:
    """The key of a raw row: from its content, so it does not change with row order, sharding or streaming.

    Columns without a value count as absent, as Arrow fills gaps with None. Of an embedded image only the bytes
    count: its path differs between a streamed and a downloaded dataset.

    Args:
        dataset: the dataset's name; the same row in two datasets has two keys.
        example: the raw row: strings, numbers, bytes, dates, PIL images, numpy values, and lists and dicts of them.

    Returns:
        63 bits (so that Arrow's int64 holds it) of BLAKE2b over a canonical encoding.
    """
    parts: list[bytes] = []
    _feed(parts, dataset)
    _feed(parts, example)
    return int.from_bytes(blake2b(b"".join(parts), digest_size=8).digest(), "big") >> 1


def seeded(seed: int, dataset: str, key: int, purpose: str) -> random.Random:
    """A random generator that depends on these four arguments only, not on Python's hash seed, the worker or the rank."""
    text = f"[{seed}, {_quoted(dataset)}, {key}, {_quoted(purpose)}]"  # JSON
    return random.Random(int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big"))


_quoted = lru_cache(maxsize=4096)(json.dumps)  # datasets and perturbations are few, rows are many


def _feed(parts: list[bytes], value: Any) -> None:
    """Feed one value, as type, length and content, so that no two different values feed the same bytes."""
    if isinstance(value, str):  # by far the most frequent type
        _put(parts, b"str", value.encode("utf-8", "surrogatepass"))
    elif value is None:
        _put(parts, b"none", b"")
    elif isinstance(value, (list, tuple)):
        _put(parts, b"list", struct.pack("<q", len(value)))
        for item in value:
            _feed(parts, item)
    elif isinstance(value, bool):
        _put(parts, b"bool", bytes([value]))
    elif isinstance(value, int):
        _put(parts, b"int", format(value, "x").encode())
    elif isinstance(value, float):
        _put(parts, b"float", struct.pack("<d", value))
    elif isinstance(value, (bytes, bytearray)):
        _put(parts, b"bytes", bytes(value))
    elif isinstance(value, Mapping):
        _feed_mapping(parts, value)
    else:
        _feed_object(parts, value)


def _feed_mapping(parts: list[bytes], value: Mapping[str, Any]) -> None:
    if _is_embedded_image(value):
        _feed(parts, os.path.basename(value["path"] or "") if value["bytes"] is None else value["bytes"])
        return

    present = sorted((str(name), item) for name, item in value.items() if item is not None)
    _put(parts, b"dict", struct.pack("<q", len(present)))
    for name, item in present:
        _feed(parts, name)
        _feed(parts, item)


def _is_embedded_image(value: Mapping[str, Any]) -> bool:
    """Whether this is how `datasets` represents an undecoded image."""
    if len(value) != 2 or set(value) != {"bytes", "path"}:
        return False

    return isinstance(value["bytes"], (bytes, type(None))) and isinstance(value["path"], (str, type(None)))


def _feed_object(parts: list[bytes], value: Any) -> None:
    """Feed what `datasets` may decode a cell to, known by its methods so that nothing heavy is imported here."""
    if hasattr(value, "mode") and hasattr(value, "tobytes"):  # a PIL image
        _feed(parts, [value.mode, *value.size, value.tobytes()])
    elif hasattr(value, "dtype") and hasattr(value, "tolist"):  # a numpy value
        _feed(parts, value.tolist())
    elif hasattr(value, "isoformat"):  # a date
        _feed(parts, value.isoformat())
    else:  # the `repr` of anything else, such as a video decoder, may hold its address; the other columns distinguish the rows
        _put(parts, b"object", type(value).__qualname__.encode())


def _put(parts: list[bytes], kind: bytes, content: bytes) -> None:
    parts.append(b"%b:%d:" % (kind, len(content)))
    parts.append(content)
