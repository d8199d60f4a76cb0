"""Pairs of answers: tokens, what is dropped, and device batches in which every image is encoded once."""

import json

import pytest
from helpers.loading import load_data
from helpers.runs import recipe, write_pairs
from llamafactory.data.processor import PairwiseDatasetProcessor
from llamafactory.hparams import get_train_args
from PIL import Image

from modality_interference.batching.pairs import PairBatch, PairCollator, PairProcessor
from modality_interference.errors import ModalityInterferenceError


FAMILY, TEMPLATE = "qwen2_5_vl", "qwen2_vl"
DPO = dict(stage="dpo", adversarial_method="none", dataset="cards,facts")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def loaded(checkpoint, pairs, tmp_path_factory):
    """Both datasets, with counterfactual rows."""
    out = tmp_path_factory.mktemp("out")
    return load_data(recipe(checkpoint(FAMILY), TEMPLATE, pairs, out, **DPO, preference_counterfactual="symmpo"))


@pytest.mark.parametrize("index", [0, 7])
def test_tokens_are_those_of_llamafactory(loaded, pairs, index):
    """Of a row with an image and of one without."""
    stock = PairwiseDatasetProcessor(loaded.template, loaded.tokenizer, loaded.processor, loaded.arguments[1])
    example = loaded.train[index]
    row = json.loads((pairs / f"{example['dataset']}.json").read_text())[example["row"]]
    answers = [{"role": "assistant", "content": row[name]} for name in ("good", "bad")]
    images = [Image.open(pairs / row["image"])] if "image" in row else []
    prompt = [{"role": "user", "content": row["ask"]}]
    chosen, labels, rejected, other = stock._encode_data_example(prompt, answers, None, None, images, [], [])
    assert (example["input_ids"], example["labels"]) == (chosen, labels)
    start = labels.count(-100)
    assert chosen[:start] + example["rejected_ids"] == rejected
    assert example["rejected_ids"] == [label for label in other if label != -100]


def batch_of(loaded, counterfactual, indexes=(0, 1), **settings):
    collator = loaded.collator(PairCollator, counterfactual=counterfactual, **settings)
    inputs = collator([loaded.train[index] for index in indexes])
    return PairBatch.split(inputs), inputs


def answer(loaded, batch, row):
    labels = batch.rows.labels[row]
    return loaded.tokenizer.decode(labels[labels != -100], skip_special_tokens=True).strip()


def prompt(batch, row):
    start = int((batch.rows.labels[row] != -100).long().argmax())
    return batch.rows.inputs["input_ids"][row, :start].tolist()


@pytest.mark.parametrize("counterfactual", ["none", "mdpo", "symmpo"])
def test_every_prompt_comes_with_its_answers_and_every_image_once(loaded, counterfactual):
    batch, inputs = batch_of(loaded, counterfactual)
    names = [name for *_, name in batch.names]
    gone = ["counterfactual_black_image", "counterfactual_white_image"]
    beside = {"none": [], "mdpo": gone, "symmpo": [one for name in gone for one in (name, "clean_withheld")]}
    assert names == ["clean", "misleading_text", "unrelated_text", *beside[counterfactual]] * 2
    assert len(inputs["image_grid_thw"]) == (
        2 if counterfactual == "none" else 4
    )  # black and white are both rows' own
    assert batch.is_clean.sum() == 2 and batch.is_twin.sum() == 4
    for (better, worse), name, removed in zip(batch.pairs.tolist(), names, batch.removed.tolist(), strict=True):
        said = (answer(loaded, batch, better), answer(loaded, batch, worse))
        chosen = said[0] if name == "clean" else None
        if not removed:
            assert said[0].startswith("It is ") and not said[1].startswith("It is ")
        elif counterfactual == "mdpo":
            assert said[0] == said[1]
        else:
            assert "I cannot tell." == said[0 if name in gone else 1]

        assert chosen is None or said[1] not in chosen
        assert (prompt(batch, better) == prompt(batch, worse)) or counterfactual == "mdpo"

    clean = [index for index, name in enumerate(names) if name == "clean"]
    assert batch.pair_of.tolist() == [clean[0]] * (len(names) // 2) + [clean[1]] * (len(names) // 2)


def test_fewer_twins_where_the_recipe_asks_for_them(loaded):
    batch, _ = batch_of(loaded, "none", twins_limit=1)
    assert batch.is_clean.sum() == batch.is_twin.sum() == 2


def test_pairs_that_do_not_fit_are_dropped(checkpoint, tmp_path, warnings):
    def longest(row):
        prompt = sum(label == -100 for label in row["labels"])
        return prompt + max(len(row["input_ids"]) - prompt, len(row["rejected_ids"]), len(row["withheld_ids"]))

    folder = write_pairs(tmp_path / "data")
    rows = json.loads((folder / "facts.json").read_text())
    rows[1]["bad"] *= 3
    (folder / "facts.json").write_text(json.dumps(rows))
    keys = recipe(checkpoint(FAMILY), TEMPLATE, folder, tmp_path, **DPO)
    lengths = sorted(map(longest, load_data(keys).train))
    cutoff = lengths[-2] + 1
    found = load_data(keys | {"cutoff_len": cutoff}).train
    assert 0 < len(found) == sum(length < cutoff for length in lengths) < len(lengths)
    assert any("pair truncated by cutoff_len" in text for text in warnings)


def test_without_a_withheld_answer_a_counterfactual_row_is_dropped(checkpoint, tmp_path, warnings):
    folder = write_pairs(tmp_path / "data", rows=2)
    rows = json.loads((folder / "cards.json").read_text())
    (folder / "cards.json").write_text(json.dumps([rows[0], rows[1] | {"unsure": ""}]))
    keys = recipe(checkpoint(FAMILY), TEMPLATE, folder, tmp_path, **DPO, preference_counterfactual="symmpo")
    found = load_data(keys | {"dataset": "cards"}).train
    assert [len(row["counterfactuals"]) for row in found] == [2, 0]
    assert any("counterfactual_black_image row, no withheld answer" in text for text in warnings)


def test_rows_of_single_answers_are_refused(loaded):
    with pytest.raises(ModalityInterferenceError, match="Dataset `cards` was tokenized for another stage"):
        loaded.collator(PairCollator)([loaded.train[0] | {"rejected_ids": []}])


def test_counterfactual_rows_that_were_tokenized_without_an_answer_that_withholds_are_refused(loaded):
    example = loaded.train[0] | {"withheld_ids": []}
    assert len(loaded.collator(PairCollator, counterfactual="mdpo")([example])["pairs"]) == 5
    with pytest.raises(
        ModalityInterferenceError, match="without `preference_counterfactual: symmpo`.*`tokenized_path`"
    ):
        loaded.collator(PairCollator, counterfactual="symmpo")([example])


def test_answers_of_strangers_are_printed_as_escapes(loaded, capsys):
    processor = PairProcessor(loaded.template, loaded.tokenizer, loaded.processor, loaded.arguments[1])
    hostile = loaded.tokenizer.encode("\x1b[2J no", add_special_tokens=False)
    assert "\x1b" in loaded.tokenizer.decode(hostile)
    processor.print_data_example(loaded.train[0] | {"rejected_ids": hostile, "withheld_ids": hostile})
    printed = capsys.readouterr().out
    assert printed.count("\\x1b[2J no") == 2 and "\x1b" not in printed


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (dict(stage="kto"), "`stage: kto` cannot be used.*no margin.*use `stage: sft` or `stage: dpo`"),
        (dict(stage="rm"), "`stage: rm` cannot be used.*value head"),
        (dict(stage="pt"), "`stage: pt` cannot be used.*neither questions nor answers"),
        (dict(adversarial_method="pgd"), "`adversarial_method: pgd` cannot be used.*set `adversarial_method: none`"),
        (dict(alignment_weight=0.1), "`alignment_weight` cannot be used"),
        (dict(attention_probe=True), "`attention_probe` cannot be used.*diagnosis runs with `stage: sft`"),
        (dict(pref_loss="kto_pair"), "`pref_loss: kto_pair` cannot be used.*`sigmoid`"),
        (dict(ld_alpha=0.5), "`ld_alpha` cannot be used"),
        (dict(pref_bco_weight=0.5), "`pref_bco_weight` cannot be used"),
        (dict(stage="sft", preference_counterfactual="mdpo"), "`preference_counterfactual: mdpo` is for pairs"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_recipes_that_are_refused(checkpoint, pairs, tmp_path, keys, message):
    with pytest.raises(ModalityInterferenceError, match=message):
        get_train_args(recipe(checkpoint(FAMILY), TEMPLATE, pairs, tmp_path, **DPO | keys))
