"""Take rows that cannot be trained on out of a tokenized dataset, and say so once."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset, Features, IterableDataset

from ..data import schema
from ..data.records import Reason
from ..errors import ModalityInterferenceError
from ..messages import listed
from ..modality import MEDIA, Modality


COLUMNS = sorted(schema.DROPPED)
SHOWN_KINDS = 40
MANY = 8  # rows: fewer may all be bad by chance
MANY_OF_A_STREAM = 64  # of which nobody knows what else will come
FAULT = "which is rather a fault of the recipe, or of versions that do not fit each other, than of the rows"
FIXED = "Once you have fixed or added files, set `overwrite_cache: true`: the result for each row is cached."


def keep_good_rows(dataset: Dataset | IterableDataset, warn: Callable[[str], None]) -> Dataset | IterableDataset:
    """Drop the rows that carry a reason in `dropped`.

    Args:
        dataset: a tokenized dataset. Of a stream the rows are dropped as they come, each with a warning.
        warn: gets one summary per dataset: how many rows of each kind of problem, and the first of each.

    Raises:
        ModalityInterferenceError: if no row is left.
    """
    if isinstance(dataset, IterableDataset):
        kept = {name: feature for name, feature in dataset.features.items() if name not in COLUMNS}
        # a map that leaves rows out: datasets 4.0 cannot filter a mapped stream of known types
        return dataset.map(
            _StreamFilter(warn), batched=True, batch_size=1, remove_columns=COLUMNS, features=Features(kept)
        )

    good = good_rows(dataset, warn)
    return (dataset.select(good) if len(good) < len(dataset) else dataset).remove_columns(COLUMNS)


def good_rows(dataset: Dataset, warn: Callable[[str], None]) -> list[int]:
    """The indices of the rows that carry no reason in `dropped`; arguments and errors as of `keep_good_rows`."""
    dropped = dataset["dropped"]
    good = [index for index, reason in enumerate(dropped) if reason is None]
    columns = (dataset[name] for name in ("dataset", "row", "clip", "dropped", "dropped_twins"))
    problems = [
        (name, data_row(row, clip), reasons)
        for name, row, clip, reason, twins in zip(*columns)
        if (reasons := _reasons(reason, twins))
    ]
    found = summaries(problems, Counter(dataset["dataset"]))
    for summary in found:
        warn(summary)

    if found:
        warn(FIXED)

    columns = (dataset[name] for name in ("dataset", "row", "clip", "remarks"))
    remarked = [(name, data_row(row, clip), _as_reasons(remarks)) for name, row, clip, remarks in zip(*columns)]
    for summary in summaries(remarked, Counter(dataset["dataset"]), REMARKS):
        warn(summary)

    names = dataset["dataset"]
    if lost := sorted(set(names) - {names[index] for index in good}):
        raise ModalityInterferenceError(
            f"No row of dataset {listed(lost)} can be used, {FAULT}. {' '.join([*found, FIXED])}"
        )

    if len(good) < len(dropped):
        _refuse_systematic(dataset, names, dropped, found)

    return good


def _refuse_systematic(
    dataset: Dataset, names: list[str], dropped: list[dict[str, str] | None], found: list[str]
) -> None:
    """Refuse a dataset of which all rows with a kind of media, `MANY` or more, are dropped for one and the same reason.

    The run would go on with the other rows, and teach or test something else than the data says.

    Args:
        dataset: the tokenized rows.
        names: the dataset of each.
        dropped: why each is dropped.
        found: the summaries.
    """
    for modality in MEDIA:
        kinds: dict[str, Counter] = {}
        for name, reason, present in zip(names, dropped, _with_media(dataset, modality), strict=True):
            if present:
                kinds.setdefault(name, Counter())[None if reason is None else reason["kind"]] += 1

        for name, counts in kinds.items():
            (kind, number), *others = counts.items()
            if kind is not None and not others and number >= MANY:
                summary = [text for text in found if text.startswith(_about(name))]
                raise ModalityInterferenceError(
                    f"{_all_of(modality, name, f'all {number}')} {' '.join([*summary, FIXED])}"
                )


def _all_of(modality: Modality, name: str, number: str) -> str:
    return (
        f"Dataset {name or '(plain)'}: {number} rows with {modality} are dropped for one and the same reason, {FAULT}. If the rows "
        "are bad all the same, take them out of the data."
    )


def _with_media(dataset: Dataset, modality: Modality) -> list[bool]:
    """Whether each row has such media."""
    column = f"{modality}_references"
    tables = dataset.select_columns(column).with_format("arrow").iter(batch_size=1000)
    return [bool(length) for table in tables for length in pc.list_value_length(table[column]).to_pylist()]


def data_row(row: int, clip: int) -> int:
    """The row of the data that an example comes from: `clip` where several questions are asked about one, else `row`."""
    return row if clip < 0 else clip


def _reasons(dropped: dict[str, str] | None, dropped_twins: list[dict[str, str]]) -> list[Reason]:
    """Why an example, or twins of it, cannot be used."""
    return _as_reasons(dropped_twins if dropped is None else [dropped])


def _as_reasons(cells: Iterable[dict[str, str]]) -> list[Reason]:
    return [Reason(cell["kind"], cell["detail"]) for cell in cells]


DROPPED = "dropped {found} rows or twins of {size} rows"
REMARKS = "{found} images of {size} rows are read as LLaMA-Factory reads them, which may surprise"


def summaries(problems: Iterable[tuple[str, int, list[Reason]]], sizes: Counter, headline: str = DROPPED) -> list[str]:
    """One text per dataset.

    Args:
        problems: (dataset, row, reasons).
        sizes: rows of each dataset.
        headline: what happened to `found` of `size` rows.
    """
    counts: dict[str, Counter] = {}
    first: dict[tuple[str, str], str] = {}
    for name, row, reasons in problems:
        for reason in reasons:
            counts.setdefault(name, Counter())[reason.kind] += 1
            first.setdefault((name, reason.kind), f"row {row}: {reason.detail[:300]}")

    return [_summary(name, kinds, sizes[name], first, headline) for name, kinds in counts.items()]


def _summary(name: str, kinds: Counter, size: int, first: dict[tuple[str, str], str], headline: str) -> str:
    parts = [f"{count} x {kind} (first: {first[name, kind]})" for kind, count in kinds.most_common(SHOWN_KINDS)]
    if len(kinds) > SHOWN_KINDS:
        parts.append(f"{len(kinds) - SHOWN_KINDS} more kinds")

    happened = headline.format(found=sum(kinds.values()), size=size)
    return f"{_about(name)}{happened}: {'; '.join(parts)}."


def _about(name: str) -> str:
    return f"Dataset {name or '(plain)'}: "


class _StreamFilter:
    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.seen: set[str] = set()
        # rows with such media by what is wrong with them; by number, as every epoch reads them again
        self.kinds: dict[tuple[str, Modality], dict[str, set[int]]] = {}

    def __call__(self, examples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        dropped = examples["dropped"]
        for index, cell in enumerate(dropped):
            row = data_row(examples["row"][index], examples["clip"][index])
            for reason in _reasons(cell, examples["dropped_twins"][index]):
                self._warn_once(reason, examples["dataset"][index], row, "dropping rows or twins")

            for remark in _as_reasons(examples["remarks"][index]):
                self._warn_once(remark, examples["dataset"][index], row, "images are read as LLaMA-Factory reads them")

            for modality in MEDIA:
                if examples[f"{modality}_references"][index]:
                    self._refuse_systematic(examples["dataset"][index], modality, row, cell)

        good = [index for index, cell in enumerate(dropped) if cell is None]
        kept = {name: values for name, values in examples.items() if name not in COLUMNS}
        return {name: [values[index] for index in good] for name, values in kept.items()}

    def _refuse_systematic(self, dataset: str, modality: Modality, row: int, dropped: dict[str, str] | None) -> None:
        """See the function of this name."""
        kinds = self.kinds.setdefault((dataset, modality), {})
        kind = "" if dropped is None else dropped["kind"]
        rows = kinds.setdefault(kind, set())
        if dropped is None or len(kinds) > 1:  # never systematic again
            rows.clear()
            return

        rows.add(row)
        if len(rows) >= MANY_OF_A_STREAM:
            number = f"all of the first {MANY_OF_A_STREAM}"
            raise ModalityInterferenceError(f"{_all_of(modality, dataset, number)} {kind}: {dropped['detail'][:300]}")

    def _warn_once(self, reason: Reason, dataset: str, row: int, what: str) -> None:
        if reason.kind not in self.seen:  # the first of each kind; a stream has no end to sum up at
            self.seen.add(reason.kind)
            text = str(reason)[:300]
            self.warn(f"Dataset {dataset}: {what}: {text} (row {row}; first of its kind).")
