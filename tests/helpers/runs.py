"""Small datasets and recipes for runs of the real `run_exp` on tiny models."""

import json
from pathlib import Path
from typing import Any

from PIL import Image


COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
LETTERS = "ABCD"
COLUMNS = {"question": "question", "choices": "choices", "answer": "answer", "images": "images"}


def write_datasets(folder: Path, rows: int = 8) -> Path:
    """A LLaMA-Factory dataset_dir with `pictures`, `sums` and `both` (twins) and `plain` (alpaca, text only).

    Answers are four-letter words of unequal token counts, not single letters, so that answer positions matter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures, sums, both, plain = [], [], [], []
    for index in range(rows):
        colour = COLOURS[index % len(COLOURS)]
        name = f"{colour}_{index}.png"
        Image.new("RGB", (40 + 8 * (index % 2), 40), colour).save(folder / name)
        choices = [COLOURS[(index + shift) % len(COLOURS)] for shift in range(4)]
        pictures.append({"question": "Which colour is shown?", "choices": choices, "answer": "A", "images": [name]})
        numbers = [str(index + shift) for shift in range(4)]
        sums.append({"question": f"What is {index} plus 1?", "choices": numbers, "answer": "B", "images": []})
        both.append({"question": "Name the colour twice.", "choices": choices[::-1], "answer": "D", "images": [name]})
        plain.append({"instruction": f"Say {colour}.", "input": "", "output": colour})

    misleading = {"name": "misleading_text", "template": "This picture seems to depict a {option}."}
    about_pictures = {"relevant": ["image"], "perturbations": [misleading, "unrelated_text"], "answer": "text"}
    about_sums = {"relevant": ["text"], "perturbations": ["random_pixels", "black_image"], "answer": "text"}
    about_both = {"relevant": ["image", "text"], "answer": "text"}
    info: dict[str, Any] = {"plain": {"file_name": "plain.json"}}
    for name, data, twins in (
        ("pictures", pictures, about_pictures),
        ("sums", sums, about_sums),
        ("both", both, about_both),
    ):
        (folder / f"{name}.json").write_text(json.dumps(data))
        info[name] = {
            "file_name": f"{name}.json",
            "formatting": "multiple_choice_twins",
            "columns": COLUMNS,
            "twins": twins,
        }

    (folder / "plain.json").write_text(json.dumps(plain))
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


CARDS = ("a red card", "a red", "a blue card", "a pale green")  # one begins another, and all begin alike


def write_evidence(folder: Path, rows: int = 4) -> Path:
    """A dataset_dir of questions about images with counterfactual rows: `texts`, `letters` (how they are answered) and `free`.

    The right letter is always A, which is soon answered without looking.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts, letters, free = [], [], []
    for index in range(rows):
        right, name = index % len(CARDS), f"{index}.png"
        Image.new("RGB", (40 + 8 * (index % 2), 40), COLOURS[right]).save(folder / name)
        row = {"question": f"What is shown in image {index}?", "images": [name]}
        texts.append(row | {"choices": CARDS, "answer": "ABCD"[right]})
        letters.append(row | {"choices": CARDS[right:] + CARDS[:right], "answer": "A"})
        free.append({"instruction": row["question"], "output": f"It is {CARDS[right]}.", "images": [name]})

    gone = {"counterfactuals": ["black_image", "irrelevant_image"]}
    twins = {"relevant": ["image"], "perturbations": ["unrelated_text"]} | gone
    choice = {"formatting": "multiple_choice_twins", "columns": COLUMNS}
    columns = {"prompt": "instruction", "response": "output", "images": "images"}
    info: dict[str, Any] = {
        "texts": choice | {"twins": twins | {"answer": "text"}},
        "letters": choice | {"twins": twins | {"answer": "letter"}},
        "free": {"formatting": "alpaca_twins", "columns": columns, "twins": twins},
    }
    for name, rows_of in (("texts", texts), ("letters", letters), ("free", free)):
        info[name]["file_name"] = f"{name}.json"
        (folder / f"{name}.json").write_text(json.dumps(rows_of))

    (folder / "dataset_info.json").write_text(json.dumps(info))

    return folder


def write_turns(folder: Path, rows: int = 4) -> Path:
    """A dataset_dir of conversations of two turns: `turns` about an image, with options, and `talks` without.

    The answer of every other row of `turns` is none of its options, so it is free. A twin of `turns` has another second
    question, one of `talks` an image before the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    turns, talks = [], []
    for index in range(rows):
        colour, other = COLOURS[index], COLOURS[index + 1]
        Image.new("RGB", (40, 40), colour).save(folder / f"{colour}.png")
        answer = colour if index % 2 else f"It is {colour}."
        said = ["<image>What is shown?", f"A {other} card.", f"Which colour is number {index}?", answer]
        turns.append({"messages": _said(said), "images": [f"{colour}.png"], "choices": [other, colour], "answer": "B"})
        talks.append({"messages": _said(["What is ten?", f"{index} and more.", "And five?", f"{index} and {other}."])})

    texts = {"messages": "messages"}
    of_images = {**texts, "images": "images", "choices": "choices", "answer": "answer"}
    info = {
        "turns": {"columns": of_images, "twins": {"relevant": ["image"], "perturbations": ["unrelated_text"]}},
        "talks": {"columns": texts, "twins": {"relevant": ["text"], "perturbations": ["black_image"]}},
    }
    for name, data in (("turns", turns), ("talks", talks)):
        (folder / f"{name}.json").write_text(json.dumps(data))
        info[name] |= {"file_name": f"{name}.json", "formatting": "sharegpt_twins"}

    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def _said(texts: list[str]) -> list[dict[str, str]]:
    return [{"from": speaker, "value": text} for speaker, text in zip(("human", "gpt") * 2, texts)]


def write_pairs(folder: Path, rows: int = 6) -> Path:
    """A dataset_dir of pairs of answers: `cards` about an image with twins and counterfactual rows, `facts` without an image.

    Answers have unequal token counts. `plain` has the rows of `facts`, without twins.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cards, facts = [], []
    for index in range(rows):
        colour, other = COLOURS[index], COLOURS[index + 1]
        Image.new("RGB", (40, 40), colour).save(folder / f"{colour}.png")
        card = {
            "ask": "<image>Which colour is it?",
            "good": f"It is {colour}.",
            "bad": other,
            "image": f"{colour}.png",
        }
        cards.append(card | {"unsure": "I cannot tell."})
        facts.append(
            {"ask": f"What is {index} plus 1?", "good": str(index + 1), "bad": f"It is {index + 3}, I think."}
        )

    texts = {"prompt": "ask", "chosen": "good", "rejected": "bad"}
    misleading = {"name": "misleading_text", "template": "This picture seems to depict a {option}."}
    of_cards = {"relevant": ["image"], "perturbations": [misleading, "unrelated_text"]}
    info: dict[str, Any] = {
        "cards": {
            "columns": texts | {"images": "image", "withheld": "unsure"},
            "twins": of_cards | {"counterfactuals": ["black_image", "white_image"]},
        },
        "facts": {"columns": texts, "twins": {"relevant": ["text"], "perturbations": ["black_image"]}},
        "plain": {"columns": texts, "twins": {"relevant": ["text"]}},
    }
    for name, data in (("cards", cards), ("facts", facts), ("plain", facts)):
        (folder / f"{name}.json").write_text(json.dumps(data))
        info[name] |= {"file_name": f"{name}.json", "formatting": "alpaca_twins", "ranking": True}

    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def recipe(checkpoint: Path, template: str, dataset_dir: Path, output_dir: Path, **overrides: Any) -> dict[str, Any]:
    """A recipe with the plugin on and everything else as plain as possible; None removes a key."""
    keys = {
        "model_name_or_path": str(checkpoint),
        "template": template,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "freeze_vision_tower": False,
        "freeze_multi_modal_projector": False,
        "dataset_dir": str(dataset_dir),
        "media_dir": str(dataset_dir),
        "dataset": "pictures,sums,both",
        "cutoff_len": 4096,
        "output_dir": str(output_dir),
        "per_device_train_batch_size": 2,
        "max_steps": 1,
        "learning_rate": 1.0e-3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "seed": 7,
        "plugin": "modality_interference",
    }
    if {"plugin", "preset"}.isdisjoint(overrides):
        keys["adversarial_method"] = "pgd"  # every term of the loss

    return {key: value for key, value in {**keys, **overrides}.items() if value is not None}
