"""`tokenized_path`: written whole or not at all, and read only where this plugin, or a run without it, has written it."""

import json
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from ..data import schema
from ..errors import ModalityInterferenceError


def dataset_dict(stock: type[DatasetDict]) -> type[DatasetDict]:
    """`DatasetDict`, which a killed run never leaves half written at `tokenized_path`."""

    class WholeDatasetDict(stock):  # type: ignore[misc, valid-type]
        def save_to_disk(self, dataset_dict_path: Any, *args: Any, **keys: Any) -> None:
            target = Path(dataset_dict_path).expanduser()  # as `datasets` does
            partial = target.with_name(f".{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            super().save_to_disk(partial, *args, **keys)
            partial.replace(target)

    return WholeDatasetDict


def load_from_disk(stock: Callable[..., Any], stage: str) -> Callable[..., Any]:
    """`load_from_disk`, which refuses a `tokenized_path` that this version of the plugin has not written, or not whole.

    Args:
        stock: LLaMA-Factory's.
        stage: the recipe's; pairs are for `dpo` alone.
    """

    @wraps(stock)
    def load(path: Any, *args: Any, **keys: Any) -> Any:
        try:
            found = stock(path, *args, **keys)
        except (OSError, ValueError) as error:  # what is missing, JSON and Arrow that end too early
            raise ModalityInterferenceError(
                f"`tokenized_path` ({path}) holds no complete dataset ({' '.join(str(error).split())[:200]}). Remove the "
                "folder, and run again."
            ) from error

        for dataset in found.values() if isinstance(found, DatasetDict) else [found]:
            schema.check_tokenized(dataset, str(path))
            if len(dataset) and bool(dataset[0]["rejected_ids"]) != (stage == "dpo"):
                kind = "single answers" if stage == "dpo" else "pairs of answers"
                raise ModalityInterferenceError(
                    f"`tokenized_path` ({path}) holds {kind}, which are not for `stage: {stage}`. Name another folder, and run again."
                )

        return found

    return load


def refuse_tokenized_twins(path: str | None) -> None:
    """Refuse a `tokenized_path` that the plugin wrote, in a run without it: LLaMA-Factory's collator fails on its columns.

    Raises:
        ModalityInterferenceError: naming the path and what to do.
    """
    folder = Path(path or "")
    for file in folder.glob("*/dataset_info.json") if path else ():
        try:
            features = json.loads(file.read_text(encoding="utf-8")).get("features") or {}
        except (OSError, ValueError, AttributeError):  # LLaMA-Factory reports it
            continue

        if "variants" in features and "prompt_start" in features:
            raise ModalityInterferenceError(
                f"`tokenized_path` ({path}) holds a dataset that the modality_interference plugin has tokenized, and the plugin "
                "is off. Add `plugin: modality_interference` to the recipe, or name another folder."
            )
