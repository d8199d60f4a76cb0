"""Which columns and tags a dataset's entry names, against those that its format knows."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from ..twins.messages import listed, shown, suggestion
from ..twins.registry import formats


# What LLaMA-Factory's `DatasetAttr.join` reads.
PLAIN_COLUMNS: tuple[str, ...] = ("prompt", "query", "response", "history", "messages", "system", "tools", "images")
PLAIN_COLUMNS += ("videos", "audios", "chosen", "rejected", "kto_tag")
TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag")


def column_problems(entry: dict[str, Any], known_formats: Collection[str]) -> list[str]:
    """Look at `formatting`, `columns` and `tags` of an entry.

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
    allowed = PLAIN_COLUMNS if layout is None else (*layout.columns, *layout.optional)
    problems = [*_unknown("columns", columns, allowed), *_unknown("tags", entry.get("tags", {}), TAGS)]
    if layout is None:
        return problems

    missing = [key for key in layout.columns if not (columns or layout.defaults).get(key)]
    problems += (f"`columns.{key}` is missing, which the format `{formatting}` needs" for key in missing)
    if "choices" in layout.optional and ("choices" in columns) != ("answer" in columns):
        problems.append("`columns` names only one of `choices` and `answer`; name both or neither")

    return problems


def absent_columns(entry: dict[str, Any], found: Iterable[str]) -> list[str]:
    """Look for the columns that an entry names among those that its data has."""
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
