"""Take rows that cannot be trained on out of a tokenized dataset, and say so once."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from datasets import Dataset, Features, IterableDataset

from ..data.records import Reason
from ..data.schema import DROPPED
from ..errors import ModalityInterferenceError
from ..messages import listed


COLUMNS = sorted(DROPPED)
SHOWN_KINDS = 40
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

    names = dataset["dataset"]
    if lost := sorted(set(names) - {names[index] for index in good}):
        raise ModalityInterferenceError(
            f"No row of dataset {listed(lost)} can be used, which is rather a fault of the recipe, or of versions that do not "
            f"fit each other, than of the rows. {' '.join([*found, FIXED])}"
        )

    return good


def data_row(row: int, clip: int) -> int:
    """The row of the data that an example comes from: `clip` where several questions are asked about one, else `row`."""
    return row if clip < 0 else clip


def _reasons(dropped: dict[str, str] | None, dropped_twins: list[dict[str, str]]) -> list[Reason]:
    """Why an example, or twins of it, cannot be used."""
    cells = dropped_twins if dropped is None else [dropped]
    return [Reason(cell["kind"], cell["detail"]) for cell in cells]


def summaries(problems: Iterable[tuple[str, int, list[Reason]]], sizes: Counter) -> list[str]:
    """One text per dataset.

    Args:
        problems: (dataset, row, reasons).
        sizes: rows of each dataset.
    """
    counts: dict[str, Counter] = {}
    first: dict[tuple[str, str], str] = {}
    for name, row, reasons in problems:
        for reason in reasons:
            counts.setdefault(name, Counter())[reason.kind] += 1
            first.setdefault((name, reason.kind), f"row {row}: {reason.detail[:300]}")

    return [_summary(name, kinds, sizes[name], first) for name, kinds in counts.items()]


def _summary(name: str, kinds: Counter, size: int, first: dict[tuple[str, str], str]) -> str:
    parts = [f"{count} x {kind} (first: {first[name, kind]})" for kind, count in kinds.most_common(SHOWN_KINDS)]
    if len(kinds) > SHOWN_KINDS:
        parts.append(f"{len(kinds) - SHOWN_KINDS} more kinds")

    dropped = f"dropped {sum(kinds.values())} rows or twins of {size} rows"
    return f"Dataset {name or '(plain)'}: {dropped}: {'; '.join(parts)}."


class _StreamFilter:
    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.seen: set[str] = set()

    def __call__(self, examples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        dropped = examples["dropped"]
        for index, cell in enumerate(dropped):
            for reason in _reasons(cell, examples["dropped_twins"][index]):
                row = data_row(examples["row"][index], examples["clip"][index])
                self._warn_once(reason, examples["dataset"][index], row)

        good = [index for index, cell in enumerate(dropped) if cell is None]
        kept = {name: values for name, values in examples.items() if name not in COLUMNS}
        return {name: [values[index] for index in good] for name, values in kept.items()}

    def _warn_once(self, reason: Reason, dataset: str, row: int) -> None:
        if reason.kind not in self.seen:  # the first of each kind; a stream has no end to sum up at
            self.seen.add(reason.kind)
            text = str(reason)[:300]
            self.warn(f"Dataset {dataset}: dropping rows or twins: {text} (row {row}; first of its kind).")
