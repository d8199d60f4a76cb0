"""Write the evidence study's dataset folder: real images, real words, four options a question.

Image-heavy: digits and stamps, with held-out images. Text-heavy: sums, capitals and kinds of things, which the language model
knows or can work out. Both: a list of prices or rooms in the text, and an image that says which of them is asked for.

    python examples/evidence/make_data.py [--output examples/evidence/data/seed0] [--seed 0]
"""

import argparse
import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path
from typing import Any

from families import GROUNDED, Perturbation, removed, tested, trained
from images import DIGITS, SIDE, write_images
from sources import STAMP_CLASSES, capitals, kinds_of_things, require_sources


# One wording for all. It is that of `multiple_choice_twins`, so that the tower's pretraining needs no plugin.
PROMPT = "<image>Question:\n{question}\nOption:\n{options}\nAnswer with the text of the right option."
OPTIONS = 4
ROWS = {  # by kind: to pretrain the tower on, to tune on, to test on
    "image": (5200, 800, 120),
    "text": (0, 400, 90),
    "both": (2800, 600, 100),
}
NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Frank", "Grace", "Henry")

Row = dict[str, Any]
Maker = Callable[[dict[str, list[str]], random.Random], Row]


def _row(question: str, right: str, others: list[str], rng: random.Random, image: str | None = None) -> Row:
    """A row of `multiple_choice_twins`; `others` are wrong options to draw from."""
    choices = [*rng.sample(others, OPTIONS - 1), right]
    rng.shuffle(choices)
    return {"question": question, "choices": choices, "answer": right, "images": [image] if image else []}


def digit(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """Which digit it is."""
    name = rng.choice(DIGITS)
    others = [other for other in DIGITS if other != name]
    return _row("Which digit is shown?", name, others, rng, rng.choice(paths[name]))


def stamp(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """What kind of thing it is."""
    name = rng.choice(list(STAMP_CLASSES))
    others = [other for other in STAMP_CLASSES if other != name]
    return _row("What is shown?", name, others, rng, rng.choice(paths[name]))


def price(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """What the thing shown costs, by the prices in the text."""
    things, prices = rng.sample(list(STAMP_CLASSES), OPTIONS), rng.sample(DIGITS[1:], OPTIONS)
    told = ", ".join(f"{thing} {coins}" for thing, coins in zip(things, prices, strict=True))
    right = rng.randrange(OPTIONS)
    others = [coins for coins in prices if coins != prices[right]]
    question = f"The prices are: {told}. What does the thing shown cost?"
    return _row(question, prices[right], others, rng, rng.choice(paths[things[right]]))


def room(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """Who has the room whose number is shown."""
    numbers, people = rng.sample(DIGITS, OPTIONS), rng.sample(NAMES, OPTIONS)
    told = ", ".join(f"{person} has room {number}" for person, number in zip(people, numbers, strict=True))
    right = rng.randrange(OPTIONS)
    others = [name for name in people if name != people[right]]
    question = f"{told}. Who has the room whose number is shown?"
    return _row(question, people[right], others, rng, rng.choice(paths[numbers[right]]))


def addition(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """A sum of two digits."""
    first, second = rng.randrange(1, 10), rng.randrange(1, 10)
    others = [str(number) for number in range(2, 19) if number != first + second]
    return _row(f"What is {first} plus {second}?", str(first + second), others, rng)


def capital(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """A country's capital, among others of the same region."""
    region = rng.choice(list(_CAPITALS.values()))
    place = rng.choice(list(region))
    others = sorted({city for city in region.values() if city != region[place]})
    return _row(f"What is the capital of {place}?", region[place], others, rng)


def kind_of_thing(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """Which word names a kind of something."""
    name = rng.choice(list(_KINDS))
    others = [word for other, words in _KINDS.items() if other != name for word in words]
    return _row(f"Which of these is a kind of {name}?", rng.choice(_KINDS[name]), others, rng)


MAKERS: dict[str, tuple[Maker, ...]] = {
    "image": (digit, stamp),
    "text": (addition, capital, kind_of_thing),
    "both": (price, room),
}
_CAPITALS: dict[str, dict[str, str]] = {}
_KINDS: dict[str, list[str]] = {}


def make_rows(
    kind: str, count: int, paths: dict[str, list[str]], rng: random.Random, without: Set[str] = frozenset()
) -> Iterator[Row]:
    """Rows of a kind, its makers in turn.

    Args:
        kind: image, text or both.
        count: how many.
        paths: of the images of one split, by class.
        rng: draws all.
        without: questions with their answers that must not come: text rows to test on are never trained on.
    """
    for index in range(count):
        maker = MAKERS[kind][index % len(MAKERS[kind])]
        row = maker(paths, rng)
        while identity(row) in without:
            row = maker(paths, rng)

        yield row


def identity(row: Row) -> str:
    """What a text row asks and its answer."""
    return f"{row['question']} {row['answer']}"


def alpaca(row: Row) -> Row:
    """A row for stock LLaMA-Factory, in the same words."""
    options = "\n".join(f"{letter}: {choice}" for letter, choice in zip("ABCD", row["choices"], strict=True))
    prompt = PROMPT.format(question=row["question"], options=options)
    if not row["images"]:
        prompt = prompt.removeprefix("<image>")

    return {"instruction": prompt, "input": "", "output": row["answer"], "images": row["images"]}


def write_dataset(folder: Path, seed: int) -> None:
    """Write images, rows, dataset_info.json and a card.

    Args:
        folder: the dataset folder.
        seed: of the images' split and of all rows.
    """
    rng = random.Random(seed)
    _CAPITALS.update(capitals())
    _KINDS.update(kinds_of_things())
    paths = write_images(folder, seed)
    for kind, (pretrain, tune, test) in ROWS.items():
        rows = list(make_rows(kind, test, paths["test"], rng))
        without = {identity(row) for row in rows} if kind == "text" else frozenset()
        _write(folder / f"{kind}_test.jsonl", rows)
        rows = list(make_rows(kind, tune, paths["train"], rng, without))
        _write(folder / f"{kind}_train.jsonl", rows)
        _write(folder / f"{kind}_plain.jsonl", map(alpaca, rows))
        if pretrain:
            _write(folder / f"{kind}_pretrain.jsonl", map(alpaca, make_rows(kind, pretrain, paths["train"], rng)))

    (folder / "dataset_info.json").write_text(json.dumps(dataset_info(), indent=2) + "\n", encoding="utf-8")
    shutil.copy(Path(__file__).parent / "card.md", folder / "README.md")


def dataset_info() -> dict[str, Any]:
    """Every kind plainly, with the twins of every training mix, and for the diagnosis."""
    relevant = {"image": ["image"], "text": ["text"], "both": ["image", "text"]}
    alpaca_columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    info: dict[str, Any] = {}
    for kind, (pretrain, _, _) in ROWS.items():
        for name in ("plain", "pretrain") if pretrain else ("plain",):
            info[f"{kind}_{name}"] = {"file_name": f"{kind}_{name}.jsonl", "columns": alpaca_columns}

        for mix, perturbations in trained(SIDE).items():
            gone = removed("train") if kind == "image" and mix == GROUNDED else []
            info[f"{kind}_{mix}"] = _twins(f"{kind}_train.jsonl", relevant[kind], perturbations[kind], gone)

        gone = removed("test") if kind == "image" else []
        info[f"{kind}_test"] = _twins(f"{kind}_test.jsonl", relevant[kind], tested(SIDE)[kind], gone)

    return info


def _twins(
    file: str, relevant: list[str], perturbations: list[Perturbation], counterfactuals: list[Perturbation]
) -> dict[str, Any]:
    block = {"relevant": relevant, "answer": "text", "perturbations": perturbations}
    return {
        "file_name": file,
        "formatting": "multiple_choice_twins",
        "columns": {name: name for name in ("question", "choices", "answer", "images")},
        "twins": block | ({"counterfactuals": counterfactuals} if counterfactuals else {}),
    }


def _write(file: Path, rows: Iterable[Row]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write the dataset folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data" / "seed0")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    require_sources()
    write_dataset(arguments.output, arguments.seed)
    print(f"Wrote images and rows of seed {arguments.seed} to {arguments.output}.")


if __name__ == "__main__":
    main()
