"""The data recipes: every entry as it is, on rows in its hub repository's schema, through LLaMA-Factory's data path."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.hub_datasets import (
    CALTECH101_LABELS,
    CAPTIONS,
    FOOD101_LABELS,
    MINI_IMAGENET_LABELS,
    write_hub,
    write_llava,
)
from helpers.loading import load_data
from helpers.runs import recipe
from huggingface_hub import DatasetCard
from llamafactory.data import loader
from PIL import Image
from torchvision.models import ResNet18_Weights

from modality_interference.cli import main
from modality_interference.data.perturbations.text import SENTENCES
from modality_interference.dataset_dir.card import card_problems
from modality_interference.integration.plugin import deactivate
from modality_interference.modality import Modality


RECIPES = Path(__file__).parents[2] / "data_recipes"
TRAIN, EVAL = RECIPES / "modality_interference_train", RECIPES / "modality_interference_eval"
MMA_BENCH = RECIPES / "mma_bench"
HEADINGS = ["Source", "Licence", "Size", "Mapping", "Known problems"]
IMAGE, TEXT = Modality.IMAGE.bit, Modality.TEXT.bit
LETTER_LINE = "Answer with the letter of the right option."
TEXT_PERTURBATIONS = ["unrelated_text", "misleading_text"]
CANVASES = ["random_pixels", "black_image", "white_image"]


def info(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))


def bring_files(recipe_dir: Path) -> None:
    """Put into a copy of a recipe what its card asks users for."""
    for pool in (recipe_dir / "pools").iterdir():
        if pool.is_dir():
            Image.new("RGB", (40, 30), "purple").save(pool / "one.png")

    if recipe_dir.name == TRAIN.name:
        write_llava(recipe_dir)


@contextmanager
def hub_in(folder: Path) -> Iterator[None]:
    """Let LLaMA-Factory find the hub's datasets in a folder."""
    deactivate()  # of an earlier test's run
    stock = loader.load_dataset

    def load_dataset(path: str, **keys: Any) -> Any:
        return stock(path=str(folder / path) if (folder / path).is_dir() else path, **keys)

    loader.load_dataset = load_dataset
    try:
        yield
    finally:
        deactivate()  # which puts back what it has replaced
        loader.load_dataset = stock


def load(source: Path, folder: Path, checkpoint: Path, key: str, **keys: Any) -> dict[str, list[dict[str, Any]]]:
    """Load all datasets of a recipe, by name, with pools filled and the hub's datasets in local folders.

    Args:
        source: the recipe.
        folder: a temporary one.
        checkpoint: a tiny model.
        key: of the LLaMA-Factory recipe that names datasets, `dataset` or `eval_dataset`.
        keys: further keys.
    """
    recipe_dir = Path(shutil.copytree(source, folder / source.name))
    bring_files(recipe_dir)
    hub = write_hub(folder / "hub")
    entries = info(recipe_dir)
    # max_samples: `num_samples` fills up with copies where a dataset has fewer rows
    settings = {"cutoff_len": 100_000, "max_samples": 3, "media_dir": None, "dataset": None, key: ",".join(entries)}
    settings |= keys
    with hub_in(hub):
        loaded = load_data(recipe(checkpoint, "qwen2_vl", recipe_dir, folder / "out", **settings))

    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in entries}
    for row in loaded.train if loaded.train is not None else _evaluation_rows(loaded.evaluation):
        rows[row["dataset"]].append(_readable(row, loaded.tokenizer))

    return {name: sorted(found, key=lambda row: row["row"]) for name, found in rows.items()}


def _evaluation_rows(evaluation: Any) -> list[dict[str, Any]]:
    datasets = evaluation.values() if isinstance(evaluation, dict) else [evaluation]
    return [row for dataset in datasets for row in dataset]


def _readable(row: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """The row with its dialogue as text, images as <image>; its twins by perturbation likewise."""

    def chat(ids: list[int]) -> str:
        text = tokenizer.decode(ids)
        text = re.sub(r"<\|vision_start\|>(<\|image_pad\|>)+<\|vision_end\|>", "<image>", text)
        return text.removeprefix("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")

    twins = {twin["perturbation"]: twin | {"chat": chat(twin["input_ids"])} for twin in row["variants"]}
    return row | {"chat": chat(row["input_ids"]), "twins": twins}


def dialogue(*turns: str) -> str:
    """Qwen's chat format, written out."""
    roles = ("user", "assistant") * len(turns)
    return "".join(f"<|im_start|>{role}\n{turn}<|im_end|>\n" for role, turn in zip(roles, turns))


def question(text: str, options: list[str]) -> str:
    """A multiple-choice question as the package asks it."""
    lines = [f"{letter}: {option}" for letter, option in zip("ABCDEFGH", options)]
    return "\n".join(["Question:", text, "Option:", *lines, LETTER_LINE])


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> dict[str, list]:
    return load(TRAIN, tmp_path_factory.mktemp("train"), checkpoint("qwen2_5_vl"), "dataset")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> dict[str, list]:
    folder = tmp_path_factory.mktemp("eval")
    return load(EVAL, folder, checkpoint("qwen2_5_vl"), "eval_dataset", do_train=False, do_eval=True)


# images


def check_image_question(row: dict[str, Any], asked: str, right: str, classes: list[str], twins: list[str]) -> None:
    """A question about an image: the drawn options aside, its text is known."""
    options = row["choices"]
    assert len(options) == len(set(options)) == 4
    assert set(options) <= set(classes)
    assert options[row["answer"]] == right
    letter = "ABCD"[row["answer"]]
    body = question(asked, options)
    assert row["chat"] == dialogue(f"<image>{body}", letter)
    assert row["relevant"] == IMAGE
    assert list(row["twins"]) == twins

    misled = row["twins"]["misleading_text"]
    assert misled["target"] in set(options) - {right}
    sentence = re.escape(f"This picture seems to depict a {misled['target']}.").replace(r"a\ ", r"an?\ ", 1)
    assert re.fullmatch(rf"<image>{sentence}\n{re.escape(body)}", prompt_of(misled["chat"], letter))
    distracted = prompt_of(row["twins"]["unrelated_text"]["chat"], letter).removesuffix(f"\n{body}")
    assert sum(sentence in distracted for sentence in SENTENCES) == 10
    assert all(twin["image_references"] == ["row:0"] for twin in row["twins"].values())


def prompt_of(chat: str, answer: str) -> str:
    head, tail = "<|im_start|>user\n", f"<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
    assert chat.startswith(head) and chat.endswith(tail)
    return chat.removeprefix(head).removesuffix(tail)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("mini_imagenet", ["golden retriever", "iPod"]),  # n02099601, n03584254
        ("caltech101", ["car seen from the side", "water lily"]),  # car_side, water_lilly
    ],
)
def test_images_to_train_on(train: dict[str, list], name: str, right: list[str]):
    classes = info(TRAIN)[name]["twins"]["classes"]
    assert len(train[name]) == 2
    for row, answer in zip(train[name], right):
        check_image_question(
            row, "What kind of object does this photo show?", answer, classes, ["unrelated_text", "misleading_text"]
        )


@pytest.mark.parametrize(
    ("name", "asked", "right"),
    [
        ("mini_imagenet_test", "What kind of object does this photo show?", ["golden retriever", "iPod"]),
        ("caltech101_test", "What kind of object does this photo show?", ["car seen from the side", "water lily"]),
        ("food101", "What dish does this photo show?", ["cupcakes", "apple pie"]),  # cup_cakes, apple_pie
    ],
)
def test_images_to_evaluate_on(evaluation: dict[str, list], name: str, asked: str, right: list[str]):
    classes = info(EVAL)[name]["twins"]["classes"]
    assert len(evaluation[name]) == 2
    for row, answer in zip(evaluation[name], right):
        check_image_question(row, asked, answer, classes, [*TEXT_PERTURBATIONS, "ocr_text"])


# text


OPENBOOKQA = dialogue(
    "Question:\nA kettle gets hot because\nOption:\nA: of magnets\nB: it is red\nC: heat flows into it\nD: of gravity\n"
    "Answer with the letter of the right option.",
    "C",
)
MMLU = dialogue(question("Which number is even?", ["3", "8", "5", "7"]), "B")
ARC = [
    dialogue(question("What melts first?", ["iron", "ice", "stone"]), "B"),
    dialogue(question("Which is a gas?", ["lead", "salt", "wood", "air"]), "D"),
]


def check_text_question(row: dict[str, Any], chat: str, twins: list[str], pools: Path) -> None:
    assert row["chat"] == chat
    assert row["relevant"] == TEXT
    assert row["image_references"] == []
    assert list(row["twins"]) == twins
    for twin in row["twins"].values():
        assert twin["chat"] == chat.replace("user\n", "user\n<image>", 1)

    references = {name: twin["image_references"] for name, twin in row["twins"].items()}
    assert re.fullmatch(r"canvas:noise:\d+:336x336", *references["random_pixels"])
    assert references["black_image"] == ["canvas:black:0:336x336"]
    assert references["white_image"] == ["canvas:white:0:336x336"]
    assert references["irrelevant_image"][0].endswith(f"{pools.parent.name}/pools/images/one.png")
    if "screenshot_image" in references:
        assert references["screenshot_image"][0].endswith(f"{pools.parent.name}/pools/screenshots/one.png")


def test_text_to_train_on(train: dict[str, list]):
    twins = [*CANVASES, "irrelevant_image"]
    for name, chat, rows in (("openbookqa", OPENBOOKQA, 1), ("mmlu_auxiliary_train", MMLU, 3)):
        assert len(train[name]) == rows  # 499 copies of the one row, of which `max_samples` leaves three
        for row in train[name]:
            check_text_question(row, chat, twins, TRAIN / "pools")


def test_text_to_evaluate_on(evaluation: dict[str, list]):
    for name, chats in (("openbookqa_test", [OPENBOOKQA]), ("mmlu_test", [MMLU]), ("arc_challenge", ARC)):
        assert len(evaluation[name]) == len(chats)
        for row, chat in zip(evaluation[name], chats):
            check_text_question(row, chat, [*CANVASES, "irrelevant_image", "screenshot_image"], EVAL / "pools")


# both


def test_llava_instruct(train: dict[str, list]):
    bus, joke = train["llava_instruct_665k"]  # the row whose image has vanished is dropped
    assert bus["chat"] == dialogue("<image>\nWhat colour is it?", "Teal.", "Is it a bus?", "It is a plain surface.")
    assert bus["images"][0]["path"].endswith("coco/train2017/000000033471.jpg")
    assert joke["chat"] == dialogue("Tell me a joke.", "A byte walks into a bar.")
    assert joke["images"] is None
    assert all(row["relevant"] == IMAGE | TEXT and not row["twins"] for row in (bus, joke))


def test_textcaps(train: dict[str, list]):
    (row,) = train["textcaps"]
    assert row["chat"] in [dialogue("<image>Describe the picture and the text in it.", text) for text in CAPTIONS]
    assert row["relevant"] == IMAGE | TEXT and not row["twins"]


def test_visual_question_answering(evaluation: dict[str, list]):
    town = question("Which town is nearer to the lake?", ["Elm", "Oak"])
    expected = {
        "scienceqa_img": [
            (town.replace("Question:\n", "Question:\nThe map shows two towns.\n"), "B"),
            (town, "B"),
        ],
        "mmbench_en_dev": [
            (
                question(
                    "The passage is about rivers.\nWhich is the main topic?", ["hills", "towns", "roads", "rivers"]
                ),
                "D",
            ),
            (question("Is the shape round?", ["yes", "no"]), "B"),
        ],
        "seedbench_img": [(question("How many towels are in the picture?", ["One", "Two", "Three", "Four"]), "C")],
    }
    for name, pairs in expected.items():
        assert [row["chat"] for row in evaluation[name]] == [
            dialogue(f"<image>{prompt}", answer) for prompt, answer in pairs
        ]
        assert all(row["relevant"] == IMAGE | TEXT and not row["twins"] for row in evaluation[name])


# the recipes themselves


def test_the_training_recipe_has_the_papers_kinds(train: dict[str, list]):
    kinds = {name: {row["relevant"] for row in rows} for name, rows in train.items()}
    assert kinds == {
        "mini_imagenet": {IMAGE},
        "caltech101": {IMAGE},
        "openbookqa": {TEXT},
        "mmlu_auxiliary_train": {TEXT},
        "llava_instruct_665k": {IMAGE | TEXT},
        "textcaps": {IMAGE | TEXT},
    }


def test_unseen_data_and_perturbations_stay_unseen():
    def perturbations(entries: dict[str, Any]) -> set[str]:
        items = [item for entry in entries.values() for item in entry["twins"]["perturbations"]]
        return {item if isinstance(item, str) else item["name"] for item in items}

    training, evaluation = info(TRAIN), info(EVAL)
    assert perturbations(evaluation) - perturbations(training) == {"ocr_text", "screenshot_image"}
    used = {(entry.get("hf_hub_url"), entry.get("split")) for entry in training.values()}
    assert not used & {(entry["hf_hub_url"], entry["split"]) for entry in evaluation.values()}
    assert not {"ethz/food101", "allenai/ai2_arc"} & {url for url, _ in used}


@pytest.mark.parametrize("folder", [TRAIN, EVAL], ids=lambda folder: folder.name)
def test_cards_speak_of_every_dataset(folder: Path):
    card = (folder / "README.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", card, flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections] == list(info(folder))
    for section in sections:
        found = re.findall(r"^### (.+)\n\n(\S.+)", section, flags=re.MULTILINE)
        assert [heading for heading, _ in found] == HEADINGS


@pytest.mark.parametrize("folder", [TRAIN, EVAL, MMA_BENCH], ids=lambda folder: folder.name)
def test_cards_are_valid_on_the_hub(folder: Path):
    assert card_problems(folder) == []
    metadata = DatasetCard((folder / "README.md").read_text(encoding="utf-8")).data
    assert metadata.pretty_name and metadata.license and metadata.language == ["en"]
    assert metadata.task_categories and {"llama-factory", "modality-interference"} < set(metadata.tags)
    assert metadata.size_categories or folder == MMA_BENCH  # of which users bring as many clips as they like


@pytest.mark.parametrize(
    ("folder", "needed"),
    [(TRAIN, ["pools/images", "llava_v1_5_mix665k/data"]), (EVAL, ["pools/images", "pools/screenshots"])],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_check_asks_for_nothing_but_the_files_to_bring(
    folder: Path, needed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe_dir = Path(shutil.copytree(folder, tmp_path / folder.name))
    assert main(["check", str(recipe_dir), "--data-recipe"]) == 1
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert problems
    assert all(any(f"`{path}`" in line or f"'{path}'" in line for path in needed) for line in problems)
    bring_files(recipe_dir)
    assert main(["check", str(recipe_dir), "--data-recipe"]) == 0


def test_classes_are_the_hubs_in_its_order():
    training, evaluation = info(TRAIN), info(EVAL)
    names = {
        name: entry["twins"]["classes"] for name, entry in (training | evaluation).items() if "label" in str(entry)
    }
    assert names["mini_imagenet"] == names["mini_imagenet_test"]
    assert names["caltech101"] == names["caltech101_test"]
    for name, labels in (("caltech101", CALTECH101_LABELS), ("food101", FOOD101_LABELS)):
        assert len(names[name]) == len(labels)
        changed = [
            (label, given) for label, given in zip(labels, names[name]) if label.replace("_", " ") != given.lower()
        ]
        for label, given in changed:  # a readable name has the label's stem: `rhino`, rhinoceros
            assert label.split("_")[0][:3] in given.lower().replace("-", ""), (label, given)


def test_mini_imagenets_names_are_imagenets():
    names = info(TRAIN)["mini_imagenet"]["twins"]["classes"]
    assert len(names) == len(MINI_IMAGENET_LABELS)
    assert sorted(MINI_IMAGENET_LABELS) == MINI_IMAGENET_LABELS

    # torchvision has the names of all 1,000 classes in the order of their WordNet ids, so ours must come in that order
    known = {name.lower(): place for place, name in enumerate(ResNet18_Weights.DEFAULT.meta["categories"])}
    places = [known[name.lower()] for name in names if name.lower() in known]
    assert len(places) >= 75
    assert places == sorted(places)
