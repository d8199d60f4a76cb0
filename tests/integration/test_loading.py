"""Twin datasets through LLaMA-Factory's own data path: mixing, streaming, caching, splitting, bad rows, refusals."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Features, Value, interleave_datasets
from helpers.loading import load_data
from helpers.runs import COLUMNS, recipe, write_datasets
from llamafactory.hparams import get_train_args
from llamafactory.train.tuner import run_exp
from PIL import Image
from safetensors.torch import load_file

from modality_interference.errors import ModalityInterferenceError
from modality_interference.media.image import load_image
from modality_interference.modality import Modality
from modality_interference.train.base_trainer import BaseTwinTrainer


IMAGE, TEXT = Modality.IMAGE.bit, Modality.TEXT.bit
STREAM = {"streaming": True, "dataloader_num_workers": 1}  # LLaMA-Factory makes as many shards of a file as workers
TWINS = {"relevant": ["image"], "perturbations": ["misleading_text"], "answer": "text"}
CHAT = [
    {"role": "user", "content": "<image>Which colour is shown?"},
    {"role": "assistant", "content": "It is red."},
    {"role": "user", "content": "And <image> here?"},
    {"role": "assistant", "content": "It is green."},
]


def sharegpt(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt"}
    return [{"from": names[message["role"]], "value": message["content"]} for message in messages]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The datasets of `runs`, and others that only this file needs."""
    folder = write_datasets(tmp_path_factory.mktemp("data_path"))
    info = json.loads((folder / "dataset_info.json").read_text())

    def add(name: str, rows: list[dict[str, Any]], suffix: str = "json", types: Any = None, **entry: Any) -> None:
        if suffix == "parquet":
            Dataset.from_list(rows, features=types).to_parquet(folder / f"{name}.parquet")
        else:
            (folder / f"{name}.json").write_text(json.dumps(rows))

        info[name] = {"file_name": f"{name}.{suffix}"} | entry

    choice = dict(formatting="multiple_choice_twins", columns=COLUMNS, twins=TWINS)
    question = {"question": "Which colour is shown?", "choices": ["red", "green", "blue"], "answer": "A"}
    swatches = [Image.new("RGB", (40, 40 + 8 * index), "red") for index in range(3)]
    add("few", [{"instruction": f"Say {index}.", "input": "", "output": str(index)} for index in range(3)])
    add("embedded", [question | {"images": swatch} for swatch in swatches], "parquet", **choice)
    plain_columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    plain_row = {"instruction": "<image>Which colour?", "input": "", "output": "red"}
    add("plain_paths", [plain_row | {"images": ["red_0.png"]}] * 2, columns=plain_columns)
    add("plain_embedded", [plain_row | {"images": swatch} for swatch in swatches], "parquet", columns=plain_columns)

    images = {"images": ["red_0.png", "green_1.png"]}
    media = {"images": "images"}
    twins = {"relevant": ["image"], "perturbations": ["unrelated_text"]}
    history = {"instruction": CHAT[2]["content"], "input": "", "output": "It is green."}
    history["history"] = [[CHAT[0]["content"], CHAT[1]["content"]]]
    columns = plain_columns | {"history": "history"}
    add("alpaca_chat", [history | images], formatting="alpaca_twins", columns=columns, twins=twins)
    rows = [{"conversations": sharegpt(CHAT)} | images]
    columns = {"messages": "conversations"} | media
    add("sharegpt_chat", rows, formatting="sharegpt_twins", columns=columns, twins=twins)
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    entry = dict(formatting="openai_twins", columns={"messages": "messages"} | media, tags=tags, twins=twins)
    add("openai_chat", [{"messages": CHAT} | images], **entry)

    kinds = ["image", "text", "image+text"]
    rows = [question | {"images": ["red_0.png"], "kind": kind} for kind in kinds]
    entry = choice | {"twins": {"relevant": "kind", "perturbations": ["misleading_text", "black_image"]}}
    add("by_column", rows, **entry)

    whole = (folder / "red_0.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    good = question | {"images": ["red_0.png"]}
    bad = [good | {"images": ["truncated.png"]}, good | {"images": ["absent.png"]}]
    cut_image, cut_answer = {"question": f"{'long ' * 100}<image>"}, {"question": "long " * 8000}
    bad += [good | cut_image, good | cut_answer | {"choices": ["red " * 80, "green"]}, good | {"answer": "purple"}]
    bad += [good | {"images": ["absent.png"]}]
    add("some_bad", [good, *bad, good | {"images": ["green_1.png"]}], **choice)
    add("all_bad", bad, **choice)
    twins = {"relevant": ["image"], "perturbations": [{"name": "long_context", "tokens": 3000}, "unrelated_text"]}
    rows = [{"conversations": sharegpt([{"role": "user", "content": "<image>Colours?"}])} | images]
    rows[0]["images"], answer = ["red_0.png"], {"from": "gpt", "value": "red " * 200}
    rows[0]["conversations"].append(answer)
    entry = dict(formatting="sharegpt_twins", columns={"messages": "conversations"} | media, twins=twins)
    add("long_twin", rows, **entry)
    pictures = json.loads((folder / "pictures.json").read_text())
    broken = [{"bytes": (folder / "truncated.png").read_bytes(), "path": None}]
    rows = [question | {"images": broken}, question | {"images": [{"bytes": whole, "path": None}]}]
    add("embedded_bad", rows, "parquet", **choice)
    raw = Features(
        {name: Value("string") for name in ("question", "answer")}
        | {"choices": [Value("string")], "images": Value("binary")}
    )
    packed = [(folder / f"{name}.png").read_bytes() for name in ("red_0", "green_1", "blue_2")]
    entry = choice | {"twins": {"relevant": ["text"], "perturbations": ["irrelevant_image"], "answer": "text"}}
    add("bytes", [question | {"images": content} for content in packed], "parquet", raw, **entry)
    call = {"from": "function_call", "value": "call weather"}
    turns = sharegpt([{"role": "user", "content": "Rain?"}])
    rows = [{"conversations": [*turns, call]}, {"conversations": [*turns, {"from": "gpt", "value": "no"}]}]
    entry = dict(formatting="sharegpt_twins", columns={"messages": "conversations"})
    add("bad_call", rows, **entry, twins={"relevant": ["text"], "perturbations": ["black_image"]})
    add("stray_block", pictures, columns={"prompt": "question"}, twins=TWINS)
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


@pytest.fixture
def keys(checkpoint, folder, tmp_path):
    """A recipe for datasets of `folder`."""

    def make(dataset: str, **overrides: Any) -> dict[str, Any]:
        output = overrides.pop("output_dir", tmp_path / "out")
        return recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, output, dataset=dataset, **overrides)

    return make


def shape(example: dict[str, Any]) -> tuple[Any, ...]:
    """An example by its content, to sort and compare."""
    return example["dataset"], tuple(example["input_ids"]), json.dumps(example["variants"])


def names(dataset: Any) -> list[str]:
    return [example["dataset"] for example in dataset]


# mixing


def test_concat_keeps_every_row_of_every_dataset(keys):
    together = load_data(keys("pictures,few,sums,both")).train.to_list()
    apart = [load_data(keys(name)).train.to_list() for name in ("pictures", "few", "sums", "both")]
    assert together == [example for part in apart for example in part]
    assert [len(example["variants"]) for example in together] == [2] * 8 + [0] * 3 + [2] * 8 + [0] * 8
    assert [example["relevant"] for example in together] == [IMAGE] * 8 + [0] * 3 + [TEXT] * 8 + [IMAGE | TEXT] * 8


@pytest.mark.parametrize("strategy", ["interleave_under", "interleave_over"])
@pytest.mark.parametrize("probs", [None, "0.6,0.4"])
def test_interleaving_is_llamafactorys(keys, strategy, probs):
    mixed = load_data(keys("pictures,few", mix_strategy=strategy, interleave_probs=probs)).train
    sizes = {"pictures": 8, "few": 3}
    rows = [Dataset.from_list([{"name": name, "row": row} for row in range(size)]) for name, size in sizes.items()]
    stopping = {"interleave_under": "first_exhausted", "interleave_over": "all_exhausted"}[strategy]
    weights = [float(part) for part in probs.split(",")] if probs else None
    expected = interleave_datasets(rows, probabilities=weights, seed=7, stopping_strategy=stopping).to_list()
    assert names(mixed) == [row["name"] for row in expected]
    found = [(row["name"], example["row"]) for row, example in zip(expected, mixed) if row["name"] == "pictures"]
    assert found == [(row["name"], row["row"]) for row in expected if row["name"] == "pictures"]
    assert all(len(example["variants"]) == (2 if example["dataset"] == "pictures" else 0) for example in mixed)


@pytest.mark.parametrize("streaming", [False, True], ids=["all at once", "streaming"])
@pytest.mark.parametrize(
    "datasets",
    [
        "few,embedded",
        "embedded,plain_embedded",
        "plain_paths,embedded,pictures",
        "embedded,sums,few",
        "plain_embedded",
    ],
)
def test_embedded_images_mix_with_anything(keys, datasets, streaming):
    stream = STREAM | {"max_steps": 1} if streaming else {}
    rows = list(load_data(keys(datasets, **stream)).train)
    sizes = {"few": 3, "embedded": 3, "plain_embedded": 3, "plain_paths": 2, "pictures": 8, "sums": 8}
    assert len(rows) == sum(sizes[name] for name in datasets.split(","))
    for example in rows:
        images = [load_image(reference, example["images"], []) for reference in example["image_references"]]
        assert len(images) == (0 if example["dataset"] == "sums" else len(example["images"] or []))
        if example["dataset"] in ("embedded", ""):
            assert all(image.getpixel((1, 1)) == (255, 0, 0) for image in images)

        if example["dataset"] == "embedded":
            assert [variant["perturbation"] for variant in example["variants"]] == ["misleading_text"]


def test_mixed_media_train(keys, tmp_path):
    run_exp(keys("embedded,few,plain_paths,pictures", num_train_epochs=1, max_steps=-1, per_device_train_batch_size=4))
    log = [json.loads(line) for line in (tmp_path / "out" / "trainer_log.jsonl").read_text().splitlines()]
    losses = [entry["loss_sft"] for entry in log if "loss_sft" in entry]
    assert len(losses) == 4 and all(math.isfinite(loss) and loss > 0 for loss in losses)


# streaming, caching, workers, splits


@pytest.mark.parametrize("dataset", ["pictures", "few,pictures,sums", "embedded,few"])
def test_streaming_gives_the_same_twins(keys, dataset):
    stream = load_data(keys(dataset, **STREAM)).train
    whole = load_data(keys(dataset)).train
    ours, theirs = sorted(stream, key=shape), sorted(whole.to_list(), key=shape)
    assert len(ours) == len(theirs) and set(ours[0]) == set(theirs[0])
    for one, other in zip(ours, theirs):
        assert {key: one[key] or None for key in one} == {key: other[key] or None for key in other}


def test_streaming_trains(keys, tmp_path):
    run_exp(keys("few,pictures,sums", **STREAM, max_steps=3, buffer_size=4))
    log = [json.loads(line) for line in (tmp_path / "out" / "trainer_log.jsonl").read_text().splitlines()]
    assert [entry["current_steps"] for entry in log if "loss_sft" in entry] == [1, 2, 3]


def test_a_stream_holds_out_rows_that_no_epoch_trains_on(keys):
    loaded = load_data(keys("pictures", **STREAM, val_size=3, buffer_size=4, max_steps=4))
    held_out = {row["key"] for row in loaded.evaluation}
    orders = []
    for epoch in range(4):
        loaded.train.set_epoch(epoch)
        orders.append([row["key"] for row in loaded.train])

    assert len(held_out) == 3 and len(set(map(tuple, orders))) > 1  # shuffled anew
    assert all(len(order) == 5 and not held_out & set(order) for order in orders)


def test_a_stream_draws_twins_anew_in_each_pass(keys, monkeypatch):
    """Transformers takes all steps of a stream for one epoch."""
    epochs, start_epoch = [], BaseTwinTrainer.start_epoch
    monkeypatch.setattr(
        BaseTwinTrainer, "start_epoch", lambda self, epoch: (epochs.append(epoch), start_epoch(self, epoch))
    )
    run_exp(keys("few", **STREAM, twins_per_example="1", per_device_train_batch_size=1, max_steps=7))
    assert epochs == [0, 1, 2]  # of 3 rows


def test_streaming_without_workers_says_what_to_do(keys):
    message = "Dataset [a-z]+: its stream has no rows.*set `dataloader_num_workers: 1` or more"
    for dataset in ("pictures", "few"):
        with pytest.raises(ModalityInterferenceError, match=message):
            load_data(keys(dataset, streaming=True))


def test_a_tokenized_dataset_trains_as_the_fresh_one(keys, tmp_path):
    tokenized = str(tmp_path / "tokenized")
    common = dict(max_steps=3, batch_mix="image=1,text=1", tokenized_path=tokenized, save_only_model=True)
    run_exp(keys("pictures,few,sums", output_dir=tmp_path / "first", **common))
    assert (Path(tokenized) / "dataset_dict.json").exists()
    run_exp(keys("few", output_dir=tmp_path / "second", **common))  # `dataset` no longer counts
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)
    loaded = load_data(keys("few", tokenized_path=tokenized)).train
    assert loaded.to_list() == load_data(keys("pictures,few,sums")).train.to_list()


def test_a_tokenized_dataset_of_another_layout_is_refused(keys, tmp_path):
    rows = load_data(keys("pictures")).train.to_list()
    for row in rows:
        row["variants"] = [{"planted": twin.pop("target"), **twin} for twin in row["variants"]]

    path = str(tmp_path / "tokenized")
    DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(path)
    with pytest.raises(
        ModalityInterferenceError, match="another layout.*Remove the folder, or name another one"
    ) as found:
        load_data(keys("pictures", tokenized_path=path))

    assert path in str(found.value)


def test_a_tokenized_dataset_belongs_to_the_plugin_or_not(keys, tmp_path):
    paths = {plugin: str(tmp_path / str(plugin)) for plugin in ("modality_interference", None)}
    recipes = {plugin: keys("few", tokenized_path=path, plugin=plugin) for plugin, path in paths.items()}
    for recipe_keys in recipes.values():
        load_data(recipe_keys)

    crossed = {"modality_interference": paths[None], None: paths["modality_interference"]}
    for plugin, words in (("modality_interference", "tokenized without the plugin"), (None, "the plugin is off")):
        load_data(recipes[plugin])
        with pytest.raises(ModalityInterferenceError, match=words) as found:
            load_data(recipes[plugin] | {"tokenized_path": crossed[plugin]})

        assert crossed[plugin] in str(found.value)


def test_a_tokenized_dataset_is_whole_or_not_there(keys, tmp_path, monkeypatch):
    path = tmp_path / "tokenized"
    stock = Dataset.save_to_disk

    def killed(self: Dataset, *args: Any, **settings: Any) -> None:
        stock(self, *args, **settings)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Dataset, "save_to_disk", killed)
        load_data(keys("few", tokenized_path=str(path)))

    assert not path.exists()
    assert len(load_data(keys("few", tokenized_path=str(path))).train) == 3
    assert [file.name for file in tmp_path.glob("*tokenized*")] == ["tokenized"]
    for file in path.rglob("*.arrow"):
        os.truncate(file, file.stat().st_size // 2)

    with pytest.raises(ModalityInterferenceError, match="holds no complete dataset.*Remove the folder") as found:
        load_data(keys("few", tokenized_path=str(path)))

    assert str(path) in str(found.value)


def test_a_wrong_template_is_no_bad_row(keys):
    with pytest.raises(ModalityInterferenceError, match="Dataset pictures, row 0 has `image`, which `template: qwen`"):
        load_data(keys("few,pictures") | {"template": "qwen"})


def test_a_dataset_of_which_no_row_is_good_stops_the_run_beside_others(keys):
    with pytest.raises(ModalityInterferenceError, match="No row of dataset `all_bad` can be used"):
        load_data(keys("few,all_bad", cutoff_len=160))


def test_workers_do_not_change_the_dataset(keys):
    one = load_data(keys("pictures,few,sums", overwrite_cache=True)).train
    two = load_data(keys("pictures,few,sums", overwrite_cache=True, preprocessing_num_workers=2)).train
    assert one.features == two.features and one.to_list() == two.to_list()


@pytest.mark.parametrize(("val_size", "rows"), [(0.25, 4), (5, 5)])
def test_val_size_takes_whole_examples(keys, val_size, rows):
    loaded = load_data(keys("pictures,sums", val_size=val_size))
    train, held_out = loaded.train.to_list(), loaded.evaluation.to_list()
    assert (len(train), len(held_out)) == (16 - rows, rows)
    whole = load_data(keys("pictures,sums")).train.to_list()
    assert sorted(train + held_out, key=shape) == sorted(whole, key=shape)


def test_max_samples_counts_examples(keys):
    some, whole = load_data(keys("pictures,sums", max_samples=3)).train, load_data(keys("pictures,sums")).train
    assert some.to_list() == whole.select([0, 1, 2, 8, 9, 10]).to_list()


@pytest.mark.parametrize("formatting", ["plain", "twins"])
@pytest.mark.parametrize(
    ("entry", "overrides"),
    [
        ({"num_samples": 5}, {}),
        ({"num_samples": 1}, {}),
        ({"num_samples": 12}, {}),
        ({"split": "train[3:]"}, {}),
        ({"split": "train[-3:]+train[:2]"}, {"max_samples": 4}),
        ({"split": "train[2:]", "num_samples": 3}, {}),
        ({}, {"streaming": True, "dataloader_num_workers": 1}),
    ],
    ids=str,
)
def test_rows_are_numbered_as_the_file_does(keys, tmp_path, formatting, entry, overrides):
    folder = write_datasets(tmp_path / "data")
    info = json.loads((folder / "dataset_info.json").read_text())
    name = {"plain": "plain", "twins": "sums"}[formatting]
    (folder / "dataset_info.json").write_text(json.dumps({name: info[name] | entry}))
    recipe = keys(name, **overrides) | {"dataset_dir": str(folder), "media_dir": str(folder)}
    loaded = load_data(recipe)
    rows = json.loads((folder / f"{name}.json").read_text())
    found = list(loaded.train)
    assert found
    for example in found:
        own = rows[example["row"]]
        prompt = loaded.tokenizer.decode(example["input_ids"])
        assert (own["instruction"] if formatting == "plain" else own["question"]) in prompt


def test_eval_on_each_dataset(keys, tmp_path):
    each = dict(eval_dataset="pictures,sums,few", eval_on_each_dataset=True, do_eval=True, max_samples=3)
    loaded = load_data(keys("both", **each))
    assert {name: set(names(rows)) for name, rows in loaded.evaluation.items()} == {
        "pictures": {"pictures"},
        "sums": {"sums"},
        "few": {"few"},
    }
    run_exp(keys("both", **each, per_device_eval_batch_size=2))
    results = json.loads((tmp_path / "out" / "all_results.json").read_text())
    found = {name for name in results if name.startswith("eval_") and name.endswith(("_loss", "_accuracy", "_rate"))}
    expected = {f"eval_{name}_loss" for name in ("pictures", "sums", "few")}
    expected |= {f"eval_{name}_clean_accuracy" for name in ("pictures", "sums")}
    for name in ("pictures_misleading_text", "pictures_unrelated_text", "sums_random_pixels", "sums_black_image"):
        expected |= {f"eval_{name}_accuracy", f"eval_{name}_flip_rate"}

    assert found >= expected
    assert all(results[f"eval_{name}_loss"] > 0 for name in ("pictures", "sums", "few"))
    assert [name for name in results if name.startswith("eval_few_") and "clean" in name] == [
        "eval_few_clean_accuracy"
    ]


# formats


@pytest.mark.parametrize("dataset", ["alpaca_chat", "sharegpt_chat", "openai_chat"])
def test_chats_with_several_turns_and_images(keys, dataset):
    loaded = load_data(keys(dataset))
    (example,) = loaded.train
    (twin,) = example["variants"]
    text, changed = (loaded.tokenizer.decode(row["input_ids"]).replace("<|image_pad|>", "") for row in (example, twin))
    for part in (text, changed):
        assert part.count("<|im_start|>assistant") == 2 and part.count("<|vision_start|>") == 2

    first_turn = "<|vision_start|><|vision_end|>Which colour is shown?<|im_end|>\n<|im_start|>assistant\nIt is red."
    assert first_turn in text and first_turn in changed
    assert text.endswith(
        "And <|vision_start|><|vision_end|> here?<|im_end|>\n<|im_start|>assistant\nIt is green.<|im_end|>\n"
    )
    before, after = text.split("And <|vision_start|>")
    assert changed.startswith(before) and changed.endswith(f"And <|vision_start|>{after}")
    assert len(changed) > len(text) + 10  # the distractor, in front of the last question
    assert example["image_references"] == twin["image_references"] == ["row:0", "row:1"]
    assert example["image_tokens"] == twin["image_tokens"] and len(example["image_tokens"]) == 2
    answers = [[label for label in row["labels"] if label != -100] for row in (example, twin)]
    assert answers[0] == answers[1]
    answer = loaded.tokenizer.decode(answers[0])
    assert "It is red." in answer and "It is green." in answer and "Which" not in answer


def test_the_three_chat_formats_agree(keys):
    texts = []  # without the system prompt, for which LLaMA-Factory's openai converter has a default of its own
    for name in ("alpaca_chat", "sharegpt_chat", "openai_chat"):
        loaded = load_data(keys(name))
        example = loaded.train[0]
        texts.append(loaded.tokenizer.decode(example["input_ids"]).split("<|im_end|>", 1)[1])
        texts.append(loaded.tokenizer.decode([label for label in example["labels"] if label != -100]))

    assert texts[0:2] == texts[2:4] == texts[4:6]


def test_relevant_as_a_column(keys):
    rows = load_data(keys("by_column")).train.to_list()
    assert [row["relevant"] for row in rows] == [IMAGE, TEXT, IMAGE | TEXT]
    found = [[variant["perturbation"] for variant in row["variants"]] for row in rows]
    assert found == [["misleading_text"], ["black_image"], []]


# bad rows


def test_bad_rows_are_dropped_and_counted(keys, warnings):
    loaded = load_data(keys("some_bad,few", cutoff_len=160, overwrite_cache=True))
    assert names(loaded.train) == ["some_bad"] * 2 + ["few"] * 3
    assert [example["row"] for example in loaded.train][:2] == [0, 7]
    (text,) = [text for text in warnings if text.startswith("Dataset some_bad: dropped")]
    assert text.startswith("Dataset some_bad: dropped 6 rows or twins of 8 rows: ")
    assert "truncated.png" in text and "(first: row 1: cannot read image" in text
    assert "absent.png`: there is no such file" in text
    assert "1 x image truncated by cutoff_len" in text and "row 3: " in text
    assert "1 x answer truncated by cutoff_len" in text and "row 4: " in text
    assert "1 x answer not among the options (first: row 5: " in text


def test_training_goes_on_without_bad_rows(keys, tmp_path):
    run_exp(keys("some_bad", cutoff_len=160, max_steps=2))
    log = [json.loads(line) for line in (tmp_path / "out" / "trainer_log.jsonl").read_text().splitlines()]
    assert len([entry for entry in log if math.isfinite(entry.get("loss_sft", math.nan))]) == 2


def test_bad_rows_of_a_stream_are_dropped(keys, warnings):
    rows = list(load_data(keys("some_bad", cutoff_len=160, **STREAM, max_steps=1)).train)
    assert sorted(row["row"] for row in rows) == [0, 7]
    texts = [text for text in warnings if text.startswith("Dataset some_bad: dropping rows or twins: ")]
    assert any("answer truncated by cutoff_len" in text and "(row 4; first of its kind)" in text for text in texts)
    assert any("answer not among the options" in text for text in texts)


def test_a_truncated_embedded_image_is_dropped(keys, warnings):
    (example,) = load_data(keys("embedded_bad", overwrite_cache=True)).train
    assert example["row"] == 1
    (text,) = [text for text in warnings if "embedded_bad" in text and "dropped" in text]
    assert "dropped 1 rows or twins of 2 rows" in text and "cannot read an embedded image" in text


def test_a_twin_that_is_too_long_leaves_its_row(keys, warnings):
    (example,) = load_data(keys("long_twin", cutoff_len=380, overwrite_cache=True)).train
    assert [variant["perturbation"] for variant in example["variants"]] == ["unrelated_text"]
    (text,) = [text for text in warnings if text.startswith("Dataset long_twin")]
    assert "1 x long_context twin, answer truncated by cutoff_len" in text
    assert "380 tokens are too few for the twin" in text


def test_a_cut_image_is_a_reason(keys, warnings):
    length = len(load_data(keys("sharegpt_chat")).train[0]["input_ids"])
    found = set()
    for cutoff in range(4, length, 6):
        try:
            load_data(keys("sharegpt_chat", cutoff_len=cutoff))
        except ModalityInterferenceError as error:
            found |= {
                reason for reason in ("image truncated by cutoff_len", "answer truncated") if reason in str(error)
            }

    assert found == {"image truncated by cutoff_len", "answer truncated"}


def test_no_good_row_left(keys):
    with pytest.raises(ModalityInterferenceError) as caught:
        load_data(keys("all_bad", cutoff_len=160))

    text = str(caught.value)
    assert text.startswith("No row of dataset `all_bad` can be used, which is rather a fault of the recipe, ")
    assert "Dataset all_bad: dropped 6 rows or twins of 6 rows: " in text
    for reason in (
        "image truncated by cutoff_len",
        "truncated.png",
        "there is no such file",
        "answer truncated by cutoff_len",
        "not among the options",
    ):
        assert reason in text


def test_no_good_row_in_a_stream(keys):
    with pytest.raises(
        ModalityInterferenceError, match="No row of the stream can be used; the warnings above say why"
    ):
        load_data(keys("all_bad", cutoff_len=160, **STREAM, max_steps=1))


# refusals


REFUSED = {
    "packing": (dict(packing=True), "`packing: true` cannot be used with .*: in packed sequences, twins cannot be"),
    "neat_packing": (
        dict(neat_packing=True),
        "`neat_packing: true` cannot be used with `plugin: modality_interference`",
    ),
    "train_on_prompt": (
        dict(train_on_prompt=True),
        "`train_on_prompt: true` cannot be used with .*only their answers can be",
    ),
    "ppo": (
        dict(stage="ppo", reward_model="x", reward_model_type="full"),
        "`stage: ppo` cannot be used with .*; use `stage: sft` or `stage: dpo`",
    ),
    "dft": (dict(use_dft_loss=True), "`use_dft_loss: true` cannot be used with .*it replaces the cross-entropy"),
    "split_batches": (
        dict(accelerator_config={"split_batches": True}),
        "`accelerator_config: split_batches` cannot be used with .*it splits batches, and so twins from their clean rows",
    ),
    "padding": (
        dict(ignore_pad_token_for_loss=False),
        "`ignore_pad_token_for_loss: false` cannot be used with .*: padding would count as part of every answer",
    ),
    "batches that shrink": (
        dict(batch_mix="image=1,text=1", auto_find_batch_size=True),
        "`batch_mix` cannot be used with .*: `auto_find_batch_size` makes batches smaller",
    ),
    "compile": (dict(torch_compile=True), "`torch_compile: true` cannot be used with .*ignores the hooks"),
    "label_smoothing": (dict(label_smoothing_factor=0.1), "`label_smoothing_factor: 0.1` cannot be used with"),
    "sum of batch_mix": (
        dict(batch_mix="image=2,text=1"),
        "`batch_mix: image=2,text=1` adds up to 3 examples, but `per_device_train_batch_size` is 2. Make them equal",
    ),
    "batch_mix and streaming": (
        dict(batch_mix="image=1,text=1", **STREAM),
        "`batch_mix` cannot be used with .*: the kinds of a stream.s examples are not known in advance; remove it or `streaming",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_recipes(keys, case):
    overrides, message = REFUSED[case]
    with pytest.raises(ModalityInterferenceError, match=message):
        get_train_args(keys("pictures", **overrides))


def test_batch_mix_naming_an_absent_kind(keys):
    message = "`batch_mix` asks for 1 x text in every batch; the training data has 8 x image, 3 x plain. Change"
    with pytest.raises(ModalityInterferenceError, match=message):
        run_exp(keys("pictures,few", batch_mix="image=1,text=1"))


def test_a_twins_block_under_a_plain_format(keys):
    message = (
        "dataset `stray_block`: it has a `twins` block, but `formatting: alpaca` makes no twins. Use one of `?alpaca"
    )
    with pytest.raises(ModalityInterferenceError, match=message):
        load_data(keys("stray_block"))


def test_a_twin_format_without_the_flag(keys):
    message = (
        "`multiple_choice_twins` belongs to the modality_interference plugin, which is off. Add `plugin: modality_"
    )
    with pytest.raises(ModalityInterferenceError, match=message):
        load_data(keys("pictures", plugin=None))


def test_images_in_a_column_of_bytes(keys):
    """As pandas writes Parquet: no Image feature. Twins borrow them all the same."""
    rows = load_data(keys("bytes")).train
    colours = [load_image("row:0", row["images"], []).getpixel((1, 1)) for row in rows]
    assert len(set(colours)) == 3
    for row, own in zip(rows, colours):
        (twin,) = row["variants"]
        assert load_image(twin["image_references"][0], row["images"], row["twin_images"]).getpixel((1, 1)) in colours
        assert load_image(twin["image_references"][0], row["images"], row["twin_images"]).getpixel((1, 1)) != own


def test_a_function_call_that_is_no_json_is_dropped(keys, warnings):
    (example,) = load_data(keys("bad_call", overwrite_cache=True)).train
    assert example["row"] == 1
    assert any("1 x tools or function call not understood (first: row 0: " in text for text in warnings)
    assert any("set `overwrite_cache: true`" in text for text in warnings)


def test_llamafactorys_own_generation_leaves_bad_rows_out(keys, tmp_path, warnings):
    entry = dict(do_train=False, do_predict=True, max_steps=None, predict_with_generate=True, max_new_tokens=2)
    entry |= dict(eval_dataset="some_bad", cutoff_len=160, overwrite_cache=True, per_device_eval_batch_size=2)
    run_exp(keys(None, **entry))
    assert "predict_rouge-1" in json.loads((tmp_path / "out" / "predict_results.json").read_text())
    assert any(text.startswith("Dataset some_bad: dropped 6 rows or twins of 8 rows: ") for text in warnings)


def test_a_tokenized_dataset_is_for_a_diagnosis_or_for_a_prediction(keys, tmp_path):
    """The prompts of a diagnosis hold the answers; LLaMA-Factory's own generation has another layout."""
    predicts = dict(do_predict=True, predict_with_generate=True, max_new_tokens=2)
    for name, own, other, needs in (
        ("predicted", predicts, dict(do_eval=True), "tokenized for a prediction .* needs it for a diagnosis"),
        ("diagnosed", dict(do_eval=True), predicts, "tokenized for a diagnosis .* needs it for a prediction"),
    ):
        common = dict(val_size=3, tokenized_path=str(tmp_path / name))
        first, again = (load_data(keys("pictures", **common, **own)) for _ in range(2))
        for mine, theirs in ((first.train, again.train), (first.evaluation, again.evaluation)):
            assert mine.to_list() == theirs.to_list()

        with pytest.raises(ModalityInterferenceError, match=needs):
            load_data(keys("pictures", **common, **other))


def test_archives_below_the_recipes_cache_may_be_opened(folder, keys, tmp_path):
    """`datasets` unpacks what it downloads below `cache_dir`, and rows name the files there by absolute paths."""
    unpacked = tmp_path / "cache" / "downloads" / "extracted" / "red.png"
    unpacked.parent.mkdir(parents=True)
    unpacked.write_bytes((folder / "red_0.png").read_bytes())
    data = tmp_path / "data"
    data.mkdir()
    question = {"question": "Which colour?", "choices": ["red", "green"], "answer": "A", "images": [str(unpacked)]}
    (data / "rows.json").write_text(json.dumps([question]))
    entry = {"file_name": "rows.json", "formatting": "multiple_choice_twins", "columns": COLUMNS, "twins": TWINS}
    (data / "dataset_info.json").write_text(json.dumps({"unpacked": entry}))
    places = dict(dataset_dir=str(data), media_dir=str(data))
    assert len(load_data(keys("unpacked", cache_dir=str(tmp_path / "cache")) | places).train) == 1
    with pytest.raises(ModalityInterferenceError, match="path outside the media folder"):
        load_data(keys("unpacked") | places)
