"""The tokens that tell options apart, against LLaMA-Factory's own tokenization of answers."""

import json

import pytest
from helpers.loading import load_data
from helpers.runs import recipe, write_datasets
from helpers.tiny_models import FAMILIES

from modality_interference.batching.questions import OptionEncoder


def spell(text: str) -> list[int]:
    """One token a character, then the turn's end, 0 and 7."""
    return [*map(ord, text), 0, 7]


@pytest.mark.parametrize(
    ("choices", "answer", "response", "expected"),
    [
        (["cat", "dog"], 1, "dog", ["cat", "dog"]),
        (["cat", "dog"], 1, "B", ["A", "B"]),
        (["cat ", " dog"], 0, "cat", ["cat", "dog"]),
        (["5", "7"], 0, "5", ["5", "7"]),
        (["1", "10", "2"], 0, "1", ["1|", "10|", "2|"]),  # | = with the end
        (["a cat", "a hat"], 0, "a cat", ["a cat", "a hat"]),  # endings that look alike are no turn's end
        (["cat", "cat"], 0, "cat", ["cat|", "cat|"]),
        (["cat", "dog"], 0, "a cat", []),
        (["cat", "dog"], 0, "B", []),
    ],
)
def test_option_ids_by_hand(choices, answer, response, expected):
    found = OptionEncoder(spell).option_ids(choices, answer, response, spell(response.strip()))
    assert found == [spell(text[:-1]) if text.endswith("|") else [*map(ord, text)] for text in expected]


def test_an_answer_that_depends_on_its_prompt_is_free():
    assert OptionEncoder(spell).option_ids(["cat", "dog"], 0, "cat", [1, *spell("cat")]) == []


@pytest.mark.parametrize("family", list(FAMILIES))
def test_options_of_every_template(checkpoint, family, tmp_path):
    """Every option's tokens begin the labels that LLaMA-Factory gives a plain row with that option as its answer."""
    folder = write_datasets(tmp_path / "data", rows=3)
    rows = json.loads((folder / "pictures.json").read_text())
    plain = [{"instruction": "?", "input": "", "output": choice} for row in rows for choice in row["choices"]]
    (folder / "plain.json").write_text(json.dumps(plain))
    keys = dict(finetuning_type="full", dataset="pictures,plain")
    data = load_data(recipe(checkpoint(family), FAMILIES[family].template, folder, tmp_path / "out", **keys))
    examples = [example for example in data.train if example["dataset"] == "pictures"]
    labels = [
        [label for label in example["labels"] if label != -100]
        for example in data.train
        if example["dataset"] == "plain"
    ]
    assert len(labels) == 4 * len(examples)
    for index, example in enumerate(examples):
        assert example["choices"] == rows[index]["choices"] and example["answer"] == 0
        for option, expected in zip(example["option_ids"], labels[4 * index :]):
            text = data.tokenizer.decode(option, skip_special_tokens=True).strip()
            assert option == expected[: len(option)]
            assert text == data.tokenizer.decode(expected, skip_special_tokens=True).strip()


def test_chats_with_options_and_letters(checkpoint, tmp_path):
    """alpaca_twins with choices: the response is a letter, a text, or neither."""
    folder = write_datasets(tmp_path / "data")
    rows = [
        {"instruction": f"Sum {index}?", "input": "", "output": output, "choices": ["12", "34"], "answer": "B"}
        for index, output in enumerate(["B", "34", "It is 34."])
    ]
    (folder / "chat.json").write_text(json.dumps(rows))
    columns = {"prompt": "instruction", "response": "output", "choices": "choices", "answer": "answer"}
    info = json.loads((folder / "dataset_info.json").read_text())
    info["chat"] = {
        "file_name": "chat.json", "formatting": "alpaca_twins", "columns": columns, "twins": {"relevant": ["text"]},
    }  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps(info))
    data = load_data(
        recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset="chat", disable_shuffling=True)
    )
    texts = [[data.tokenizer.decode(option) for option in example["option_ids"]] for example in data.train]
    assert texts == [["A", "B"], ["12", "34"], []]
