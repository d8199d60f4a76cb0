"""Put a diagnosis together and write it: rates, effect sizes, gallery of flips, notes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from ..batching.tokens import closing_tokens
from ..modality import CLEAN
from ..results import (
    Curves,
    DatasetResult,
    Diagnosis,
    RunMetadata,
    ScoredRow,
    Tuning,
    UnparsableAnswer,
    is_misaligned,
    write_results,
)
from .attention_probe import AttendedRow, attention_profile
from .counterfactuals import with_counterfactuals
from .rates import dataset_results
from .statistics import FEW_UNITS, RESAMPLES


if TYPE_CHECKING:
    from ..batching.collator import TwinCollator

_UNATTENDED = "Attention is that of clean rows and twins; that of counterfactual rows is not recorded."
_SHOWN = 12  # unparsable answers on the page
_PACKAGES = ("llamafactory-modality-interference", "llamafactory", "transformers", "torch", "peft", "datasets")


def write_diagnosis(
    folder: Path,
    rows: list[ScoredRow],
    counterfactuals: list[ScoredRow],
    attended: list[AttendedRow],
    datasets: list[Any],
    metadata: RunMetadata,
    step: int,
    collator: "TwinCollator",
    curves: Curves,
) -> Diagnosis:
    """Put a diagnosis together and write `interference.json` and `interference_rows.jsonl`.

    Args:
        folder: the run's output_dir.
        rows: all scored clean rows and twins, each once.
        counterfactuals: all scored rows without their evidence, each once.
        attended: recorded attention, including rows that several ranks scored; empty without `attention_probe`.
        datasets: the tokenized evaluation datasets.
        metadata: of the run.
        step: optimizer steps that the model has been trained for in this run; 0 where it only evaluates.
        collator: knows what tokens stand for.
        curves: of all evaluations of the run.

    Returns:
        what was written into `interference.json`.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    from .flips import Gallery  # which makes thumbnails; a run that only trains does not need it

    results = dataset_results(rows, metadata.seed, generated=metadata.scoring == "generate")
    results = with_counterfactuals(results, rows, counterfactuals, metadata.seed)
    gallery = Gallery(
        collator.tokenizer,
        collator.modality_tokens,
        collator.thought,
        closing_tokens(collator.tokenizer, collator.template),
    )
    diagnosis = diagnosis_of(
        rows,
        results,
        metadata,
        step,
        notes=[*_unread(rows, datasets), *([_UNATTENDED] if attended and counterfactuals else [])],
        gallery=gallery.flips(rows, datasets),
        unmoved=gallery.unmoved(counterfactuals, rows, datasets),
        attention=attention_profile(attended, metadata.seed),
        curves=curves if _steps(curves) > 1 else {},
    )
    write_results(folder, diagnosis, rows, counterfactuals)
    return diagnosis


def diagnosis_of(
    rows: list[ScoredRow],
    results: dict[str, DatasetResult],
    metadata: RunMetadata,
    step: int,
    notes: Sequence[str],
    **parts: Any,
) -> Diagnosis:
    """Put a diagnosis together, wherever its answers come from.

    Args:
        rows: all scored rows, each once.
        results: their rates, from `dataset_results`.
        metadata: of the run.
        step: optimizer steps that the model has been trained for in this run; 0 where it only evaluates.
        notes: what a reader should know beside what the rows tell.
        parts: the fields of `Diagnosis` that rows and metadata do not tell, such as `gallery`.
    """
    return Diagnosis(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=metadata.model,
        tuning=_tuning(metadata, step),
        data=metadata.data,
        run={**metadata.run, "step": step},
        versions={name: version(name) for name in _PACKAGES},
        seed=metadata.seed,
        scoring=metadata.scoring,
        prompt=metadata.prompt,
        decoding=metadata.decoding,
        calibration=metadata.calibration,
        free_answers=metadata.free_answers,
        resamples=RESAMPLES,
        datasets=results,
        notes=[*_plain(results), *notes, *_padded(rows), *_few(rows), *_about_free_answers(rows, metadata.scoring)],
        unparsable=unparsable_answers(rows),
        **parts,
    )


def _steps(curves: Curves) -> int:
    """After how many different steps the run was evaluated."""
    rates = [points for found in curves.values() for own in found.values() for points in own.values()]
    return len({point.step for points in rates for point in points})


def _tuning(metadata: RunMetadata, step: int) -> Tuning | None:
    """How the model was tuned, in this run or before."""
    if not step:
        return metadata.tuning

    return Tuning(
        base=metadata.model["name_or_path"],
        method=metadata.model["finetuning_type"],
        adapters=metadata.model["adapter_name_or_path"] or [],
        steps=step,
        folder=metadata.run["output_dir"],
        in_this_run=True,
    )


def _plain(results: dict[str, DatasetResult]) -> list[str]:
    plain = [
        name
        for name, result in results.items()
        if list(result.perturbations) == [CLEAN] and not result.counterfactuals
    ]
    return [f"No twins, so only clean rows are scored: {', '.join(plain)}."] if plain else []


def _unread(rows: list[ScoredRow], datasets: list[Any]) -> list[str]:
    """A note on each dataset of which examples could not be read."""
    scored = Counter(row.dataset for row in rows if row.perturbation == CLEAN)
    return [
        f"{expected - scored[name]} of {expected} examples of {name} could not be read at evaluation; the log names them."
        for name, expected in _examples(datasets).items()
        if expected > scored[name]
    ]


def _padded(rows: list[ScoredRow]) -> list[str]:
    if not any(is_misaligned(row.perturbation, has_target=False) for row in rows):
        return []

    return [
        "Another clip's frames or audio are cut to the length of the row's own, or padded with the last frame or silence."
    ]


def _few(rows: list[ScoredRow]) -> list[str]:
    """A note on each dataset in which some intervals are of few examples."""
    units: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    for row in rows:
        units[row.dataset, row.perturbation].add(row.unit)

    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (dataset, perturbation), members in units.items():
        if len(members) < FEW_UNITS:
            found[dataset][perturbation] = len(members)

    return [
        f"{dataset} has {_range(list(counts.values()))} examples under {', '.join(counts)}: with fewer than {FEW_UNITS}, "
        "intervals are wide and their 95 % approximate."
        for dataset, counts in found.items()
    ]


def _range(counts: list[int]) -> str:
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def free_answers(rows: list[ScoredRow], scoring: str) -> dict[str, str]:
    """By dataset with options that likelihoods score as free answers: how many of its clean rows, and what to do.

    Args:
        rows: all scored rows.
        scoring: how they are scored.
    """
    clean = [row for row in rows if row.perturbation == CLEAN and scoring == "likelihood"]
    total = Counter(row.dataset for row in clean)
    free = Counter(row.dataset for row in clean if row.options_unread)
    return {
        name: f"{count} of {total[name]} examples have options but are scored as free answers, as their responses are neither "
        "an option's text nor its letter; `diagnosis_scoring: generate` reads options from sentences."
        for name, count in free.items()
    }


def _about_free_answers(rows: list[ScoredRow], scoring: str) -> list[str]:
    return [f"{name}: {words}" for name, words in free_answers(rows, scoring).items()]


def unparsable_answers(rows: list[ScoredRow]) -> list[UnparsableAnswer]:
    """Some generated answers that could not be parsed, taken from every dataset and perturbation in turn."""
    groups: dict[tuple[str, str], list[ScoredRow]] = defaultdict(list)
    for row in rows:
        if row.answer is None and row.response is not None:
            groups[row.dataset, row.perturbation].append(row)

    ordered = (row for turn in zip_longest(*groups.values()) for row in turn if row is not None)
    return [
        UnparsableAnswer(
            dataset=row.dataset,
            row=row.row,
            perturbation=row.perturbation,
            right=row.right,
            response=row.response or "",
        )
        for row in islice(ordered, _SHOWN)
    ]


def _examples(datasets: list[Any]) -> Counter[str]:
    """Number of different examples by dataset name; unknown for a stream."""
    examples = {
        example
        for dataset in datasets
        if isinstance(dataset, Dataset) and "row" in dataset.column_names
        for example in zip(dataset["dataset"], dataset["row"])
    }
    return Counter(name for name, _ in examples if name)
