"""A suite as a folder that `datasets.load_dataset` reads and the Hugging Face Hub shows."""

from collections.abc import Iterable

import yaml
from datasets import Audio, Features, Image, List, Value, Video
from huggingface_hub import DatasetCard, DatasetCardData

from ..modality import CLEAN, MEDIA, Modality, is_counterfactual
from .folder import SuiteInfo
from .rows import Suite
from .table import parquet


_FEATURES = {Modality.IMAGE: Image(), Modality.VIDEO: Video(), Modality.AUDIO: Audio()}
_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_SIZE_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "n>1M")
_COLUMNS = """\
| column | content |
| --- | --- |
| `id` | names the question in result files |
| `dataset`, `row`, `key` | where it comes from: the dataset, the row's number, an identity of its content. A clean row and its twins share them |
| `perturbation` | what was changed; `clean` for a row as it is; `counterfactual_...` where the evidence was taken away |
| `kind` | what the answer depends on: image, text, video, audio or both |
| `system`, `prompt` | what a model is asked; `<image>`, `<video>` and `<audio>` stand for the media, in order |
| `options`, `label`, `answer` | the options, the number of the right one from 0, and its text; of a free answer the text alone |
| `target` | the wrong option, of a free answer the wrong answer, that the perturbation claims; null where it claims none |
| `family` | of the texts that the perturbation took its words from; null where it has no families |
| `images`, `videos`, `audios` | the files for the placeholders; those that the suite has |
"""


def files(suite: Suite, info: SuiteInfo) -> dict[str, bytes | str]:
    """The files of the export: a Parquet file for every perturbation, the card and `eval.yaml`.

    Args:
        suite: the questions.
        info: what `suite.json` says.
    """
    metadata = _features(suite).arrow_schema.metadata
    data: dict[str, bytes | str] = {
        f"data/{label}.parquet": parquet(
            [asked for asked in suite.asked if asked.row.perturbation == label], suite.modalities, metadata
        )
        for label in suite.perturbations
    }
    return {**data, "README.md": card(suite, info), "eval.yaml": evaluation(suite)}


def _features(suite: Suite) -> Features:
    text, number = Value("string"), Value("int64")
    turns = List({"role": text, "content": text})
    own = {MEDIA[modality]: List(_FEATURES[modality]) for modality in suite.modalities}
    return Features(
        {
            **dict.fromkeys(("id", "dataset"), text),
            **dict.fromkeys(("row", "key"), number),
            **dict.fromkeys(("perturbation", "kind", "system"), text),
            "prompt": turns,
            "options": List(text),
            "label": number,
            **dict.fromkeys(("answer", "target", "family"), text),
            **own,
        }
    )


def card(suite: Suite, info: SuiteInfo) -> str:
    """The card, with the headings that a shared dataset folder has."""
    labels = suite.perturbations
    configs = [{"config_name": "default", "data_files": [_split(f"data/{label}.parquet" for label in labels)]}]
    configs += [{"config_name": label, "data_files": [_split([f"data/{label}.parquet"])]} for label in labels]
    metadata = DatasetCardData(
        license=info.license,
        pretty_name=f"{suite.name}: twins",
        size_categories=[_SIZE_NAMES[sum(len(suite.asked) >= size for size in _SIZES)]],
        tags=["modality-interference", "robustness", *(modality.value for modality in suite.modalities)],
        task_categories=_tasks(suite),
        configs=configs,
    )
    return str(DatasetCard(f"---\n{metadata.to_yaml()}\n---\n\n{_body(suite, info)}"))


def _split(paths: Iterable[str]) -> dict[str, object]:
    return {"split": "test", "path": list(paths)}


def _tasks(suite: Suite) -> list[str]:
    choice = ["multiple-choice"] if any(asked.row.options for asked in suite.asked) else []
    kinds = {Modality.IMAGE: "visual-question-answering", Modality.VIDEO: "video-text-to-text"}
    return choice + [kinds.get(modality, "question-answering") for modality in suite.modalities or [Modality.TEXT]]


def _body(suite: Suite, info: SuiteInfo) -> str:
    rows = "\n".join(f"| `{label}` | {count:,} |" for label, count in info.perturbations.items())
    dropped = "".join(f"- {count:,} x {kind}\n" for kind, count in info.dropped.items()) or "None is known.\n"
    gone = (
        "Rows called `counterfactual_...` have lost what their answer rests on: an answer that stays there comes from elsewhere.\n"
        if any(map(is_counterfactual, suite.perturbations))
        else ""
    )
    license = (
        "Unknown: whoever made this folder did not say it. Publish it only where you know that you may."
        if info.license == "unknown"
        else f"`{info.license}`, as whoever made this folder says."
    )
    return f"""\
# {suite.name}: twins

Questions as they are (`{CLEAN}`), and again with one input changed that should not matter for the answer: their *twins*. Where a
model's answer changes all the same, that input interferes. {gone}The twins are frozen, so that results of different models and tools
can be compared.

```python
from datasets import load_dataset

questions = load_dataset("path/to/this/folder", split="test")
twins = load_dataset("path/to/this/folder", "{suite.perturbations[-1]}", split="test")  # one perturbation
```

## Source

The dataset `{suite.name}`, exported by `modality-interference suite export` (llamafactory-modality-interference {info.version})
with seed {info.seed}.

## Licence

{license}

## Size

| perturbation | questions |
| --- | ---: |
{rows}

## Mapping

{_COLUMNS}
To score answers, write one JSON line for each question, `{{"id": ..., "response": ...}}`, and give that file to
`modality-interference suite score FILE --suite THIS_FOLDER -o DIR`.

## Known problems

Left out at the export:

{dropped}"""


def evaluation(suite: Suite) -> str:
    """`eval.yaml`, which registers the dataset as a benchmark of the hub: a leaderboard of accuracies for every perturbation."""
    content = {
        "name": f"{suite.name}: twins",
        "description": (
            "Accuracy on questions as they are (clean), and with one input changed that should not matter for the answer. "
            "Answers are read and scored by modality-interference suite score."
        ),
        "tasks": [
            {"id": label, "config": label, "split": "test"}
            for label in suite.perturbations
            if not is_counterfactual(label)  # their answers are not to be kept
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
