"""One dataset's entry in `dataset_info.json`: its keys, its types, where its data is."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..twins.messages import listed, shown, suggestion
from ..twins.registry import formats
from .paths import path_problem


HUB_KEYS = ("hf_hub_url", "ms_hub_url", "om_hub_url")
MAX_SAMPLES = 1_000_000_000
# A bare name such as `pandas` is a reader of `datasets`, which would open files of this machine.
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


def split_entry(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Take the keys out of an entry that are unknown or whose values are of a wrong kind.

    Returns:
        the entry without them, and a problem for each.
    """
    try:
        Entry.model_validate(entry)
    except ValidationError as error:
        bad = {complaint["loc"][0] for complaint in error.errors(include_url=False)}
        good = {key: value for key, value in entry.items() if key not in bad}
        return good, [_explained(key, entry[key]) for key in entry if key in bad]

    return entry, []


def entry_problems(good: dict[str, Any], entry: dict[str, Any], folder: Path) -> list[str]:
    """Look at where an entry's data is, and at settings that do not go together.

    Args:
        good: its good keys.
        entry: all of them, as `dataset_info.json` has them.
        folder: the recipe.
    """
    problems = list(_source_problems(good, entry, folder))
    twins = good.get("formatting") in formats()
    if not twins and good.get("twins") is not None:
        problems.append(
            f"it has a `twins` block, but `formatting: {good.get('formatting', 'alpaca')}` makes no twins. Use one of "
            f"{listed(sorted(formats()))}, or remove the block"
        )

    if twins and good.get("ranking"):
        problems.append("`ranking: true` is for preference tuning, and twins are for `stage: sft`; remove it")

    return problems


def comes_from(entry: dict[str, Any]) -> str | None:
    """Where an entry's data is when it is not in the folder; None for a file. LLaMA-Factory looks in this order."""
    hubs = [str(entry[key]) for key in HUB_KEYS if key in entry]
    if hubs:
        return f"hub dataset `{hubs[0]}`"

    return f"`{entry['cloud_file_name']}`" if "cloud_file_name" in entry else None


def _explained(key: str, value: Any) -> str:
    if key not in Entry.model_fields:
        keys = list(Entry.model_fields)
        return f"`{key[:80]}` is no known key.{suggestion(key, keys)} Allowed: {listed(keys)}"

    return f"`{key}` must be {Entry.model_fields[key].description}, found {shown(value)}"


def _source_problems(good: dict[str, Any], entry: dict[str, Any], folder: Path) -> Iterable[str]:
    if "script_url" in entry:
        yield (
            "`script_url` names code, and a recipe is data: nothing in it is executed. Save the rows as JSON Lines or "
            "Parquet, and name that as `file_name`"
        )
    elif not any(key in entry for key in ("file_name", "cloud_file_name", *HUB_KEYS)):
        yield f"it says nowhere where its data is; give one of {listed(('file_name', 'hf_hub_url'))}"

    for key in HUB_KEYS:
        if key in good and not _HUB_NAME.fullmatch(good[key]):
            yield f"`{key}` must be a name such as `owner/name`, found {shown(good[key])}"

    if "cloud_file_name" in good and not good["cloud_file_name"].startswith(_BUCKETS):
        yield f"`cloud_file_name` must start with one of {listed(_BUCKETS)}, found {shown(good['cloud_file_name'])}"

    if good.get("folder") and (why := path_problem(folder, good["folder"])):
        yield f"`folder` {why}"
