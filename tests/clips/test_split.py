"""Parts of the benchmark: their sizes, classes that reach every part, and how much two seeds have in common."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.clips.benchmark import assign_partners
from modality_interference.clips.labels import Labels
from modality_interference.clips.split import split


SHARES = st.sampled_from([(0.8, 0.2), (0.5, 0.5), (0.7, 0.2, 0.1), (0.9, 0.05, 0.05), (1 / 3, 1 / 3, 1 / 3)])
CLIPS = st.lists(st.builds(Labels, st.sampled_from("abcdef"), st.sampled_from("abcdef")), min_size=1, max_size=80)


def named(sizes: tuple[float, ...]) -> dict[str, float]:
    return {f"part{index}": size for index, size in enumerate(sizes)}


@given(CLIPS, SHARES, st.integers(0, 3))
def test_every_clip_is_in_one_part_and_parts_have_their_sizes(labels, sizes, seed):
    shares = named(sizes)
    parts = split(labels, shares, seed)
    assert sorted(index for part in parts.values() for index in part) == list(range(len(labels)))
    assert all(part == sorted(part) for part in parts.values()) and list(parts) == list(shares)
    assert all(abs(len(parts[name]) - len(labels) * share) < 1 for name, share in shares.items())


@given(CLIPS, SHARES, st.integers(0, 3))
def test_a_seen_class_reaches_every_part_where_there_is_room(labels, sizes, seed):
    parts = split(labels, named(sizes), seed)
    large = {name for name, number in Counter(label.visual for label in labels).items() if number >= len(sizes)}
    for members in parts.values():
        found = {labels[index].visual for index in members}
        assert large <= found or len(large & found) == min(len(large), len(members))


@given(st.lists(st.integers(2, 12), min_size=1, max_size=8), st.integers(0, 3))
def test_equal_parts_of_even_classes_are_exact(halves, seed):
    labels = [Labels(name, name) for name, half in zip("abcdefgh", halves) for _ in range(2 * half)]
    for members in split(labels, named((0.5, 0.5)), seed).values():
        assert Counter(labels[index].visual for index in members) == dict(zip("abcdefgh", halves))


@pytest.fixture(scope="module", params=["aligned", "misaligned"])
def benchmark(request: pytest.FixtureRequest) -> list[Labels]:
    """76 classes as unequal as real ones, from two clips to thirty; misaligned ones sound like another class."""
    rng, names = random.Random(7), [f"class {number}" for number in range(76)]
    seen = names * 2 + rng.choices(names, [1 / (number + 1) ** 0.7 for number in range(76)], k=508)
    if request.param == "aligned":
        return [Labels(name, name) for name in seen]

    labels = [Labels(name, other) for name, other in zip(seen, rng.sample(seen, len(seen)), strict=True)]
    return [label for label in labels if label.visual != label.audio]


def test_a_benchmark_of_many_classes(benchmark):
    shares = {"train": 0.8, "test": 0.2}
    parts = [split(benchmark, shares, seed) for seed in range(6)]
    size = len(parts[0]["test"])
    assert abs(size - len(benchmark) * 0.2) < 1
    sizes = {kind: Counter(getattr(label, kind) for label in benchmark) for kind in ("visual", "audio")}
    for part in parts:
        for kind, counts in sizes.items():
            there = Counter(getattr(benchmark[index], kind) for index in part["test"])
            missing = {name for name, number in counts.items() if number > 1} - set(there)
            assert len(missing) <= (kind == "audio")  # exchanges reach nearly every heard class
            assert all(abs(there[name] - number * 0.2) < 1.5 for name, number in counts.items())

        for name, members in part.items():  # real clips whose labels differ find partners in every part
            assert len(set(assign_partners([benchmark[index] for index in members], 1, name))) == len(members)


def test_two_seeds_have_as_much_in_common_as_two_draws(benchmark):
    """Of n clips out of N, two independent draws have n squared / N in common."""
    tests = [set(split(benchmark, {"train": 0.8, "test": 0.2}, seed)["test"]) for seed in range(12)]
    common = [len(one & other) for index, one in enumerate(tests) for other in tests[:index]]
    expected = len(tests[0]) ** 2 / len(benchmark)
    assert 0.8 * expected < sum(common) / len(common) < 1.25 * expected
    assert split(benchmark, {"train": 0.8, "test": 0.2}, 3) == split(benchmark, {"train": 0.8, "test": 0.2}, 3)
