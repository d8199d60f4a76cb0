"""Put a diagnosis together and write it: figures, gallery, notes, page."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset

from ..modality import CLEAN, ModalityTokens
from ..report.page import write_report
from .attention import AttendedRow
from .attention_profile import attention_profile
from .gallery import Gallery
from .metrics import RESAMPLES, summarise
from .results import DatasetResult, Diagnosis, ScoredRow, write_results


_PACKAGES = ("llamafactory-modality-interference", "llamafactory", "transformers", "torch", "peft", "datasets")


@dataclass(frozen=True)
class RunFacts:
    """What a report says of the run that it is about.

    Attributes:
        model: name, adapter, template and tuning.
        data: folder and names of the datasets, and what cuts rows.
        run: where the run writes to.
        seed: of the twins, and of the bootstrap.
        scoring: how answers are scored.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    run: dict[str, Any]
    seed: int
    scoring: Literal["likelihood", "generate"]


def write_diagnosis(
    folder: Path,
    rows: list[ScoredRow],
    attended: list[AttendedRow],
    datasets: list[Any],
    facts: RunFacts,
    step: int,
    tokenizer: Any,
    tokens: ModalityTokens,
) -> Path:
    """Write `interference.json`, `interference_rows.jsonl`, `interference.html` and the plots.

    Args:
        folder: the run's output_dir.
        rows: all scored rows, each once.
        attended: where the model looked, rows that ranks repeat included; empty without `attention_probe`.
        datasets: the tokenized evaluation datasets.
        facts: of the run.
        step: optimizer steps that the model has been trained for in this run.
        tokenizer: turns prompts back into text.
        tokens: which token ids stand for media.

    Returns:
        the page's path.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    results = summarise(rows, facts.seed, generated=facts.scoring == "generate")
    diagnosis = Diagnosis(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=facts.model,
        data=facts.data,
        run={**facts.run, "step": step},
        versions={name: version(name) for name in _PACKAGES},
        seed=facts.seed,
        scoring=facts.scoring,
        resamples=RESAMPLES,
        datasets=results,
        notes=_notes(results, rows, datasets),
        gallery=Gallery(tokenizer, tokens).flips(rows, datasets),
        attention=attention_profile(attended, facts.seed),
    )
    write_results(folder, diagnosis, rows)
    return next(path for path in write_report(folder, diagnosis, rows) if path.suffix == ".html")


def _notes(results: dict[str, DatasetResult], rows: list[ScoredRow], datasets: list[Any]) -> list[str]:
    notes = []
    plain = [name for name, result in results.items() if list(result.perturbations) == [CLEAN]]
    if plain:
        notes.append(f"No twins, so only clean rows are scored: {', '.join(plain)}.")

    scored = Counter(row.dataset for row in rows if row.perturbation == CLEAN)
    for name, expected in _examples(datasets).items():
        if missing := expected - scored[name]:
            notes.append(
                f"{missing} of {expected} examples of {name} could not be read at evaluation; the log names them."
            )

    notes += [f"{name} has one example: its intervals say nothing." for name, count in scored.items() if count == 1]
    return notes


def _examples(datasets: list[Any]) -> Counter[str]:
    """Number of different examples by dataset name; a stream does not say."""
    places = {
        where
        for dataset in datasets
        if isinstance(dataset, Dataset) and "row" in dataset.column_names
        for where in zip(dataset["dataset"], dataset["row"])
    }
    return Counter(name for name, _ in places if name)
