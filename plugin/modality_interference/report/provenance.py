"""Where figures come from, as pages show it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .wording import listed


def described(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as text; those that are not set are left out."""
    return {name: encodable(_text(value)) for name, value in values.items() if value is not None}


def encodable(text: str) -> str:
    """Text without the lone surrogates that JSON escapes and file names can bring, which no file can hold."""
    return text.encode(errors="replace").decode()


def moment(created: str) -> str:
    """`12 January 2026, 10:31 UTC`; what is not an ISO 8601 time stays as it is."""
    try:
        time = datetime.fromisoformat(created).astimezone(UTC)
    except (ValueError, OverflowError):
        return created

    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value

    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return listed(value)

    return json.dumps(value, ensure_ascii=False)
