"""Divide clips into parts, such as train and test, with every class shared out alike."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from .labels import Labels


def split(labels: Sequence[Labels], shares: Mapping[str, float], seed: int) -> dict[str, list[int]]:
    """Divide clips, stratified by what they show and sound like.

    Args:
        labels: of the clips.
        shares: of the parts by name; they add up to 1.
        seed: of the draw.

    Returns:
        The clips of each part, in their order. Of every class a part gets its share to within one clip, and what the
        rounding took from a part in one class it gets in another.
    """
    draw = random.Random(f"split {seed}")
    classes: defaultdict[Labels, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        classes[label].append(index)

    parts: dict[str, list[int]] = {name: [] for name in shares}
    owed = dict.fromkeys(shares, 0.0)
    for members in classes.values():
        draw.shuffle(members)
        counts = _counts(len(members), shares, owed)
        for name, count in counts.items():
            parts[name] += members[:count]
            del members[:count]

    return {name: sorted(indexes) for name, indexes in parts.items()}


def _counts(size: int, shares: Mapping[str, float], owed: dict[str, float]) -> dict[str, int]:
    """How many clips of a class each part gets; `owed` is what all parts lack so far, and is brought up to date."""
    exact = {name: size * share for name, share in shares.items()}
    counts = {name: int(value + 1e-9) for name, value in exact.items()}
    rounded_down = [name for name in shares if exact[name] - counts[name] > 1e-9]
    first = sorted(rounded_down, key=lambda name: counts[name] - exact[name] - owed[name])
    for name in first[: size - sum(counts.values())]:
        counts[name] += 1

    for name in shares:
        owed[name] += exact[name] - counts[name]

    return counts
