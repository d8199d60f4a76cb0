"""The diagnosis through the real `run_exp`: its figures against forwards of single rows, and what a run leaves behind."""

import importlib.metadata
import json
import math
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.loading import load_data
from helpers.runs import recipe, write_datasets, write_turns
from helpers.tiny_models import FAMILIES
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from llamafactory.train.tuner import run_exp
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, softmax
from transformers import AutoModelForImageTextToText, GenerationMixin

from modality_interference.batching.collator import Purpose
from modality_interference.errors import ModalityInterferenceError
from modality_interference.media.image import load_image
from modality_interference.results import COUNTERFACTUALS_FILE, read_diagnosis, read_rows


FAMILY = "qwen2_5_vl"
TEMPLATE = FAMILIES[FAMILY].template


def keys(checkpoint: Path, folder: Path, output: Path, **overrides) -> dict:
    """A pure diagnosis."""
    defaults = dict(
        do_train=False, do_eval=True, dataset=None, eval_dataset="pictures,sums", max_steps=None,
        per_device_eval_batch_size=3, overwrite_output_dir=True,
    )  # fmt: skip
    return recipe(checkpoint, overrides.pop("template", TEMPLATE), folder, output, **{**defaults, **overrides})


def diagnose(checkpoint: Path, folder: Path, output: Path, **overrides) -> dict:
    run_exp(keys(checkpoint, folder, output, **overrides))
    return json.loads((output / "eval_results.json").read_text())


def option_scores(data, model, example, row) -> tuple[list[float], list[float]]:
    """Log-likelihood of every option, each appended to the prompt and run alone through the model.

    And that of its text, behind a skipped thought, divided by its number of characters.
    """
    thought = data.tokenizer.encode("<think>\n\n</think>\n\n", add_special_tokens=False)
    found, by_length = [], []
    for option, choice in zip(example["option_ids"], example["choices"]):
        terms = log_probabilities(data, model, example, row, option)
        found.append(sum(terms))
        skipped = len(thought) if option[: len(thought)] == thought else 0
        by_length.append(sum(terms[skipped:]) / len(choice))

    return found, by_length


def log_probabilities(data, model, example, row, answer: list[int]) -> list[float]:
    """Log-probability of every token of an answer, appended to the prompt and run alone through the model."""
    prompt = [token for token, label in zip(row["input_ids"], row["labels"]) if label == -100]
    images = [
        load_image(name, example["images"] or [], example["twin_images"] or []) for name in row["image_references"]
    ]
    feature = {"input_ids": prompt + answer, "attention_mask": [1] * len(prompt + answer), "images": images}
    feature["labels"] = [-100] * len(prompt) + answer
    batch = data.collator(SFTDataCollatorWith4DAttentionMask, model=model, pad_to_multiple_of=None)([feature])
    labels = batch.pop("labels")[0]
    with torch.no_grad():
        logits = model(**batch).logits[0].double().numpy()

    places = [place for place in range(1, len(labels)) if labels[place] != -100]
    assert [labels[place] for place in places] == answer
    return [log_softmax(logits[place - 1])[labels[place]] for place in places]


def write_free(folder: Path) -> Path:
    """A dataset_dir of questions without options: `free`."""
    rows = json.loads((write_datasets(folder) / "pictures.json").read_text())
    columns = {"prompt": "ask", "response": "say", "images": "images"}
    twins = {
        "relevant": ["image"],
        "perturbations": ["misleading_text", {"name": "misleading_text", "families": ["note"]}],
    }
    free = [{"ask": f"<image>{row['question']}", "say": row["choices"][0], "images": row["images"]} for row in rows]
    (folder / "free.json").write_text(json.dumps(free))
    entry = {"file_name": "free.json", "formatting": "alpaca_twins", "columns": columns, "twins": twins}
    (folder / "dataset_info.json").write_text(json.dumps({"free": entry}))
    return folder


def test_free_answers_are_misled_by_the_claimed_one(checkpoint, tmp_path):
    """By likelihood, against single forwards with either answer; then as generated."""
    path, folder = checkpoint(FAMILY), write_free(tmp_path / "data")
    metrics = diagnose(path, folder, tmp_path / "run", eval_dataset="free")
    model, data = (
        AutoModelForImageTextToText.from_pretrained(path).eval(),
        load_data(keys(path, folder, tmp_path / "again", eval_dataset="free")),
    )
    assert len(data.evaluation) > 4
    for label in ("misleading_text", "misleading_text_note"):
        misled, clean_misled = [], []
        for example in data.evaluation:
            row = next(item for item in example["variants"] if item["perturbation"] == label)
            right = [token for token in example["labels"] if token != -100]
            messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": row["target"]}]
            claimed = data.template.encode_oneturn(data.tokenizer, messages)[1]
            asked = {**example, "option_ids": [right, claimed], "choices": ["right", "wrong"]}
            for found, shown in ((misled, row), (clean_misled, example)):
                found.append(bool(np.argmax(option_scores(data, model, asked, shown)[0])))

        assert metrics[f"eval_free_{label}_misled_rate"] == pytest.approx(np.mean(misled))
        excess = np.mean(misled) - np.mean(clean_misled)
        assert metrics[f"eval_free_{label}_excess_misled_rate"] == pytest.approx(excess)

    assert {(row.perturbation, row.family) for row in read_rows(tmp_path / "run")} == {
        ("clean", None), ("misleading_text", "statement"), ("misleading_text_note", "note"),
    }  # fmt: skip
    settings = dict(diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=4)
    generated = diagnose(
        path, folder, tmp_path / "generated", eval_dataset="free", diagnosis_free_answers="contained", **settings
    )
    assert 0 <= generated["eval_free_misleading_text_misled_rate"] <= 1
    assert read_diagnosis(tmp_path / "generated").free_answers == "contained"
    assert read_diagnosis(tmp_path / "run").free_answers is None


@pytest.mark.parametrize(
    ("family", "template"),
    [("qwen2_5_vl", TEMPLATE), ("llava", "llava"), ("gemma3", "gemma3"), ("qwen3_vl", "qwen3_vl")],
)
def test_figures_are_those_of_single_forwards(checkpoint, datasets, tmp_path, family, template):
    """The template `qwen3_vl` writes an empty thought before every answer."""
    metrics = diagnose(checkpoint(family), datasets, tmp_path / "run", template=template)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint(family)).eval()
    data = load_data(keys(checkpoint(family), datasets, tmp_path / "again", template=template))
    expected: dict[str, list] = defaultdict(list)
    chosen = {}
    for example in data.evaluation:
        clean, _ = option_scores(data, model, example, example)
        for row in (example, *example["variants"]):
            scores, by_length = option_scores(data, model, example, row)
            stem = f"eval_{example['dataset']}_{row.get('perturbation') or 'clean'}"
            chosen[example["dataset"], example["row"], row.get("perturbation") or "clean"] = example["choices"][
                int(np.argmax(scores))
            ]
            expected[f"{stem}_accuracy"].append(np.argmax(scores) == example["answer"])
            expected[f"{stem}_accuracy_norm"].append(np.argmax(by_length) == example["answer"])
            if row is not example:
                expected[f"{stem}_flip_rate"].append(np.argmax(scores) != np.argmax(clean))
                expected[f"{stem}_causal_effect"].append(jensenshannon(softmax(clean), softmax(scores), base=2) ** 2)
                expected[f"{stem}_clean_accuracy"].append(np.argmax(clean) == example["answer"])
                if row["target"]:
                    answers = [example["choices"][np.argmax(found)] == row["target"] for found in (scores, clean)]
                    expected[f"{stem}_misled_rate"].append(answers[0])
                    expected[f"{stem}_excess_misled_rate"].append(int(answers[0]) - int(answers[1]))

    figures = {name: value for name, value in metrics.items() if name.endswith(("accuracy", "norm", "rate", "effect"))}
    assert figures == pytest.approx({name: np.mean(values) for name, values in expected.items()}, abs=2e-5)
    assert {f"eval_pictures_misleading_text_{name}" for name in ("misled_rate", "causal_effect")} < set(figures)
    assert {row.identity: row.answer for row in read_rows(tmp_path / "run")} == chosen


def test_of_several_turns_the_last_one_is_the_answer(checkpoint, tmp_path):
    """Free answers behind a skipped thought against forwards of single rows, and what generation takes for the answer."""
    folder = write_turns(tmp_path / "data")
    common = dict(eval_dataset="turns,talks", template="qwen3_vl", default_system="Look well.")
    metrics = diagnose(checkpoint(FAMILY), folder, tmp_path / "run", **common)
    found = {row.identity: row for row in read_rows(tmp_path / "run")}
    data = load_data(keys(checkpoint(FAMILY), folder, tmp_path / "again", **common))
    model = AutoModelForImageTextToText.from_pretrained(checkpoint(FAMILY)).eval()
    collator = data.collator(SFTDataCollatorWith4DAttentionMask, model=model, pad_to_multiple_of=None)
    thought = data.tokenizer.encode("<think>\n\n</think>\n\n", add_special_tokens=False)
    spoken = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("turns", "talks")}
    free = [example for example in data.evaluation if not example["option_ids"]]
    assert len(free) == 6 and len(found) == 16
    for example in free:
        clean = None
        said = data.tokenizer.encode(
            spoken[example["dataset"]][example["row"]]["messages"][-1]["value"] + "<|im_end|>\n"
        )
        for row in (example, *example["variants"]):
            images = [
                load_image(name, example["images"] or [], example["twin_images"] or [])
                for name in row["image_references"]
            ]
            feature = {name: row[name] for name in ("input_ids", "labels")} | {"images": images}
            batch = collator([feature | {"attention_mask": [1] * len(row["input_ids"])}])
            labels = batch.pop("labels")[0].tolist()
            count, start = len(said), len(row["input_ids"]) - len(said)
            assert (
                labels[start - len(thought) : start + count] == thought + said
                and labels[start - len(thought) - 1] == -100
            )
            with torch.no_grad():
                logits = model(**batch).logits[0, start - 1 : start + count - 1].double().numpy()

            own = found[example["dataset"], example["row"], row.get("perturbation") or "clean"]
            answer = logits.argmax(-1)
            assert own.answer == data.tokenizer.decode(answer, skip_special_tokens=True).strip()
            assert own.correct == (answer.tolist() == said) and own.correct_norm is None
            assert own.right == (example["choices"] or [spoken["talks"][example["row"]]["messages"][-1]["value"]])[-1]
            if clean is None:
                clean, clean_answer = softmax(logits, axis=-1), answer
            else:
                effect = np.mean(jensenshannon(clean, softmax(logits, axis=-1), axis=1, base=2) ** 2)
                assert own.causal_effect == pytest.approx(effect, abs=1e-5)
                assert own.flipped == (answer != clean_answer).any()

    gallery = read_diagnosis(tmp_path / "run").gallery
    assert gallery and not any("think" in flip.right_answer for flip in gallery)
    assert metrics["eval_turns_clean_accuracy_norm"] in (0, 0.5, 1) and "eval_talks_clean_accuracy_norm" not in metrics
    asked = data.collator(model=model).for_evaluation(Purpose.GENERATION)([dict(example) for example in free])[
        "questions"
    ]
    expected = [spoken[question.dataset][question.row]["messages"][-1]["value"] for question in asked]
    assert [question.response for question in asked] == expected


@pytest.fixture(scope="module")
def reference(checkpoint, datasets, tmp_path_factory) -> Path:
    """A diagnosis with one row in a batch."""
    folder = tmp_path_factory.mktemp("reference")
    diagnose(checkpoint(FAMILY), datasets, folder, per_device_eval_batch_size=1, eval_dataset="pictures,sums,both")
    return folder


def test_the_log_file_has_the_progress_and_the_rates(reference):
    """Of 24 batches every fifth is logged, and then what the evaluation found."""
    *progress, last = map(json.loads, (reference / "trainer_log.jsonl").read_text().splitlines())
    assert [line["current_steps"] for line in progress] == [5, 10, 15, 20]
    rates = {name: value for name, value in last.items() if name.startswith("eval_") and name != "eval_loss"}
    results = json.loads((reference / "eval_results.json").read_text())
    others = ("epoch", "eval_loss", "eval_runtime", "eval_model_preparation_time")
    assert rates == {k: v for k, v in results.items() if k not in others and not k.endswith("_per_second")}
    assert "eval_pictures_misleading_text_flip_rate" in rates


def same_rows(one: Path, other: Path) -> None:
    first, second = read_rows(one), read_rows(other)
    assert [row.identity for row in first] == [row.identity for row in second]
    for row, again in zip(first, second):
        for name in ("causal_effect", "confidence"):
            assert getattr(row, name) == pytest.approx(getattr(again, name), abs=1e-6)

        without = {"causal_effect": None, "confidence": None}
        assert row.model_copy(update=without) == again.model_copy(update=without)


@pytest.mark.parametrize("size", [3, 5, 64])
def test_any_batch_size_gives_the_same_rows(checkpoint, datasets, tmp_path, reference, size):
    """8 examples each: batches of 3 and 5 leave a ragged last one."""
    diagnose(
        checkpoint(FAMILY), datasets, tmp_path, per_device_eval_batch_size=size, eval_dataset="pictures,sums,both"
    )
    same_rows(reference, tmp_path)


@pytest.mark.parametrize("rows", [7, pytest.param(1, marks=pytest.mark.engines)])
def test_two_processes_give_the_same_figures_as_one(checkpoint, tmp_path, rows):
    """7 examples over 2 ranks in batches of 2, and one example for 2 ranks: ranks repeat rows to even out."""
    folder = write_datasets(tmp_path / "data", rows=rows)
    settings = dict(per_device_eval_batch_size=2, attention_probe=True)
    diagnose(checkpoint(FAMILY), folder, tmp_path / "one", **settings)
    file = tmp_path / "two.yaml"
    file.write_text(json.dumps(keys(checkpoint(FAMILY), folder, tmp_path / "two", **settings)))
    cli = Path(sys.executable).parent / "llamafactory-cli"
    path = f"{cli.parent}{os.pathsep}{os.environ['PATH']}"  # LLaMA-Factory looks for torchrun there
    environment = os.environ | {"PATH": path, "FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([cli, "train", file], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (done.stdout + done.stderr).count("Evaluation: pictures: clean ") == 1
    same_rows(tmp_path / "one", tmp_path / "two")
    diagnoses = [read_diagnosis(tmp_path / name) for name in ("one", "two")]
    check_same_attention(*(diagnosis.attention for diagnosis in diagnoses))
    one, two = (diagnosis.datasets for diagnosis in diagnoses)
    assert {name: result.examples for name, result in two.items()} == {"pictures": rows, "sums": rows}
    for name, result in one.items():
        for perturbation, found in result.perturbations.items():
            for rate, values in found.rates.items():
                again = two[name].perturbations[perturbation].rates[rate]
                assert again.model_dump() == pytest.approx(values.model_dump(), abs=1e-6)


def check_same_attention(one, two):
    assert one.groups == two.groups and len(one.conditions) == len(two.conditions) == 6
    for found, again in zip(one.conditions, two.conditions):
        assert (found.dataset, found.perturbation, found.rows) == (again.dataset, again.perturbation, again.rows)
        assert np.array(found.heads) == pytest.approx(np.array(again.heads), abs=3e-5)

    assert len(one.contrasts) == len(two.contrasts)
    for found, again in zip(one.contrasts, two.contrasts):
        for size, other in zip(found.layers, again.layers):  # intervals too: the same resamples
            assert other.model_dump() == pytest.approx(size.model_dump(), abs=1e-2)


def test_what_a_diagnosis_leaves_behind(reference, checkpoint):
    diagnosis = read_diagnosis(reference)
    metrics = json.loads((reference / "eval_results.json").read_text())
    for dataset, result in diagnosis.datasets.items():
        for perturbation, found in result.perturbations.items():
            assert found.rows == result.examples == 8
            for name, rate in found.rates.items():
                assert metrics[f"eval_{dataset}_{perturbation}_{name}"] == pytest.approx(rate.value)

    assert diagnosis.model["name_or_path"] == str(checkpoint(FAMILY)) and diagnosis.seed == 7
    assert diagnosis.data["eval_dataset"] == ["pictures", "sums", "both"]
    assert {name: result.kind for name, result in diagnosis.datasets.items()} == {
        "pictures": "image", "sums": "text", "both": "both",
    }  # fmt: skip
    assert diagnosis.notes[0] == "No twins, so only clean rows are scored: both."
    assert [note.partition(" has ")[0] for note in diagnosis.notes[1:]] == ["both", "pictures", "sums"]  # few examples
    assert "misled_rate" in diagnosis.datasets["pictures"].perturbations["misleading_text"].rates
    assert "misled_rate" not in diagnosis.datasets["pictures"].perturbations["unrelated_text"].rates
    flips = [row for row in read_rows(reference) if row.flipped]
    assert len(diagnosis.gallery) == min(24, len(flips)) > 0
    for flip in diagnosis.gallery:
        assert flip.clean_answer != flip.perturbed_answer
        assert flip.images or flip.dataset == "sums"
        assert flip.prompt != flip.perturbed_prompt
        assert all(uri.startswith("data:image/") for uri in flip.images + flip.perturbed_images)

    assert "Which colour is shown?" in next(flip.prompt for flip in diagnosis.gallery if flip.dataset == "pictures")
    page = (reference / "interference.html").read_text()
    assert "misleading_text" in page and (reference / "interference_rates.png").stat().st_size > 1000


def followers(folder: Path) -> None:
    """Datasets whose twins are rows to train on: `follow` answers as the sentence says, `ignore` as the image shows."""
    rows = json.loads((folder / "pictures.json").read_text())
    follow, ignore = [], []
    for row in rows:
        for target in row["choices"][1:]:
            instruction = question_text(row, f"This picture seems to depict {article(target)} {target}.\n")
            given = {"instruction": instruction, "input": "", "images": row["images"]}
            follow.append(given | {"output": target})
            ignore.append(given | {"output": row["choices"][0]})

        plain = {
            "instruction": question_text(row, ""),
            "input": "",
            "images": row["images"],
            "output": row["choices"][0],
        }
        follow.append(plain)
        ignore.append(plain)

    info = json.loads((folder / "dataset_info.json").read_text())
    columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    for name, data in (("follow", follow), ("ignore", ignore)):
        (folder / f"{name}.json").write_text(json.dumps(data))
        info[name] = {"file_name": f"{name}.json", "columns": columns}

    del info["pictures"]["twins"]["perturbations"][1:]  # leaves misleading_text
    (folder / "dataset_info.json").write_text(json.dumps(info))


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def question_text(row: dict, sentence: str) -> str:
    options = "\n".join(f"{letter}: {choice}" for letter, choice in zip("ABCD", row["choices"]))
    return (
        f"<image>{sentence}Question:\n{row['question']}\nOption:\n{options}\nAnswer with the text of the right option."
    )


@pytest.mark.slow
@pytest.mark.parametrize(("lesson", "misled", "flipped"), [("follow", 1.0, 1.0), ("ignore", 0.0, 0.0)])
def test_models_that_follow_or_ignore_the_sentence(checkpoint, tmp_path, lesson, misled, flipped):
    """A model drilled to believe every sentence, and one drilled to ignore them."""
    folder = write_datasets(tmp_path / "data", rows=3)
    followers(folder)
    run_exp(
        recipe(
            checkpoint(FAMILY), TEMPLATE, folder, tmp_path / "drilled", plugin=None, dataset=lesson, max_steps=150,
            per_device_train_batch_size=6, learning_rate=3e-3, adam_beta2=0.98, logging_steps=50,
        )
    )  # fmt: skip
    for scoring in ({}, {"diagnosis_scoring": "generate", "predict_with_generate": True, "max_new_tokens": 8}):
        found = diagnose(tmp_path / "drilled", folder, tmp_path / "run", eval_dataset="pictures", **scoring)
        assert found["eval_pictures_clean_accuracy"] == 1
        assert found["eval_pictures_misleading_text_misled_rate"] == misled
        assert found["eval_pictures_misleading_text_flip_rate"] == flipped
        assert found["eval_pictures_misleading_text_accuracy"] == 1 - misled
        if not scoring:
            effect = found["eval_pictures_misleading_text_causal_effect"]
            assert effect > 0.9 if misled else effect < 0.1


@pytest.fixture(scope="module")
def captions(tmp_path_factory) -> Path:
    """Images with free answers, and prompts of very different lengths, so that batches are padded."""
    folder = write_datasets(tmp_path_factory.mktemp("captions"), rows=4)
    rows = [
        {
            "instruction": f"<image>{'Look well. ' * 5 * index}Name it.",
            "input": "",
            "output": "red",
            "images": row["images"],
        }
        for index, row in enumerate(json.loads((folder / "pictures.json").read_text()))
    ]
    (folder / "captions.json").write_text(json.dumps(rows))
    columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    twins = {"relevant": ["image"], "perturbations": ["unrelated_text"]}
    info = {
        "captions": {"file_name": "captions.json", "formatting": "alpaca_twins", "columns": columns, "twins": twins}
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def greedy(data, model, example, row, tokens: int) -> str:
    """What greedy decoding says, with a full forward of one row for every token, at the positions of training."""
    ids = [token for token, label in zip(row["input_ids"], row["labels"]) if label == -100]
    start = len(ids)
    images = [load_image(name, example["images"], example["twin_images"] or []) for name in row["image_references"]]
    collator = data.collator(SFTDataCollatorWith4DAttentionMask, model=model, pad_to_multiple_of=None)
    while len(ids) < start + tokens and (len(ids) == start or ids[-1] != data.tokenizer.eos_token_id):
        feature = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(ids), "images": images}
        batch = collator([feature])
        del batch["labels"]
        with torch.no_grad():
            ids = [*ids, int(model(**batch).logits[0, -1].argmax())]

    return data.tokenizer.decode(ids[start:], skip_special_tokens=True)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "llava", "internvl"])
def test_generated_answers_are_those_of_greedy_decoding(checkpoint, captions, tmp_path, family):
    template = FAMILIES[family].template
    common = dict(eval_dataset="captions", template=template)
    scoring = dict(diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=4)
    found = diagnose(checkpoint(family), captions, tmp_path / "run", **common, **scoring)
    answers = {row.identity: row.answer for row in read_rows(tmp_path / "run")}
    data = load_data(keys(checkpoint(family), captions, tmp_path / "again", **common))
    model = AutoModelForImageTextToText.from_pretrained(checkpoint(family)).eval()
    expected = {
        ("captions", example["row"], row.get("perturbation") or "clean"): greedy(data, model, example, row, 4).strip()
        for example in data.evaluation
        for row in (example, *example["variants"])
    }
    assert answers == expected
    assert len(set(answers.values())) > 1
    assert "eval_captions_unrelated_text_causal_effect" not in found
    assert read_diagnosis(tmp_path / "run").scoring == "generate"


def test_all_answers_unparsable(checkpoint, datasets, tmp_path):
    """A model that ends its turn at once: wrong, counted, and no flips among them."""
    (checkpoint_folder := tmp_path / "model").mkdir()
    shutil.copytree(checkpoint("llava"), checkpoint_folder, dirs_exist_ok=True)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint_folder)
    torch.nn.init.zeros_(model.get_output_embeddings().weight)  # every token alike: always token 0, the turn's end
    model.save_pretrained(checkpoint_folder)
    scoring = dict(diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=2)
    common = dict(eval_dataset="pictures", template=FAMILIES["llava"].template)
    found = diagnose(checkpoint_folder, datasets, tmp_path / "run", **common, **scoring)
    for perturbation in ("clean", "misleading_text", "unrelated_text"):
        assert found[f"eval_pictures_{perturbation}_unparsable_rate"] == 1
        assert found[f"eval_pictures_{perturbation}_accuracy"] == 0

    assert found["eval_pictures_misleading_text_flip_rate"] == found["eval_pictures_misleading_text_misled_rate"] == 0
    page = (tmp_path / "run" / "interference.html").read_text()
    assert "Answers that could not be read" in page and "(nothing)" in page
    assert "No perturbation changed any answer" not in page and "never chose it" not in page
    assert {row.response for row in read_rows(tmp_path / "run")} == {""}


def test_plain_datasets_are_scored_clean(checkpoint, datasets, tmp_path):
    found = diagnose(checkpoint(FAMILY), datasets, tmp_path, eval_dataset="plain,pictures")
    assert "eval_plain_clean_accuracy" in found
    assert not [name for name in found if name.startswith("eval_plain_") and "clean" not in name]
    notes = read_diagnosis(tmp_path).notes
    assert notes[0] == "No twins, so only clean rows are scored: plain."
    assert [note.partition(" has ")[0] for note in notes[1:]] == ["pictures", "plain"]  # few examples each
    assert read_diagnosis(tmp_path).datasets["plain"].kind == "plain"


def test_images_that_vanish_before_the_evaluation(checkpoint, tmp_path, caplog):
    """Tokenized yesterday, deleted today: the row is named, left out and counted; all others are scored."""
    folder = write_datasets(tmp_path / "data", rows=4)
    tokenized = dict(dataset="sums", tokenized_path=str(tmp_path / "tokenized"), eval_dataset="pictures")
    run_exp(keys(checkpoint(FAMILY), folder, tmp_path / "out", **tokenized, do_train=True, max_steps=1))
    for name in ("red_0.png", "green_1.png"):
        (folder / name).unlink()

    found = diagnose(checkpoint(FAMILY), folder, tmp_path / "run", **tokenized, per_device_eval_batch_size=1)
    assert "`pictures`, row 0 is left out of its batch: missing image: cannot read image" in caplog.text
    assert found["eval_pictures_clean_accuracy"] >= 0 and math.isfinite(found["eval_loss"])
    diagnosis = read_diagnosis(tmp_path / "run")
    assert diagnosis.datasets["pictures"].examples == 2
    assert "2 of 4 examples of pictures could not be read at evaluation; the log names them." in diagnosis.notes


def test_an_output_folder_that_cannot_be_written(checkpoint, datasets, tmp_path):
    """What stood there before is untouched, and the message names the file."""
    (tmp_path / "interference.json").mkdir()
    (tmp_path / "interference.json" / "mine").write_text("mine")
    with pytest.raises(ModalityInterferenceError, match="cannot write .*interference.json"):
        run_exp(keys(checkpoint(FAMILY), datasets, tmp_path, eval_dataset="sums"))

    assert (tmp_path / "interference.json" / "mine").read_text() == "mine"


def test_metrics_steer_training(checkpoint, datasets, tmp_path):
    """`metric_for_best_model` and `load_best_model_at_end` with a perturbation's metric; curves while training."""
    run_exp(
        recipe(
            checkpoint(FAMILY), TEMPLATE, datasets, tmp_path, max_steps=4, eval_strategy="steps", eval_steps=2,
            do_eval=True, eval_dataset="pictures,sums", save_strategy="steps", save_steps=2, per_device_eval_batch_size=4,
            metric_for_best_model="pictures_misleading_text_flip_rate",
            load_best_model_at_end=True, overwrite_output_dir=True, eval_on_each_dataset=True,
        )
    )  # fmt: skip
    state = json.loads((tmp_path / "trainer_state.json").read_text())
    flips = [
        entry["eval_pictures_misleading_text_flip_rate"]
        for entry in state["log_history"]
        if "eval_pictures_misleading_text_flip_rate" in entry
    ]
    assert len(flips) >= 2 and state["best_metric"] == min(flips[:2])
    assert (tmp_path / "interference_curves.png").stat().st_size > 1000
    assert set(read_diagnosis(tmp_path).datasets) == {"pictures", "sums"}


def without_packages(monkeypatch, *names: str) -> None:
    """As if packages were not installed."""
    stock = importlib.metadata.version

    def version(name: str) -> str:
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)

        return stock(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_generation_settings_hold_for_every_dataset(checkpoint, datasets, tmp_path, monkeypatch):
    """The Trainer forgets them where it evaluates several datasets, and would generate up to `cutoff_len`.

    LLaMA-Factory's packages for ROUGE and BLEU, which this scoring does not need, are not installed here.
    """
    without_packages(monkeypatch, "jieba", "nltk", "rouge-chinese", "rouge_chinese")
    asked, stock = [], GenerationMixin.generate

    def generate(self, *args, **kwargs):
        asked.append((kwargs.get("max_new_tokens"), kwargs.get("max_length"), kwargs.get("pad_token_id") is not None))
        return stock(self, *args, **kwargs)

    monkeypatch.setattr(GenerationMixin, "generate", generate)
    scoring = dict(diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=2)
    diagnose(checkpoint(FAMILY), datasets, tmp_path, eval_on_each_dataset=True, max_samples=2, **scoring)
    assert asked == [(2, None, True)] * 2


def test_counterfactual_rows_are_scored_apart(checkpoint, tmp_path):
    """Against forwards of single rows; and the figures of clean rows and twins are those of a run without them."""
    path, folder = checkpoint(FAMILY), write_datasets(tmp_path / "data", rows=6)
    plain = diagnose(path, folder, tmp_path / "plain", eval_dataset="pictures")
    info = json.loads((folder / "dataset_info.json").read_text())
    info["pictures"]["twins"]["counterfactuals"] = ["irrelevant_image", "black_image"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    metrics = diagnose(path, folder, tmp_path / "run", eval_dataset="pictures")
    own = {name: value for name, value in metrics.items() if "_counterfactual_" in name}
    timed = ("time", "per_second")
    assert {name: value for name, value in metrics.items() if name not in own and not name.endswith(timed)} == (
        pytest.approx({name: value for name, value in plain.items() if not name.endswith(timed)}, abs=1e-6)
    )
    rows, before = read_rows(tmp_path / "run"), read_rows(tmp_path / "plain")
    assert [(row.identity, row.answer, row.flipped) for row in rows] == [
        (row.identity, row.answer, row.flipped) for row in before
    ]
    gone = read_rows(tmp_path / "run", COUNTERFACTUALS_FILE)
    assert len(gone) == 12 and not (tmp_path / "plain" / COUNTERFACTUALS_FILE).exists()

    model = AutoModelForImageTextToText.from_pretrained(path).eval()
    data = load_data(keys(path, folder, tmp_path / "again", eval_dataset="pictures"))
    expected: dict[str, list] = defaultdict(list)
    for example in data.evaluation:
        clean, _ = option_scores(data, model, example, example)
        for row in example["counterfactuals"]:
            scores, _ = option_scores(data, model, example, row)
            stem = f"eval_pictures_{row['perturbation']}"
            expected[f"{stem}_unchanged_rate"].append(np.argmax(scores) == np.argmax(clean))
            for name, found in (("", scores), ("clean_", clean)):
                expected[f"{stem}_{name}accuracy"].append(np.argmax(found) == example["answer"])
                expected[f"{stem}_{name}confidence"].append(max(softmax(found)))

            right = [[label for label in one["labels"] if label != -100] for one in (example, row)]
            before, after = (
                np.mean(log_probabilities(data, model, example, one, answer))
                for one, answer in zip((example, row), right)
            )
            expected[f"{stem}_evidence_margin"].append(before - after)

    errors = {name: value for name, value in own.items() if name.endswith("_ece")}
    assert len(errors) == 4 and all(0 <= value <= 1 for value in errors.values())
    own = {name: value for name, value in own.items() if name not in errors}
    assert own == pytest.approx({name: np.mean(values) for name, values in expected.items()}, abs=2e-5)
    written = read_diagnosis(tmp_path / "run")
    result = written.datasets["pictures"]
    right = {row.row for row in rows if row.perturbation == "clean" and row.correct}
    stayed = {(row.row, row.perturbation) for row in gone if row.unchanged and row.row in right}
    assert {(shown.row, shown.perturbation) for shown in written.unmoved} == stayed and 0 < len(stayed) <= 8
    assert all(shown.perturbed_images != shown.images for shown in written.unmoved)
    assert set(result.counterfactuals) == {"counterfactual_irrelevant_image", "counterfactual_black_image"}
    assert result.counterfactuals["counterfactual_black_image"].chance == 0.25
    margin = result.counterfactuals["counterfactual_black_image"].rates["evidence_margin"]
    assert margin.low <= margin.value == pytest.approx(own["eval_pictures_counterfactual_black_image_evidence_margin"])
