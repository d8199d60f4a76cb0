"""The demo's data is what the plugin makes of it, and its recipes parse (the whole demo is `make demo`)."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest


DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def load(name):
    spec = importlib.util.spec_from_file_location(f"digits_{name}", DIGITS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make_data, table = load("make_data"), load("table")


@pytest.fixture(scope="module")
def questions():
    pool = make_data.ImagePool({digit: [f"{digit}.png"] for digit in range(10)}, random.Random(0))
    rng = random.Random(0)
    return {kind: list(make_data.make_questions(kind, 40, pool, rng)) for kind in make_data.MAKERS}


def test_answers_and_letters_are_balanced_and_right(questions):
    for question in questions["image"]:
        assert len(set(question.choices)) == 4
        assert question.images == [f"{question.number}.png"]

    assert [question.letter for question in questions["text"]].count("C") == 10
    for question in questions["both"]:
        shown = int(question.images[0].removesuffix(".png"))
        assert shown + int(question.text.split()[1]) == int(question.number)


def test_the_base_is_pretrained_on_the_wording_of_the_twins(questions):
    from modality_interference.data.converter import make_converter
    from modality_interference.data.spec import TwinsSpec

    block = {"relevant": ["image"], "perturbations": [make_data.MISLEADING], "answer": "text"}
    converter = make_converter(
        formatting="multiple_choice_twins",
        spec=TwinsSpec.parse(block, "digits", "multiple_choice_twins"),
        columns={name: name for name in ("question", "choices", "answer", "images")},
        dataset_name="digits",
        column_names=["question", "choices", "answer", "images"],
    )
    for question in questions["image"]:
        clean = converter(make_data.twins_row(question), 0)
        plain = make_data.alpaca_row(question, question.images)
        assert clean["_prompt"][0]["content"] == plain["instruction"]
        assert clean["_response"][0]["content"] == plain["output"]

        (twin,) = clean["_twins"]["variants"]
        article = "an" if twin["target"] == "8" else "a"
        sentence = make_data.SENTENCE.format(article=article, digit=twin["target"])
        assert twin["prompt"][0]["content"] == make_data.alpaca_row(question, question.images, sentence)["instruction"]
        assert twin["target"] != question.number


def test_no_test_image_is_trained_on_and_every_dataset_has_a_valid_block(tmp_path):
    from modality_interference.data.spec import TwinsSpec

    paths = make_data.write_images(tmp_path, 0)
    numbers = {
        split: {Path(path).stem.split("_")[0] for digit in paths[split].values() for path in digit} for split in paths
    }
    assert len(numbers["train"]) + len(numbers["test"]) == 1797
    assert not numbers["train"] & numbers["test"]
    for name, entry in make_data.dataset_info().items():
        if "twins" in entry:
            TwinsSpec.parse(entry["twins"], name, entry["formatting"])


def test_recipes_parse_and_differ_in_the_plugin_only():
    import yaml
    from llamafactory.hparams import get_train_args

    recipes = {path.stem: yaml.safe_load(path.read_text()) for path in DIGITS.glob("*.yaml")}
    assert set(recipes) == {"pretrain", "finetune_plain", "finetune_interference", "evaluate"}
    for recipe in recipes.values():
        get_train_args(recipe | {"output_dir": "/nonexistent", "use_cpu": True})

    plain, plugin = recipes["finetune_plain"], recipes["finetune_interference"]
    differing = {key for key in plugin if plugin[key] != plain.get(key)}
    keys = {"plugin", "preset", "batch_mix"}
    assert differing == keys | {"dataset", "output_dir"}


def test_table(tmp_path, capsys):
    metrics = {
        "eval_digits_image_test_ocr_text_accuracy": 0.5,
        "eval_digits_image_test_clean_accuracy": 0.25,
        "eval_digits_image_test_misleading_text_accuracy": 0.125,
        "eval_digits_image_test_misleading_text_flip_rate": 0.75,
        "eval_digits_image_test_counterfactual_black_image_accuracy": 0.2,
        "eval_digits_image_test_counterfactual_black_image_clean_accuracy": 0.25,
        "eval_digits_image_test_counterfactual_black_image_unchanged_rate": 0.3,
    }
    table.print_table({"base": metrics, "plain": metrics, "plugin": metrics}, tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == [
        "clean",
        "misleading_text",
        "ocr_text (never trained on)",
        "black_image in its place",
    ]
    assert lines[5].split("|")[3].strip() == "30.0 % unchanged"
    assert lines[3].split("|")[3].strip() == "12.5 % (75.0 %)"
    assert "12.5 %" in capsys.readouterr().out
