"""Generated answers: scores by hand, and what a tokenizer's special tokens may not hide."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from modality_interference.batching.batch import Question
from modality_interference.evaluation.generation import GeneratedText, score_generated


WORDS = ("<think>\n", "\n</think>\n\n")


PETS = ("cat", "dog", "red cat", "horse")


def test_generated_answers_by_hand():
    """The clean answer is right; one twin is misled, one cannot be parsed, one agrees."""
    fields = dict(dataset="pets", row=0, key=1, kind="image", clean=0, choices=PETS, answer=1, response="B")
    asked = [
        Question(perturbation=name, batch_row=index, target=target, **fields)
        for index, (name, target) in enumerate(
            [("clean", None), ("misleading_text", 0), ("misleading_text_2", 0), ("unrelated_text", None)]
        )
    ]
    clean, misled, unparsable, same = score_generated(asked, ["B", "It is a cat.", "Sorry.", "dog"], WORDS)
    assert (clean.answer, clean.correct, clean.flipped, clean.misled) == ("dog", True, None, None)
    assert (misled.answer, misled.correct, misled.flipped, misled.misled) == ("cat", False, True, True)
    assert (unparsable.answer, unparsable.correct, unparsable.flipped, unparsable.misled) == (None, False, True, False)
    assert (same.answer, same.correct, same.flipped, same.misled) == ("dog", True, False, None)
    assert all(row.causal_effect is None for row in (clean, misled, unparsable, same))


def test_two_unparsable_answers_are_no_flip():
    fields = dict(dataset="pets", row=0, key=1, kind="image", clean=0, choices=PETS, answer=1)
    asked = [
        Question(perturbation=name, batch_row=index, **fields) for index, name in enumerate(["clean", "ocr_text"])
    ]
    assert [row.flipped for row in score_generated(asked, ["Sorry.", "No."], WORDS)] == [None, False]


def test_generated_free_answers_but_for_case_spaces_and_full_stop():
    fields = dict(dataset="captions", row=0, key=1, kind="image", clean=0, response="A red car.")
    asked = [Question(perturbation=f"p{index}", batch_row=index, **fields) for index in range(3)]
    scored = score_generated(asked, ["a red  car", "A blue car.", "A red car"], WORDS)
    assert [row.correct for row in scored] == [True, False, True]
    assert [row.flipped for row in scored] == [None, True, False]
    assert scored[1].answer == "A blue car."


def test_generated_abstention():
    fields = dict(dataset="clips", row=0, key=1, kind="audio", clean=0, choices=(*PETS, "cannot tell"))
    fields |= dict(abstention="cannot tell", removed=True, medium="3.mp4")
    asked = [Question(perturbation=f"p{index}", batch_row=index, answer=len(PETS), **fields) for index in range(3)]
    told = Question(perturbation="clean", batch_row=3, answer=0, **fields)
    scored = score_generated([*asked, told], ["Cannot tell.", "It is a cat.", "Sorry.", "cannot tell"], WORDS)
    assert [row.abstained for row in scored] == [True, False, False, True]
    assert [row.shares["abstention_rate"] for row in scored] == [1, 0, 0, None]
    assert [row.shares["false_abstention_rate"] for row in scored] == [None, None, None, 1]
    assert {(row.removed, row.medium) for row in scored} == {(True, "3.mp4")}
    assert [row.correct for row in scored] == [True, False, False, False]


def ask(count: int, **fields) -> list[Question]:
    """A clean row and twins of it."""
    fields = dict(dataset="pets", row=0, key=1, kind="image", clean=0, choices=PETS, answer=1, target=0) | fields
    names = ["clean", *(f"misleading_text_{index}" for index in range(1, count))]
    return [Question(perturbation=name, batch_row=index, **fields) for index, name in enumerate(names)]


def test_thoughts_do_not_answer():
    texts = [
        "<think>\n\n</think>\n\nB",
        "<think>\nA cat?\n</think>\n\nThe answer is B.",
        "<think>\nThe answer is A",
        "A cat.</think> B",
    ]
    scored = score_generated(ask(4), texts, WORDS)
    assert [row.answer for row in scored] == ["dog", "dog", None, "dog"]
    assert [row.misled for row in scored] == [False] * 4
    assert [row.flipped for row in scored] == [None, False, True, False]
    assert [row.response for row in scored] == texts


def test_a_thought_that_the_prompt_has_opened():
    """Its end is in the answer, or the answer is none."""
    scored = score_generated(
        ask(3), ["I see a cat.</think>B", "The answer is A", "The answer is A"], WORDS, [True, True, False]
    )
    assert [row.answer for row in scored] == ["dog", None, "cat"]
    assert [row.response for row in scored] == ["I see a cat.</think>B", "The answer is A", "The answer is A"]


def test_thoughts_beside_free_answers():
    fields = dict(choices=(), answer=None, target=None, response="<think>\nLook.\n</think>\n\nA red car.")
    scored = score_generated(ask(3, **fields), ["<think>red</think>a red car", "a red car", "<think>a red car"], WORDS)
    assert [row.correct for row in scored] == [True, True, False]
    assert [row.answer for row in scored] == ["a red car", "a red car", None]


@pytest.mark.parametrize("words", [("<think>\n", "\n</think>\n\n"), ("<seed:think>", "</seed:think>")])
@pytest.mark.parametrize("special", [True, False])
def test_special_tokens_are_dropped_but_for_those_of_a_thought(words, special):
    opening, closing = (word.strip() for word in words)
    pieces = ["<pad>", "<end>", "<image>", opening, closing, "look", "B", "user"]
    backend = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<end>")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>", *([opening, closing] if special else [])]})
    tokenizer.add_tokens([opening, closing])
    ids = {piece: tokenizer.convert_tokens_to_ids(piece) for piece in pieces}

    def row(*names: str) -> list[int]:
        return [ids[name] for name in names]

    text = GeneratedText(tokenizer, words)
    generated = torch.tensor(
        [
            row("<pad>", "<pad>", opening, "look", closing, "B", "<end>"),
            row("<pad>", "<pad>", "B", "<end>", *["<pad>"] * 3),
        ]
    )
    whole, short = text.texts(generated)
    assert "".join(whole.split()) == f"{opening}look{closing}B" and short.strip() == "B"
    assert [row.answer for row in score_generated(ask(2), [whole, short], words)] == ["dog", "dog"]
    assert text.opened(torch.tensor([row("user", opening), row("user", closing), row(opening, closing)])) == [
        True,
        False,
        False,
    ]
    assert text.stops(row("<end>", "<image>", opening, closing)) == row(
        "<end>", "<image>", *([] if special else [opening, closing])
    )


def test_a_chain_of_thought_is_read_from_its_end():
    texts = [
        "The sentence says cat, so the answer is A? No.\nAnswer: B",
        "A cat.\n\n**Final answer:** dog",
        "Answer: A\nBut the picture shows a dog.\nAnswer: B.",
        "It could be A or B, I must look",
    ]
    scored = score_generated(ask(4), texts, WORDS, reasoned=True)
    assert [row.answer for row in scored] == ["dog", "dog", "dog", None]
    assert scored[0].response == texts[0]


def test_a_free_answer_behind_a_chain_of_thought():
    fields = dict(dataset="captions", row=0, key=1, kind="image", clean=0, response="A red car.")
    asked = [Question(perturbation=f"p{index}", batch_row=index, **fields) for index in range(3)]
    texts = ["It has wheels.\nAnswer: **a red car**", "It has wheels.\nanswer： A blue car\nor so", "A red car."]
    scored = score_generated(asked, texts, WORDS, reasoned=True)
    assert [row.answer for row in scored] == ["a red car", "A blue car", None]
    assert [row.correct for row in scored] == [True, False, False]


ANSWERS = ("I see a red car.", "a blue car", "It is blue, not red", "red", "It is a red bus.")


@pytest.mark.parametrize(
    ("rule", "correct", "misled", "flipped"),
    [
        ("exact", [False, False, False, True, False], [False] * 5, [True] * 4),
        (
            "contained",
            [True, False, True, True, True],
            [False, True, False, False, False],
            [True, False, False, False],
        ),
        ("anls", [False, False, False, True, False], [False] * 5, [True, True, True, False]),
    ],
)
def test_rules_of_free_answers_by_hand(rule, correct, misled, flipped):
    """The right answer is "Red", the claimed one "blue"; an answer that has both is right."""
    scored = score_generated(
        ask(5, choices=(), answer=None, target=None, claimed="blue", response="Red"), list(ANSWERS), WORDS, rule=rule
    )
    assert [row.correct for row in scored] == correct
    assert [row.misled for row in scored] == misled
    assert [row.flipped for row in scored] == [None, *flipped]
    assert {row.target for row in scored} == {"blue"} and {row.options for row in scored} == {None}


def test_a_claimed_answer_that_the_clean_row_gives_already():
    fields = dict(choices=(), answer=None, target=None, claimed="2", response="3", family="note")
    clean, twin, other = score_generated(ask(3, **fields), ["two", "Two.", "three"], WORDS)
    assert (twin.misled, twin.clean_misled, twin.flipped, twin.family) == (True, True, False, "note")
    assert (other.misled, other.clean_misled, other.flipped) == (False, True, True)
    unclosed = score_generated(ask(2, **fields), ["<think>", "<think>2"], WORDS)
    assert [(row.misled, row.clean_misled, row.correct, row.flipped) for row in unclosed][1] == (
        False,
        False,
        False,
        False,
    )
