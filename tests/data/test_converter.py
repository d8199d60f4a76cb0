"""From raw rows to aligned rows with twins, through the built-in formats."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features
from datasets.fingerprint import Hasher
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modality_interference.data import schema as features
from modality_interference.data.converter import PlainRow, TwinConverter, make_converter
from modality_interference.data.records import INVALID_TEXT, Reason, TwinRecord, Variant
from modality_interference.data.row_key import row_key, seeded
from modality_interference.data.sample import no_media
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality, to_bits


IMAGE = {"relevant": ["image"]}
CHOICE_COLUMNS = {"question": "q", "choices": "options", "answer": "a", "images": "image"}
CLASS_COLUMNS = {"images": "image", "label": "label"}
PET = {"q": "Which pet?", "options": ["dog", "cat", "owl"], "a": "B", "image": "cat.png"}
CLASSES = ("bee", "cat", "dog", "owl", "fox", "hen")


def converter(
    formatting: str = "multiple_choice_twins",
    block: dict[str, Any] | None = None,
    columns: dict[str, str] | None = None,
    **settings: Any,
) -> TwinConverter:
    columns = CHOICE_COLUMNS if columns is None else columns
    settings = {"dataset_name": "pets", "column_names": ["kind", *columns.values()]} | settings
    spec = TwinsSpec.parse(block or IMAGE, dataset="pets", formatting=formatting)
    return make_converter(formatting=formatting, spec=spec, columns=columns, **settings)


def classification(block: dict[str, Any] | None = None, **settings: Any) -> TwinConverter:
    settings = {"class_names": {"label": CLASSES}} | settings
    return converter("image_classification_twins", block, CLASS_COLUMNS, **settings)


def twins(row: dict[str, Any]) -> dict[str, Any]:
    return row["_twins"]


def dropped(convert: TwinConverter, example: dict[str, Any]) -> str:
    row = convert(example, 5)
    stored = twins(row)
    assert (row["_prompt"], row["_response"], row["_images"]) == ([], [], None)
    assert (stored["dataset"], stored["row"]) == ("pets", 5)
    record = TwinRecord.from_arrow(stored)
    assert record == TwinRecord("pets", 5, stored["key"], media=record.media, dropped=record.dropped)
    assert record.media[Modality.IMAGE] in ((), ("row:0",))  # whether it had one; which one does not matter
    return str(record.dropped)


# multiple choice


def test_multiple_choice():
    row = converter(block=IMAGE | {"perturbations": ["misleading_text"]})(PET, 7)
    question = "Question:\nWhich pet?\nOption:\nA: dog\nB: cat\nC: owl\nAnswer with the letter of the right option."
    assert row["_prompt"] == [{"role": "user", "content": f"<image>{question}"}]
    assert row["_response"] == [{"role": "assistant", "content": "B"}]
    assert (row["_images"], row["_videos"], row["_audios"], row["_twin_images"]) == (["cat.png"], None, None, None)
    record = twins(row)
    assert record["relevant"] == Modality.IMAGE.bit
    assert (record["dataset"], record["row"], record["images"]) == ("pets", 7, ["row:0"])
    assert (record["choices"], record["answer"]) == (["dog", "cat", "owl"], 1)
    (variant,) = record["variants"]
    assert set(variant) == {"perturbation", "prompt", "system", "images", "videos", "audios", "target", "family"}
    assert (variant["perturbation"], variant["images"]) == ("misleading_text", ["row:0"])
    assert variant["target"] in ("dog", "owl")
    assert variant["prompt"][0]["content"].endswith(f"{variant['target']}.\n{question}")


def test_answers_as_text():
    row = converter(block=IMAGE | {"answer": "text"})(PET, 0)
    assert row["_response"][0]["content"] == "cat"
    assert row["_prompt"][0]["content"].endswith("Answer with the text of the right option.")


def test_a_question_keeps_its_own_placeholders():
    row = converter()(PET | {"q": "Is <image> left of <image>?", "image": ["a.png", "b.png"]}, 0)
    assert "Is <image> left of <image>?" in row["_prompt"][0]["content"]
    assert row["_prompt"][0]["content"].startswith("Question:")
    assert twins(row)["images"] == ["row:0", "row:1"]


def test_text_only_rows_get_images_in_their_twins():
    row = converter(block={"relevant": ["text"], "perturbations": ["black_image"]})(PET | {"image": None}, 0)
    (variant,) = twins(row)["variants"]
    assert row["_images"] is None
    assert variant["images"] == ["canvas:black:0:336x336"]
    assert variant["prompt"][0]["content"] == "<image>" + row["_prompt"][0]["content"]


def test_a_relevant_column_skips_what_would_change_the_relevant():
    convert = converter(block={"relevant": "kind", "perturbations": ["black_image", "unrelated_text"]})
    for kind, names in {
        "image": ["unrelated_text"],
        "text": ["black_image"],
        "image+text": [],
    }.items():
        record = twins(convert(PET | {"kind": kind}, 0))
        assert [variant["perturbation"] for variant in record["variants"]] == names
        assert record["relevant"] == to_bits(Modality(name) for name in kind.split("+"))

    assert dropped(convert, PET | {"kind": "image+audio"}).startswith("no audio although it is relevant: ")
    assert dropped(convert, PET | {"kind": "smell"}).startswith("relevant not understood: column `kind` holds 'smell'")


def test_distractors_lose_placeholders():
    columns = CHOICE_COLUMNS | {"distractors": "facts"}
    convert = converter(block=IMAGE | {"perturbations": ["given_text"]}, columns=columns)
    (variant,) = twins(convert(PET | {"facts": ["", None, "Cats <image>purr."]}, 0))["variants"]
    assert variant["prompt"][0]["content"].startswith("<image>Cats purr.\nQuestion:")
    assert twins(convert(PET | {"facts": None}, 0))["variants"] == []


def test_a_target_option_with_a_placeholder_gives_no_twin():
    convert = converter(block=IMAGE | {"perturbations": ["misleading_text"]})
    assert twins(convert(PET | {"options": ["<image>", "cat"], "a": "B"}, 0))["variants"] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"options": ["dog"]}, "fewer than two options: found ['dog']"),
        ({"options": None}, "fewer than two options: found []"),
        ({"a": "D"}, "answer not among the options: answer 'D', options ['dog', 'cat', 'owl']"),
        ({"a": None}, "answer not among the options: answer None"),
        ({"q": " "}, "empty question: found ' '"),
        ({"q": None}, "empty question: found None"),
        ({"q": "<image>"}, "empty question: found '<image>'"),
        ({"q": "<image><image>?"}, "image token without image: 2 `<image>` in the messages, 1 image(s) in the row"),
        ({"q": "<image>?", "image": None}, "image token without image: 1 `<image>` in the messages, 0 image(s)"),
        ({"q": "<audio>?"}, "audio token without audio: 1 `<audio>` in the messages"),
    ],
)
def test_bad_multiple_choice_rows_are_dropped_with_a_reason(change: dict[str, Any], reason: str):
    assert dropped(converter(), PET | change).startswith(reason)


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        ([PET | {"a": "2"}, PET | {"options": ["1", "0", "2"], "a": "0"}], "A"),  # indices
        ([PET | {"a": "cat"}, PET | {"options": ["1", "0", "2"], "a": "0"}], "B"),  # texts
        ([PET | {"a": "cat"}, PET | {"options": '["1", "0", "2"]', "a": 0}], "B"),  # a number, as a CSV file has it
        ([PET | {"options": ["1", "0", "2"], "a": "0"}] * 2, "B"),  # nobody knows
    ],
)
def test_answers_that_could_be_read_in_two_ways_are_read_as_the_others_are(rows: list[dict[str, Any]], right: str):
    assert converter(other_rows=rows)(rows[1], 1)["_response"][0]["content"] == right


LETTERED = {"question": "q", "A": "A", "B": "B", "C": "C", "D": "D", "answer": "a"}


@pytest.mark.parametrize(
    ("table", "answers", "right"),
    [
        ([(1, 2, 3, 4), (2, 3, 4, 5), (10, 11, 12, 13)], [2, 3, 12], ["B", "B", "C"]),  # texts: no index is 12
        ([(1, 2, 3, 4), (2, 3, 4, 5), (10, 11, 12, 13)], [2, 3, 1], ["C", "D", "B"]),  # indices: no option is 1
        ([(7, 8, None, 9), (7, 8, None, 9)], [3, 0], ["C", "A"]),  # which count the empty column
    ],
)
def test_numbers_among_lettered_columns_of_numbers(table: list[tuple], answers: list[int], right: list[str]):
    rows = [dict(zip("ABCD", cells), q="How many?", a=answer) for cells, answer in zip(table, answers)]
    convert = converter("lettered_choice_twins", {"relevant": ["text"]}, LETTERED, other_rows=Dataset.from_list(rows))
    assert [convert(row, 0)["_response"][0]["content"] for row in rows] == right


def test_a_class_label_is_its_name_not_an_option_s_index():
    rows = [{"q": "Is it?", "options": ["yes", "no"], "a": answer, "image": "x.png"} for answer in ("yes", "no", "no")]
    dataset = Dataset.from_list(rows).class_encode_column("a")
    assert dataset["a"][:] == [1, 0, 0]  # names in the order of the alphabet
    convert = converter(class_names=features.class_names(dataset), other_rows=dataset)
    assert [convert(row, 0)["_response"][0]["content"] for row in dataset] == ["A", "B", "B"]


@pytest.mark.parametrize(
    ("context", "found"),
    [
        ("Ann won.", "Ann won.\nWhich pet?"),
        (["Ann won.", "It rained.", None], "Ann won.\nIt rained.\nWhich pet?"),
        (1998, "1998\nWhich pet?"),
        ([], "Which pet?"),
        (float("nan"), "Which pet?"),
    ],
)
def test_contexts(context: object, found: str):
    row = converter(columns=CHOICE_COLUMNS | {"context": "c"})(PET | {"c": context}, 0)
    assert f"Question:\n{found}\nOption:" in row["_prompt"][0]["content"]


def test_a_context_that_is_no_text_is_not_left_out_in_silence():
    convert = converter(columns=CHOICE_COLUMNS | {"context": "c"})
    assert dropped(convert, PET | {"c": {"title": ["Ann"]}}).startswith("context not understood: a context is a text")


@pytest.mark.parametrize(
    ("options", "stay"),
    [
        (["dog", "cat", "fly", "Both A and B"], True),
        (["dog", "cat", "fly", "all of the above"], True),
        (["dog", "cat", "fly", "(A), (B) or C"], True),
        (["<image>", "<image>", "no", "yes"], True),
        (["A cat and a dog", "above the tree", "Vitamin A and D", "all"], False),
    ],
)
def test_options_that_refer_to_others_keep_their_places(options: list[str], stay: bool):
    columns = {**CHOICE_COLUMNS, "images": "images"}
    images = ["x.png"] * (1 + sum("<image>" in option for option in options))
    found = set()
    for number in range(8):
        row = {"q": f"<image>Which, {number}?", "options": options, "a": "D", "images": images}
        if "<image>" in options:  # the same text twice would be a duplicated option
            row["options"] = ["first <image>", "second <image>", *options[2:]]

        stored = converter(block=IMAGE | {"shuffle_options": True}, columns=columns)(row, 0)
        assert stored["_twins"]["dropped"] is None
        found.add(tuple(stored["_twins"]["choices"]))

    assert (len(found) == 1) is stay


# image classification


def test_image_classification():
    row = classification()({"image": "x.png", "label": 3}, 0)
    record = twins(row)
    assert len(record["choices"]) == len(set(record["choices"])) == 4
    assert set(record["choices"]) <= set(CLASSES)
    assert record["choices"][record["answer"]] == "owl"
    assert row["_response"][0]["content"] == "ABCD"[record["answer"]]
    assert row["_prompt"][0]["content"].startswith("<image>Question:\nWhat does this picture show?\nOption:\nA: ")


@pytest.mark.parametrize("label", [3, 3.0, "3", "owl"])
def test_ways_to_write_a_label(label: object):
    record = twins(classification()({"image": "x.png", "label": label}, 0))
    assert record["choices"][record["answer"]] == "owl"


def test_options_differ_between_rows_and_positions_are_shuffled():
    records = [twins(classification()({"image": f"{index}.png", "label": 0}, index)) for index in range(60)]
    assert {record["answer"] for record in records} == {0, 1, 2, 3}
    assert {choice for record in records for choice in record["choices"]} == set(CLASSES)


def test_there_are_no_more_options_than_classes():
    block = IMAGE | {"classes": ["cat", "dog"], "question": "Which pet?"}
    record = twins(classification(block, class_names={})({"image": "x.png", "label": "dog"}, 0))
    assert sorted(record["choices"]) == ["cat", "dog"]


def test_a_question_about_images_may_say_where_the_options_go():
    block = IMAGE | {"classes": ["cat", "dog"], "question": "Which pet of {options}?", "answer": "text"}
    row = classification(block, class_names={})({"image": "x.png", "label": "dog"}, 0)
    assert row["_prompt"][0]["content"] == f"<image>Which pet of {', '.join(twins(row)['choices'])}?"
    with pytest.raises(ModalityInterferenceError, match="`twins.question` must be a text that is not empty, found"):
        classification(block | {"question": {"video": "Which?"}})


@pytest.mark.parametrize("label", [6, -1, "lion", "6", None, True, 1.5, ""])
def test_labels_outside_the_class_list(label: object):
    reason = dropped(classification(), {"image": "x.png", "label": label})
    assert reason.startswith("label outside the class list: label ")
    assert "6 classes: ('bee', 'cat'," in reason


@pytest.mark.parametrize("image", [None, "", [], [None], {"bytes": None, "path": None}])
def test_a_label_without_an_image(image: object):
    assert dropped(classification(), {"image": image, "label": 1}).startswith("no image: ")


def test_bad_class_lists():
    with pytest.raises(ModalityInterferenceError, match="dataset `pets`: the label column `label` has no class names"):
        classification(class_names={})

    with pytest.raises(
        ModalityInterferenceError, match="`twins.classes` has 2 names, but the ClassLabel column `label`"
    ):
        classification(IMAGE | {"classes": ["cat", "dog"]})

    with pytest.raises(ModalityInterferenceError, match="`twins.classes` names a class twice"):
        classification(IMAGE | {"classes": ["cat", "cat"]}, class_names={})


# LLaMA-Factory's own formats


def llama_factory(name: str, columns: dict[str, str], media_dir: str = "", tags: dict[str, str] | None = None) -> Any:
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.parser import DatasetAttr
    from llamafactory.hparams import DataArguments

    attr = DatasetAttr("file", dataset_name="pets")
    attr.join({"columns": columns, "tags": tags} if tags else {"columns": columns} if columns else {})
    return get_dataset_converter(name, attr, DataArguments(media_dir=media_dir))


OPENAI_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def chat(name: str, columns: dict[str, str], tags: dict[str, str] | None = None, **block: Any) -> TwinConverter:
    own = {key: column for key, column in columns.items() if key not in ("choices", "answer", "distractors")}
    base = llama_factory(name, own, tags=tags)
    return converter(f"{name}_twins", IMAGE | block, columns, base_converter=base, find_media=base._find_medias)


def test_alpaca():
    columns = {"prompt": "ask", "query": "more", "response": "say", "images": "image", "choices": "c", "answer": "a"}
    convert = chat("alpaca", columns, perturbations=["misleading_text", "unrelated_text"])
    example = {"ask": "<image>Which pet?", "more": "Say.", "say": "A cat.", "image": ["x.png"], "a": 1}
    row = convert(example | {"c": ["dog", "cat"]}, 0)
    assert row["_prompt"] == [{"role": "user", "content": "<image>Which pet?\nSay."}]
    assert row["_response"] == [{"role": "assistant", "content": "A cat."}]
    misleading, unrelated = twins(row)["variants"]
    assert misleading["prompt"][0]["content"] == "<image>This picture seems to depict a dog.\nWhich pet?\nSay."
    assert (misleading["target"], unrelated["target"]) == ("dog", None)
    without = twins(convert(example | {"c": None}, 0))
    assert [variant["perturbation"] for variant in without["variants"]] == ["unrelated_text"]
    assert (without["choices"], without["answer"]) == ([], None)


def test_alpaca_default_columns():
    convert = converter(
        "alpaca_twins",
        block={"relevant": ["text"]},
        columns={},
        column_names=["instruction", "input", "output"],
        base_converter=llama_factory("alpaca", {}),
    )
    row = convert({"instruction": "Which pet barks?", "input": "", "output": "The dog."}, 0)
    assert row["_prompt"] == [{"role": "user", "content": "Which pet barks?"}]


@pytest.mark.parametrize(
    ("say", "found"), [(3, "3"), (2.5, "2.5"), (datetime(2020, 1, 1), "2020-01-01"), ([3, None], "3")]
)
def test_responses_that_are_numbers_or_dates(say: object, found: str):
    convert = chat("alpaca", {"prompt": "ask", "response": "say", "images": "image"})
    row = convert({"ask": "How many?", "say": say, "image": ["x.png"]}, 0)
    assert row["_response"] == [{"role": "assistant", "content": found}]


@pytest.mark.parametrize(
    ("say", "answer", "fits"),
    [
        ("dog", "A", True),
        ("Dog.", 0, True),
        ("A", 0, True),
        ("It is a cat.", 0, True),  # nobody can tell
        ("dog", 1, False),  # counted from 1
        ("B", 0, False),
        ("2", 1, True),  # a prompt may count from 1
    ],
)
def test_an_answer_must_not_contradict_the_response(say: str, answer: object, fits: bool):
    convert = chat("alpaca", {"prompt": "ask", "response": "say", "images": "i", "choices": "c", "answer": "a"})
    example = {"ask": "Which pet?", "say": say, "c": ["dog", "cat"], "a": answer, "i": ["x.png"]}
    if fits:
        assert twins(convert(example, 0))["dropped"] is None
    else:
        assert dropped(convert, example).startswith("answer contradicts the response: the response is ")


def test_sharegpt_with_several_turns():
    turns = [("human", "<image>Look."), ("gpt", "I do."), ("human", "Which pet?"), ("gpt", "A cat.")]
    messages = [{"from": role, "value": text} for role, text in turns]
    convert = chat("sharegpt", {"messages": "m", "images": "image"}, perturbations=["unrelated_text"])
    row = convert({"m": [{"from": "system", "value": "Be brief."}, *messages], "image": ["x.png"]}, 0)
    (variant,) = twins(row)["variants"]
    assert row["_system"] == variant["system"] == "Be brief."
    assert variant["prompt"][:2] == row["_prompt"][:2]
    assert variant["prompt"][2]["content"].endswith("\nWhich pet?")
    assert row["_response"] == [{"role": "assistant", "content": "A cat."}]


def test_openai():
    messages = [{"role": "user", "content": "<image>Which pet?"}, {"role": "assistant", "content": "A cat."}]
    row = chat("openai", {"messages": "m", "images": "image"}, OPENAI_TAGS)({"m": messages, "image": ["x.png"]}, 0)
    assert row["_response"] == [{"role": "assistant", "content": "A cat."}]
    assert row["_images"] == ["x.png"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([("human", "<image>Which pet?")], "no assistant turn: the turns end without an answer"),
        ([("human", "<image>Which pet?"), ("gpt", " ")], "no assistant turn: "),
        ([("gpt", "Hello."), ("human", "<image>Which pet?")], "no assistant turn: "),
        ([], "no assistant turn: "),
        ([("human", "<image>?"), ("gpt", None)], "unreadable row: the content of a turn must be text, found None"),
        ([("human", "Which pet?"), ("gpt", "A cat.")], "image without its token: 0 `<image>` in the messages, 1"),
        ([("human", "<image>?"), ("gpt", "<image>")], "image token without image: 2 `<image>` in the messages, 1"),
    ],
)
def test_bad_chat_rows_are_dropped_with_a_reason(messages: list[tuple[str, str]], reason: str):
    convert = chat("sharegpt", {"messages": "m", "images": "image"})
    example = {"m": [{"from": role, "value": text} for role, text in messages], "image": ["x.png"]}
    assert dropped(convert, example).startswith(reason)


def test_what_llama_factory_cannot_read_is_dropped_with_a_reason():
    convert = chat("sharegpt", {"messages": "m"})
    assert dropped(convert, {"m": [{"role": "user"}]}).startswith(
        "unreadable row: LLaMA-Factory's converter: KeyError"
    )
    assert dropped(convert, {"m": None}).startswith("unreadable row: LLaMA-Factory's converter: TypeError")


def test_paths_are_found_in_media_dir(tmp_path: Path):
    for name in ("cat.png", "dog.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)

    find = llama_factory("alpaca", {}, str(tmp_path))._find_medias
    rows = [PET, PET | {"image": "dog.png"}]
    block = {"relevant": ["text"], "perturbations": ["irrelevant_image"]}
    row = converter(block=block, other_rows=rows, find_media=find)(rows[0], 0)
    assert row["_images"] == [str(tmp_path / "cat.png")]
    assert row["_twin_images"] == [{"bytes": None, "path": str(tmp_path / "dog.png")}]
    assert twins(row)["variants"][0]["images"] == ["extra:0"]


@pytest.mark.parametrize("formatting", ["multiple_choice", "alpaca"])
def test_paths_in_dicts_are_found_in_media_dir(tmp_path: Path, formatting: str):
    Image.new("RGB", (4, 4)).save(tmp_path / "cat.png")
    find = llama_factory("alpaca", {}, str(tmp_path))._find_medias
    row = PET | {"image": [{"bytes": None, "path": "cat.png"}], "say": "A cat."}
    if formatting == "alpaca":
        columns = {"prompt": "q", "response": "say", "images": "image"}
        base = llama_factory("alpaca", columns, str(tmp_path))
        convert = converter("alpaca_twins", columns=columns, base_converter=base, find_media=find)
    else:
        convert = converter(find_media=find)

    assert convert(row, 0)["_images"] == [str(tmp_path / "cat.png")]


@pytest.mark.parametrize("how", ["bytes", "path", "pool"])
def test_an_irrelevant_image_is_never_the_rows_own(tmp_path: Path, how: str):
    """Not under another name, by another path, or out of a pool of the dataset's own images."""
    (tmp_path / "imgs").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (4, 4), "red" if name == "a" else "blue").save(tmp_path / "imgs" / f"{name}.png")

    data = [(tmp_path / "imgs" / f"{name}.png").read_bytes() for name in "aab"]
    images: dict[str, list[Any]] = {
        "bytes": [{"bytes": image, "path": f"{index}.png"} for index, image in enumerate(data)],
        "path": ["imgs/a.png", "./imgs/../imgs/a.png", "imgs/b.png"],
        "pool": ["imgs/a.png", "imgs/a.png", "imgs/b.png"],
    }
    rows = [PET | {"image": [image], "q": f"{index}?"} for index, image in enumerate(images[how])]
    perturbation = {"name": "irrelevant_image", "pool": "imgs"} if how == "pool" else "irrelevant_image"
    convert = converter(
        block={"relevant": ["text"], "perturbations": [perturbation]},
        other_rows=rows,
        dataset_dir=str(tmp_path),
        find_media=llama_factory("alpaca", {}, str(tmp_path))._find_medias,
    )
    for number in range(8):
        stored = convert(rows[0] | {"q": f"{number}?"}, 0)
        (variant,) = twins(stored)["variants"]
        if how == "pool":
            assert variant["images"] == [f"file:{os.path.realpath(tmp_path / 'imgs' / 'b.png')}"]
        else:
            (borrowed,) = stored["_twin_images"]
            assert (borrowed["bytes"] or Path(borrowed["path"]).read_bytes()) == data[2]


def test_a_pool_of_the_rows_own_image_alone_gives_no_twin(tmp_path: Path):
    (tmp_path / "imgs").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "imgs" / "a.png")
    block = {"relevant": ["text"], "perturbations": [{"name": "irrelevant_image", "pool": "imgs"}]}
    find = llama_factory("alpaca", {}, str(tmp_path))._find_medias
    convert = converter(block=block, dataset_dir=str(tmp_path), find_media=find)
    assert twins(convert(PET | {"image": ["imgs/a.png"]}, 0))["variants"] == []


# what is checked before any row


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"question": "q", "choices": "options"},
            "`columns.answer` is missing; name one of the dataset's columns: `q`",
        ),
        (
            CHOICE_COLUMNS | {"answer": "ans"},
            "`columns.answer` names the column `ans`, which the dataset does not have.",
        ),
        (
            CHOICE_COLUMNS | {"choises": "options"},
            "`columns.choises` is not used by the format `multiple_choice_twins`.",
        ),
        (CHOICE_COLUMNS | {"choises": "options"}, "Did you mean `choices`?"),
    ],
)
def test_bad_columns(columns: dict[str, str], message: str):
    with pytest.raises(ModalityInterferenceError) as raised:
        converter(columns=columns, column_names=["q", "options", "a", "image"])

    assert message in str(raised.value)
    assert str(raised.value).startswith("dataset `pets`: ")


@pytest.mark.parametrize("columns", [{"question": 5}, ["q"], "q", {"question": ["q"]}])
def test_columns_that_are_no_names(columns: Any):
    spec = TwinsSpec.parse(IMAGE, dataset="pets", formatting="multiple_choice_twins")
    settings = {"formatting": "multiple_choice_twins", "spec": spec, "dataset_name": "pets", "column_names": ["q"]}
    with pytest.raises(ModalityInterferenceError, match="dataset `pets`: `columns` must be an object of column names"):
        make_converter(columns=columns, **settings)


def test_a_missing_relevant_column():
    with pytest.raises(ModalityInterferenceError, match="`twins.relevant` names the column `kinds`, .* mean `kind`?"):
        converter(block={"relevant": "kinds"})


@pytest.mark.parametrize(
    ("perturbation", "message"),
    [
        ("given_text", "`columns` names no `distractors`"),
        ("irrelevant_image", "streaming has no random access. Give a pool folder"),
        ({"name": "irrelevant_image", "pool": "absent"}, "pool `absent` is missing"),
        ({"name": "screenshot_image", "pool": "empty"}, "pool `empty` is empty"),
        ({"name": "screenshot_image", "pool": ".."}, "leads out of `dataset_dir`"),
    ],
)
def test_what_perturbations_need_is_checked_first(tmp_path: Path, perturbation: object, message: str):
    (tmp_path / "empty").mkdir()
    block = {"relevant": ["audio"], "perturbations": [perturbation]}
    with pytest.raises(ModalityInterferenceError) as raised:
        converter(block=block, dataset_dir=str(tmp_path))

    assert message in str(raised.value)


def test_misleading_text_needs_options_other_rows_or_answers():
    columns = {"prompt": "ask", "response": "say"}
    with pytest.raises(ModalityInterferenceError, match="the dataset names no options"):
        chat("alpaca", columns, perturbations=["misleading_caption"])

    with pytest.raises(ModalityInterferenceError, match='Give the answers: {"name": "misleading_text", "answers": '):
        chat("alpaca", columns, perturbations=["misleading_text"])

    listed = {"name": "misleading_text", "answers": ["red", "blue"]}
    assert chat("alpaca", columns, perturbations=[listed])
    with pytest.raises(ModalityInterferenceError, match="`answers` is for datasets without options"):
        chat("alpaca", columns | {"choices": "c", "answer": "a"}, perturbations=[listed])

    with pytest.raises(ModalityInterferenceError, match="only one of `choices` and `answer`"):
        chat("alpaca", {"prompt": "ask", "response": "say", "choices": "c"})


# keys and determinism


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
EXAMPLES = st.dictionaries(st.text(), CELLS, max_size=4)


@given(EXAMPLES, st.randoms())
def test_a_key_does_not_depend_on_the_order_of_columns_or_on_gaps(example: dict[str, Any], shuffler: Any):
    items = [*example.items()]
    shuffler.shuffle(items)
    key = row_key("pets", example)
    assert key == row_key("pets", {"no such column": None, **dict(items)})
    assert 0 <= key < 2**63
    assert key != row_key("cars", example)


@given(EXAMPLES, st.text(), CELLS.filter(lambda cell: cell is not None))
def test_a_key_depends_on_every_cell(example: dict[str, Any], column: str, cell: Any):
    example.pop(column, None)
    assert row_key("pets", example) != row_key("pets", example | {column: cell})


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", 1), (1, True), (1, 1.0), (b"a", "a"), (["ab"], ["a", "b"]), ([["a"], []], [[], ["a"]]), ("", [])],
)
def test_different_cells_have_different_keys(one: object, other: object):
    assert row_key("pets", {"x": one}) != row_key("pets", {"x": other})


def test_keys_of_images():
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(stream, "PNG")
    data = stream.getvalue()
    by_bytes = {row_key("pets", {"x": {"bytes": data, "path": path}}) for path in ("/here/a.png", None)}
    by_path = {row_key("pets", {"x": {"bytes": None, "path": path}}) for path in ("/here/a.png", "/there/a.png")}
    decoded = {row_key("pets", {"x": Image.new("RGB", (2, 2), colour)}) for colour in ("red", "blue")}
    assert (len(by_bytes), len(by_path), len(decoded)) == (1, 1, 2)
    assert row_key("pets", {"bytes": None, "path": 5}) != row_key("pets", {"bytes": None, "path": 6})


@given(st.integers(), st.text(), st.integers(0, 2**63 - 1), st.text())
def test_draws_depend_on_seed_dataset_key_and_purpose(seed: int, dataset: str, key: int, purpose: str):
    first = seeded(seed, dataset, key, purpose).random()
    assert first == seeded(seed, dataset, key, purpose).random()
    others = [(seed + 1, dataset, key, purpose), (seed, dataset + "/", key, purpose)]
    others += [(seed, dataset, key + 1, purpose), (seed, dataset, key, purpose + "/")]
    assert all(seeded(*other).random() != first for other in others)


def test_twins_depend_on_the_rows_content_not_on_its_place():
    convert = converter(block=IMAGE | {"perturbations": ["unrelated_text", "misleading_text"]})
    here, there = convert(PET, 0), convert(dict(reversed(PET.items())), 99)
    assert twins(here) | {"row": 99} == twins(there)
    other = converter(block=IMAGE | {"perturbations": ["unrelated_text", "misleading_text"]}, seed=1)(PET, 0)
    assert twins(other)["variants"] != twins(here)["variants"]
    assert twins(other)["key"] == twins(here)["key"]


def test_every_row_and_perturbation_draws_its_own():
    convert = converter(block={"relevant": ["text"], "perturbations": ["random_pixels", "random_pixels"]})
    rows = [convert(PET | {"q": f"Which pet {index}?"}, index) for index in range(10)]
    canvases = {variant["images"][0] for row in rows for variant in twins(row)["variants"]}
    assert len(canvases) == 20


PROGRAM = """
import json, sys
from datasets import Dataset, disable_progress_bars
from datasets.fingerprint import Hasher
from modality_interference.data import schema as features
from modality_interference.data.converter import make_converter
from modality_interference.data.spec import TwinsSpec
disable_progress_bars()
names = ["unrelated_text", "misleading_text", "ocr_text"]
spec = TwinsSpec.parse({"relevant": ["image"], "perturbations": names}, "pets", "multiple_choice_twins")
columns = {"question": "q", "choices": "options", "answer": "a"}
raw = Dataset.from_list([{"q": f"Which pet {i}?", "options": ["dog", "cat", "owl"], "a": "B"} for i in range(40)])
convert = make_converter(formatting="multiple_choice_twins", spec=spec, columns=columns, dataset_name="pets",
                         column_names=raw.column_names, other_rows=raw)
features = features.aligned(raw, columns)
workers = int(sys.argv[1])
options = {"num_proc": workers} if workers else {}
done = raw.map(convert, with_indices=True, remove_columns=raw.column_names, features=features, **options)
print(Hasher.hash(convert), Hasher.hash(done["_twins"][:]))
"""


def test_processes_workers_and_hash_seeds_make_the_same_twins_and_fingerprint():
    lines = set()
    for workers, hash_seed in ((0, "1"), (2, "2")):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", PROGRAM, str(workers)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        lines.add(done.stdout.strip().splitlines()[-1])

    assert len(lines) == 1


def test_another_layout_makes_cached_twins_anew():
    for convert in (converter(), PlainRow("pets")):
        version, layout = convert.version
        known = Hasher.hash(convert)
        assert Hasher.hash(replace(convert, version=(version, layout))) == known
        assert Hasher.hash(replace(convert, version=(version, layout - 1))) != known


def test_a_record_crosses_arrow():
    media = no_media() | {Modality.IMAGE: ("row:0", "extra:0")}
    variant = Variant("misleading_text", [{"role": "user", "content": "?"}], "", media, "owl")
    plain = TwinRecord("pets", 3, 2**63 - 1)
    whole = TwinRecord("pets", 3, 1, 4, 2, ("dog", "owl"), 1, "owl", "neither", media, (variant, variant))
    records = [plain, whole, replace(plain, dropped=Reason("bad", "why"))]
    rows = Dataset.from_list(
        [{"_twins": record.to_arrow()} for record in records], features=Features({"_twins": features.TWINS})
    )
    assert [TwinRecord.from_arrow(row["_twins"]) for row in rows] == records
    stream = rows.to_iterable_dataset().map(lambda row: row, features=rows.features)
    assert [TwinRecord.from_arrow(row["_twins"]) for row in stream] == records


def test_the_first_image_may_come_after_thousands_of_rows():
    from datasets import Dataset

    rows = [PET | {"image": [], "options": ["dog"]}] * 1500 + [PET | {"image": ["x.png"]}, PET | {"image": ["y.png"]}]
    raw = Dataset.from_list(rows)
    block = {"relevant": ["text"], "perturbations": ["irrelevant_image"]}
    convert = converter(block=block, other_rows=raw.select(range(1500, 1502)))
    columns = features.aligned(raw, convert.dataset.columns)
    done = raw.map(convert, with_indices=True, remove_columns=raw.column_names, features=columns)
    assert done[0]["_images"] is None
    assert done[1500]["_images"] == [{"bytes": None, "path": "x.png"}]
    assert done[1500]["_twin_images"][0]["path"] in ("x.png", "y.png")


def test_features_of_embedded_images():
    import datasets

    columns = datasets.Features({"image": datasets.Image(decode=False), "q": datasets.Value("string")})
    raw = datasets.Dataset.from_dict({"image": [], "q": []}, features=columns)
    made = features.aligned(raw, {"images": "image", "question": "q"})
    assert made["_images"] == datasets.List(datasets.Image(decode=False))
    assert made["_videos"] == datasets.List(datasets.Value("string"))


def test_a_row_that_cannot_be_read_changes_no_other_rows_key():
    """A file with one such row has a column that says of every row whether its text is valid."""
    convert = converter(block=IMAGE | {"perturbations": ["misleading_text"]})
    assert convert(PET | {INVALID_TEXT: False}, 0) == convert(PET, 0)


class TestCounterfactuals:
    ROWS = [{"image": f"{index}.png", "label": index % 2, "kind": "image"} for index in range(8)]

    def convert(self, block, index=0, **settings):
        row = classification({**IMAGE, **block}, other_rows=self.ROWS, seed=3, **settings)(self.ROWS[index], index)
        return row, TwinRecord.from_arrow(row["_twins"])

    def test_beside_the_twins_and_not_among_them(self):
        row, record = self.convert({"counterfactuals": ["black_image"], "perturbations": ["unrelated_text"]})
        (made,) = record.counterfactuals
        assert (made.perturbation, made.prompt, made.target) == ("counterfactual_black_image", row["_prompt"], None)
        assert made.media[Modality.IMAGE] == ("canvas:black:0:row:0",)
        assert [variant.perturbation for variant in record.variants] == ["unrelated_text"]

    def test_change_nothing_of_clean_rows_and_twins(self):
        twins = {"perturbations": ["unrelated_text", "misleading_text"]}
        plain, without = self.convert(twins)
        row, record = self.convert({**twins, "counterfactuals": ["irrelevant_image", "random_pixels"]})
        assert len(record.counterfactuals) == 2
        assert replace(record, counterfactuals=()) == without
        extras = ("_twins", "_twin_images")
        assert {name: row[name] for name in row if name not in extras} == {
            name: plain[name] for name in plain if name not in extras
        }

    def test_another_rows_image_has_another_right_answer(self):
        for index in range(8):
            row, record = self.convert({"counterfactuals": ["irrelevant_image"]}, index)
            (made,) = record.counterfactuals
            (image,) = row["_twin_images"]
            assert made.media[Modality.IMAGE] == ("extra:0",)
            assert int(image["path"].split(".")[0]) % 2 != index % 2

        same = [dict(row, label=1) for row in self.ROWS]
        alone = classification({**IMAGE, "counterfactuals": ["irrelevant_image"]}, other_rows=same)(same[0], 0)
        assert TwinRecord.from_arrow(alone["_twins"]).counterfactuals == ()

    def test_only_of_rows_whose_answer_depends_on_it(self):
        block = {"relevant": "kind", "counterfactuals": ["black_image"], "perturbations": ["black_image"]}
        convert = converter(block=block)
        found = {}
        for kind in ("image", "text", "image+text"):
            record = TwinRecord.from_arrow(convert(PET | {"kind": kind}, 0)["_twins"])
            found[kind] = [item.perturbation for item in (*record.variants, *record.counterfactuals)]

        bare = TwinRecord.from_arrow(convert(PET | {"kind": "image+text", "image": None}, 0)["_twins"])
        label = ["counterfactual_black_image"]
        assert found == {"image": label, "text": ["black_image"], "image+text": label}
        assert bare.counterfactuals == () and bare.dropped is None  # it has no image to take away

    def test_hidden_images_name_what_they_hide(self):
        hidden = ["blurred_image", {"name": "masked_patches", "share": 75}]
        _, record = self.convert({"counterfactuals": hidden})
        blurred, masked = (made.media[Modality.IMAGE][0] for made in record.counterfactuals)
        assert blurred == "hidden:blurred:0:10:row:0"
        assert masked.startswith("hidden:masked:") and masked.endswith(":75:row:0")
        text = converter(block={"relevant": ["text"], "perturbations": hidden})(PET | {"image": None}, 0)
        assert twins(text)["variants"] == []  # it has no image to hide

    def test_a_row_names_the_clip_to_swap_with(self):
        """Whatever its right answer is, which all rows of a probe share; streams can have it, too."""
        columns = {"question": "q", "choices": "o", "answer": "a", "audios": "sound", "swapped_audio": "other"}
        block = {"relevant": ["audio"], "counterfactuals": ["swapped_audio"]}
        convert = converter(block=block, columns=columns, other_rows=None)
        row = {"q": "Does it fit?", "o": ["yes", "no"], "a": "yes", "sound": "a.wav", "other": "b.wav"}
        found = convert(row, 0)
        (made,) = TwinRecord.from_arrow(found["_twins"]).counterfactuals
        assert made.media[Modality.AUDIO] == ("extra:0:row:0",) and found["_twin_audios"] == ["b.wav"]
        assert TwinRecord.from_arrow(convert(row | {"other": None}, 0)["_twins"]).counterfactuals == ()
        several = TwinRecord.from_arrow(convert(row | {"other": ["b.wav", "c.wav"]}, 0)["_twins"])
        assert several.dropped.kind == "no swapped clip"
