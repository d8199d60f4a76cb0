"""Write the digits demo's datasets: scikit-learn's 1,797 handwritten digits as a LLaMA-Factory `dataset_dir`.

Three kinds of questions, as in the paper: image-heavy (read a digit), text-heavy (a sum) and both (add to the digit shown).
The images are split once, so that no test image is ever trained on; those to train on come in slightly varied versions too.

    python examples/digits/make_data.py [--output examples/digits/data] [--seed 0]
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.families import TRAINABLE, held_out_texts, texts  # noqa: E402


LETTERS = "ABCD"
SIDE = 32
TEST_SHARE = 0.2
VERSIONS = 3  # of every training image: itself, and slightly turned and moved, as another hand would have written it
MAX_ANGLE, MAX_SHIFT = 8.0, 1.5  # degrees, pixels

# The wording of `multiple_choice_twins`. The base is pretrained without the plugin, on rows spelled out with it.
PROMPT = "{images}{sentence}Question:\n{question}\nOption:\n{options}\nAnswer with the text of the right option."

# What the base model learns to trust, and what `misleading_text` says there of a wrong digit.
SENTENCE = "This picture seems to depict {article} {digit}.\n"
MISLEADING = {"name": "misleading_text", "template": "This picture seems to depict a {option}."}

# Pretraining rows by kind (see `pretraining_row`): a world where text and images agree.
PRETRAINING_ROWS = {"image": 12000, "image told": 4000, "text": 1300, "text shown": 1200, "both": 12500}

# Rows to fine-tune on and to test on.
TUNE_ROWS = {"image": 1500, "text": 900, "both": 3200}
TEST_ROWS = {"image": 320, "text": 200, "both": 320}


@dataclass(frozen=True)
class Question:
    """A multiple-choice question about a number from 0 to 9."""

    text: str
    choices: list[str]
    answer: int
    images: list[str]

    @property
    def number(self) -> str:
        """The right option, which is what the models answer."""
        return self.choices[self.answer]

    @property
    def letter(self) -> str:
        """The letter of the right option."""
        return LETTERS[self.answer]


class ImagePool:
    """The images of one split, by digit, in a shuffled order that never ends."""

    def __init__(self, paths: dict[int, list[str]], rng: random.Random) -> None:
        self.paths = paths
        self.rng = rng
        self.queues: dict[int, list[str]] = {digit: [] for digit in paths}

    def next(self, digit: int) -> str:
        """The next image of a digit; every image is used once before one is used again."""
        if not self.queues[digit]:
            self.queues[digit] = self.rng.sample(self.paths[digit], len(self.paths[digit]))
        return self.queues[digit].pop()


def write_images(folder: Path, seed: int) -> dict[str, dict[int, list[str]]]:
    """Write all digits as RGB files; returns their paths (relative to the dataset folder) by split and digit."""
    digits = load_digits()
    splits = train_test_split(
        range(len(digits.target)), test_size=TEST_SHARE, stratify=digits.target, random_state=seed
    )
    paths: dict[str, dict[int, list[str]]] = {}
    rng = random.Random(seed)
    for split, indices in zip(("train", "test"), splits, strict=True):
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
        paths[split] = {digit: [] for digit in range(10)}
        for index in sorted(indices):
            pixels = (digits.images[index] * (255 / 16)).astype(np.uint8)
            image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
            for version in range(VERSIONS if split == "train" else 1):
                name = f"images/{split}/{index:04d}_{version}.png"
                (vary(image, rng) if version else image).save(folder / name)
                paths[split][int(digits.target[index])].append(name)

    return paths


def vary(image: Image.Image, rng: random.Random) -> Image.Image:
    """The same digit, slightly turned and moved."""
    shift = (rng.uniform(-MAX_SHIFT, MAX_SHIFT), rng.uniform(-MAX_SHIFT, MAX_SHIFT))
    angle = rng.uniform(-MAX_ANGLE, MAX_ANGLE)
    return image.rotate(angle, resample=Image.Resampling.BICUBIC, translate=shift)


def make_choices(number: int, position: int, rng: random.Random) -> list[str]:
    """Four different one-digit options with the right one at `position`."""
    others = rng.sample([other for other in range(10) if other != number], len(LETTERS) - 1)
    return [str(option) for option in others[:position] + [number] + others[position:]]


def image_question(number: int, position: int, pool: ImagePool, rng: random.Random) -> Question:
    """A question that only the image answers."""
    return Question("Which digit is shown?", make_choices(number, position, rng), position, [pool.next(number)])


def text_question(number: int, position: int, pool: ImagePool, rng: random.Random) -> Question:
    """A sum, which needs no image."""
    first = rng.randint(0, number)
    return Question(f"What is {first} plus {number - first}?", make_choices(number, position, rng), position, [])


def both_question(number: int, position: int, pool: ImagePool, rng: random.Random) -> Question:
    """A question that takes the digit of the image and the number of the text."""
    shown = rng.randint(0, number)
    text = f"Add {number - shown} to the digit shown. What do you get?"
    return Question(text, make_choices(number, position, rng), position, [pool.next(shown)])


MAKERS: dict[str, Callable[[int, int, ImagePool, random.Random], Question]] = {
    "image": image_question,
    "text": text_question,
    "both": both_question,
}


def make_questions(kind: str, count: int, pool: ImagePool, rng: random.Random) -> Iterator[Question]:
    """Questions with every digit and every letter right equally often."""
    for index in range(count):
        position, number = index % len(LETTERS), index // len(LETTERS) % 10
        yield MAKERS[kind](number, position, pool, rng)


def twins_row(question: Question) -> dict[str, Any]:
    """A row for the plugin's `multiple_choice_twins`."""
    return {
        "question": question.text,
        "choices": question.choices,
        "answer": question.letter,
        "images": question.images,
    }


def alpaca_row(question: Question, images: list[str], sentence: str = "") -> dict[str, Any]:
    """The question for stock LLaMA-Factory, beside images, after a sentence."""
    options = "\n".join(f"{letter}: {choice}" for letter, choice in zip(LETTERS, question.choices, strict=True))
    prompt = PROMPT.format(images="<image>" * len(images), sentence=sentence, question=question.text, options=options)
    return {"instruction": prompt, "input": "", "output": question.number, "images": images}


def pretraining_row(kind: str, question: Question, pool: ImagePool) -> dict[str, Any]:
    """A row of a world where text and images agree, which is what makes a model trust either one alone.

    Args:
        kind: image, text or both, then `told` (a sentence says what the image shows) or `shown` (a sum beside an image of
            its result).
        question: what is asked.
        pool: where the images of results come from.
    """
    article = "an" if question.number == "8" else "a"
    sentence = SENTENCE.format(article=article, digit=question.number) if "told" in kind else ""
    images = [pool.next(int(question.number))] if "shown" in kind else question.images
    return alpaca_row(question, images, sentence)


def pretraining_rows(pool: ImagePool, rng: random.Random) -> list[dict[str, Any]]:
    """All pretraining rows, shuffled."""
    rows = [
        pretraining_row(kind, question, pool)
        for kind, count in PRETRAINING_ROWS.items()
        for question in make_questions(kind.split()[0], count, pool, rng)
    ]
    rng.shuffle(rows)
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# What each kind's answer depends on, and the twins that are made by changing the rest. Texts are of many families: what is learned
# from one pattern carries over to others in part only (docs/evidence.md).
TWINS: dict[str, dict[str, Any]] = {
    "image": {"relevant": ["image"], "perturbations": [MISLEADING, *texts(TRAINABLE)]},
    "text": {
        "relevant": ["text"],
        "perturbations": [
            {"name": "irrelevant_image", "pool": "images/train"},
            {"name": "random_pixels", "size": [SIDE, SIDE]},
            {"name": "black_image", "size": [SIDE, SIDE]},
        ],
    },
    "both": {"relevant": ["image", "text"], "perturbations": []},
}
TESTED = {"image": [MISLEADING, "unrelated_text"]}  # in place of what is trained on
UNSEEN: dict[str, list[Any]] = {  # evaluated, never trained on
    "image": [
        *held_out_texts(),
        {"name": "ocr_text", "lines": 3},
    ]
}
REMOVED = {"image": ["black_image"]}  # evaluated: does the answer go when the evidence goes?


def dataset_info() -> dict[str, Any]:
    """What LLaMA-Factory reads: the pretraining file, and every kind plainly, with twins, and for the test."""
    alpaca = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    info: dict[str, Any] = {"digits_pretrain": {"file_name": "pretrain.jsonl", "columns": alpaca}}
    for kind, twins in TWINS.items():
        info[f"digits_{kind}_plain"] = {"file_name": f"plain_{kind}.jsonl", "columns": alpaca}
        info[f"digits_{kind}"] = twins_dataset(f"{kind}_train.jsonl", twins)
        perturbations = TESTED.get(kind, twins["perturbations"])
        tested = {**twins, "perturbations": [*perturbations, *UNSEEN.get(kind, [])]}
        if kind == "text":  # held-out digits as irrelevant images
            tested = json.loads(json.dumps(tested).replace("images/train", "images/test"))

        if kind in REMOVED:
            tested["counterfactuals"] = REMOVED[kind]

        info[f"digits_{kind}_test"] = twins_dataset(f"{kind}_test.jsonl", tested)
    return info


def twins_dataset(file_name: str, twins: dict[str, Any]) -> dict[str, Any]:
    """A dataset of the plugin's format."""
    return {
        "file_name": file_name,
        "formatting": "multiple_choice_twins",
        "columns": {name: name for name in ("question", "choices", "answer", "images")},
        "twins": {**twins, "answer": "text"},
    }


def main() -> None:
    """Write images, rows and dataset_info.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    paths = write_images(arguments.output, arguments.seed)
    train, test = ImagePool(paths["train"], rng), ImagePool(paths["test"], rng)

    pretraining = pretraining_rows(train, rng)
    write_rows(arguments.output / "pretrain.jsonl", pretraining)
    for name, pool, counts in (("train", train, TUNE_ROWS), ("test", test, TEST_ROWS)):
        for kind, count in counts.items():
            questions = list(make_questions(kind, count, pool, rng))
            rng.shuffle(questions)
            write_rows(arguments.output / f"{kind}_{name}.jsonl", [twins_row(question) for question in questions])
            if name == "train":
                write_rows(
                    arguments.output / f"plain_{kind}.jsonl",
                    [alpaca_row(question, question.images) for question in questions],
                )
    (arguments.output / "dataset_info.json").write_text(json.dumps(dataset_info(), indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {len(pretraining)} pretraining rows and the fine-tuning and test files to {arguments.output}.")


if __name__ == "__main__":
    main()
