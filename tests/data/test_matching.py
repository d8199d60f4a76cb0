"""Free answers: normalisation by hand, edit distance against NLTK."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk import edit_distance

from modality_interference.data.matching import agree, contains, distinct, matches, similarity


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("A dog.", "dog", True),
        ("the Red-Car", "red car", True),
        ("two", "2", True),
        ("1,000", "1000", True),
        ("2.0", "2", True),
        ("don’t", "dont", True),
        ("yes!", "Yes", True),
        ("犬です。", "犬です", True),
        ("A", "a", True),
        ("!", "!", True),
        ("?", "!", False),
        ("A", "the", False),
        ("vitamin A", "vitamin", False),
        ("-5", "5", False),
        ("−5", "5", False),
        ("−5", "-5", True),
        ("1/2", "12", False),
        ("10:30", "1030", False),
        ("50%", "50", False),
        ("C++", "C", False),
        ("dogs", "dog", False),
    ],
)
def test_exact(one: str, other: str, equal: bool):
    assert matches(one, other, "exact") is matches(other, one, "exact") is equal


@pytest.mark.parametrize(
    ("answer", "right", "found"),
    [
        ("I think it is a dog.", "The dog", True),
        ("There are three cats", "3", True),
        ("concatenate", "cat", False),
        ("10", "1", False),
        ("red and green", "green red", False),
        ("これは犬です", "犬", True),
        ("dog", "a big dog", False),
        ("anything", "!", False),
        ("The result is −5.", "5", False),
        ("The result is −5.", "-5", True),
    ],
)
def test_contained(answer: str, right: str, found: bool):
    assert contains(answer, right) is matches(answer, right, "contained") is found


@given(st.text("abc ", max_size=8), st.text("abc ", max_size=8))
def test_similarity_is_that_of_anls(one: str, other: str):
    first, second = " ".join(one.split()), " ".join(other.split())
    expected = 1 - edit_distance(first, second) / max(len(first), len(second), 1)
    assert similarity(one.upper(), other) == pytest.approx(expected)
    assert matches(one, other, "anls") is (expected > 0.5)


def test_anls_has_its_threshold_between_equal_halves():
    assert [matches(answer, "19", "anls") for answer in ("17", "1", "190", "19 ")] == [False, False, True, True]
    assert matches("Coca cola", "coca-cola", "anls")


def test_agree_is_symmetric():
    assert agree("a dog", "I see a dog", "contained") and agree("I see a dog", "a dog", "contained")
    assert not agree("a dog", "I see a dog", "exact")


@pytest.mark.parametrize(
    ("target", "right", "kept"),
    [
        ("cat", "dog", True),
        ("17", "19", True),
        ("117", "119", False),
        ("big dog", "dog", False),
        ("dog", "big dog", False),
    ]
    + [("two", "2", False), ("!", "dog", False), ("colour", "color", False)],
)
def test_a_target_can_be_told_from_the_right_answer(target: str, right: str, kept: bool):
    assert distinct(target, right) is kept


def test_very_long_texts_are_compared_by_their_beginnings():
    assert similarity("a" * 1_000_000, "a" * 999_999 + "b") == 1  # a table of 10^12 cells
    assert not matches("b" * 1_000_000, "a" * 1_000_000, "anls")
