"""The tokens that tell options apart, against LLaMA-Factory's own tokenization of answers."""

import json

import pytest
import torch
from helpers.loading import load_data
from helpers.runs import recipe, write_datasets, write_turns
from helpers.tiny_models import FAMILIES

from modality_interference.batching.batch import Counterfactual, OptionTokens, Role, TwinBatch
from modality_interference.batching.collator import Purpose
from modality_interference.batching.example import TokenizedExample, TokenizedRow
from modality_interference.batching.questions import (
    OptionEncoder,
    answer_start,
    ask,
    ask_counterfactuals,
    beginning,
    common_beginning,
    options_read,
)


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
    found, lengths = OptionEncoder(spell).options(choices, answer, response, spell(response.strip()))
    assert lengths == [len(text.removesuffix("|")) for text in expected]
    assert found == [spell(text[:-1]) if text.endswith("|") else [*map(ord, text)] for text in expected]


def test_an_answer_that_depends_on_its_prompt_is_free():
    assert OptionEncoder(spell).options(["cat", "dog"], 0, "cat", [1, *spell("cat")]) == ([], [])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ([[1, 2], [1, 3]], 1),
        ([[1], [2]], 0),
        ([[1, 2], [1, 2, 3]], 1),  # one token is left of each
        ([[1, 2], [1, 2]], 1),
        ([[4, 5, 1], [4, 5, 2, 3], [4, 5, 2, 6]], 2),
        ([], 0),
    ],
)
def test_common_beginnings_by_hand(options, count):
    assert common_beginning(options) == count


def test_rows_and_places_of_options_that_begin_alike():
    """A turn of one label (60), then a thought (8 9), "a" (3) and the right one of "a cat" 1, "a dog" 2, "a red cat" 4 1."""
    clean = TokenizedRow([50, 60, 51, 8, 9, 3, 2, 0], [-100, 60, -100, 8, 9, 3, 2, 0])
    example = TokenizedExample(
        clean,
        choices=("a cat", "a dog", "a red cat"),
        answer=1,
        option_ids=[[8, 9, 3, 1], [8, 9, 3, 2], [8, 9, 3, 4, 1]],
        option_lengths=[5, 5, 9],
    )
    rows, examples, twin_of = [clean], [example], [0]
    (asked,) = ask(rows, examples, twin_of, thought=(8, 9))
    assert asked.beginning == OptionTokens(0, 3, (3,)) and asked.option_lengths == (5, 5, 9)
    assert asked.options == (OptionTokens(0, 4, (1,)), OptionTokens(0, 4, (2,)), OptionTokens(1, 0, (4, 1)))
    assert (len(rows), len(examples), twin_of) == (2, 2, [0, 0])
    assert rows[1].input_ids == [50, 60, 51, 8, 9, 3, 4, 1] and rows[1].labels == [-100] * 6 + [4, 1]
    assert beginning(clean, example, (8, 9)) == 1
    assert answer_start(clean.labels, (8, 9)) == 5 and answer_start(clean.labels, ()) == 3


def test_what_a_training_asks_of_counterfactual_rows():
    """A clean row whose answer "a" (3) "dog" (2) has an end (0), its counterfactual row, and a twin, which is asked nothing."""
    clean = TokenizedRow([50, 51, 3, 2, 0], [-100, -100, 3, 2, 0])
    gone = TokenizedRow([52, 51, 3, 2, 0], [-100, -100, 3, 2, 0])
    example = TokenizedExample(
        clean,
        choices=("a cat", "a dog", "a red cat"),
        answer=1,
        abstention="a red cat",
        option_ids=[[3, 1], [3, 2], [3, 4, 1]],
    )
    roles, expected = [Role.CLEAN, Role.COUNTERFACTUAL, Role.TWIN], OptionTokens(3, 0, (4, 1))
    for method, options in (
        ("contrast", ()),
        ("uniform", (OptionTokens(1, 1, (1,)), OptionTokens(1, 1, (2,)), expected)),
        ("abstain", (expected,)),
    ):
        rows, examples, twin_of = [clean, gone, clean], [example] * 3, [0, 0, 0]
        assert ask_counterfactuals(rows, examples, twin_of, roles, method) == [Counterfactual(1, 0, 3, options)]
        further = [row.input_ids for row in rows[3:]]
        assert further == ([] if method == "contrast" else [[52, 51, 3, 4, 1]]) and len(twin_of) == len(
            examples
        ) == len(rows)


@pytest.mark.parametrize(
    ("choices", "answer", "abstention", "options", "read"),
    [
        (("cat", "dog"), 0, None, 2, {"contrast": [], "uniform": [0, 1], "abstain": None}),
        (("cat", "none"), 0, "none", 2, {"contrast": [], "uniform": [0, 1], "abstain": [1]}),
        (("cat", "none"), 1, "none", 2, {"contrast": None, "uniform": None, "abstain": [1]}),
        (("cat", "none"), 0, "none", 0, {"contrast": [], "uniform": None, "abstain": None}),  # answered freely
        (("cat", "none"), 1, "none", 0, {"contrast": None, "uniform": None, "abstain": None}),  # stays right, too
        ((), None, None, 0, {"contrast": [], "uniform": None, "abstain": None}),
        (("cat",), 0, None, 1, {"contrast": [], "uniform": None, "abstain": None}),
    ],
)
def test_rows_to_which_a_method_does_not_apply(choices, answer, abstention, options, read):
    ids = [[index] for index in range(options)]
    example = TokenizedExample(
        TokenizedRow.empty(), choices=choices, answer=answer, abstention=abstention, option_ids=ids
    )
    found = {method: options_read(example, method) for method in read}
    assert {method: None if which is None else list(which) for method, which in found.items()} == read


def test_a_claimed_answer_takes_a_row_of_the_twin_and_one_of_the_clean_row():
    """After a turn of one label (60), the right answer is 2 0, the claimed one 1 5 0."""
    clean = TokenizedRow([50, 60, 51, 2, 0], [-100, 60, -100, 2, 0])
    twin = TokenizedRow([52, 50, 60, 51, 2, 0], [-100, -100, 60, -100, 2, 0], target="red", claimed_ids=[1, 5, 0])
    example = TokenizedExample(clean, [twin])
    rows, examples, twin_of = [clean, twin], [example, example], [0, 0]
    first, second = ask(rows, examples, twin_of)
    assert (first.claims, first.claimed, second.claimed, second.target) == ((), None, "red", None)
    assert second.claims == (
        OptionTokens(1, 1, (2, 0)), OptionTokens(2, 0, (1, 5, 0)), OptionTokens(0, 1, (2, 0)), OptionTokens(3, 0, (1, 5, 0)),
    )  # fmt: skip
    assert [row.input_ids for row in rows[2:]] == [[52, 50, 60, 51, 1, 5, 0], [50, 60, 51, 1, 5, 0]]
    assert [row.labels for row in rows[2:]] == [[-100] * 4 + [1, 5, 0], [-100] * 3 + [1, 5, 0]]
    assert twin_of == [0, 0, 0, 0] and len(examples) == 4


def test_a_skipped_thought_costs_no_rows(checkpoint, tmp_path):
    """`qwen3_vl` writes `<think>` ... `</think>` before every answer; 8 questions with 4 options of one token: 8 rows."""
    folder = write_datasets(tmp_path / "data")
    info = json.loads((folder / "dataset_info.json").read_text())
    info["pictures"]["twins"] = {"relevant": ["image"], "answer": "letter"}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    rows = {}
    for template in ("qwen3_vl", "qwen3_vl_nothink"):
        keys = dict(dataset="pictures", default_system="Look well.")
        data = load_data(recipe(checkpoint("qwen3_vl"), template, folder, tmp_path / "out", **keys))
        collator = data.collator(model=None).for_evaluation(Purpose.LIKELIHOOD)
        batch = TwinBatch.split(collator([dict(example) for example in data.train]))
        rows[template] = len(batch.labels)
        decided = batch.labels[torch.arange(len(batch.labels)), batch.decision + 1]
        assert [data.tokenizer.decode(label) for label in decided] == ["A"] * 8
        assert {len(question.options) for question in batch.questions} == {4}

    assert rows == {"qwen3_vl": 8, "qwen3_vl_nothink": 8}


@pytest.mark.parametrize(("left", "kept"), [(4, 0), (1000, 1)])
def test_a_twin_whose_perturbed_turn_was_cut_off_is_dropped(checkpoint, tmp_path, warnings, left, kept):
    """Behind the first turn there is room for `left` tokens, of which the twin's second question needs more to differ."""
    folder = write_turns(tmp_path / "data", rows=1)
    model = checkpoint("qwen2_5_vl")
    whole = load_data(recipe(model, "qwen2_vl", folder, tmp_path / "out", dataset="turns")).train[0]
    pairs = list(zip(whole["labels"], whole["labels"][1:]))
    first_turn = next(place for place, (label, after) in enumerate(pairs) if label != -100 and after == -100) + 1
    keys = dict(dataset="turns", cutoff_len=first_turn + left)
    (example,) = load_data(recipe(model, "qwen2_vl", folder, tmp_path / "out", **keys)).train
    assert len(example["variants"]) == kept
    assert any("perturbed turn truncated by cutoff_len" in text for text in warnings) == (not kept)


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
    """alpaca_twins with choices: the response is a letter, a text, or neither; questions keep the options."""
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
    collator = data.collator(model=None).for_evaluation(Purpose.GENERATION)
    asked = collator([dict(example) for example in data.train])["questions"]
    assert [(question.choices, question.answer, question.response) for question in asked] == [
        (("12", "34"), 1, response) for response in ("B", "34", "It is 34.")
    ]
