"""The collated batch against LLaMA-Factory's own collator, for every way in which families bring images in."""

import json
from collections import Counter
from typing import Any

import pytest
import torch
from helpers.loading import Loaded, load_data, row_names
from helpers.runs import recipe, write_datasets
from helpers.tiny_models import FAMILIES
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from transformers import AutoModelForImageTextToText

from modality_interference.batching.batch import ROW_KEYS
from modality_interference.batching.collator import Purpose, TwinCollator, row_key
from modality_interference.media.image import load_image
from modality_interference.modality import Modality


FAMILIES_TRIED = ["qwen2_5_vl", "qwen3_vl", "llava", "llava_next", "internvl", "gemma3"]
PIXELS = ("pixel_values", "image_grid_thw", "image_sizes")
IMAGE, TEXT = Modality.IMAGE.bit, Modality.TEXT.bit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The datasets of `runs`, and conversations with two images."""
    folder = write_datasets(tmp_path_factory.mktemp("collator"), rows=4)
    turns = ["<image>Which colour?", "It is red.", "And <image> here? <image> Or here?", "It is green."]
    conversation = [{"from": ("human", "gpt")[index % 2], "value": turn} for index, turn in enumerate(turns)]
    chats = [
        {"conversations": conversation, "images": names}
        for names in (["red_0.png", "green_1.png", "red_0.png"], ["blue_2.png", "blue_2.png", "green_1.png"])
    ]
    (folder / "chats.json").write_text(json.dumps(chats))
    info = json.loads((folder / "dataset_info.json").read_text())
    common = {"file_name": "chats.json", "columns": {"messages": "conversations", "images": "images"}}
    for name, relevant, perturbations in (
        ("chats", "image", ["unrelated_text", "long_context"]),
        ("read_chats", "text", ["irrelevant_image", "black_image", "random_pixels"]),
    ):
        items = [{"name": item, "tokens": 40} if item == "long_context" else item for item in perturbations]
        twins = {"relevant": [relevant], "perturbations": items}
        info[name] = common | {"formatting": "sharegpt_twins", "twins": twins}

    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


@pytest.fixture(scope="module")
def loaded(checkpoint, folder, tmp_path_factory):
    """Tokenized datasets and the model of a family, once."""
    cache: dict[str, tuple[Loaded, Any]] = {}

    def load(family: str) -> tuple[Loaded, Any]:
        if family not in cache:
            path = checkpoint(family)
            keys = recipe(
                path,
                FAMILIES[family].template,
                folder,
                tmp_path_factory.mktemp("out"),
                dataset="pictures,sums,both,plain,chats,read_chats",
            )
            cache[family] = load_data(keys), AutoModelForImageTextToText.from_pretrained(path)

        return cache[family]

    return load


def of_dataset(data: Loaded, *names: str) -> list[dict[str, Any]]:
    """The examples of some datasets."""
    return [example for example in data.train if example["dataset"] in names]


def flatten(examples: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(example, row) of every clean row and twin."""
    return [(example, row) for example in examples for row in (example, *example["variants"])]


def stock_batch(data: Loaded, model: Any, examples: list[dict[str, Any]]) -> dict[str, Any]:
    """What LLaMA-Factory makes of the same rows, each with its own copy of its images."""
    rows = []
    for example, row in flatten(examples):
        images = [
            load_image(reference, example["images"] or [], example["twin_images"] or [])
            for reference in row["image_references"]
        ]
        ids = list(row["input_ids"])
        rows.append(
            {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": list(row["labels"]), "images": images}
        )

    return data.collator(SFTDataCollatorWith4DAttentionMask, model=model)(rows)


def split_images(batch: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Every image's part of a batch: its pixels and its size."""
    if "image_grid_thw" in batch:
        counts = batch["image_grid_thw"].prod(dim=1).tolist()
        return list(zip(batch["pixel_values"].split(counts), batch["image_grid_thw"]))

    sizes = batch.get("image_sizes", [None] * len(batch["pixel_values"]))
    return list(zip(batch["pixel_values"], sizes))


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(torch.equal(a, b) if torch.is_tensor(a) else a is b for a, b in zip(one, other))


def features_of_images(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """(image tokens, width) what the model's own vision makes of a batch's images."""
    inputs = {key: batch[key] for key in PIXELS if key in batch}
    with torch.no_grad():
        found = model.model.get_image_features(**inputs).pooler_output

    found = found if torch.is_tensor(found) else torch.cat(list(found))
    return found.reshape(-1, found.shape[-1])


BATCHES = {
    "shared pictures": ("pictures",),
    "pictures in twins only": ("sums",),
    "several pictures": ("chats", "read_chats"),
    "everything": ("pictures", "sums", "both", "plain", "chats", "read_chats"),
}


@pytest.mark.parametrize("family", FAMILIES_TRIED)
@pytest.mark.parametrize("batch", BATCHES)
def test_the_batch_is_llamafactorys_with_every_image_once(loaded, family, batch):
    data, model = loaded(family)
    examples = of_dataset(data, *BATCHES[batch])
    theirs = stock_batch(data, model, examples)
    ours = data.collator(model=model)(examples)

    assert set(ours) == set(theirs) | set(ROW_KEYS)
    for key in set(theirs) - set(PIXELS):
        assert torch.equal(ours[key], theirs[key]), key

    places, index = {}, []
    for example, row in flatten(examples):
        for reference in row["image_references"]:
            image = load_image(reference, example["images"] or [], example["twin_images"] or [])
            index.append(places.setdefault((image.size, image.tobytes()), len(places)))

    found, repeated = split_images(ours), split_images(theirs)
    assert len(found) == len(places) and len(repeated) == len(index)
    assert all(same(found[place], image) for place, image in zip(index, repeated))
    assert len(places) < len(index)
    expected, own = features_of_images(model, theirs), features_of_images(model, ours)
    index = ours["media_index"][Modality.IMAGE]
    assert torch.equal(index.unique(), torch.arange(len(own)))
    torch.testing.assert_close(own[index], expected, atol=1e-6, rtol=1e-5)
    image_token = data.tokenizer.convert_tokens_to_ids(FAMILIES[family].image_token)
    assert len(index) == int((ours["input_ids"] == image_token).sum())


def test_what_the_batch_knows_of_its_rows(loaded):
    data, model = loaded("qwen2_5_vl")
    examples = [of_dataset(data, name)[0] for name in ("pictures", "plain", "sums", "both")]
    batch = data.collator(model=model)(examples)
    assert batch["twin_of"].tolist() == [0, 0, 0, 3, 4, 4, 4, 7]
    assert batch["questions"] is None
    assert batch["row_key"].tolist() == [
        row_key(example["key"], row.get("perturbation", "clean")) for example, row in flatten(examples)
    ]
    assert len(set(batch["row_key"].tolist())) == 8 and batch["row_key"].dtype == torch.int64
    again = data.collator(model=model)(examples[::-1])  # a row's identity does not depend on its position in the batch
    assert sorted(again["row_key"].tolist()) == sorted(batch["row_key"].tolist())


def test_an_image_twice_in_a_row_and_in_two_examples(loaded):
    """Equal images are encoded once, whichever rows show them; the chat shows two, one of them twice."""
    data, model = loaded("qwen2_5_vl")
    chat = of_dataset(data, "chats")[0]
    batch = data.collator(model=model)([chat, chat | {"variants": []}])
    assert chat["image_references"] == ["row:0", "row:1", "row:2"] and len(chat["variants"]) == 2
    assert len(batch["image_grid_thw"]) == 2
    red, green, red_again = chat["image_tokens"]
    assert red == red_again
    row = [*range(red), *range(red, red + green), *range(red)]
    assert batch["media_index"][Modality.IMAGE].tolist() == row * 4


# masks


@pytest.mark.parametrize("family", FAMILIES_TRIED)
def test_the_mask_holds_irrelevant_tokens_only(loaded, family):
    data, model = loaded(family)
    examples = of_dataset(data, *BATCHES["everything"])
    batch = data.collator(model=model)(examples)
    tokenizer, definition = data.tokenizer, FAMILIES[family]
    image = tokenizer.convert_tokens_to_ids(definition.image_token)
    template_tokens = {*definition.special_tokens, *definition.named_tokens.values()} - {definition.image_token}
    special = set(tokenizer.convert_tokens_to_ids(sorted(template_tokens))) | set(tokenizer.all_special_ids) - {image}
    seen = Counter()
    for index, (example, row) in enumerate(flatten(examples)):
        mask, length = batch["perturbation_mask"][index].tolist(), len(row["input_ids"])
        kind = example["relevant"]
        expected = []
        first = row["input_ids"].index(image) if kind == IMAGE else 0  # these turns begin with their image
        for place, (token, label) in enumerate(zip(row["input_ids"], row["labels"])):
            if label != -100 or place < first or kind in (0, IMAGE | TEXT):
                expected.append(False)
            else:
                expected.append(token == image if kind == TEXT else token != image and token not in special)

        assert mask[:length] == expected
        assert not any(mask[length:])
        seen[kind, any(expected)] += 1
        masked = [token for token, kept in zip(row["input_ids"], mask) if kept]
        if kind == TEXT:
            assert len(masked) == sum(row["image_tokens"])
        elif kind == IMAGE:
            prompt = [token for token, label in zip(row["input_ids"], row["labels"]) if label == -100][first:]
            plain = [token for token in prompt if token not in special | {image}]
            assert masked == plain and tokenizer.decode(masked) == tokenizer.decode(prompt, skip_special_tokens=True)

    assert seen[IMAGE, True] == 4 * 3 + 2 * 3 and seen[IMAGE, False] == 0
    assert seen[TEXT, True] == 4 * 2 + 2 * 4 and seen[TEXT, False] == 4
    assert seen[0, True] == seen[IMAGE | TEXT, True] == 0 and seen[0, False] == seen[IMAGE | TEXT, False] == 4


@pytest.mark.parametrize("family", FAMILIES_TRIED)
def test_dummy_images_are_never_masked(loaded, family):
    """LLaMA-Factory appends an image that nobody sees to batches without any."""
    data, model = loaded(family)
    examples = [example | {"variants": []} for example in of_dataset(data, "sums")]
    examples.append(of_dataset(data, "plain")[0] | {"relevant": IMAGE})
    batch = data.collator(model=model)(examples)
    image = data.tokenizer.convert_tokens_to_ids(FAMILIES[family].image_token)
    dummy = batch["input_ids"] == image
    assert dummy[0].any() and not dummy[1:].any() and not batch["attention_mask"][dummy].any()
    assert batch["media_index"] is None
    assert not batch["perturbation_mask"][:-1].any()  # no text is irrelevant, no image is real
    last = batch["perturbation_mask"][-1]
    assert last.any() and not last[~batch["attention_mask"][-1].bool()].any()
    assert not last[batch["labels"][-1] != -100].any()


def test_padding_on_the_left_moves_everything(loaded):
    data, model = loaded("llava")
    examples = of_dataset(data, *BATCHES["everything"])
    right = data.collator(model=model)(examples)
    data.tokenizer.padding_side = "left"
    try:
        left = data.collator(model=model)(examples)
    finally:
        data.tokenizer.padding_side = "right"

    lengths = [len(row["input_ids"]) for _, row in flatten(examples)]
    for key in ("input_ids", "labels", "perturbation_mask"):
        for row, length in enumerate(lengths):
            assert torch.equal(left[key][row, -length:], right[key][row, :length])

    assert not left["perturbation_mask"][~left["attention_mask"].bool()].any()
    assert torch.equal(left["media_index"][Modality.IMAGE], right["media_index"][Modality.IMAGE])


# twins_per_example


def drawn(collator: TwinCollator, examples: list[dict[str, Any]], epoch: int) -> list[list[str]]:
    collator.set_epoch(epoch)
    batch = collator(examples)
    result: list[list[str]] = []
    for row, (_, name) in enumerate(row_names(batch, examples)):
        if batch["twin_of"][row] == row:
            result.append([])
        else:
            result[-1].append(name)

    return result


def test_twins_are_drawn_afresh_each_epoch(loaded):
    data, model = loaded("qwen2_5_vl")
    examples = of_dataset(data, "pictures", "sums", "both", "read_chats")
    collator = data.collator(model=model, seed=3, twins_limit=1)
    epochs = [drawn(collator, examples, epoch) for epoch in range(12)]
    for found in epochs:
        assert [len(names) for names in found] == [1] * 8 + [0] * 4 + [1] * 2

    for index, example in enumerate(examples):  # in twelve epochs every twin has its turn
        assert {names for found in epochs for names in found[index]} == {
            variant["perturbation"] for variant in example["variants"]
        }

    assert len({str(found) for found in epochs}) == 12
    again = data.collator(model=model, seed=3, twins_limit=1)
    assert [drawn(again, examples, epoch) for epoch in (5, 0)] == [epochs[5], epochs[0]]
    assert drawn(collator, examples[::-1], 5) == epochs[5][::-1]  # whatever else is in the batch
    other = data.collator(model=model, seed=4, twins_limit=1)
    assert [drawn(other, examples, epoch) for epoch in range(12)] != epochs


@pytest.mark.parametrize(("limit", "expected"), [(None, [2, 3]), (5, [2, 3]), (2, [2, 2])])
def test_limits_of_twins(loaded, limit, expected):
    data, model = loaded("qwen2_5_vl")
    examples = [of_dataset(data, "pictures")[0], of_dataset(data, "read_chats")[0]]
    collator = data.collator(model=model, twins_limit=limit)
    assert [len(names) for names in drawn(collator, examples, 0)] == expected
    order = [variant["perturbation"] for variant in examples[1]["variants"]]
    names = drawn(collator, examples, 1)[1]
    assert names == sorted(names, key=order.index)


def test_for_the_diagnosis_all_twins_and_all_options_are_there(loaded):
    data, model = loaded("qwen2_5_vl")
    examples = of_dataset(data, "pictures", "sums", "plain")
    collator = data.collator(model=model, twins_limit=1)
    batch = collator.for_evaluation(Purpose.LIKELIHOOD)(examples)
    asked = batch["questions"]
    images, sums = ["clean", "misleading_text", "unrelated_text"], ["clean", "random_pixels", "black_image"]
    assert [question.perturbation for question in asked] == images * 4 + sums * 4 + ["clean"] * 4
    assert [question.batch_row for question in asked] == list(range(28))
    assert [question.clean for question in asked[:6]] == [0, 0, 0, 3, 3, 3]
    for question in asked[:24]:
        labels = [batch["labels"][option.row] for option in question.options]
        for option, row, choice in zip(question.options, labels, question.choices, strict=True):
            tokens = [*option.tokens]
            assert data.tokenizer.decode(tokens).strip() == choice
            shown = row[row != -100].tolist()[option.offset :][: len(tokens)]
            assert shown == tokens or len(tokens) == 1  # one token is scored at the first position of the row itself

    assert all(not question.choices and not question.options for question in asked[24:])
    targets = [question.target for question in asked if question.perturbation == "misleading_text"]
    assert None not in targets and 0 not in targets  # the right option is the first
    assert len(row_names(collator(examples), examples)) == 8 * 2 + 4  # training draws as before


def test_for_generation_prompts_end_where_the_answer_starts(loaded):
    data, _ = loaded("qwen2_5_vl")
    examples = of_dataset(data, "pictures")
    batch = data.collator().for_evaluation(Purpose.GENERATION)(examples)  # without a model, as LLaMA-Factory has it
    assert data.tokenizer.padding_side == "right"
    for (_, row), found, mask in zip(flatten(examples), batch["input_ids"], batch["attention_mask"], strict=True):
        prompt = [token for token, label in zip(row["input_ids"], row["labels"]) if label == -100]
        assert found[mask.bool()].tolist() == prompt and mask[-1] == 1

    assert [question.response for question in batch["questions"]][::3] == [
        example["choices"][example["answer"]] for example in examples
    ]
    assert "position_ids" not in batch
    assert len(batch["image_grid_thw"]) == len(flatten(examples))  # each row brings its image, for positions
    assert int(batch["media_index"][Modality.IMAGE].max()) + 1 == sum(
        example["image_tokens"][0] for example in examples
    )


@pytest.mark.parametrize("family", FAMILIES_TRIED)
def test_evaluation_without_twins_is_llamafactorys(loaded, family):
    data, model = loaded(family)
    examples = of_dataset(data, *BATCHES["everything"])
    keys = ("input_ids", "attention_mask", "labels", "images", "videos", "audios")
    stock = data.collator(SFTDataCollatorWith4DAttentionMask, model=model)
    theirs = stock([{key: example[key] for key in keys} for example in examples])
    ours = data.collator(model=model).for_evaluation(Purpose.STOCK)(examples)
    assert set(ours) == set(theirs)
    for key in theirs:
        assert torch.equal(ours[key], theirs[key]), key


def test_rows_that_were_tokenized_without_the_plugin(loaded):
    data, model = loaded("qwen2_5_vl")
    keys = ("input_ids", "attention_mask", "labels", "images", "videos", "audios")
    examples = [{key: example[key] for key in keys} for example in of_dataset(data, "pictures", "plain")]
    stock = data.collator(SFTDataCollatorWith4DAttentionMask, model=model)
    theirs = stock([dict(example) for example in examples])
    ours = data.collator(model=model)(examples)
    for key in theirs:
        assert torch.equal(ours[key], theirs[key]), key

    assert ours["twin_of"].tolist() == list(range(len(examples)))
    assert not ours["perturbation_mask"].any() and ours["media_index"] is None
