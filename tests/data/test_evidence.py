"""Evidence that a row names: found in the prompt, removed, swapped for another row's, or with other numbers."""

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.data.converter import make_converter
from modality_interference.data.dataset import RowContext
from modality_interference.data.evidence import evidence_texts, find_evidence, with_evidence
from modality_interference.data.matching import words_of
from modality_interference.data.perturbations.numbers import numbers_in, with_other_numbers
from modality_interference.data.records import TwinRecord
from modality_interference.data.registry import perturbations
from modality_interference.data.sample import Sample, Span
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError, Unusable
from modality_interference.modality import MEDIA


THINGS = ("hat", "dog", "cup", "car")
ROWS = [
    {
        "image": f"{index}.png",
        "question": f"The prices are: {prices}. What does the thing shown cost?",
        "evidence": f"The prices are: {prices}.",
        "choices": ["3 dollars", "5 dollars", "7 dollars"],
        "answer": index % 3,
    }
    for index, prices in enumerate(
        f"{THINGS[index % 4]} {3 + 2 * (index % 3)} dollars, bell {8 - index % 2} dollars" for index in range(12)
    )
]
COLUMNS = {"question": "question", "choices": "choices", "answer": "answer", "images": "image"}
EVIDENCE = COLUMNS | {"evidence": "evidence"}


def converter(counterfactuals: list[Any], columns: dict[str, str] = EVIDENCE, rows: list[dict] | None = ROWS, **keys):
    block = {"relevant": ["image", "text"], "counterfactuals": counterfactuals}
    spec = TwinsSpec.parse(block, "prices", "multiple_choice_twins")
    names = [*dict.fromkeys([*columns.values(), *ROWS[0]])]
    return make_converter(
        formatting="multiple_choice_twins", spec=spec, columns=columns, dataset_name="prices", column_names=names,
        other_rows=rows, **keys,
    )  # fmt: skip


def made(counterfactuals: list[Any], row: dict[str, Any], **keys: Any) -> dict[str, str]:
    """The last question of each counterfactual row, by perturbation."""
    record = TwinRecord.from_arrow(converter(counterfactuals, **keys)(row, 0)["_twins"])
    assert record.dropped is None, record.dropped
    return {
        item.perturbation.removeprefix("counterfactual_"): item.prompt[-1]["content"]
        for item in record.counterfactuals
    }


def clean(row: dict[str, Any]) -> str:
    return converter([])(row, 0)["_prompt"][-1]["content"]


def user(*contents: str, **keys: Any) -> Sample:
    roles = ("user", "assistant")
    prompt = [{"role": roles[index % 2], "content": content} for index, content in enumerate(contents)]
    return Sample(prompt, [{"role": "assistant", "content": "5"}], **keys)


class TestFinding:
    def test_words_are_what_counts_not_spaces(self):
        sample = user("<image>It  costs\n5 dollars. What is it?")
        assert find_evidence(sample, "It costs 5 dollars.") == (Span(0, 7, 27),)

    def test_every_place_of_every_text_in_every_turn(self):
        sample = user("A is 1. B is 2.", "A is 1, I see.", "Is B is 2 true?", system="A is 1")
        spans = find_evidence(sample, ["B is 2", "A is 1"])
        assert spans == (Span(None, 0, 6), Span(0, 0, 6), Span(0, 8, 14), Span(1, 0, 6), Span(2, 3, 9))
        assert evidence_texts(sample, spans) == ["A is 1", "A is 1", "B is 2", "A is 1", "B is 2"]

    def test_what_overlaps_is_one(self):
        assert find_evidence(user("a b c d"), ["a b", "b c"]) == (Span(0, 0, 5),)

    def test_not_within_words(self):
        with pytest.raises(Unusable, match="word for word"):
            find_evidence(user("The cathedral is old."), "The cat")

    def test_scripts_without_spaces_between_words(self):
        sample = user("\u56e0\u4e3a\u5e3d\u5b50\u4e94\u5143\u6240\u4ee5\u5f88\u4fbf\u5b9c")
        assert find_evidence(sample, "\u5e3d\u5b50\u4e94\u5143") == (Span(0, 2, 6),)

    @pytest.mark.parametrize(
        "listed", ["A: red\nB: blue", "A: red, B: blue", "red, blue", "(A) red (B) blue", "1. red\n2. blue"]
    )
    def test_options_are_no_evidence(self, listed: str):
        sample = user(f"The car is blue. Which colour?\n{listed}\nAnswer.", choices=("red", "blue"), answer=1)
        assert find_evidence(sample, "blue") == (Span(0, 11, 15),)
        assert find_evidence(user(sample.prompt[0]["content"]), "blue")[1:]  # without options nobody knows

    @pytest.mark.parametrize("value", [None, "", "  ", [], ["", None]])
    def test_none(self, value: object):
        assert find_evidence(user("Which?"), value) == ()

    def test_what_is_no_text(self):
        with pytest.raises(Unusable, match="a text or a list of texts, found 7"):
            find_evidence(user("7"), 7)

    @pytest.mark.parametrize(
        ("value", "found"),
        [(["a"] * 101, "101 texts"), ("a", "101 places of the prompt"), ("a" * 200_001, "200,001 characters")],
    )
    def test_too_much(self, value: object, found: str):
        with pytest.raises(Unusable, match=found):
            find_evidence(user("a " * 101), value)


class TestRemoved:
    @pytest.mark.parametrize(
        ("content", "evidence", "left"),
        [
            ("One. Two. Three?", "Two.", "One. Three?"),
            ("One. Two. Three?", "Two", "One. Three?"),  # with the stop of its sentence
            ("One. Two?", "One.", "Two?"),
            ("One?\nTwo.", "Two.", "One?"),
            ("Question:\nOne.\nTwo?", "One.", "Question:\nTwo?"),
            ("<image>One.\n\nTwo?", "One.", "<image>\n\nTwo?"),
            ("The (old) house?", "old", "The () house?"),
            ("一。二。三？", "二", "一。三？"),
        ],
    )
    def test_leaves_no_gap(self, content: str, evidence: str, left: str):
        sample = user(content)
        spans = find_evidence(sample, evidence) if evidence != "二" else (Span(0, 2, 3),)
        assert with_evidence(sample, spans, [""]).prompt[0]["content"] == left

    @given(
        st.lists(st.sampled_from(["Ann runs.", "Bob is 5.", "It rains!", "So what?"]), min_size=1, max_size=6),
        st.data(),
    )
    def test_all_other_words_stay(self, sentences: list[str], data: st.DataObject):
        evidence = data.draw(st.sampled_from(sentences))
        sample = user(" ".join(sentences))
        left = with_evidence(sample, found := find_evidence(sample, evidence), [""] * len(found))
        assert left.prompt[0]["content"] == " ".join(sentence for sentence in sentences if sentence != evidence)

    def test_rows(self):
        found = made(["removed_sentence"], ROWS[1])
        assert found == {"removed_sentence": clean(ROWS[1]).replace(ROWS[1]["evidence"] + " ", "")}
        assert "5 dollars" in found["removed_sentence"].split("Option:")[1]  # the options stay
        assert "5 dollars" not in found["removed_sentence"].split("Option:")[0]

    def test_rows_without_evidence_get_none_and_wrong_ones_are_dropped(self):
        assert made(["removed_sentence"], ROWS[0] | {"evidence": None}) == {}
        record = TwinRecord.from_arrow(converter([])(ROWS[0] | {"evidence": "It is free."}, 0)["_twins"])
        assert record.dropped is not None and record.dropped.kind == "evidence not in the prompt"
        assert "'It is free.'" in record.dropped.detail

    def test_a_context_can_be_the_evidence(self):
        row = {"text": "The hat is red.", "question": "Which colour?", "choices": ["red", "blue"], "answer": "red"}
        columns = {"question": "question", "choices": "choices", "answer": "answer"}
        columns |= {"context": "text", "evidence": "text"}
        (question,) = made(["removed_sentence"], row, columns=columns).values()
        assert question.startswith("Question:\nWhich colour?\nOption:\nA: red\nB: blue")

    def test_nothing_is_asked_without_it(self):
        sample = user("Who?")
        sample = sample.changed(evidence=find_evidence(sample, "Who?"))
        context = RowContext(converter([]).dataset, 0, {modality: [] for modality in MEDIA})
        registered = perturbations()["removed_sentence"]
        assert registered.function(sample, random.Random(0), context, registered.parameters()) is None


class TestSwapped:
    @pytest.mark.parametrize("index", range(6))
    def test_another_rows_with_another_answer_that_does_not_hold_this_one(self, index: int):
        row = ROWS[index]
        (question,) = made(["swapped_sentence"], row).values()
        (other,) = {found["evidence"] for found in ROWS if found["evidence"] in question}
        assert question == clean(row).replace(row["evidence"], other)
        right = row["choices"][row["answer"]]
        assert right not in other
        assert all(found["choices"][found["answer"]] != right for found in ROWS if found["evidence"] == other)
        assert (question,) == tuple(made(["swapped_sentence"], row).values())

    def test_where_no_other_row_has_any(self):
        assert made(["swapped_sentence"], ROWS[0], rows=[ROWS[0]] * 5) == {}
        assert made(["swapped_sentence"], ROWS[0], rows=[row | {"evidence": None} for row in ROWS]) == {}

    def test_several_parts_become_one(self):
        row = ROWS[0] | {"question": "Hat 3. Which? Bell 8.", "evidence": ["Hat 3.", "Bell 8."]}
        (question,) = made(["swapped_sentence"], row).values()
        assert re.match(r"<image>Question:\nThe prices are: [^.]+\. Which\?\nOption:", question)

    def test_needs_other_rows_and_a_column(self):
        with pytest.raises(ModalityInterferenceError, match="`swapped_sentence` draws from other rows, and streaming"):
            converter(["swapped_sentence"], rows=None)

        for name in ("removed_sentence", "swapped_sentence"):
            with pytest.raises(ModalityInterferenceError, match=f"`{name}` changes the text .* names no `evidence`"):
                converter([name], columns=COLUMNS)


NUMBERS = st.one_of(
    st.integers(0, 10**7).map(str),
    st.integers(1000, 10**9).map("{:,}".format),
    st.decimals(0, 10**4, places=2).map(str),
    st.times().map("{:%H:%M}".format),
    st.dates().map(str),
    st.sampled_from(["two", "Seven", "TWELVE", "ninety", "007", "1/2", "5-7", "1,000", "0", "2024"]),
)
WORDS = {
    "unit": "two three four five six seven eight nine".split(),
    "teen": "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),
    "tens": "twenty thirty forty fifty sixty seventy eighty ninety".split(),
}


def form(number: str) -> str:
    """Digits as 9, words as their class with their capitals."""
    for kind, words in WORDS.items():
        if number.lower() in words:
            return kind.upper() if number.isupper() else kind.title() if number[0].isupper() else kind

    return re.sub(r"\d", "9", number)


class TestNumbers:
    @given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(0, 99))
    def test_every_number_becomes_another_of_like_form(self, numbers: list[str], seed: int):
        text = " apples, ".join(numbers)
        changed = with_other_numbers([text], (), random.Random(seed))
        assert changed is not None
        found = changed[0].split(" apples, ")
        assert list(map(form, found)) == list(map(form, numbers))
        assert all(old != new for old, new in zip(numbers, found))
        assert changed == with_other_numbers([text], (), random.Random(seed))

    @given(st.lists(st.integers(2, 10**4), min_size=1, max_size=5, unique=True), st.integers(0, 99), st.data())
    def test_the_answers_number_is_gone(self, numbers: list[int], seed: int, data: st.DataObject):
        answer = data.draw(st.sampled_from(numbers))
        (changed,) = with_other_numbers([", ".join(map(str, numbers))], {str(answer)}, random.Random(seed))
        assert str(answer) not in changed.split(", ") and numbers_in(changed).isdisjoint({str(answer)})

    @given(st.lists(st.integers(100, 999), min_size=2, max_size=8), st.integers(0, 99))
    def test_equal_numbers_stay_equal_and_others_different(self, numbers: list[int], seed: int):
        (changed,) = with_other_numbers([" ".join(map(str, numbers))], (), random.Random(seed))
        pairs = set(zip(numbers, changed.split()))
        assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})

    def test_digits_and_words_are_one_number(self):
        (changed,) = with_other_numbers(["5 apples, five apples, Five"], (), random.Random(0))
        digit, word, title = re.fullmatch(r"(\d) apples, (\w+) apples, (\w+)", changed).groups()
        assert words_of(word) == (digit,) and title == word.capitalize()

    @pytest.mark.parametrize("text", ["H2O", "the 3rd", "v1.5", "A4", "one of them", "no number", "x_1"])
    def test_what_is_no_number_stays(self, text: str):
        assert with_other_numbers([text], (), random.Random(0)) == [text]

    @pytest.mark.parametrize(
        ("text", "pattern"), [("5kg", r"[^5]kg"), ("$5.", r"\$[^5]\."), ("20%", r"\d0%"), ("1999", r"19\d\d")]
    )
    def test_units_signs_and_years_stay(self, text: str, pattern: str):
        (changed,) = with_other_numbers([text], (), random.Random(0))
        assert re.fullmatch(pattern, changed) and changed != text

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("1,250 or 2.0", {"1250", "2"}),
            ("five, Twelve and ninety", {"5", "12", "90"}),
            ("10:30 on 2024-05-03", {"10", "30", "2024", "5", "3"}),
            ("-5 and 20%", {"5", "20"}),
            ("none here", {"0"}),
        ],
    )
    def test_values(self, text: str, values: set[str]):
        assert numbers_in(text) == values

    @pytest.mark.parametrize("row", ROWS[:6])
    def test_rows(self, row: dict[str, Any]):
        (question,) = made(["changed_numbers"], row).values()
        before, _, options = question.partition("Option:")
        own, _, same_options = clean(row).partition("Option:")
        assert options == same_options and re.sub(r"\d", "9", before) == re.sub(r"\d", "9", own)
        right = re.search(r"\d", row["choices"][row["answer"]])[0]
        assert right in own and right not in before

    def test_without_a_column_the_question_is_the_evidence(self):
        row = {
            "image": None,
            "question": "Ann has 4 hats and 17 cups. How many cups?",
            "choices": ["4", "17"],
            "answer": 1,
        }
        (question,) = made(["changed_numbers"], row, columns=COLUMNS).values()
        assert re.match(
            r"Question:\nAnn has [235-9] hats and 1[0-689] cups\. How many cups\?\nOption:\nA: 4\nB: 17\n", question
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"choices": ["Ann", "Bob"], "answer": "Ann"},  # names no number
            {"choices": ["2", "6"], "answer": "6"},  # computed: nobody can tell whether it stays
            {"evidence": None},
        ],
    )
    def test_where_the_answer_may_stay_there_is_none(self, changes: dict[str, Any]):
        row = {"image": None, "question": "Ann has 2 hats, Bob has 3.", "evidence": "Ann has 2 hats, Bob has 3."}
        row |= {"choices": ["2", "3"], "answer": "2"}
        assert made(["changed_numbers"], row) and not made(["changed_numbers"], row | changes)

    def test_where_no_number_is_left_or_too_many_are_there(self):
        many = [" ".join(map(str, range(10_000, 10_000 + count))) for count in (1000, 1001)]
        assert [with_other_numbers([text], (), random.Random(0)) is None for text in many] == [False, True]
        assert with_other_numbers(["5"], set("23456789"), random.Random(0)) is None


def test_the_seed_decides():
    names = ["removed_sentence", "swapped_sentence", "changed_numbers"]
    found = [made(names, ROWS[1], seed=seed) for seed in range(10)]
    assert found == [made(names, ROWS[1], seed=seed) for seed in range(10)]
    assert [len({questions[name] for questions in found}) > 1 for name in names] == [False, True, True]


def test_chats():
    """Of a conversation all turns before the answer are searched."""
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.parser import DatasetAttr
    from llamafactory.hparams import DataArguments

    attr = DatasetAttr("file", dataset_name="x", formatting="sharegpt", messages="conversations")
    base = get_dataset_converter("sharegpt", attr, DataArguments())
    turns = ["I paid 30 dollars.", "I see.", "How much did I pay?", "30 dollars"]
    row = {"conversations": [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(turns)]}
    row |= {"e": "I paid 30 dollars."}
    block = {"relevant": ["text"], "counterfactuals": ["changed_numbers"]}
    convert = make_converter(
        formatting="sharegpt_twins", spec=TwinsSpec.parse(block, "x", "sharegpt_twins"), dataset_name="x",
        columns={"messages": "conversations", "evidence": "e"}, column_names=["conversations", "e"], base_converter=base,
    )  # fmt: skip
    (found,) = TwinRecord.from_arrow(convert(row, 0)["_twins"]).counterfactuals
    first, *others = [message["content"] for message in found.prompt]
    assert re.fullmatch(r"I paid [2-9]0 dollars\.", first) and first != turns[0] and others == turns[1:3]
