"""Give every clip a partner of another class, so that every clip is a partner exactly once."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from ..errors import ModalityInterferenceError
from .labels import Labels


_MIXING = 20  # exchanges tried per clip


def assign_partners(labels: Sequence[Labels], seed: int, where: str) -> list[int]:
    """Draw a permutation in which nobody's partner has a class in common with it.

    Args:
        labels: of the clips; both are known.
        seed: of the draw.
        where: what the clips are called in messages.

    Returns:
        For each clip the index of its partner; every index occurs once.

    Raises:
        ModalityInterferenceError: there is no such permutation; says why and what to do.
    """
    draw = random.Random(f"partners {seed}")
    partners = _some_partners(labels, draw, where)
    for _ in range(_MIXING * len(partners)):  # exchanges lead from any such permutation to others; many lead far away
        one, other = draw.randrange(len(partners)), draw.randrange(len(partners))
        if _differ(labels[one], labels[partners[other]]) and _differ(labels[other], labels[partners[one]]):
            partners[one], partners[other] = partners[other], partners[one]

    return partners


def _some_partners(labels: Sequence[Labels], draw: random.Random, where: str) -> list[int]:
    """Any permutation that will do: how many clips of each kind get partners of each kind is a flow problem."""
    members: defaultdict[Labels, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)

    kinds = list(members)
    flow = _flow(kinds, [len(members[kind]) for kind in kinds])
    if int(flow.sum()) < len(labels):
        raise ModalityInterferenceError(_impossible(labels, int(flow.sum()), where))

    free = {kind: draw.sample(members[kind], len(members[kind])) for kind in kinds}
    partners = [0] * len(labels)
    for row, kind in enumerate(kinds):
        drawn = [free[other].pop() for column, other in enumerate(kinds) for _ in range(flow[row, column])]
        for index, partner in zip(members[kind], drawn, strict=True):
            partners[index] = partner

    return partners


def _flow(kinds: list[Labels], sizes: list[int]) -> np.ndarray:
    """How many clips of each kind (row) can get a partner of each kind (column): a flow from a source to a sink."""
    number = len(kinds)
    sink = 2 * number + 1
    capacity = np.zeros((sink + 1, sink + 1), np.int32)
    for row, kind in enumerate(kinds):
        capacity[0, 1 + row] = capacity[1 + number + row, sink] = sizes[row]
        for column, other in enumerate(kinds):
            if _differ(kind, other):
                capacity[1 + row, 1 + number + column] = sizes[row]

    flow = maximum_flow(csr_array(capacity), 0, sink).flow.toarray()
    return flow[1 : 1 + number, 1 + number : sink]


def _differ(one: Labels, other: Labels) -> bool:
    return {one.visual, one.audio}.isdisjoint((other.visual, other.audio))


def _impossible(labels: Sequence[Labels], most: int, where: str) -> str:
    counts = Counter(name for label in labels for name in {label.visual, label.audio})
    name, number = counts.most_common(1)[0]
    total = len(labels)
    if 2 * number > total:
        return (
            f"{where}: the class `{name}` holds {number} of {total} clips, more than half, so that not all "
            f"find a partner of another class. Remove {2 * number - total} of it, or add as many clips of other classes."
        )

    return (
        f"{where}: only {most} of {total} clips can have a partner that shares neither the seen nor the heard class "
        "with them. Add clips of other classes, or remove some whose picture and sound are of different classes."
    )
