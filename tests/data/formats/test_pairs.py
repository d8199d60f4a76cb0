"""Pairs of a chosen and a rejected answer (`ranking: true`) through the chat formats."""

import json
from pathlib import Path
from typing import Any

import pytest
from llamafactory.data.converter import get_dataset_converter
from llamafactory.data.parser import DatasetAttr
from llamafactory.hparams import DataArguments
from PIL import Image

from modality_interference.cli.check import check_dataset_folder
from modality_interference.cli.preview_rows import previewed_row
from modality_interference.data.converter import TwinConverter, make_converter
from modality_interference.data.spec import TwinsSpec
from modality_interference.dataset_dir.entry import dataset_problems
from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration import entries
from modality_interference.integration.extensions import known_formats
from modality_interference.integration.offline import open_dataset


ALPACA = {"prompt": "ask", "chosen": "good", "rejected": "bad", "images": "image"}
PET = {"ask": "<image>Which pet?", "good": "A cat.", "bad": "A dog.", "image": ["x.png"]}
TWINS = {"relevant": ["image"], "perturbations": ["misleading_text"], "counterfactuals": ["black_image"]}


def converter(formatting: str, columns: dict[str, str], **settings: Any) -> TwinConverter:
    attribute = DatasetAttr("file", dataset_name="pets")
    attribute.join({"columns": columns, "ranking": True})
    base = get_dataset_converter(formatting, attribute, DataArguments())
    return make_converter(
        formatting=f"{formatting}_twins",
        spec=TwinsSpec.parse(TWINS, "pets", f"{formatting}_twins"),
        columns=columns,
        dataset_name="pets",
        column_names=list(columns.values()),
        base_converter=base,
        find_media=base._find_medias,
        ranking=True,
        **settings,
    )


def contents(row: dict[str, Any]) -> list[str]:
    return [message["content"] for message in row["_response"]]


def test_alpaca_pairs():
    columns = ALPACA | {"withheld": "unsure"}
    convert = converter("alpaca", columns)
    row = convert(PET | {"unsure": "I cannot tell."}, 0)
    assert contents(row) == ["A cat.", "A dog.", "I cannot tell."]
    assert row["_prompt"] == [{"role": "user", "content": "<image>Which pet?"}]
    (twin,), (gone,) = row["_twins"]["variants"], row["_twins"]["counterfactuals"]
    assert (twin["target"], gone["perturbation"]) == ("A dog", "counterfactual_black_image")
    assert "a dog" in twin["prompt"][0]["content"]
    assert contents(convert(PET | {"unsure": " "}, 0)) == ["A cat.", "A dog."]


@pytest.mark.parametrize(
    ("answers", "target"),
    [
        (("A cat.", "A black dog on a mat."), "A black dog on a mat."),
        (("Yes.", "No."), "No"),
        (("A cat.", "a word " * 60), "fox"),  # too long to be claimed: an answer of another row
        (("A cat.", "The cat."), "fox"),  # no rule can tell them apart
    ],
)
def test_what_is_claimed_is_the_rejected_answer(answers, target):
    others = [PET | {"good": "fox", "bad": "owl"}]
    row = converter("alpaca", ALPACA, other_rows=others)(PET | dict(zip(("good", "bad"), answers)), 0)
    assert row["_twins"]["variants"][0]["target"] == target


def test_sharegpt_pairs_of_several_turns():
    said = [("human", "<image>Look."), ("gpt", "I do."), ("human", "Which pet?")]
    example = {
        "m": [{"from": speaker, "value": text} for speaker, text in said],
        "good": {"from": "gpt", "value": "A cat."},
        "bad": {"from": "gpt", "value": "A dog."},
        "image": ["x.png"],
    }
    columns = {"messages": "m", "chosen": "good", "rejected": "bad", "images": "image"}
    row = converter("sharegpt", columns)(example, 0)
    assert len(row["_prompt"]) == 3 and contents(row) == ["A cat.", "A dog."]
    (twin,) = row["_twins"]["variants"]
    assert twin["prompt"][:2] == row["_prompt"][:2] and "dog" in twin["prompt"][2]["content"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bad": None}, "no assistant turn"),  # LLaMA-Factory finds no answer at all then
        ({"bad": " "}, "no pair of answers"),
        ({"bad": " A cat. "}, "answers of a pair are the same"),
        ({"unsure": "A dog."}, "answers of a pair are the same"),
        ({"unsure": 3}, "unreadable row"),
        ({"bad": "<image>"}, "media token in an answer"),
    ],
)
def test_bad_pairs_are_dropped_with_a_reason(change, reason):
    convert = converter("alpaca", ALPACA | {"withheld": "unsure"})
    row = convert(PET | {"unsure": None} | change, 0)
    assert row["_twins"]["dropped"]["kind"] == reason


ENTRY = {"file_name": "pets.json", "formatting": "alpaca_twins", "ranking": True, "columns": ALPACA, "twins": TWINS}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ranking": False}, '`chosen` and `rejected` are columns of pairs; add `"ranking": true`'),
        ({"columns": {"prompt": "ask", "images": "image"}}, "`columns.chosen` is missing, which the format"),
        ({"columns": ALPACA | {"response": "good"}}, "`columns.response` is not used here"),
        ({"formatting": "image_classification_twins"}, "Remove it, or use one of `alpaca_twins`, `openai_twins`"),
        ({}, None),
    ],
)
def test_entries_of_pairs(tmp_path: Path, change, problem):
    (tmp_path / "pets.json").write_text(json.dumps([PET]))
    found = dataset_problems("pets", ENTRY | change, tmp_path, known_formats())
    assert found == [] if problem is None else any(problem in text for text in found), found


def test_check_tries_pairs(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    rows = [PET, PET | {"good": "A dog.", "bad": "A cat."}, PET | {"bad": "A cat."}]
    (tmp_path / "pets.json").write_text(json.dumps(rows))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"pets": ENTRY}))
    found = check_dataset_folder(tmp_path, rows=5)
    assert found.problems == []
    assert found.notes["pets"][0].startswith("2 of 3 rows tried are good")
    assert "answers of a pair are the same" in found.notes["pets"][1]


def test_a_preview_shows_the_answers_of_a_pair(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    (tmp_path / "pets.json").write_text(json.dumps([PET | {"unsure": "I cannot tell."}]))
    with open_dataset("pets", ENTRY | {"columns": ALPACA | {"withheld": "unsure"}}, tmp_path, 0) as dataset:
        (example,) = dataset.examples([0])

    row = previewed_row(example, [tmp_path])
    assert row.options == [
        ("chosen", "A cat.", True),
        ("rejected", "A dog.", False),
        ("withheld", "I cannot tell.", False),
    ]
    assert row.answer == "A cat." and [twin.target for twin in row.twins] == ["A dog"]


@pytest.mark.parametrize(
    ("stage", "withheld", "change", "message"),
    [
        ("sft", False, {}, "`pets`: `ranking: true` makes pairs of answers, and `stage: sft`"),
        (
            "dpo",
            False,
            {"ranking": False, "columns": {"prompt": "ask", "response": "good"}},
            "`stage: dpo` needs pairs",
        ),
        ("dpo", True, {}, "`pets`: `preference_counterfactual: symmpo` needs an answer that withholds"),
    ],
)
def test_a_run_refuses_datasets_of_the_other_kind_by_name(stage, withheld, change, message):
    entry = ENTRY | change
    attribute = DatasetAttr("file", dataset_name="pets")
    attribute.join(entry)
    attribute.twins, attribute.twin_columns, attribute.formatting = entry["twins"], entry["columns"], "alpaca_twins"
    load = entries.get_dataset_list(lambda names, folder: [attribute], stage, withheld)
    with pytest.raises(ModalityInterferenceError) as error:
        load(["pets"], {"pets": entry})

    assert message in str(error.value)
