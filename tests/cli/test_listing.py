"""`modality-interference list` and `schema`: what they print is what is registered."""

import json

import pytest

from modality_interference.cli import main
from modality_interference.data import registry
from modality_interference.data.registry import Parameters, formats, perturbations, register_perturbation
from modality_interference.data.spec import TwinsSpec
from modality_interference.modality import Modality


@pytest.fixture
def listed(capsys):
    assert main(["list", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return {part: {item["name"]: item for item in items} for part, items in json.loads(captured.out).items()}


def test_json_has_everything(listed):
    assert set(listed["perturbations"]) == set(perturbations()) and list(listed["formats"]) == list(formats())
    assert set(listed["twins"]) == set(TwinsSpec.model_fields)
    for name, item in perturbations().items():
        found = listed["perturbations"][name]
        assert (
            found["changes"] == item.changes and found["description"] and found["package"] == "modality_interference"
        )
        assert [parameter["name"] for parameter in found["parameters"]] == list(item.parameters.model_fields)
        for parameter in found["parameters"]:
            field = item.parameters.model_fields[parameter["name"]]
            assert parameter["allowed"] and parameter["help"], (name, parameter)
            assert parameter["required"] == field.is_required()
            default = None if field.is_required() else json.loads(json.dumps(field.default))
            assert parameter["default"] == default


def test_what_is_needed(listed):
    assert listed["perturbations"]["given_text"]["needs"] == "the column `distractors`"
    assert listed["perturbations"]["ocr_text"]["needs"] == ""
    assert listed["formats"]["multiple_choice_twins"]["keys"][:3] == ["relevant", "perturbations", "counterfactuals"]
    assert "relevant" not in listed["formats"]["audio_visual_twins"]["keys"]


def test_an_extension_is_listed(monkeypatch, capsys):
    monkeypatch.setattr(registry, "_PERTURBATIONS", dict(registry._PERTURBATIONS))

    class Volume(Parameters):
        level: int = 3

    def shouting(sample, rng, context, parameters):
        pass

    shouting.__doc__ = "An excited sentence \x1b[2J before the question."
    shouting.__module__ = "my_package.perturbations"
    register_perturbation("shouting", changes=Modality.TEXT, parameters=Volume)(shouting)
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert "  shouting (changes text, of my_package)\n    An excited sentence \\x1b[2J before the question." in text
    assert "    level: Default: 3." in text
    assert main(["schema"]) == 0
    assert "shouting" in json.loads(capsys.readouterr().out)["$defs"]["PerturbationSpec"]["anyOf"][0]["enum"]


def test_the_text_says_what_to_write(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in (*perturbations(), *formats(), *TwinsSpec.model_fields):
        assert f"  {name}" in text

    assert (
        "    needs the pool's images\n    pool: a folder of screenshots, relative to `dataset_dir`. Must be given."
        in text
    )


def test_schema_writes_a_file(tmp_path, capsys):
    path = tmp_path / ".vscode" / "dataset_info.schema.json"
    assert main(["schema", "-o", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert json.loads(path.read_text())["$defs"]["entry"]["properties"]["formatting"]["enum"]
