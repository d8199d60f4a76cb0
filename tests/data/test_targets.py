"""Wrong answers of rows without options."""

import random

import pytest

from modality_interference.data.converter import make_converter
from modality_interference.data.dataset import TRIES, RawDataset, RowContext
from modality_interference.data.perturbations.targets import answer_class, answer_of, draw_target
from modality_interference.data.records import TwinRecord
from modality_interference.data.sample import Sample
from modality_interference.data.spec import TwinsSpec
from modality_interference.modality import MEDIA

from .test_converter import llama_factory


def asked(answer: str) -> Sample:
    return Sample([{"role": "user", "content": "?"}], [{"role": "assistant", "content": answer}])


class Rows:
    """As a dataset, without a list of its rows; counts what is read."""

    def __init__(self, answers: list[str], length: int | None = None) -> None:
        self.answers, self.length, self.read = answers, length or len(answers), 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        self.read += 1
        return {"ask": f"Number {index}?", "say": self.answers[index % len(self.answers)]}


def dataset_of(rows: Rows | list[dict] | None) -> RawDataset:
    columns = {"prompt": "ask", "response": "say"}
    spec = TwinsSpec(relevant="kind")
    return RawDataset(
        "vqa", "alpaca_twins", spec, columns, other_rows=rows, base_converter=llama_factory("alpaca", columns)
    )


def draw(answer: str, rows: Rows, seed: int = 0) -> str | None:
    context = RowContext(dataset_of(rows), 0, {modality: [] for modality in MEDIA})
    return draw_target(asked(answer), random.Random(seed), context)


ANSWERS = [
    "red",
    "Two",
    "17",
    "1998",
    "a big brown dog by the fence",
    "yes",
    "3 cm",
    "blue",
    "cat",
    "Yes, there are.",
    "No, none at all.",
]


@pytest.mark.parametrize(
    ("right", "targets"),
    [
        ("green", {"red", "blue"}),
        ("horse", {"cat", "red", "blue"}),
        ("Red.", {"blue", "cat"}),
        ("19", {"17", "Two"}),
        ("2", {"17"}),
        ("2004", {"1998"}),
        ("5 km", {"3 cm"}),
        ("Yes", {"No"}),
        ("no.", {"yes"}),
        ("TRUE", {"FALSE"}),
        ("Yes, I can see it", {"No, none at all."}),
        ("two white horses on a green hill", {"a big brown dog by the fence"}),
        ("<think>a cat?</think>horse", {"cat", "red", "blue"}),
    ],
)  # fmt: skip
def test_the_target_is_of_the_same_type_and_length(right: str, targets: set[str]):
    found = {draw(right, Rows(ANSWERS), seed) for seed in range(12)}
    assert found <= targets and found


@pytest.mark.parametrize(
    ("right", "others"),
    [
        ("dog", ["Dog.", "the dog", "dogs", "big dog"]),  # equal, or not to be told apart
        ("7", ["red", "blue"]),
        ("dog", ["cat " * 100]),
        ("!", ["cat"]),
        ("dog " * 100, ["cat"]),
        ("dog", ["<image>"]),
        ("dog", ["", " "]),
    ],
)
def test_no_target_where_no_answer_fits(right: str, others: list[str]):
    assert draw(right, Rows(others)) is None


def test_things_stand_for_things_where_a_few_tries_find_one():
    found = [draw("horse", Rows(["red", "cat", "blue"]), seed) for seed in range(20)]
    assert found.count("cat") >= 19  # of 16 tries nearly always one


def test_a_dataset_of_a_million_rows_is_not_listed():
    rows = Rows(["dog"], 1_000_000)
    assert draw("dog", rows) is None
    assert rows.read <= TRIES
    rows = Rows(["cat"], 1_000_000)
    assert draw("dog", rows) == "cat" and rows.read == 1


def convert(rows: list[dict], perturbations: list, formatting: str = "alpaca", **columns: str):
    columns = columns or {"prompt": "ask", "response": "say", "images": "image"}
    base = llama_factory(formatting, columns)
    return make_converter(
        formatting=f"{formatting}_twins",
        spec=TwinsSpec.parse({"relevant": ["image"], "perturbations": perturbations}, "vqa", f"{formatting}_twins"),
        columns=columns,
        dataset_name="vqa",
        column_names=list(rows[0]),
        base_converter=base,
        find_media=base._find_medias,
        other_rows=rows,
        seed=3,
    )


def test_rows_without_options_get_misleading_twins():
    rows = [{"ask": "<image>Which colour?", "say": colour, "image": ["x.png"]} for colour in ("red", "blue", "red")]
    row = convert(rows, ["misleading_text"])(rows[0], 0)
    (variant,) = row["_twins"]["variants"]
    assert (variant["target"], variant["family"]) == ("blue", "statement")
    assert variant["prompt"][0]["content"] == "<image>It seems to be blue in this picture.\nWhich colour?"
    assert row["_twins"]["choices"] == []
    assert convert(rows[::-1], ["misleading_text"])(rows[0], 2)["_twins"]["variants"] == [
        variant
    ]  # "blue" is the only one


def test_of_a_chat_the_last_answer_counts():
    turns = [("human", "<image>Look."), ("gpt", "blue"), ("human", "Which pet?")]
    rows = [
        {"turns": [{"from": who, "value": what} for who, what in [*turns, ("gpt", pet)]], "image": ["x.png"]}
        for pet in ("cat", "horse")
    ]
    columns = {"messages": "turns", "images": "image"}
    row = convert(rows, ["misleading_text"], "sharegpt", **columns)(rows[0], 0)
    (variant,) = row["_twins"]["variants"]
    assert variant["target"] == "horse"
    assert [message["content"] for message in variant["prompt"]] == [
        "<image>Look.",
        "blue",
        "This picture seems to depict a horse.\nWhich pet?",
    ]


def test_given_answers_need_no_other_rows():
    rows = [{"ask": "<image>Which colour?", "say": "red", "image": ["x.png"]}]
    listed = {"name": "misleading_text", "answers": ["red", "blue", "17"]}
    (variant,) = convert(rows, [listed])(rows[0], 0)["_twins"]["variants"]
    assert variant["target"] == "blue"


def test_answers_of_rows_with_options_are_no_wrong_answers():
    rows = [{"ask": "?", "say": "cat", "c": ["cat", "dog"], "a": 0}, {"ask": "?", "say": "owl", "c": None, "a": None}]
    columns = {"prompt": "ask", "response": "say", "choices": "c", "answer": "a"}
    dataset = RawDataset("d", "alpaca_twins", TwinsSpec(relevant="kind"), columns, other_rows=rows)
    dataset.base_converter = llama_factory("alpaca", {"prompt": "ask", "response": "say"})
    context = RowContext(dataset, 0, {})
    assert {context.other_row_answer(random.Random(seed)) for seed in range(20)} == {None, "owl"}


def test_answer_classes_differ_where_answers_do():
    texts = ["7", "1998", "yes, it is", "no, it is not", "q", "3 cm", "10:30", "dog", "a dog under a big tree"]
    assert len(set(map(answer_class, texts))) == len(texts)
    assert answer_of(" The dog. ") == "The dog"


@pytest.mark.parametrize(
    ("references", "others", "target"),
    [
        (["sofa", "couch", "settee"], ["couch", "Settee."], None),
        (["sofa", "couch", "settee"], ["couch", "chair"], "chair"),
        (["yes", "no", "yes"], ["no"], None),  # the references disagree
        (["yes", "yes"], ["red"], "no"),
    ],
)
def test_no_other_reference_of_the_row_is_a_target(references: list[str], others: list[str], target: str | None):
    rows = [{"ask": "<image>What is it?", "say": [other], "image": ["x.png"]} for other in others]
    row = {"ask": "<image>What is this?", "say": references, "image": ["x.png"]}
    converter = convert(rows, ["misleading_text"])
    found = {
        variant.target
        for number in range(6)
        for variant in TwinRecord.from_arrow(converter(row | {"image": [f"{number}.png"]}, 0)["_twins"]).variants
    }
    assert found == ({target} if target else set())
