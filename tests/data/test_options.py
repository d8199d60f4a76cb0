"""Options and answers, however a benchmark writes them."""

import datetime
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.data.options import (
    LETTERS,
    AnswersAre,
    cell_text,
    letter,
    letters,
    parse_answer,
    parse_options,
    possible_answers,
    what_answers_are,
)
from modality_interference.data.sample import Unusable


PETS = ["dog", "cat", "owl"]
# words that are neither letters nor numbers, so that every way of writing an answer is unambiguous
WORDS = st.lists(st.from_regex(r"[a-z]{2,8} [a-z]{2,8}", fullmatch=True), min_size=2, max_size=26, unique=True)


@pytest.mark.parametrize(
    "value",
    [
        PETS,
        tuple(PETS),
        json.dumps(PETS),
        {"A": "dog", "B": "cat", "C": "owl"},
        {"C": "owl", "A": "dog", "B": "cat", "D": None},
        json.dumps({"A": "dog", "B": "cat", "C": "owl"}),
        {"text": PETS, "label": ["A", "B", "C"]},
        {"text": PETS},
        [*PETS, None],
    ],
)
def test_ways_to_write_options(value: object):
    assert parse_options(value).texts == tuple(PETS)


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", "B)", 1, 1.0, "1", "cat", " Cat ", "CAT."])
def test_ways_to_write_an_answer(answer: object):
    assert parse_answer(answer, parse_options(PETS)) == 1


@given(WORDS, st.data())
def test_every_way_finds_the_same_option(words: list[str], data: st.DataObject):
    index = data.draw(st.integers(0, len(words) - 1))
    options = parse_options(words)
    for answer in (
        index,
        str(index),
        LETTERS[index],
        f"({LETTERS[index].lower()})",
        words[index],
        words[index].upper(),
    ):
        assert parse_answer(answer, options) == index


def test_letters_go_on_as_columns_of_spreadsheets_do():
    pairs = ["".join(pair) for pair in itertools.product(LETTERS, repeat=2)]
    names = [*LETTERS, *pairs, "AAA", "AAB"]
    assert [letter(index) for index in range(len(names))] == names == list(letters(len(names)))


def test_options_beyond_z():
    words = [f"as {number}" for number in range(60)]
    options = parse_options(words)
    for index, answer in {26: "AA", 44: "(AS)", 59: "BH."}.items():
        assert parse_answer(answer, options) == index == parse_answer(str(index), options)

    assert parse_answer("as", parse_options([*words, "AS."])) == 60  # a word of small letters is no letter
    with pytest.raises(Unusable, match="answer not among the options"):
        parse_answer("BI", options)

    by_letter = dict(zip(letters(60), words, strict=True))
    assert parse_options({name: by_letter[name] for name in sorted(by_letter)}).texts == tuple(words)


@given(WORDS, st.data())
def test_labels_of_the_dataset_win(words: list[str], data: st.DataObject):
    labels = data.draw(st.permutations([str(index + 1) for index in range(len(words))]))
    index = data.draw(st.integers(0, len(words) - 1))
    options = parse_options({"text": words, "label": labels})
    assert parse_answer(labels[index], options) == index
    assert parse_answer(int(labels[index]), options) == index


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=9, unique=True), st.data())
def test_numbers_among_numbers_are_texts(numbers: list[int], data: st.DataObject):
    index = data.draw(st.integers(0, len(numbers) - 1))
    assert parse_answer(numbers[index], parse_options(numbers)) == index
    assert parse_answer(str(numbers[index]), parse_options([str(number) for number in numbers])) == index


def test_a_number_among_texts_is_an_index():
    assert parse_answer(1, parse_options(["3", "7", "1"])) == 1
    assert parse_answer("1", parse_options(["3", "7", "1"])) == 2


def test_whole_numbers_that_became_fractions():
    """As in a column of a table in which another cell has a fraction, or nothing."""
    options = parse_options([4.0, 2.5, 10.0])
    assert options.texts == ("4", "2.5", "10")
    assert [parse_answer(answer, options) for answer in (10.0, 10, "10", "10.0", 2.5, "2.5")] == [2, 2, 2, 2, 1, 1]


COUNTED = [["3", "2", "4", "1"], ["1", "2", "3", "0"]]  # texts that are places of others


@pytest.mark.parametrize(
    ("answers", "choices", "found"),
    [
        (["3", "1", 0], [["mouth", "gill", "fin", "tail"], *COUNTED], AnswersAre.PLACES),  # "3" is the tail
        (["dog", "1", 3], [["dog", "cat"], *COUNTED], AnswersAre.TEXTS),
        (["7", "1"], [["7", "8"], COUNTED[0]], AnswersAre.TEXTS),
        (["B", "B"], [["dog", "cat"], ["B", "A", "D", "C"]], AnswersAre.PLACES),
        (["D", "B"], [["D", "E"], ["B", "A", "D", "C"]], AnswersAre.TEXTS),
        (["1", "2", 0], [*COUNTED, ["2", "0"]], None),  # no row tells
        (["dog", "B"], [["dog", "cat"], ["dog", "cat"]], None),  # as many tell the one as the other
        (["dog", "dog", "B"], [["dog", "cat"]] * 3, AnswersAre.TEXTS),
        (["lion", None], [["dog", "cat"]] * 2, None),
    ],
)
def test_the_rows_of_a_dataset_tell_what_its_answers_are(answers: list, choices: list, found: AnswersAre | None):
    assert what_answers_are(zip(answers, map(parse_options, choices))) is found


@given(st.permutations(["0", "1", "2", "3"]), st.integers(0, 3))
def test_where_a_dataset_tells_texts_or_places_win(words: list[str], index: int):
    options = parse_options(words)
    for answer in (index, str(index), float(index)):
        assert parse_answer(answer, options, AnswersAre.PLACES) == index
        assert parse_answer(answer, options, AnswersAre.TEXTS) == words.index(str(index))

    lettered = parse_options(["BADC"[int(word)] for word in words])
    assert parse_answer("ABCD"[index], lettered, AnswersAre.PLACES) == index
    assert (
        parse_answer("dog", parse_options(["cat", "dog"]), AnswersAre.PLACES) == 1
    )  # what can be read in one way only


@pytest.mark.parametrize("answer", ["b", "(B)", "B.", " b) "])
def test_the_datasets_own_letters_with_punctuation_and_in_small_letters(answer: str):
    assert parse_answer(answer, parse_options({"A": "cat", "B": "dog"})) == 1


@pytest.mark.parametrize("missing", [None, "", " ", "nan", float("nan")])
def test_missing_options_of_a_dict(missing: object):
    assert parse_options({"A": "cat", "B": missing, "C": "dog"}).texts == ("cat", "dog")


def test_missing_options_at_the_end_of_a_list():
    assert parse_options(["cat", "dog", None, float("nan")]).texts == ("cat", "dog")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("3 cm", "3 cm"),
        (3, "3"),
        (3.0, "3"),
        (2.5, "2.5"),
        (True, "True"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.datetime(2020, 1, 2), "2020-01-02"),  # a date, of which Arrow made a time
        (datetime.datetime(2020, 1, 2, 3, 4), "2020-01-02T03:04:00"),
        (datetime.time(3, 4), "03:04:00"),
        (None, None),
        (["a"], None),
        ({}, None),
    ],
)
def test_cells_as_texts(cell: object, text: str | None):
    assert cell_text(cell) == text


def test_dates_among_options():
    options = parse_options([datetime.datetime(2020, 1, 2), datetime.datetime(2021, 1, 2)])
    assert options.texts == ("2020-01-02", "2021-01-02")
    assert parse_answer(datetime.datetime(2021, 1, 2), options) == parse_answer("2021-01-02", options) == 1


@pytest.mark.parametrize(
    ("response", "found"),
    [("dog", {0}), ("Dog.", {0}), ("B", {1}), ("(b)", {1}), ("1", set()), ("It is a dog.", set()), ("", set())],
)
def test_what_a_response_may_mean(response: str, found: set[int]):
    """No index: a prompt may count its options from 1."""
    assert possible_answers(response, parse_options(["dog", "cat"])) == found


def test_truth_values():
    assert parse_answer(False, parse_options(["True", "False"])) == 1
    assert parse_answer(False, parse_options([True, False])) == 1


@pytest.mark.parametrize(
    "answer", ["D", "3", 3, -1, "", None, "lion", True, float("nan"), float("inf"), ["A"], "²", 10**99]
)
def test_answers_outside_the_options(answer: object):
    with pytest.raises(Unusable, match="answer not among the options: answer "):
        parse_answer(answer, parse_options(PETS))


def test_a_letter_outside_the_datasets_own_labels():
    with pytest.raises(Unusable, match="answer not among the options"):
        parse_answer("A", parse_options({"text": PETS, "label": ["1", "2", "3"]}))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "fewer than two options"),
        ([], "fewer than two options"),
        (["dog"], "fewer than two options"),
        (["dog", None], "fewer than two options"),
        ({"A": "dog", "B": None}, "fewer than two options"),
        ([str(index) for index in range(1001)], "more than 1000 options"),
        (["dog", None, "owl"], "options not understood"),
        (["dog", " "], "options not understood"),
        (["dog", ["cat"]], "options not understood"),
        ("dog, cat", "options not understood"),
        ("[" * 100_000, "options not understood"),
        (7, "options not understood"),
        ({"text": PETS, "label": ["A"]}, "options not understood"),
        ({"text": PETS, "label": ["A", "A", "B"]}, "options not understood"),
    ],
)
def test_bad_options(value: object, kind: str):
    with pytest.raises(Unusable, match=kind):
        parse_options(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
)
def test_anything_parses_or_is_a_bad_row(value: object, answer: object):
    try:
        options = parse_options(value)
        assert 0 <= parse_answer(answer, options) < len(options.texts)
    except Unusable as bad:
        assert ":" not in bad.kind
