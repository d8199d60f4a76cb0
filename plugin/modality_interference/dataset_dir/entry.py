"""One dataset's entry in `dataset_info.json`: its keys, its types, where its data is, its columns and its `twins` block."""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..data.converter import make_converter
from ..data.registry import formats
from ..data.sample import CHOSEN, REJECTED
from ..data.spec import COUNTERFACTUALS, MAX_PERTURBATIONS, PERTURBATION_KEYS, TwinsSpec
from ..data.standard import STANDARD
from ..errors import ModalityInterferenceError
from ..files import path_problem
from ..messages import explain_keys, listed, shown, suggestion
from .contents import data_problems


HUB_KEYS = ("hf_hub_url", "ms_hub_url", "om_hub_url")
MAX_SAMPLES = 10_000_000  # LLaMA-Factory repeats rows up to that number, and holds a list of them in memory
# A bare name such as `pandas` would make `datasets` open files of this machine.
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_BUCKETS = ("s3://", "gs://", "gcs://")
_Text = Annotated[str, StringConstraints(min_length=1)]


def _field(description: str, default: Any = None) -> Any:
    return Field(default, description=description)


class Entry(BaseModel):
    """The keys that LLaMA-Factory and the plugin know. A field's `description` is what problems say is allowed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file_name: _Text = _field("the path of a file, or of a folder of files")
    hf_hub_url: _Text = _field("the name of a hub dataset")
    ms_hub_url: _Text = _field("the name of a hub dataset")
    om_hub_url: _Text = _field("the name of a hub dataset")
    cloud_file_name: _Text = _field("the address of a file in a bucket")
    script_url: Any = None
    formatting: str = _field("the name of a format", "alpaca")
    ranking: bool = _field("true or false", False)
    subset: str | None = _field("a text")
    split: _Text = _field("a text", "train")
    folder: str | None = _field("a text")
    num_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] | None = _field(
        f"a whole number from 1 to {MAX_SAMPLES:,}"
    )
    columns: dict[str, str | None] = _field('an object of column names, such as {"images": "image"}')
    tags: dict[str, str | None] = _field('an object of texts, such as {"role_tag": "role"}')
    twins: Any = None


def valid_part(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The valid part of an entry.

    Returns:
        the entry without keys that are unknown or whose values are of a wrong type, and a problem for each of those.
    """
    try:
        Entry.model_validate(entry)
    except ValidationError as error:
        problems = explain_keys(error, Entry)
        good = {key: value for key, value in entry.items() if key not in problems}
        return good, [problems[key] for key in entry if key in problems]

    return entry, []


def entry_problems(good: dict[str, Any], entry: dict[str, Any], folder: Path) -> list[str]:
    """Problems of where an entry's data is, and of settings that exclude each other.

    Args:
        good: its good keys.
        entry: all of them, as `dataset_info.json` has them.
        folder: the dataset folder.
    """
    problems = list(_source_problems(good, entry, folder))
    twins = good.get("formatting") in formats()
    if not twins and good.get("twins") is not None:
        problems.append(
            f"it has a `twins` block, but `formatting: {good.get('formatting', 'alpaca')}` makes no twins. Use one of "
            f"{listed(sorted(formats()))}, or remove the block"
        )

    if twins and good.get("ranking") and not formats()[good["formatting"]].ranking_columns:
        able = sorted(name for name, layout in formats().items() if layout.ranking_columns)
        problems.append(
            f"`ranking: true` is for pairs of answers, which `{good['formatting']}` does not read. Remove it, or use one of "
            f"{listed(able)}"
        )

    return problems


def remote_source(entry: dict[str, Any]) -> str | None:
    """Where an entry's data is when it is not in the folder; None for a file. The order is LLaMA-Factory's."""
    hubs = [str(entry[key]) for key in HUB_KEYS if key in entry]
    if hubs:
        return f"hub dataset `{hubs[0]}`"

    return f"`{entry['cloud_file_name']}`" if "cloud_file_name" in entry else None


def _source_problems(good: dict[str, Any], entry: dict[str, Any], folder: Path) -> Iterable[str]:
    if "script_url" in entry:
        yield (
            "`script_url` names code, and a dataset folder holds data only: nothing in it is executed. Save the rows as "
            "JSON Lines or Parquet, and name that as `file_name`"
        )
    elif not any(key in entry for key in ("file_name", "cloud_file_name", *HUB_KEYS)):
        yield f"it does not say where its data is; give one of {listed(('file_name', 'hf_hub_url'))}"

    for key in HUB_KEYS:
        if key in good and not _HUB_NAME.fullmatch(good[key]):
            yield f"`{key}` must be a name such as `owner/name`, found {shown(good[key])}"
        elif key in good and os.path.exists(good[key]):
            yield (
                f"`{key}` {shown(good[key])} is a folder of the working directory, which would be read in place of the hub's "
                "dataset. Start the run elsewhere, or rename the folder"
            )

    if "cloud_file_name" in good and not good["cloud_file_name"].startswith(_BUCKETS):
        yield f"`cloud_file_name` must start with one of {listed(_BUCKETS)}, found {shown(good['cloud_file_name'])}"

    if good.get("folder") and (why := path_problem(folder, good["folder"])):
        yield f"`folder` {why}"


# What LLaMA-Factory's `DatasetAttr.join` reads.
PLAIN_COLUMNS: tuple[str, ...] = ("prompt", "query", "response", "history", "messages", "system", "tools", "images")
PLAIN_COLUMNS += ("videos", "audios", "chosen", "rejected", "kto_tag")
TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag")


def column_problems(entry: dict[str, Any], known_formats: Collection[str]) -> list[str]:
    """Problems of `formatting`, `columns` and `tags` of an entry.

    Args:
        entry: its good keys.
        known_formats: LLaMA-Factory's formats, and those of twins.
    """
    formatting = entry.get("formatting", "alpaca")
    if formatting not in known_formats:
        known = sorted(known_formats)
        return [f"`formatting` is {shown(formatting)}.{suggestion(formatting, known)} Allowed: {listed(known)}"]

    columns = entry.get("columns", {})
    layout = formats().get(formatting)
    ranking = bool(entry.get("ranking") and layout is not None and layout.ranking_columns)
    allowed = PLAIN_COLUMNS if layout is None else layout.allowed(ranking)
    problems = [*_unknown("columns", columns, allowed), *_unknown("tags", entry.get("tags", {}), TAGS)]
    if layout is None:
        return problems

    missing = [key for key in layout.required(ranking) if not (columns or layout.defaults).get(key)]
    pairs = " for `ranking: true`" if ranking else ""
    problems += (f"`columns.{key}` is missing, which the format `{formatting}` needs{pairs}" for key in missing)
    if not ranking and not {CHOSEN, REJECTED}.isdisjoint(columns) and layout.ranking_columns:
        problems.append('`chosen` and `rejected` are columns of pairs; add `"ranking": true`')

    if "choices" in layout.optional and ("choices" in columns) != ("answer" in columns):
        problems.append("`columns` names only one of `choices` and `answer`; name both or neither")

    return problems


def absent_column_problems(entry: dict[str, Any], found: Iterable[str]) -> list[str]:
    """Problems of columns that an entry names and its data does not have."""
    found = list(found)
    return [
        f"`columns.{key}` names the column {shown(name)}, which the data does not have.{suggestion(name, found)} "
        f"Its columns: {listed(found)}"
        for key, name in entry.get("columns", {}).items()
        if name is not None and name not in found
    ]


def _unknown(block: str, given: Iterable[str], allowed: tuple[str, ...]) -> Iterator[str]:
    for key in given:
        if key not in allowed:
            yield f"`{block}.{key[:80]}` is not used here.{suggestion(key, allowed)} Allowed: {listed(allowed)}"


_NO_OBJECT = 'its entry in `dataset_info.json` must be an object such as {{"file_name": "rows.json"}}, found {}'


def dataset_problems(name: str, entry: Any, folder: Path, known_formats: Collection[str]) -> list[str]:
    """Problems of an entry and of the files that it names.

    Args:
        name: of the dataset.
        entry: its value in `dataset_info.json`, of any JSON type.
        folder: the dataset folder.
        known_formats: LLaMA-Factory's formats, and those of twins.

    Returns:
        all problems, each naming the dataset.
    """
    if not isinstance(entry, dict):
        return [dataset_problem(name, _NO_OBJECT.format(shown(entry)))]

    good, problems = valid_part(entry)
    problems += entry_problems(good, entry, folder)
    if not name.strip() or "," in name or name != name.strip() or not name.isprintable():
        problems.append("a run cannot name it; give it a name without commas, outer spaces and control characters")

    readable = {"formatting", "columns"} & set(entry) <= set(good)
    columns = column_problems(good, known_formats) if readable else []
    problems += columns
    if "file_name" in good and remote_source(entry) is None:
        problems += data_problems(folder, good["file_name"])

    found = [dataset_problem(name, problem) for problem in problems]
    if good.get("formatting") in formats():
        found += twins_problems(name, good, folder if readable and not columns else None)

    return found


def dataset_problem(name: str, problem: str) -> str:
    """A problem that names its dataset, in the words of `twins`."""
    return f"dataset {f'`{name}`' if len(name) <= 80 else shown(name)}: {problem}"


_STAND_IN = {"relevant": ["text"]}  # while another key is checked
_ANY = {"relevant": "relevant"}  # a column: no perturbation contradicts it


def twins_problems(name: str, entry: dict[str, Any], folder: Path | None) -> list[str]:
    """Problems of a `twins` block. It is read key by key and perturbation by perturbation, so that no mistake hides another.

    Args:
        name: of the dataset.
        entry: the good keys of its entry; its format makes twins.
        folder: the dataset folder, which holds the pools; None where `columns` has problems of its own, and only the block is read.
    """
    block = entry.get("twins")
    if not isinstance(block, dict):
        return [problem for problem in [_problem(name, entry, block, folder)] if problem]

    # what perturbations may not change; a format that asks about one modality after the other has no `relevant`
    said = "ask_about" if formats()[entry["formatting"]].asks_per_modality else "relevant"
    relevant = {key: value for key, value in block.items() if key == said}
    wrong = _problem(name, entry, relevant, folder)
    stand_in, anything = (_STAND_IN, _ANY) if said == "relevant" else ({}, {}) if wrong else (relevant, relevant)
    others = [stand_in | {key: value} for key, value in block.items() if key not in (said, *PERTURBATION_KEYS)]
    problems = [wrong, *(_problem(name, entry, piece, folder) for piece in others)]
    for key in PERTURBATION_KEYS:
        items = block.get(key, [])
        if items == STANDARD and key == "perturbations":
            problems.append(None if wrong else _problem(name, entry, relevant | {key: items}, folder))
            continue

        if not isinstance(items, list) or len(items) > MAX_PERTURBATIONS:
            problems.append(_problem(name, entry, anything | {key: items}, folder))
            continue

        for index, item in enumerate(items):
            if item == STANDARD and wrong and key == "perturbations":
                continue  # what it stands for depends on what is wrong

            problem = _problem(name, entry, (anything if wrong else relevant) | {key: [item]}, folder)
            problems.append(problem and problem.replace(f"twins.{key}[0]", f"twins.{key}[{index}]", 1))

    if block.get(COUNTERFACTUALS) and block.get("drop_asked_modality") is True and not any(problems):
        problems.append(_problem(name, entry, block, folder))

    return list(dict.fromkeys(problem for problem in problems if problem))


def _problem(name: str, entry: dict[str, Any], block: Any, folder: Path | None) -> str | None:
    try:
        columns = [key for key, column in (entry.get("columns") or {}).items() if column]
        spec = TwinsSpec.parse(block, name, entry["formatting"], columns)
        if folder is not None:
            _make_converter(name, entry, spec, folder)
    except ModalityInterferenceError as error:
        return str(error)

    return None


def _make_converter(name: str, entry: dict[str, Any], spec: TwinsSpec, folder: Path) -> None:
    """Make the converter as if the data had every column that the entry names, and classes where the block has none."""
    columns = entry.get("columns") or formats()[entry["formatting"]].defaults
    column_names = [column for column in (*columns.values(), spec.relevant_column) if column is not None]
    make_converter(
        formatting=entry["formatting"],
        spec=spec,
        columns=columns,
        dataset_name=name,
        column_names=column_names,
        dataset_dir=str(folder),
        class_names={} if spec.classes is not None else dict.fromkeys(column_names, ("one", "two")),
        other_rows=(),
        ranking=bool(entry.get("ranking") and formats()[entry["formatting"]].ranking_columns),
    )
