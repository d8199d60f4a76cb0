"""Parsing of generated answers: by hand, and properties."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.evaluation.answers import parse_choice


PETS = ("cat", "dog", "red cat", "horse")
NUMBERS = ("1", "10", "0", "11")


@pytest.mark.parametrize(
    ("text", "choices", "expected"),
    [
        ("B", PETS, 1), ("b", PETS, 1), ("(B)", PETS, 1), ("B.", PETS, 1), ("B)", PETS, 1), ("[c]", PETS, 2),
        ("dog", PETS, 1), ("Dog.", PETS, 1), ("  DOG ", PETS, 1), ('"dog"', PETS, 1), ("A dog", PETS, 1),
        ("B: dog", PETS, 1), ("(B) dog", PETS, 1), ("B. The animal is a dog.", PETS, 1),
        ("The answer is B.", PETS, 1), ("Answer: (B)", PETS, 1), ("The correct option is C", PETS, 2),
        ("The answer is a dog", PETS, 1), ("It is a red cat.", PETS, 2), ("I would say (D).", PETS, 3),
        ("10", NUMBERS, 1), ("B: 10", NUMBERS, 1), ("It is 11", NUMBERS, 3), ("1.", NUMBERS, 0),
        # not parsable
        ("", PETS, None), ("E", PETS, None), ("bird", PETS, None), ("cat or dog", PETS, None), ("B: cat", PETS, None),
        ("(A) or (B)", PETS, None), ("I cannot tell.", PETS, None), ("A dog or a cat", PETS, None),
        ("scattered", PETS, None), ("100", NUMBERS, None), ("same", ("same", "same"), None),
    ],
)  # fmt: skip
def test_parsing(text, choices, expected):
    assert parse_choice(text, choices) == expected


@given(st.text(), st.lists(st.text(min_size=1), min_size=2, max_size=26).map(tuple))
def test_any_text_gives_an_option_or_none(text, choices):
    found = parse_choice(text, choices)
    assert found is None or 0 <= found < len(choices)


WORDS = st.lists(st.text(string.ascii_lowercase, min_size=2, max_size=6), min_size=2, max_size=5, unique=True)


@given(WORDS, st.data())
def test_text_letter_and_both_name_the_same_option(words, data):
    index = data.draw(st.integers(0, len(words) - 1))
    letter, choices = string.ascii_uppercase[index], tuple(words)
    for text in (
        letter,
        f"({letter})",
        words[index],
        f"{letter}: {words[index]}",
        f"Answer: {letter}. {words[index]}",
    ):
        assert parse_choice(text, choices) == index


@given(WORDS, st.data())
def test_a_letter_beside_another_options_text_is_not_guessed(words, data):
    index, other = data.draw(st.permutations(range(len(words))))[:2]
    assert parse_choice(f"{string.ascii_uppercase[index]}: {words[other]}", tuple(words)) is None
