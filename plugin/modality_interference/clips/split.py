"""Divide labelled clips into parts: each seen class by its share, heard classes balanced, everything else by the seed."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set

from .labels import Labels


Stratum = str | None  # a seen class
_TRIES = 30  # exchanges tried per clip to balance the heard classes
_ROUNDING = 1e-9


def split(labels: Sequence[Labels], shares: Mapping[str, float], seed: int) -> dict[str, list[int]]:
    """Divide clips, stratified by what they show, with what they sound like balanced.

    Every part has its share of all clips, to within one. A seen class is divided by the largest remainders, but reaches
    every part where it has as many clips as there are parts, and the parts room for all such classes: the larger classes
    then give some of their places up.

    Args:
        labels: of the clips; both are known.
        shares: of the parts by name; they add up to 1.
        seed: of every choice: which clips of a class, and which classes where remainders are equal.

    Returns:
        The clips of each part, in their order.
    """
    rng = random.Random(f"split {seed}")
    strata: defaultdict[str | None, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        strata[label.visual].append(index)

    for members in strata.values():
        rng.shuffle(members)

    sizes = _rounded({name: len(labels) * share for name, share in shares.items()}, rng)
    order = sorted(shares, key=lambda name: shares[name])  # small parts have the least room
    large = {stratum for stratum, members in strata.items() if len(members) >= len(shares)}
    left, part_of = dict(strata), [""] * len(labels)
    for place, name in enumerate(order[:-1]):
        numbers = {stratum: len(members) for stratum, members in left.items()}
        for stratum, count in _places(numbers, sizes[name], len(shares) - place, large, rng).items():
            for index in left[stratum][:count]:
                part_of[index] = name

            left[stratum] = left[stratum][count:]

    for index in (index for members in left.values() for index in members):
        part_of[index] = order[-1]

    _balance_heard(labels, list(strata.values()), part_of, shares, rng)
    return {name: [index for index, part in enumerate(part_of) if part == name] for name in shares}


def _rounded(exact: Mapping[str, float], rng: random.Random) -> dict[str, int]:
    """Whole numbers with the same sum, by the largest remainders."""
    counts = {name: int(value + _ROUNDING) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (round(counts[name] - exact[name], 9), rng.random()))
    for name in order[: round(sum(exact.values())) - sum(counts.values())]:
        counts[name] += 1

    return counts


def _places(
    strata: Mapping[Stratum, int], size: int, parts: int, large: Set[Stratum], rng: random.Random
) -> dict[Stratum, int]:
    """How many clips of each stratum a part gets.

    Args:
        strata: how many clips each has left.
        size: of the part.
        parts: how many parts are still to be filled, this one among them; at least two.
        large: the strata that shall reach every part, if only they do.
        rng: breaks ties.
    """
    total = max(1, sum(strata.values()))
    exact = {stratum: number * size / total for stratum, number in strata.items()}
    reach = {stratum for stratum, number in strata.items() if number >= parts}
    nothing, everything = dict.fromkeys(strata, 0), dict(strata)
    least = {stratum: int(stratum in reach) for stratum in strata}
    most = {stratum: number - (parts - 1) * (stratum in reach) for stratum, number in strata.items()}
    counts = {stratum: min(max(int(exact[stratum] + _ROUNDING), least[stratum]), most[stratum]) for stratum in strata}
    # where there is no room for every class, small ones lose their place in this part first, then any
    floors = [least, {stratum: int(stratum in reach & large) for stratum in strata}, nothing]
    ceilings = [most, everything]

    def lacking(stratum: Stratum) -> tuple[float, float]:
        return round(exact[stratum] - counts[stratum], 9), rng.random()

    while (missing := size - sum(counts.values())) != 0:
        step, bounds = (1, ceilings) if missing > 0 else (-1, floors)
        free = [stratum for stratum in strata if step * (bounds[0][stratum] - counts[stratum]) > 0]
        if not free:
            bounds.pop(0)

        for stratum in sorted(free, key=lacking, reverse=missing > 0)[: abs(missing)]:
            counts[stratum] += step

    return counts


def _balance_heard(
    labels: Sequence[Labels],
    strata: Sequence[list[int]],
    part_of: list[str],
    shares: Mapping[str, float],
    rng: random.Random,
) -> None:
    """Exchange clips of one seen class between parts where that brings the heard classes nearer to their shares."""
    heard = Counter(label.audio for label in labels)
    there = Counter((label.audio, part) for label, part in zip(labels, part_of, strict=True))

    def cost(name: str | None, part: str) -> float:
        """How far a class is from its share of a part; more than any distance where it could be there and is not."""
        expected, found = heard[name] * shares[part], there[name, part]
        absent = len(labels) if not found and heard[name] >= len(shares) else 0
        return (found - expected) ** 2 / expected + absent

    def exchange(one: int, other: int) -> None:
        for index in (one, other):
            there[labels[index].audio, part_of[index]] -= 1

        part_of[one], part_of[other] = part_of[other], part_of[one]
        for index in (one, other):
            there[labels[index].audio, part_of[index]] += 1

    mixed = [members for members in strata if len({labels[index].audio for index in members}) > 1]
    for members in mixed:
        for _ in range(_TRIES * len(members)):
            one, other = rng.choice(members), rng.choice(members)
            names, parts = {labels[one].audio, labels[other].audio}, {part_of[one], part_of[other]}
            if len(names) < 2 or len(parts) < 2:
                continue

            before = sum(cost(name, part) for name in names for part in parts)
            exchange(one, other)
            if sum(cost(name, part) for name in names for part in parts) > before:
                exchange(one, other)
