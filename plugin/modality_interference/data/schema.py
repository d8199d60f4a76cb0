"""The columns of aligned and of tokenized datasets, with their types.

Types are given, not guessed: a guess from the first thousand rows fails on a dataset whose first images come later.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Image, IterableDataset, List, ReadInstruction, Value

from .. import __version__
from ..errors import ModalityInterferenceError
from ..modality import MEDIA, Modality
from .records import INVALID_TEXT, ROW


AnyDataset: TypeAlias = Dataset | IterableDataset
MESSAGES = List({"role": Value("string"), "content": Value("string")})
REASON = {"kind": Value("string"), "detail": Value("string")}
_REFERENCES = {column: List(Value("string")) for column in MEDIA.values()}
_VARIANT = {  # `records.Variant`
    "perturbation": Value("string"),
    "prompt": MESSAGES,
    "system": Value("string"),
    **_REFERENCES,
    "target": Value("string"),
    "family": Value("string"),
}
TWINS = {  # `records.TwinRecord`
    "dataset": Value("string"),
    "row": Value("int64"),
    "key": Value("int64"),
    "clip": Value("int64"),
    "relevant": Value("int64"),
    "choices": List(Value("string")),
    "answer": Value("int32"),
    "target": Value("string"),
    "abstention": Value("string"),
    **_REFERENCES,
    "variants": List(_VARIANT),
    "counterfactuals": List(_VARIANT),
    "dropped": REASON,
}
IMAGE = {"bytes": Value("binary"), "path": Value("string")}  # an image, as the converter gives those of other rows
ALIGNED_IMAGES = List(Image(decode=False))  # one type for all datasets, or they could not be mixed
DROPPED = {
    "dropped",
    "dropped_twins",
    "remarks",
}  # columns that no dataset has any more once what they say has been said


def column_names(dataset: AnyDataset) -> list[str]:
    """The dataset's columns; a stream may have to show its first row for them."""
    return list(dataset.column_names or next(iter(dataset)))


def _known(dataset: AnyDataset) -> dict[str, Any]:
    return dict(dataset.features or {})


def class_names(dataset: AnyDataset) -> dict[str, list[str]]:
    """Names of the classes of every ClassLabel column."""
    return {name: feature.names for name, feature in _known(dataset).items() if isinstance(feature, ClassLabel)}


def text_classes(dataset: Dataset, columns: Collection[str]) -> dict[str, list[str]]:
    """Names of the classes of label columns that hold texts: the texts that there are in all of them together, sorted."""
    known = _known(dataset)
    texts = [name for name in columns if getattr(known.get(name), "dtype", None) in ("string", "large_string")]
    found = {text.strip() for name in texts for text in dataset.select_columns(name).unique(name) if text}
    return dict.fromkeys(texts, sorted(found - {""}))


def undecoded(dataset: AnyDataset) -> AnyDataset:
    """Leave media as bytes and paths, at every depth.

    `datasets` would decode them where a row is read, with any of PIL's readers, and open whatever files and addresses they
    name. A file says itself which of its columns are media.
    """
    for name, feature in _known(dataset).items():
        if (kept := _undecoded(feature)) != feature:
            dataset = dataset.cast_column(name, kept)

    return dataset


def _undecoded(feature: Any) -> Any:
    if hasattr(feature, "decode"):  # Image, Audio, Video, Pdf, ...
        return replace(feature, decode=False)

    if isinstance(feature, dict):
        return type(feature)({name: _undecoded(item) for name, item in feature.items()})

    if isinstance(feature, list):
        return [_undecoded(item) for item in feature]

    return replace(feature, feature=_undecoded(feature.feature)) if hasattr(feature, "feature") else feature


def only(dataset: AnyDataset, names: Collection[str]) -> AnyDataset:
    """The rows with these columns alone; names of columns that they do not have are left out."""
    present = column_names(dataset)
    kept = [name for name in present if name in names]
    return dataset if kept == present else dataset.select_columns(kept)


def mixable(dataset: AnyDataset) -> AnyDataset:
    """Give an aligned dataset of an extension's plain format the types of all others, so that they can be mixed."""
    if isinstance(dataset, Dataset):
        images = _known(dataset).get("_images")
        return dataset.cast_column("_images", ALIGNED_IMAGES) if isinstance(images, List) else dataset

    guessed = Dataset.from_list([next(iter(dataset))]).features  # a stream does not say
    media = {name: _media(guessed[name]) for name in ("_videos", "_audios")}
    return dataset.cast(Features({**guessed, **media, "_images": ALIGNED_IMAGES}))


def named(dataset: AnyDataset) -> Features:
    """Columns of a plain aligned dataset once its rows have a `_twins`."""
    return Features({**_known(dataset), "_twins": TWINS})


def aligned(dataset: AnyDataset, columns: Mapping[str, str]) -> Features:
    """Columns of an aligned dataset with twins: LLaMA-Factory's, `_twin_images` and `_twins`.

    Args:
        dataset: the raw rows.
        columns: the dataset's column of `images`, `videos` and `audios`, where it has them.
    """
    known = _known(dataset)
    clips = {
        column: _media(known.get(columns.get(column, ""))) for column in (MEDIA[Modality.VIDEO], MEDIA[Modality.AUDIO])
    }
    return Features(
        {
            "_prompt": MESSAGES,
            "_response": MESSAGES,
            "_system": Value("string"),
            "_tools": Value("string"),
            "_images": ALIGNED_IMAGES,
            "_twin_images": List(IMAGE),
            **{f"_{column}": feature for column, feature in clips.items()},
            **{f"_twin_{column}": feature for column, feature in clips.items()},
            "_twins": TWINS,
        }
    )


def tokenized(dataset: AnyDataset) -> Features:
    """Columns of a tokenized dataset: see `TwinProcessor`."""
    known = _known(dataset)
    token_ids = {"input_ids": List(Value("int32")), "labels": List(Value("int32")), "prompt_start": Value("int32")}
    references = {f"{name}_references": List(Value("string")) for name in ("image", "video", "audio")}
    tokens = {f"{name}_tokens": List(Value("int32")) for name in ("image", "video", "audio")}
    tokens |= {"media_runs": List(List(Value("int32")))}
    names = {name: Value("string") for name in ("perturbation", "target", "family")}
    names |= {"claimed_ids": List(Value("int32"))}
    return Features(
        {
            **token_ids,
            "attention_mask": List(Value("int8")),
            "images": List(IMAGE),  # not ALIGNED_IMAGES: `tokenized_path` would get a copy of every file
            "videos": _media(known.get("_videos")),
            "audios": _media(known.get("_audios")),
            "twin_images": List(IMAGE),
            "twin_videos": _media(known.get("_videos")),
            "twin_audios": _media(known.get("_audios")),
            **references,
            **tokens,
            "choices": List(Value("string")),
            "answer": Value("int32"),
            "target": Value("string"),
            "abstention": Value("string"),
            "option_ids": List(List(Value("int32"))),
            "option_lengths": List(Value("int32")),
            "rejected_ids": List(Value("int32")),
            "withheld_ids": List(Value("int32")),
            "variants": List({**token_ids, **references, **tokens, **names}),
            "counterfactuals": List({**token_ids, **references, **tokens, **names}),
            "relevant": Value("int64"),
            "key": Value("int64"),
            "dataset": Value("string"),
            "row": Value("int64"),
            "clip": Value("int64"),  # the row of the data, where several questions are asked about one; else -1
            "dropped": REASON,
            "dropped_twins": List(REASON),
            "remarks": List(REASON),
        }
    )


def check_tokenized(dataset: AnyDataset, path: str) -> None:
    """Refuse a dataset that was tokenized without the plugin, or by another version of it.

    Args:
        dataset: from the disk.
        path: the recipe's `tokenized_path`.

    Raises:
        ModalityInterferenceError: naming the path and what to do.
    """
    found = _known(dataset)
    if "variants" not in found:
        raise ModalityInterferenceError(
            f"`tokenized_path` ({path}) holds a dataset that was tokenized without the plugin: its rows have no twins, and do "
            "not say what their answers depend on. Remove the folder, or name another one, and run again."
        )

    media = {*MEDIA.values(), *(f"twin_{column}" for column in MEDIA.values())}  # their types are the dataset's
    expected = {name: feature for name, feature in tokenized(dataset).items() if name not in media | DROPPED}
    if any(found.get(name) != feature for name, feature in expected.items()):
        raise ModalityInterferenceError(
            f"`tokenized_path` ({path}) holds a dataset that another version of the plugin has tokenized, in another "
            f"layout than that of version {__version__}. Remove the folder, or name another one, and run again."
        )


def _media(feature: Any) -> Any:
    """The type of a list of media, from the type of the column that they come from."""
    item = feature.feature if isinstance(feature, List) else feature
    if item is None or (isinstance(item, Value) and item.dtype == "null"):
        item = Value("string")

    return List(item)


def numbered(dataset: AnyDataset) -> AnyDataset:
    """The same rows with the column `ROW`: which row of the file each is. A stream stays as it is.

    Args:
        dataset: as `datasets.load_dataset` returns it, which may be a slice of a file (`split: train[4:]`).
    """
    if not isinstance(dataset, Dataset):
        return dataset

    sizes = {name: split.num_examples for name, split in (dataset.info.splits or {}).items()}
    try:
        slices = ReadInstruction.from_spec(str(dataset.split)).to_absolute(sizes)
    except (ValueError, KeyError):  # it does not say what it is a slice of
        slices = []

    ranges = [np.arange(part.from_ or 0, sizes[part.splitname] if part.to is None else part.to) for part in slices]
    rows = np.concatenate(ranges) if ranges else np.arange(len(dataset))
    rows = rows if len(rows) == len(dataset) else np.arange(len(dataset))
    dataset = dataset.remove_columns(ROW) if ROW in dataset.column_names else dataset  # one that no entry may name
    return dataset.add_column(ROW, rows)


def mark_invalid_text(dataset: Dataset | IterableDataset) -> Dataset | IterableDataset:
    """Empty the rows that hold invalid UTF-8 and mark them, so that reading them does not end the run.

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
    kept = pa.array([None if bad else index for index, bad in enumerate(invalid)], pa.int64())
    emptied = table.take(kept).append_column(INVALID_TEXT, pa.array(invalid))
    if ROW not in table.column_names:
        return emptied

    return emptied.set_column(table.column_names.index(ROW), table.schema.field(ROW), table[ROW])


def _is_valid(table: pa.Table) -> bool:
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        return False

    return True
