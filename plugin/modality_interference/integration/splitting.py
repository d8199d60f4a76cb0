"""`val_size`: the questions about one clip stay on one side of the split."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from datasets import Dataset

from ..errors import ModalityInterferenceError


def check_split(name: str, data_args: Any) -> None:
    """Refuse to hold out the beginning of a stream of clips, which may end between the questions about one.

    Raises:
        ModalityInterferenceError: naming the dataset.
    """
    if data_args.streaming and data_args.val_size > 0:
        raise ModalityInterferenceError(
            f"Dataset {name}: `val_size` cannot hold out clips of a stream without their other question being trained "
            "on. Hold out a dataset of its own (`modality-interference clips pair --split`), or remove `streaming`."
        )


def split_dataset(stock: Callable[..., tuple[dict, dict]]) -> Callable[..., tuple[dict, dict]]:
    """`split_dataset`, which splits clips where a clip is asked several questions; `val_size` counts clips then."""

    @wraps(stock)
    def split(dataset: Any, eval_dataset: Any, data_args: Any, seed: int) -> tuple[dict, dict]:
        groups = _groups(dataset) if isinstance(dataset, Dataset) and data_args.val_size > 0 else None
        if groups is None:
            return stock(dataset, eval_dataset, data_args, seed)

        numbers = Dataset.from_dict({"group": list(range(len(groups)))})
        sides = stock(numbers, eval_dataset, data_args, seed)
        train, held_out = (
            {
                key: dataset.select([row for group in side["group"] for row in groups[group]])
                for key, side in found.items()
            }
            for found in sides
        )
        return train, held_out

    return split


def _groups(dataset: Dataset) -> list[list[int]] | None:
    """The rows of each clip, and every other row alone; None where nothing is asked several questions."""
    abouts = dataset["_twins"] if "_twins" in dataset.column_names else []
    groups: dict[Any, list[int]] = {}
    clips = False
    for index, text in enumerate(abouts):
        about = json.loads(text) if '"clip"' in text else {}
        key = (about["dataset"], about["clip"]) if "clip" in about else index
        clips = clips or "clip" in about
        groups.setdefault(key, []).append(index)

    return list(groups.values()) if clips else None
