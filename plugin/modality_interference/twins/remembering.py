"""Keep the newest results of a computation: what a run meets has no end, memory has."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


def remembered(store: OrderedDict, limit: int, key: Hashable, make: Callable[[], Any]) -> Any:
    """What `store` has under `key`, made where it has nothing.

    Args:
        store: results by key, the one used last at the end.
        limit: how many it may hold; the one that was not used for longest is forgotten.
        key: of the result.
        make: computes it.
    """
    if key in store:
        store.move_to_end(key)
    else:
        store[key] = make()
        if len(store) > limit:
            store.popitem(last=False)

    return store[key]
