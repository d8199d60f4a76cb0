"""The plugin's data path through LLaMA-Factory's loader: align rows, tokenize, drop bad rows, split.

Each function takes LLaMA-Factory's own and returns its replacement. Plain datasets go the stock way.
"""

import os
from collections.abc import Callable, Mapping
from copy import copy
from functools import wraps
from typing import Any, TypeAlias

import pyarrow.compute as pc
from datasets import Dataset, IterableDataset, config
from huggingface_hub.constants import HF_HUB_CACHE
from llamafactory.data import converter as stock_converters

from ..batching.dropped import good_rows, keep_good_rows
from ..batching.media_reader import MediaReader
from ..batching.pairs import PairProcessor
from ..batching.tokenize import REMEMBERED_CLIPS, TwinProcessor
from ..compat import collect_decoders, get_logger
from ..data import schema
from ..data.converter import PlainRow, TwinConverter, make_converter
from ..data.formats.audio_visual import ask_each
from ..data.records import ROW, TwinRecord
from ..data.registry import Format, formats
from ..data.schema import mark_invalid_text
from ..data.spec import PLAIN
from ..dataset_dir.entry import PLAIN_COLUMNS
from ..errors import ModalityInterferenceError
from ..files import MediaFolders
from ..media.reference import is_removed
from ..printable import printable_stdout


logger = get_logger(__name__)
ROWS_AT_A_TIME = 32  # tokenized, so that the progress bar moves: a row with twins can take a tenth of a second
AnyDataset: TypeAlias = Dataset | IterableDataset


def align_dataset(stock: Callable[..., AnyDataset], cache_dir: str | None) -> Callable[..., AnyDataset]:
    """`align_dataset`, which makes aligned rows with twins for datasets that have a `twins` block.

    Args:
        stock: LLaMA-Factory's.
        cache_dir: the recipe's, where archives of datasets are unpacked.
    """

    @wraps(stock)
    def align(dataset: Any, dataset_attr: Any, data_args: Any, training_args: Any) -> AnyDataset:
        _check_stream(dataset, dataset_attr)
        dataset = schema.undecoded(dataset)
        layout = layout_of(dataset_attr)
        if layout is None:  # an extension's plain format, which may read any column
            aligned = schema.mixable(stock(dataset, dataset_attr, data_args, training_args))
            return aligned.map(
                PlainRow(dataset_attr.twin_name),
                with_indices=True,
                features=schema.named(aligned),
                **_map_options(data_args, training_args, "Naming rows"),
            )

        every = [name for name in schema.column_names(dataset) if name != ROW]
        dataset = readable_rows(dataset, dataset_attr, layout)
        # where Hugging Face keeps the files of datasets that it has downloaded
        folders = media_folders(data_args, cache_dir, str(config.HF_DATASETS_CACHE), HF_HUB_CACHE)
        converter = twin_converter(dataset, every, dataset_attr, layout, data_args, training_args.seed, folders)
        if layout.asks_per_modality:
            check_split(dataset_attr.twin_name, data_args)
            asking = _map_options(data_args, training_args, "Asking each clip its questions")
            dataset = ask_each(dataset, dataset_attr.twins.asked_modalities, **asking)

        return dataset.map(
            converter,
            with_indices=True,
            remove_columns=schema.column_names(dataset),
            features=schema.aligned(dataset, converter.dataset.columns),
            **_map_options(data_args, training_args, "Making twins"),
        )

    return align


def layout_of(dataset_attr: Any) -> Format | None:
    """The twin format that reads a dataset's rows, those without twins too; None for an extension's plain format."""
    if dataset_attr.twins is not None:
        return formats()[dataset_attr.formatting]

    return {layout.base: layout for layout in formats().values()}.get(dataset_attr.formatting)


def readable_rows(dataset: AnyDataset, dataset_attr: Any, layout: Format) -> AnyDataset:
    """Raw rows that can be read: the columns that the dataset's entry names alone, and rows that are not UTF-8 empty.

    Args:
        dataset: raw rows, media undecoded.
        dataset_attr: what `entries.get_dataset_list` makes of the entry.
        layout: the format that reads them.
    """
    names = (
        {ROW} | {getattr(dataset_attr, key) for key in PLAIN_COLUMNS} | set(_columns(dataset_attr, layout).values())
    )
    if dataset_attr.twins is not None:
        names.add(dataset_attr.twins.relevant_column)

    return mark_invalid_text(schema.only(dataset, names))


def _columns(dataset_attr: Any, layout: Format) -> Mapping[str, Any]:
    """The entry's `columns`, or those of the format where it has none."""
    if dataset_attr.twins is not None:
        return dataset_attr.twin_columns or layout.defaults

    allowed = layout.allowed(dataset_attr.ranking)  # others belong to other stages than the entry's
    named = {key: name for key, name in dataset_attr.twin_columns.items() if key in allowed and name is not None}
    return named or layout.defaults


def media_folders(data_args: Any, *others: str | None) -> MediaFolders:
    """Where media may be opened: in `media_dir`, in `dataset_dir`, and in other folders; links to these are followed.

    Args:
        data_args: LLaMA-Factory's.
        others: those that exist count.
    """
    named = (data_args.media_dir, data_args.dataset_dir, *others)
    folders = [os.path.realpath(folder) for folder in named if isinstance(folder, str) and os.path.isdir(folder)]
    return MediaFolders(str(data_args.media_dir), tuple(dict.fromkeys(folders)))


def twin_converter(
    dataset: AnyDataset,
    column_names: list[str],
    dataset_attr: Any,
    layout: Format,
    data_args: Any,
    seed: int,
    folders: MediaFolders,
) -> TwinConverter:
    """The converter of a dataset; without a `twins` block it makes no twins.

    Args:
        dataset: its raw rows, as `readable_rows` makes them.
        column_names: all columns that the data has.
        dataset_attr: what `entries.get_dataset_list` makes of its entry.
        layout: the format that reads them.
        data_args: LLaMA-Factory's; `dataset_dir`, `media_dir` and `streaming` are read.
        seed: of every random choice.
        folders: where media may be opened.
    """
    # its media lookup serves formats without a base, too
    base = stock_converters.DATASET_CONVERTERS[layout.base or "alpaca"](dataset_attr, data_args)
    spec, columns = dataset_attr.twins or PLAIN, _columns(dataset_attr, layout)
    class_names = schema.class_names(dataset)
    if spec.classes is None and isinstance(dataset, Dataset):
        labels = {columns[key] for key in layout.labels if columns.get(key)}
        class_names |= schema.text_classes(dataset, labels - set(class_names))

    return make_converter(
        formatting=layout.name,
        spec=spec,
        columns=dataset_attr.twin_columns if dataset_attr.twins else columns,
        dataset_name=dataset_attr.twin_name,
        column_names=column_names,
        base_converter=base,
        dataset_dir=data_args.dataset_dir if isinstance(data_args.dataset_dir, str) else None,
        class_names=class_names,
        other_rows=None if data_args.streaming else dataset,
        find_media=base._find_medias,
        media_folders=folders,
        ranking=dataset_attr.ranking,
        seed=seed,
    )


def _check_stream(dataset: AnyDataset, dataset_attr: Any) -> None:
    if isinstance(dataset, IterableDataset) and not any(True for _ in dataset.take(1)):
        raise ModalityInterferenceError(
            f"Dataset {dataset_attr.twin_name}: its stream has no rows. LLaMA-Factory cuts a local file into as many "
            "parts as there are workers: set `dataloader_num_workers: 1` or more, or remove `streaming`."
        )


def preprocess_dataset(
    stock: Callable[..., Any],
    stock_evaluation: bool,
    diagnosis_prompt: str = "none",
    trains_counterfactuals: bool = False,
    preference_counterfactual: str = "none",
) -> Callable[..., Any]:
    """`_get_preprocessed_dataset`, which tokenizes twins too.

    Args:
        stock: LLaMA-Factory's.
        stock_evaluation: whether LLaMA-Factory's own generation evaluates, on clean rows in the layout that it wants.
        diagnosis_prompt: the recipe's, for evaluation datasets.
        trains_counterfactuals: whether the recipe trains on counterfactual rows; a diagnosis always has them.
        preference_counterfactual: the recipe's, for pairs.
    """

    @wraps(stock)
    def preprocess(
        dataset: Any,
        data_args: Any,
        training_args: Any,
        stage: str,
        template: Any,
        tokenizer: Any,
        processor: Any = None,
        is_eval: bool = False,
    ) -> AnyDataset | None:
        if dataset is None or stage not in ("sft", "rm"):
            return stock(dataset, data_args, training_args, stage, template, tokenizer, processor, is_eval)

        shared = dict(template=template, tokenizer=tokenizer, processor=processor, data_args=data_args)
        if stage == "rm":  # as LLaMA-Factory calls the data of `stage: dpo`
            twin_processor: TwinProcessor = PairProcessor(
                **shared,
                counterfactuals=preference_counterfactual != "none",
                needs_withheld=preference_counterfactual == "symmpo",
            )
        else:
            twin_processor = TwinProcessor(
                **shared,
                instruction=diagnosis_prompt if is_eval else "none",
                counterfactuals=is_eval or trains_counterfactuals,
            )

        if not is_eval and not twin_processor.counterfactuals:
            _say_counterfactuals(dataset, "counterfactual_weight" if stage == "sft" else "preference_counterfactual")

        dataset = schema.undecoded(dataset)
        tokenized = dataset.map(
            twin_processor.preprocess_dataset,
            batched=True,
            batch_size=min(data_args.preprocessing_batch_size, ROWS_AT_A_TIME),
            remove_columns=schema.column_names(dataset),
            features=schema.tokenized(dataset),
            **_map_options(data_args, training_args, "Running tokenizer on dataset and twins"),
        )
        if is_eval and stock_evaluation:
            _check_nothing_removed(dataset)
            if isinstance(dataset, Dataset):  # of a stream nobody knows the bad rows beforehand
                dataset = dataset.select(good_rows(tokenized, logger.warning_rank0))

            with MediaReader(template.mm_plugin, REMEMBERED_CLIPS).installed(), printable_stdout():
                return stock(dataset, data_args, training_args, stage, template, tokenizer, processor, is_eval)

        tokenized = keep_good_rows(tokenized, logger.warning_rank0)
        if training_args.should_log:
            print("eval example:" if is_eval else "training example:")
            twin_processor.print_data_example(_first(tokenized))

        collect_decoders()
        return tokenized

    return preprocess


def _say_counterfactuals(dataset: AnyDataset, key: str) -> None:
    """Say that a training leaves them out, as a key is off; of a stream nobody knows them beforehand."""
    if not isinstance(dataset, Dataset):
        return

    if count := sum(len(rows) for rows in _subcolumn(dataset, "counterfactuals")):
        logger.info_rank0(f"{count:,} counterfactual rows are left out of the training: `{key}` is off.")


def _check_nothing_removed(dataset: AnyDataset) -> None:
    """LLaMA-Factory's own evaluation shows every clip as it is, also where a modality shall be removed."""
    for record in map(TwinRecord.from_arrow, dataset["_twins"] if isinstance(dataset, Dataset) else ()):
        if any(is_removed(reference) for references in record.media.values() for reference in references):
            raise ModalityInterferenceError(
                f'Dataset {record.dataset}: with `"drop_asked_modality": true` answers can be generated by `diagnosis_scoring: '
                "generate` only. Set that, or remove `predict_with_generate`."
            )


def _first(tokenized: AnyDataset) -> dict[str, Any]:
    for example in tokenized:
        return example

    raise ModalityInterferenceError("No row of the stream can be used; the warnings above say why.")


def _map_options(data_args: Any, training_args: Any, description: str) -> dict[str, Any]:
    if data_args.streaming:
        return {}

    return dict(
        num_proc=data_args.preprocessing_num_workers,
        load_from_cache_file=not data_args.overwrite_cache or training_args.local_process_index != 0,
        desc=description,
    )


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
    """`split_dataset`, which splits clips where a clip is asked several questions; `val_size` counts clips then.

    Of a stream it holds out the first rows, before the others are shuffled: LLaMA-Factory shuffles first, and anew in each epoch, so
    that from the second one on rows that were held out are trained on.
    """

    @wraps(stock)
    def split(dataset: Any, eval_dataset: Any, data_args: Any, seed: int) -> tuple[dict, dict]:
        if isinstance(dataset, IterableDataset) and eval_dataset is None and data_args.val_size > 0:
            rows, changed = int(data_args.val_size), copy(data_args)
            changed.val_size = 0.0
            train, _ = stock(dataset.skip(rows), None, changed, seed)
            return train, {"validation": dataset.take(rows)}

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
    if "_twins" not in dataset.column_names:
        return None

    groups: dict[Any, list[int]] = {}
    names, clips = _subcolumn(dataset, "dataset"), _subcolumn(dataset, "clip")
    for index, (name, clip) in enumerate(zip(names, clips, strict=True)):
        groups.setdefault(index if clip is None else (name, clip), []).append(index)

    return list(groups.values()) if any(clip is not None for clip in clips) else None


def _subcolumn(dataset: Dataset, name: str) -> list[Any]:
    """One field of `_twins` of all rows, without the time and memory that the others take."""
    tables = dataset.select_columns("_twins").with_format("arrow").iter(batch_size=1000)
    return [value for table in tables for value in pc.struct_field(table["_twins"], name).to_pylist()]
