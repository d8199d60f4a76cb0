"""What a run leaves behind: logged figures, plots, evaluation, generation, mixed precision."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from helpers.loading import load_data
from helpers.runs import recipe, write_datasets
from huggingface_hub import ModelCard
from llamafactory.train.tuner import run_exp
from safetensors.torch import load_file

from modality_interference.integration.metadata import tuning_of
from modality_interference.results import Tuning, read_diagnosis
from modality_interference.train.losses import (
    COUNTS,
    EVIDENCE_MARGIN,
    LOGGED,
    LOSS_ALIGNMENT,
    LOSS_COUNTERFACTUAL,
    MEANS,
)


FAMILY, TEMPLATE = "qwen2_5_vl", "qwen2_vl"
OFF_BY_DEFAULT = {LOSS_ALIGNMENT, LOSS_COUNTERFACTUAL, EVIDENCE_MARGIN}


def results(folder, name="eval_results"):
    return json.loads((folder / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def trained(checkpoint, datasets, tmp_path_factory):
    """Three steps with evaluation, plots and a tracker."""
    folder = tmp_path_factory.mktemp("trained") / "out"
    keys = recipe(
        checkpoint(FAMILY), TEMPLATE, datasets, folder,
        max_steps=3, plot_loss=True, eval_dataset="pictures,sums", eval_on_each_dataset=True, do_eval=True,
        eval_strategy="steps", eval_steps=2, per_device_eval_batch_size=3,
    )  # fmt: skip
    run_exp(keys)
    return folder


def test_figures_reach_the_log_file_and_the_state(trained):
    state = json.loads((trained / "trainer_state.json").read_text())["log_history"]
    steps = [entry for entry in state if "loss" in entry]
    lines = [json.loads(line) for line in (trained / "trainer_log.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "loss" in line]
    assert len(steps) == len(logged) == 3
    for entry, line in zip(steps, logged):
        assert {name: line[name] for name in LOGGED if name in line} == {n: entry[n] for n in LOGGED if n in entry}
        assert entry["loss"] == pytest.approx(
            entry["loss_sft"] + entry.get("loss_adversarial", 0) + entry.get("loss_consistency", 0), rel=1e-5
        )

    assert set(LOGGED) - OFF_BY_DEFAULT <= {name for entry in steps for name in entry}
    evaluated = [entry for entry in state if any(name.startswith("eval_") for name in entry)]
    rates = [{name: value for name, value in line.items() if name.startswith("eval_")} for line in lines]
    rates = [found for found in rates if found]
    assert len(rates) == len(evaluated) == 4  # after steps 2 and 3, of two datasets
    for found, entry in zip(rates, evaluated):
        assert found.items() <= entry.items() and len(found) >= 8


@pytest.mark.parametrize("name", ["loss", *(name for name in MEANS if name not in OFF_BY_DEFAULT)])
def test_figures_are_plotted(trained, name):
    assert (trained / f"training_{name}.png").stat().st_size > 1000


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_nothing_are_not_plotted(trained, name):
    assert not (trained / f"training_{name}.png").exists()


def test_every_perturbation_is_evaluated(trained):
    metrics = results(trained)
    expected = {"pictures": ("misleading_text", "unrelated_text"), "sums": ("random_pixels", "black_image")}
    for dataset, perturbations in expected.items():
        assert math.isfinite(metrics[f"eval_{dataset}_loss"])
        for perturbation in ("clean", *perturbations):
            assert 0 <= metrics[f"eval_{dataset}_{perturbation}_accuracy"] <= 1
        for perturbation in perturbations:
            assert 0 <= metrics[f"eval_{dataset}_{perturbation}_flip_rate"] <= 1


def test_the_page_of_a_tuned_model_says_so(trained, checkpoint):
    """Trained and diagnosed in one run, as LlamaBoard does with `val_size`; then the folder as a model of another run."""
    base = str(checkpoint(FAMILY))
    known = dict(base=base, steps=3, folder=str(trained))
    assert read_diagnosis(trained).tuning == Tuning(method="full", in_this_run=True, **known)
    page = (trained / "interference.html").read_text().replace("<wbr>", "")
    assert (
        f"<strong>A tuned model</strong>: from {base} (full, 3\N{NO-BREAK SPACE}steps, in this run), saved in" in page
    )
    assert tuning_of(str(trained), [], SimpleNamespace(finetuning_type="full")) == Tuning(**known)
    assert tuning_of(base, [], SimpleNamespace(finetuning_type="full")) is None


def evaluate(checkpoint, datasets, folder, **keys):
    defaults = dict(
        do_train=False, do_eval=True, dataset=None, eval_dataset="pictures,sums", max_steps=None,
        per_device_eval_batch_size=3,
    )  # fmt: skip
    run_exp(recipe(checkpoint, TEMPLATE, datasets, folder, **{**defaults, **keys}))
    return results(folder)


def test_eval_loss_is_that_of_stock_llamafactory_on_clean_rows(checkpoint, datasets, tmp_path):
    """The stock run reads the same clean rows as alpaca data."""
    rows = []
    for row in json.loads((datasets / "pictures.json").read_text()):
        options = [f"{letter}: {option}" for letter, option in zip("ABCD", row["choices"])]
        lines = ["<image>Question:", row["question"], "Option:", *options, "Answer with the text of the right option."]
        images = [str(datasets / name) for name in row["images"]]
        rows.append({"prompt": "\n".join(lines), "answer": row["choices"][0], "images": images})

    columns = {"prompt": "prompt", "response": "answer", "images": "images"}
    (tmp_path / "clean.json").write_text(json.dumps(rows))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"clean": {"file_name": "clean.json", "columns": columns}}))
    ours = evaluate(checkpoint(FAMILY), datasets, tmp_path / "ours", eval_dataset="pictures")
    stock = evaluate(checkpoint(FAMILY), tmp_path, tmp_path / "stock", eval_dataset="clean", plugin=None)
    assert ours["eval_loss"] == pytest.approx(stock["eval_loss"], rel=1e-5)


def test_a_model_that_knows_the_answers_scores_one(checkpoint, datasets, tmp_path):
    """Overfit on all rows: accuracy 1 and flip rate 0 on clean rows and twins, but not before."""
    before = evaluate(checkpoint(FAMILY), datasets, tmp_path / "before")
    keys = recipe(
        checkpoint(FAMILY), TEMPLATE, datasets, tmp_path / "out",
        dataset="pictures,sums", max_steps=60, per_device_train_batch_size=16, learning_rate=5e-3,
        do_eval=True, eval_dataset="pictures,sums", adversarial_method="none",
    )  # fmt: skip
    run_exp(keys)
    after = results(tmp_path / "out")
    assert before["eval_pictures_clean_accuracy"] < 1
    assert after["eval_pictures_clean_accuracy"] == 1
    assert after["eval_pictures_misleading_text_accuracy"] == 1
    assert after["eval_sums_random_pixels_flip_rate"] == 0
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert "It achieves the following results" not in card.text and card.text.count("## Modality interference") == 1
    assert card.text.index("## Modality interference") < card.text.index("## Training procedure")
    found = {
        (item.dataset_name, item.dataset_config, item.metric_type): item.metric_value
        for item in card.data.eval_results
    }
    assert found["pictures", "misleading_text", "accuracy"] == 1 and found["sums", "random_pixels", "flip_rate"] == 0
    assert card.data.model_name == "out" and "llama-factory" in card.data.tags


def test_eval_batch_size_and_accumulation_do_not_matter(checkpoint, datasets, tmp_path):
    first = evaluate(checkpoint(FAMILY), datasets, tmp_path / "a", per_device_eval_batch_size=1)
    second = evaluate(checkpoint(FAMILY), datasets, tmp_path / "b", per_device_eval_batch_size=5)
    rates = [name for name in first if name.endswith(("_accuracy", "_flip_rate"))]
    assert len(rates) == 2 + 4 * 3  # of four twins accuracy, flips and their own clean rows' accuracy
    assert {name: first[name] for name in rates} == {name: second[name] for name in rates}


def test_llamafactorys_accuracy_beside_the_diagnosis(checkpoint, datasets, tmp_path):
    """`compute_accuracy` is what a run without the plugin finds on the same rows, and costs the diagnosis nothing."""
    keys = dict(compute_accuracy=True, eval_dataset="plain", per_device_eval_batch_size=3)
    stock = evaluate(checkpoint(FAMILY), datasets, tmp_path / "stock", plugin=None, **keys)
    own = evaluate(checkpoint(FAMILY), datasets, tmp_path / "own", **keys)
    assert 0 <= own["eval_accuracy"] == pytest.approx(stock["eval_accuracy"], abs=1e-9)
    both = evaluate(checkpoint(FAMILY), datasets, tmp_path / "both", **keys | dict(eval_dataset="pictures,plain"))
    assert both["eval_plain_clean_accuracy"] == own["eval_plain_clean_accuracy"]
    assert {"eval_accuracy", "eval_pictures_misleading_text_flip_rate"} <= set(both)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_bf16_trains_close_to_fp32(tuning, checkpoint, datasets, tmp_path):
    losses = {}
    for precision in (True, False):
        folder = tmp_path / str(precision)
        run_exp(recipe(checkpoint(FAMILY), TEMPLATE, datasets, folder, bf16=precision, finetuning_type=tuning))
        losses[precision] = json.loads((folder / "trainer_log.jsonl").read_text().splitlines()[0])["loss"]

    assert losses[True] == pytest.approx(losses[False], rel=0.02)
    assert losses[True] != losses[False]


def test_training_learns_and_saves_a_loadable_model(checkpoint, datasets, tmp_path):
    from transformers import AutoModelForImageTextToText

    keys = recipe(checkpoint(FAMILY), TEMPLATE, datasets, tmp_path / "out", max_steps=25, learning_rate=3e-3)
    run_exp(keys)
    losses = [
        json.loads(line)["loss"] for line in (tmp_path / "out" / "trainer_log.jsonl").read_text().splitlines()[:-1]
    ]
    assert sum(losses[-3:]) < sum(losses[:3]) / 2
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    before = AutoModelForImageTextToText.from_pretrained(checkpoint(FAMILY))
    assert not torch.equal(model.lm_head.weight, before.lm_head.weight)


def test_the_best_model_is_loaded_whole(checkpoint, datasets, tmp_path):
    """Its keys are translated; the worst of two steps is called best, so that it is not the last."""
    best = dict(load_best_model_at_end=True, metric_for_best_model="loss", greater_is_better=True)
    often = dict(eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1)
    keys = dict(dataset="pictures", do_eval=True, eval_dataset="pictures", max_steps=2, **best, **often)
    run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path, **keys))
    assert json.loads((tmp_path / "trainer_state.json").read_text())["best_model_checkpoint"].endswith("checkpoint-1")
    final, first, second = (
        load_file(folder / "model.safetensors")
        for folder in (tmp_path, tmp_path / "checkpoint-1", tmp_path / "checkpoint-2")
    )
    assert all(torch.equal(final[name], first[name]) for name in first)
    assert not all(torch.equal(final[name], second[name]) for name in second)


@pytest.mark.parametrize("method", ["pgd", "freelb", "none"])
def test_a_step_without_a_readable_example_changes_nothing(checkpoint, tmp_path, method):
    """The images vanish between tokenization and training; a batch of one example has nothing left."""
    data = write_datasets(tmp_path / "data")
    keys = dict(dataset="pictures", tokenized_path=str(tmp_path / "tokenized"), per_device_train_batch_size=1)
    keys |= dict(adversarial_method=method, max_steps=2, weight_decay=0.0)
    base = checkpoint("qwen2_5_vl")
    load_data(recipe(base, "qwen2_vl", data, tmp_path / "run", **keys))
    for image in data.glob("*.png"):
        image.unlink()

    run_exp(recipe(base, "qwen2_vl", data, tmp_path / "run", **keys))
    lines = [json.loads(line) for line in (tmp_path / "run" / "trainer_log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines if "loss" in line] == [0.0, 0.0]
    start, end = load_file(base / "model.safetensors"), load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(end[name], start[name]) for name in start)


def test_counterfactual_rows_change_nothing_of_a_training(checkpoint, tmp_path):
    """The same losses to the last bit where the rows are left out; with a loss on them of no weight, up to rounding."""
    folder, losses = write_datasets(tmp_path / "data"), []
    gone = {"counterfactuals": ["black_image", "irrelevant_image"]}
    for name, block, weight in (("plain", {}, 0.0), ("with", gone, 0.0), ("tiny", gone, 1e-30)):
        info = json.loads((folder / "dataset_info.json").read_text())
        info["pictures"]["twins"] |= block
        (folder / "dataset_info.json").write_text(json.dumps(info))
        keys = dict(dataset="pictures,sums", max_steps=3, counterfactual_weight=weight)
        run_exp(recipe(checkpoint(FAMILY), TEMPLATE, folder, tmp_path / name, **keys))
        state = json.loads((tmp_path / name / "trainer_state.json").read_text())["log_history"]
        timed = ("train_runtime", "train_samples_per_second", "train_steps_per_second")
        losses.append([{key: value for key, value in entry.items() if key not in timed} for entry in state])

    assert losses[0] == losses[1] and len(losses[0]) >= 3
    for expected, found in zip(losses[0][:3], losses[2], strict=False):
        assert set(found) - set(expected) <= {LOSS_COUNTERFACTUAL, EVIDENCE_MARGIN}
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4, abs=1e-6)

    assert any(LOSS_COUNTERFACTUAL in entry for entry in losses[2])
