"""Parsing of generated answers: against a table written by hand, and properties."""

import random
import string
import time

import pytest
from helpers.answer_pairs import PAIRS, PETS
from hypothesis import given, settings
from hypothesis import strategies as st

from modality_interference.data.options import letters
from modality_interference.evaluation.answer_text import without_thought
from modality_interference.evaluation.answers import parse_choice


quick = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize(
    "words", [("<think>", "</think>"), ("◁think▷", "◁/think▷"), ("[THINK]", "[/THINK]"), ("<thinking>", "</thinking>")]
)
def test_thoughts_of_models_whose_template_nobody_knows(words):
    opening, closing = words
    assert parse_choice(f"{opening}The answer is A.{closing}dog", ("cat", "dog")) == 1
    assert parse_choice(f"The answer is A.{closing}B", ("cat", "dog")) == 1  # opened in the prompt
    assert parse_choice(f"{opening}The answer is A. The answer", ("cat", "dog")) is None  # cut off


@pytest.mark.parametrize(("choices", "expected"), [pytest.param(*row[1:], id=row[0]) for row in PAIRS])
def test_parsing(choices, expected):
    wrong = [
        (text, choices[found] if found is not None else None, option)
        for option, texts in expected.items()
        for text in texts
        for found in [parse_choice(text, choices)]
        if (choices[found] if found is not None else None) != option
    ]
    assert not wrong  # answer, found, expected


def test_the_table_is_large():
    assert sum(len(texts) for _, _, expected in PAIRS for texts in expected.values()) >= 1000


@quick
@given(st.text(), st.lists(st.text(min_size=1), min_size=2, max_size=30).map(tuple))
def test_any_text_gives_an_option_or_none(text, choices):
    found = parse_choice(text, choices)
    assert found is None or 0 <= found < len(choices)


PIECES = [
    "B", "A", "I", " ", "\n", "(", ")", "**", "_", "$", "\\boxed{", "}", "{", "<answer>", "</answer>", "<", ">", "~~", ": ", ". ", ", ", "- ",
    "# ", "answer ", "the answer is ", "option ", "is ", "not ", "or ", "and ", "because ", "it is ", "caption says ", "cat ", "dog ", "red ",
    "答案是", "选", "不", "1,000", "1.50", "'", '"', "?", "wait ", "if ", "</think>", "<think>",
]  # fmt: skip


@quick
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_pieces_of_answers_give_an_option_or_none(text):
    assert parse_choice(text, PETS) in (None, 0, 1, 2, 3)


@pytest.mark.parametrize("piece", PIECES)
def test_long_answers_take_linear_time(piece):
    def seconds(size: int) -> float:
        start = time.perf_counter()
        parse_choice(piece * (size // len(piece)), PETS)
        return time.perf_counter() - start

    assert seconds(4000) < 12 * seconds(1000) + 0.5  # 4 times as long; quadratic time is 16 times


def test_of_a_very_long_answer_the_end_is_read():
    assert parse_choice("A: " * 2_000_000 + "\nAnswer: C", PETS) == 2  # 6 MB: it would take minutes to read whole


WORDS = st.lists(st.text(string.ascii_lowercase, min_size=2, max_size=6), min_size=2, max_size=5, unique=True).filter(
    lambda words: not set(words) & RESERVED and not any(set(words) & {word + "s", word[:-1]} for word in words)
)
RESERVED = {
    "no", "not", "or", "and", "if", "is", "it", "as", "so", "the", "an", "yes", "true", "false", "option", "answer", "choice", "letter",
    "most", "only", "just", "both", "number", "never", "wrong", "text", "none", "but", "to", "in", "of",
}  # fmt: skip
INLINE = [
    "{}", "**{}**", "__{}__", "*{}*", "`{}`", "({})", "[{}]", '"{}"', "'{}'", "“{}”", "「{}」", "（{}）", "【{}】", "{}.", "{}。", "{})",
    "\\boxed{{{}}}", "$\\boxed{{{}}}$", "\\boxed{{\\text{{{}}}}}", "\\textbf{{{}}}", "<answer>{}</answer>", "<b>{}</b>", "{}<|im_end|>",
    "<|begin_of_box|>{}<|end_of_box|>",
]  # fmt: skip
BLOCKS = ["# {}", "> {}", "- {}", "```\n{}\n```", "\n\n{}\n\n", "<think>Is it A?</think>{}", "Let me see.\n\n{}"]
PHRASES = [
    "{}", "Answer: {}", "The answer is {}.", "The correct option is {}", "Final answer:\n{}", "I would choose {}.", "答案是{}", "答案：{}",
    "It is hard to see.\n\n{}", "Let me think. The answer is {}", "选{}",
]  # fmt: skip


@quick
@given(WORDS, st.data())
def test_no_markup_changes_a_declared_letter(words, data):
    index = data.draw(st.integers(0, len(words) - 1))
    letter, choices = letters(len(words))[index], tuple(words)
    mark, phrase = data.draw(st.sampled_from(INLINE)), data.draw(st.sampled_from(PHRASES))
    assert parse_choice(phrase.format(mark.format(letter)), choices) == index
    assert parse_choice(data.draw(st.sampled_from(BLOCKS)).format(phrase.format(letter)), choices) == index


@quick
@given(WORDS, st.data())
def test_text_letter_and_both_name_the_same_option(words, data):
    index = data.draw(st.integers(0, len(words) - 1))
    letter, choices = letters(len(words))[index], tuple(words)
    for text in (
        letter,
        f"({letter})",
        words[index],
        f"{letter}: {words[index]}",
        f"Answer: {letter}. {words[index]}",
    ):
        assert parse_choice(text, choices) == index


@quick
@given(WORDS, st.data())
def test_a_letter_beside_another_options_text_is_not_guessed(words, data):
    index, other = data.draw(st.permutations(range(len(words))))[:2]
    assert parse_choice(f"{letters(len(words))[index]}: {words[other]}", tuple(words)) is None


TEXTS = [
    "It is {0}, not {1}.",
    "Not {1}. Answer: {0}",
    "{0} or {1}",
    "{0} rather than {1}",
    "<answer>{0}</answer>",
    "not {0}",
    "{0} {1}",
]


@quick
@given(WORDS, st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_the_order_of_the_options_does_not_matter_to_their_texts(words, phrase, rng):
    text = phrase.format(*words)
    other = rng.sample(words, len(words))
    found, again = parse_choice(text, tuple(words)), parse_choice(text, tuple(other))
    assert (found is None and again is None) or words[found] == other[again]


@settings(quick, max_examples=8)
@given(st.integers(2, 60), st.data())
def test_letters_beyond_z(count, data):
    index = data.draw(st.integers(0, count - 1))
    choices = tuple(f"thing {number}" for number in range(count))
    for phrase in ("{}", "({})", "Answer: {}", "The answer is **{}**."):
        assert parse_choice(phrase.format(letters(count)[index]), choices) == index


@quick
@given(
    st.text(string.ascii_letters + " \n.,", max_size=60), st.sampled_from(["B", "The answer is B.", "**B**", "dog"])
)
def test_what_a_thought_says_does_not_count(thought, answer):
    assert parse_choice(f"<think>{thought} cat A</think>\n\n{answer}", PETS) == 1
    assert parse_choice(f"{thought} cat A\n</think>\n\n{answer}", PETS) == 1  # opened by the prompt
    assert parse_choice(f"<think>{thought} {answer}", PETS) is None


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        (("<think>\n", "\n</think>\n\n"), "<think>\n\n</think>\n\nB", "B"),
        (("<think>\n", "\n</think>\n\n"), "<think>A</think>B", "B"),
        (("<think>\n", "\n</think>\n\n"), "A\n</think>\n\nB", "B"),
        (("<think>\n", "\n</think>\n\n"), "<think>\nA", None),
        (("<think>\n", "\n</think>\n\n"), "<think>A</think>B<think>C", None),
        (("<think>\n", "\n</think>\n\n"), "B", "B"),
        (("<think>\n", "\n</think>\n\n"), "<think>A</think>", ""),
        (("◁think▷", "◁/think▷"), "◁think▷A◁/think▷B", "B"),
        (("<|channel>thought\n", "<channel|>"), "<|channel>thought\nA<channel|>B", "B"),
        (("", ""), "<think>A</think>B", "<think>A</think>B"),
    ],
)
def test_thoughts_are_cut_off(words, text, expected):
    found = without_thought(text, words)
    assert (found if found is None else found.strip()) == expected


def test_random_answers_never_take_long():
    rng = random.Random(0)
    start = time.perf_counter()
    for _ in range(10):
        parse_choice("".join(rng.choices(PIECES, k=300)), PETS)

    assert time.perf_counter() - start < 20
