"""What hub repositories bring besides plain cells: a column per option, "nan", context, several answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llamafactory.data.converter import DATASET_CONVERTERS
from llamafactory.data.parser import DatasetAttr

from modality_interference.data.converter import TwinConverter, make_converter
from modality_interference.data.options import present
from modality_interference.data.records import TwinRecord
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError


LETTERED = {"question": "question", "A": "A", "B": "B", "C": "C", "D": "D", "answer": "answer"}
ROW = {"question": "Round?", "A": "yes", "B": "no", "C": "maybe", "D": "never", "answer": "B"}
ASKED = "Answer with the letter of the right option."


def converter(formatting: str, columns: dict[str, str], **settings: Any) -> TwinConverter:
    spec = TwinsSpec.parse({"relevant": ["text"]}, dataset="shapes", formatting=formatting)
    return make_converter(
        formatting=formatting,
        spec=spec,
        columns=columns,
        dataset_name="shapes",
        column_names=list(columns.values()),
        **settings,
    )


def asked(row: dict[str, Any]) -> tuple[str, str]:
    return row["_prompt"][0]["content"], row["_response"][0]["content"]


def dropped(row: dict[str, Any]) -> str:
    return str(TwinRecord.from_arrow(row["_twins"]).dropped)


# a column per option


def test_a_column_for_every_option():
    row = converter("lettered_choice_twins", LETTERED)(ROW, 0)
    assert asked(row) == (f"Question:\nRound?\nOption:\nA: yes\nB: no\nC: maybe\nD: never\n{ASKED}", "B")
    record = row["_twins"]
    assert (record["choices"], record["answer"]) == (["yes", "no", "maybe", "never"], 1)


@pytest.mark.parametrize("missing", [None, "nan", "", " ", float("nan")])
def test_missing_options_are_left_out(missing: object):
    row = converter("lettered_choice_twins", LETTERED)(ROW | {"C": missing, "D": missing}, 0)
    assert asked(row) == (f"Question:\nRound?\nOption:\nA: yes\nB: no\n{ASKED}", "B")


@pytest.mark.parametrize("answer", ["C", 2, 2.0])  # 2: a class label's number; 2.0: of a column with gaps
def test_an_answer_names_its_column_where_one_before_is_missing(answer: object):
    row = converter("lettered_choice_twins", LETTERED)(ROW | {"A": "nan", "answer": answer}, 0)
    assert asked(row) == (f"Question:\nRound?\nOption:\nA: no\nB: maybe\nC: never\n{ASKED}", "B")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "C", "C": "nan"}, "answer not among the options: answer 'C', options ['yes', 'no', 'never']"),
        ({"answer": 2, "C": "nan"}, "answer not among the options: answer 'C'"),
        ({"answer": 4}, "answer not among the options: answer 4"),
        ({"answer": -1}, "answer not among the options: answer -1"),
        ({"answer": "nan"}, "answer not among the options: answer 'nan'"),
        ({"B": None, "C": None, "D": None}, "fewer than two options: found ['yes']"),
        ({"question": None}, "empty question: found None"),
    ],
)
def test_bad_lettered_rows_are_dropped_with_a_reason(change: dict[str, Any], reason: str):
    assert dropped(converter("lettered_choice_twins", LETTERED)(ROW | change, 0)).startswith(reason)


def test_at_least_two_columns_are_named():
    columns = {"question": "question", "A": "A", "answer": "answer"}
    with pytest.raises(ModalityInterferenceError, match=r"dataset `shapes`: `columns.B` is missing; name one of"):
        converter("lettered_choice_twins", columns)


cells = st.one_of(st.none(), st.just("nan"), st.text(alphabet="xyz", min_size=1, max_size=3))


@given(options=st.lists(cells, min_size=4, max_size=4), answer=st.integers(0, 3), as_number=st.booleans())
def test_the_right_option_is_that_of_the_answers_column(options: list[Any], answer: int, as_number: bool):
    letters = dict(zip("ABCD", options))
    row = {"question": "Round?", **letters, "answer": answer if as_number else "ABCD"[answer]}
    record = converter("lettered_choice_twins", LETTERED)(row, 0)["_twins"]
    there = [option for option in options if option not in (None, "nan")]
    if len(there) < 2 or options[answer] in (None, "nan") or len({*map(str, there)}) < len(there):
        assert record["dropped"]
    else:
        assert record["choices"] == there
        assert record["choices"][record["answer"]] == options[answer]


# context


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        ("Shapes have edges.", "Shapes have edges.\nRound?"),
        ("nan", "Round?"),
        ("", "Round?"),
        (None, "Round?"),
    ],
)
@pytest.mark.parametrize("formatting", ["lettered_choice_twins", "multiple_choice_twins"])
def test_context_comes_before_the_question(formatting: str, hint: str | None, text: str):
    columns = {"question": "question", "choices": "choices", "answer": "answer"}
    columns = LETTERED if formatting == "lettered_choice_twins" else columns
    row = ROW | {"choices": ["yes", "no", "maybe", "never"], "hint": hint}
    prompt, _ = asked(converter(formatting, {**columns, "context": "hint"})(row, 0))
    assert prompt == f"Question:\n{text}\nOption:\nA: yes\nB: no\nC: maybe\nD: never\n{ASKED}"


def test_context_may_hold_the_images_placeholder():
    columns = {**LETTERED, "context": "hint", "images": "image"}
    convert = converter("lettered_choice_twins", columns)
    prompt, _ = asked(convert(ROW | {"hint": "See <image>.", "image": "a.png"}, 0))
    assert prompt.startswith("Question:\nSee <image>.\nRound?")


@pytest.mark.parametrize("value", ["a", 0, False, [], ["nan"], "nano"])
def test_what_is_present(value: object):
    assert present(value) is value


# several answers, and images without a placeholder


CAPTION = {"question": "Describe it.", "captions": ["a sign", "", "a stop sign", None], "image": "sign.png"}


def captions() -> TwinConverter:
    columns = {"prompt": "question", "response": "captions", "images": "image"}
    attributes = DatasetAttr("hf_hub", dataset_name="shapes")
    attributes.join({"columns": columns})
    return converter("alpaca_twins", columns, base_converter=DATASET_CONVERTERS["alpaca"](attributes, None))


def test_one_of_several_responses_is_drawn():
    drawn = {asked(captions()(CAPTION | {"image": f"{name}.png"}, 0)) for name in range(40)}
    assert drawn == {("<image>Describe it.", "a sign"), ("<image>Describe it.", "a stop sign")}
    first = captions()(CAPTION, 0)
    assert asked(first) == asked(captions()(CAPTION, 7))  # the row's content decides, not its position


def test_a_single_response_stays():
    assert asked(captions()(CAPTION | {"captions": "a sign"}, 0)) == ("<image>Describe it.", "a sign")


@pytest.mark.parametrize("responses", [[], [""], [None], None])
def test_rows_without_a_response_are_dropped(responses: object):
    assert dropped(captions()(CAPTION | {"captions": responses}, 0)).startswith("no assistant turn")


def test_an_instructions_own_placeholder_stays_where_it_is():
    row = captions()(CAPTION | {"question": "Describe <image>."}, 0)
    assert asked(row)[0] == "Describe <image>."
