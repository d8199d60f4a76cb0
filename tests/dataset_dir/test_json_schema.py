"""The JSON Schema of dataset_info.json, against the parser of `twins` blocks and the check of entries."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from modality_interference.data.registry import formats, perturbations
from modality_interference.data.spec import TwinsSpec
from modality_interference.dataset_dir.json_schema import info_schema
from modality_interference.errors import ModalityInterferenceError


ROOT = Path(__file__).parents[2]
CHOICE, CLASSES, CLIPS = "multiple_choice_twins", "image_classification_twins", "audio_visual_twins"
COLUMNS = {name: name for name in ("question", "choices", "answer")}
PAIRS: dict[str, Any] = {
    "formatting": "alpaca_twins",
    "ranking": True,
    "columns": {"prompt": "ask", "chosen": "good", "rejected": "bad"},
}
GOOD: list[tuple[str, dict[str, Any]]] = [
    (CHOICE, {"relevant": ["image"]}),
    (CHOICE, {"relevant": ["image"], "perturbations": ["unrelated_text", {"name": "ocr_text", "lines": 3}]}),
    (CHOICE, {"relevant": ["image"], "perturbations": "standard"}),
    (CHOICE, {"relevant": ["image"], "perturbations": ["ocr_text", "standard"]}),
    (CLIPS, {"perturbations": "standard"}),
    (CHOICE, {"relevant": "kind", "perturbations": ["black_image", "misleading_text"], "answer": "text"}),
    (CHOICE, {"relevant": ["text"], "perturbations": [{"name": "screenshot_image", "pool": "p"}, "black_image"]}),
    (CHOICE, {"relevant": ["text"], "perturbations": [{"name": "black_image", "size": [64, 32]}]}),
    (CLASSES, {"relevant": ["image"], "options": 2, "classes": ["cat", "dog"], "question": "Which pet?"}),
    (CLASSES, {"relevant": ["image"], "options": "all"}),
    (CLIPS, {"ask_about": "video", "perturbations": ["silence"], "abstention": "None of the above"}),
    (CLIPS, {"question": {"video": "What is seen?", "audio": "What is heard?"}, "drop_asked_modality": True}),
    *[("sharegpt_twins", {"relevant": [kind], "perturbations": []}) for kind in ("text", "image", "video", "audio")],
]
BAD: list[tuple[str, Any]] = [
    (CHOICE, []),
    (CHOICE, {"relevant": ["image"], "perturbation": []}),
    (CHOICE, {"perturbations": []}),
    (CHOICE, {"relevant": []}),
    (CHOICE, {"relevant": ["smell"]}),
    (CHOICE, {"relevant": 5}),
    (CHOICE, {"relevant": "image"}),
    (CHOICE, {"relevant": " "}),
    (CHOICE, {"relevant": ["image"], "answer": "word"}),
    (CHOICE, {"relevant": ["image"], "options": 3}),
    (CHOICE, {"relevant": ["image"], "perturbations": "ocr_text"}),
    (CHOICE, {"relevant": ["image"], "perturbations": ["ocr_text"] * 65}),
    (CHOICE, {"relevant": ["image"], "perturbations": "standards"}),
    (CHOICE, {"relevant": ["image"], "counterfactuals": "standard"}),
    (CHOICE, {"relevant": ["image"], "counterfactuals": ["standard"]}),
    (CHOICE, {"relevant": ["image"], "perturbations": [3]}),
    (CHOICE, {"relevant": ["image"], "perturbations": [{"lines": 3}]}),
    (CHOICE, {"relevant": ["image"], "perturbations": ["ocr_txt"]}),
    (CHOICE, {"relevant": ["image", "text"], "perturbations": ["ocr_text"]}),
    (CHOICE, {"relevant": ["text"], "perturbations": [{"name": "long_context", "tokens": 9}]}),
    (CHOICE, {"relevant": ["image"], "perturbations": [{"name": "ocr_text", "line": 3}]}),
    (CHOICE, {"relevant": ["image"], "perturbations": [{"name": "ocr_text", "lines": "3"}]}),
    (CHOICE, {"relevant": ["image"], "perturbations": [{"name": "ocr_text", "lines": 10**30}]}),
    (CHOICE, {"relevant": ["text"], "perturbations": ["screenshot_image"]}),
    (CHOICE, {"relevant": ["text"], "perturbations": [{"name": "black_image", "size": [10**6, 8]}]}),
    (CLASSES, {"relevant": ["image"], "options": 1}),
    (CLASSES, {"relevant": ["image"], "options": "some"}),
    (CLASSES, {"relevant": ["image"], "classes": ["cat"]}),
    (CLIPS, {"relevant": ["video"]}),
    (CLIPS, {"ask_about": "smell"}),
    (CLIPS, {"question": {"smell": "What is smelt?"}}),
    (CLIPS, {"drop_asked_modality": "yes"}),
]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found = json.loads(json.dumps(info_schema({"alpaca", "sharegpt", *formats()})))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def is_valid(schema: dict[str, Any], value: Any, definition: str | None = None) -> bool:
    root = schema if definition is None else schema | {"additionalProperties": True, "$ref": f"#/$defs/{definition}"}
    return jsonschema.Draft202012Validator(root).is_valid(value)


def entry(formatting: str, twins: Any, **keys: Any) -> dict[str, Any]:
    columns = {name: name for name in formats()[formatting].columns}
    return {"file_name": "rows.json", "formatting": formatting, "columns": columns, "twins": twins} | keys


@pytest.mark.parametrize(("formatting", "block"), GOOD)
def test_good_blocks(schema, formatting, block):
    TwinsSpec.parse(block, "pets", formatting)
    assert is_valid(schema, {"pets": entry(formatting, block)})
    assert is_valid(schema, block, f"twins of {formatting}") and is_valid(schema, block, "twins")


@pytest.mark.parametrize(("formatting", "block"), BAD)
def test_bad_blocks(schema, formatting, block):
    with pytest.raises(ModalityInterferenceError):
        TwinsSpec.parse(block, "pets", formatting)

    assert not is_valid(schema, {"pets": entry(formatting, block)})
    assert not is_valid(schema, block, f"twins of {formatting}")


@pytest.mark.parametrize("name", perturbations())
def test_defaults_are_valid(schema, name):
    model = perturbations()[name].parameters
    given = {key: field.default for key, field in model.model_fields.items() if not field.is_required()}
    given |= {key: "pool" for key, field in model.model_fields.items() if field.is_required()}
    block = {"relevant": "kind", "perturbations": [json.loads(json.dumps({"name": name} | given))]}
    TwinsSpec.parse(block, "pets", CHOICE)
    assert is_valid(schema, block, "twins")


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"file_name": None}, False),
        ({"num_samples": 10, "split": "train[:10]"}, True),
        ({"num_samples": 0}, False),
        ({"columns": {"question": "question"}}, False),
        ({"columns": COLUMNS | {"images": "image"}}, True),
        ({"columns": COLUMNS | {"image": "image"}}, False),
        ({"formatting": "multiple_choice"}, False),
        ({"formatting": "sharegpt"}, False),  # a format that makes no twins
        ({"formatting": "sharegpt", "twins": None, "columns": {"messages": "messages"}}, True),
        ({"ranking": True}, False),
        (PAIRS, True),
        (PAIRS | {"columns": PAIRS["columns"] | {"withheld": "unsure"}}, True),
        (PAIRS | {"columns": {"prompt": "ask", "chosen": "good"}}, False),
        (PAIRS | {"ranking": False}, False),
        ({"script_url": "pets.py"}, False),
        ({"file_nam": "rows.json"}, False),
    ],
)
def test_entries(schema, change, good):
    found = entry(CHOICE, {"relevant": ["text"]}) | change
    assert is_valid(schema, {"pets": found}) == good


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("data_recipes/*/dataset_info.json")), ids=lambda path: path.parent.name
)
def test_the_data_recipes_are_valid(schema, path):
    jsonschema.validate(json.loads(path.read_text()), schema)


def test_an_editor_can_show_what_things_do(schema):
    (ocr,) = [
        item
        for item in schema["$defs"]["PerturbationSpec"]["anyOf"]
        if item.get("properties", {}).get("name", {}).get("const") == "ocr_text"
    ]
    lines = ocr["properties"]["lines"]
    assert lines["description"] == "how many lines of the form. Allowed: a whole number from 1 to 64."
    assert (lines["default"], lines["minimum"], lines["maximum"]) == (6, 1, 64)
