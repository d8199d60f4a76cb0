"""Take rows that cannot be trained on out of a tokenized dataset, and say so once."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from datasets import Dataset, Features, IterableDataset

from ..errors import ModalityInterferenceError


COLUMNS = ["dropped", "dropped_twins"]
SHOWN_KINDS = 40
MENDED = "Once you have mended or brought files, set `overwrite_cache: true`: what a row's files were is cached."


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
    good = [index for index, reason in enumerate(dropped) if not reason]
    places = map(place, dataset["row"], dataset["clip"])
    rows = zip(dataset["dataset"], places, dropped, dataset["dropped_twins"])
    problems = [
        (name, row, reasons) for name, row, reason, twins in rows if (reasons := [reason] if reason else twins)
    ]
    found = summaries(problems, Counter(dataset["dataset"]))
    for summary in found:
        warn(summary)

    if found:
        warn(MENDED)

    if not good:
        raise ModalityInterferenceError(f"No row of the dataset can be used. {' '.join([*found, MENDED])}")

    return good


def place(row: int, clip: int) -> int:
    """The row of the data that an example comes from: `clip` where several questions are asked about one, else `row`."""
    return row if clip < 0 else clip


def summaries(problems: Iterable[tuple[str, int, list[str]]], sizes: Counter) -> list[str]:
    """One text per dataset.

    Args:
        problems: (dataset, row, reasons), a reason being `kind: detail`.
        sizes: rows of each dataset.
    """
    counts: dict[str, Counter] = {}
    first: dict[tuple[str, str], str] = {}
    for name, row, reasons in problems:
        for reason in reasons:
            kind, _, detail = reason.partition(": ")
            counts.setdefault(name, Counter())[kind] += 1
            first.setdefault((name, kind), f"row {row}: {detail[:300]}")

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
        for index, reason in enumerate(dropped):
            for problem in [reason] if reason else examples["dropped_twins"][index]:
                number = place(examples["row"][index], examples["clip"][index])
                self._warn_once(problem, examples["dataset"][index], number)

        good = [index for index, reason in enumerate(dropped) if not reason]
        kept = {name: values for name, values in examples.items() if name not in COLUMNS}
        return {name: [values[index] for index in good] for name, values in kept.items()}

    def _warn_once(self, problem: str, dataset: str, row: int) -> None:
        kind = problem.split(":")[0]
        if kind not in self.seen:  # the first of each kind; a stream has no end to sum up at
            self.seen.add(kind)
            self.warn(f"Dataset {dataset}: dropping rows or twins: {problem[:300]} (row {row}; first of its kind).")
