"""The wording that messages about bad input share: what was found, what is allowed, what was probably meant."""

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


_SHORTENER = reprlib.Repr()
_SHORTENER.maxstring = _SHORTENER.maxother = _SHORTENER.maxlong = 80
_LONGEST_PLACE = 200  # characters; keys of untrusted files may be of any length
_LISTED = 40  # a dataset may have thousands of columns or classes; a message should not


def shown(value: Any) -> str:
    """A value as a message shows it: its repr, shortened to about a line."""
    try:
        return _SHORTENER.repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits
        return f"a huge value of type {type(value).__name__}"


def listed(names: Iterable[str]) -> str:
    """Names as a message lists them: in backticks, shortened where there are very many."""
    every = list(names)
    text = ", ".join(f"`{name}`" for name in every[:_LISTED])
    return f"{text}, ... ({len(every)} in all)" if len(every) > _LISTED else text or "none"


def suggestion(name: str, names: Iterable[str]) -> str:
    """` Did you mean ...?` where one of `names` is close to `name`, else nothing."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def unknown_key(place: str, key: str, allowed: Iterable[str]) -> str:
    """What is said of a key that nothing reads.

    Args:
        place: the key with what it is in, dotted, such as `twins.answr`.
        key: the key alone.
        allowed: the keys that are read.
    """
    keys = list(allowed)
    return f"`{place[:_LONGEST_PLACE]}` is no known key.{suggestion(key, keys)} Allowed: {listed(keys)}"


def explain(error: Exception, model: type[BaseModel], parent: str = "") -> str:
    """The first thing that is wrong with data that a pydantic model, or JSON's parser, refused.

    Args:
        error: what was raised; the text of anything but a ValidationError is taken as it is.
        model: the model that refused the data. A field's description says what it allows.
        parent: what the data is in, dotted, such as `twins`.

    Returns:
        The dotted place, what was found and what is allowed, without a full stop at the end.
    """
    return (
        next(iter(explain_keys(error, model, parent).values())) if isinstance(error, ValidationError) else str(error)
    )


def explain_keys(error: ValidationError, model: type[BaseModel], parent: str = "") -> dict[str, str]:
    """The first thing that is wrong with each top-level key, by key, as `explain` says it; "" is the data as a whole."""
    problems: dict[str, str] = {}
    for complaint in error.errors(include_url=False):
        steps = [str(step) for step in complaint["loc"]]
        key = steps[0] if steps else ""
        if key in problems:
            continue

        field = model.model_fields.get(key)
        allowed = field.description if field else None
        path = steps if allowed is None else steps[:1]
        place = ".".join([parent, *path] if parent else path)
        problems[key] = _explain_one(place, key, allowed, complaint, model)

    return problems


def _explain_one(place: str, key: str, allowed: str | None, complaint: ErrorDetails, model: type[BaseModel]) -> str:
    if complaint["type"] == "extra_forbidden" and key not in model.model_fields:
        return unknown_key(place, key, model.model_fields)

    named = f"`{place[:_LONGEST_PLACE]}`"
    if complaint["type"] == "missing":
        return f"{named} is missing{f'; give {allowed}' if allowed else ''}"

    found, reason = shown(complaint["input"]), complaint["msg"]
    if allowed:
        return f"{named} must be {allowed}, found {found} ({reason})"

    return f"{named}: {reason}, found {found}" if place else f"{reason}, found {found}"
