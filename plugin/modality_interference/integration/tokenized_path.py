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


def load_from_disk(stock: Callable[..., Any], stage: str, predicts: bool) -> Callable[..., Any]:
    """`load_from_disk`, which refuses a `tokenized_path` that this version of the plugin has not written, or not whole.

    Args:
        stock: LLaMA-Factory's.
        stage: the recipe's; pairs are for `dpo` alone.
        predicts: whether LLaMA-Factory generates answers to the evaluation dataset, which it tokenizes in a layout of its own.
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

        for name, dataset in found.items() if isinstance(found, DatasetDict) else [("train", found)]:
            if name != "train" and _is_for_prediction(dataset, predicts, str(path)):
                continue

            schema.check_tokenized(dataset, str(path))
            if len(dataset) and bool(dataset[0]["rejected_ids"]) != (stage == "dpo"):
                kind = "single answers" if stage == "dpo" else "pairs of answers"
                raise ModalityInterferenceError(
                    f"`tokenized_path` ({path}) holds {kind}, which are not for `stage: {stage}`. Name another folder, and run again."
                )

        return found

    return load


def _is_for_prediction(dataset: Any, predicts: bool, path: str) -> bool:
    """Whether an evaluation dataset is in LLaMA-Factory's layout, where that is what the run needs.

    Raises:
        ModalityInterferenceError: it is in the other one: rows for a diagnosis end with their answers, which a prediction would see.
    """
    stock_layout = "input_ids" in dataset.column_names and "variants" not in dataset.column_names
    if stock_layout == predicts:
        return stock_layout

    written, needed = ("a prediction", "a diagnosis") if stock_layout else ("a diagnosis", "a prediction")
    raise ModalityInterferenceError(
        f"`tokenized_path` ({path}) holds an evaluation dataset that was tokenized for {written} (`predict_with_generate` with "
        f"`do_predict` predicts), and this run needs it for {needed}. Name another folder, and run again."
    )


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
