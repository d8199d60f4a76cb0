"""Write the evidence study's dataset folder: real images, real words, questions whose answers are told apart by likelihood.

Image-heavy: digits and stamps, with held-out images. Text-heavy: capitals, elements and kinds of things, which the language model
knows. Both: a digit and a thing side by side, and the question says which of the two is asked about.

Options are not listed in the question: of four options that are, a language model of 135 million parameters finds the right one no
more often than by guessing, though it knows the answer.

    python examples/evidence/make_data.py [--output examples/evidence/data/seed0] [--seed 0]
"""

import argparse
import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from families import GROUNDED, WIDEST, Perturbation, removed, tested, trained
from images import DIGITS, SIDE, beside, write_images
from sources import STAMP_CLASSES, capitals, elements, kinds_of_things, require_sources


OPTIONS = 4
COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
ROWS = {  # by kind: to pretrain the tower on, to tune on, to test on
    "image": (4000, 800, 200),
    "text": (0, 400, 120),
    "both": (4000, 600, 120),
}
Row = dict[str, Any]
Maker = Callable[[dict[str, list[str]], random.Random], Row]


def _row(question: str, right: str, others: Sequence[str], rng: random.Random, images: Sequence[str] = ()) -> Row:
    """A row in LLaMA-Factory's Alpaca layout with its options; `others` are wrong ones to draw from.

    Two images will be one, side by side.
    """
    choices = [*rng.sample(others, OPTIONS - 1), right]
    rng.shuffle(choices)
    prompt = f"<image>{question}" if images else question
    return {
        "instruction": prompt,
        "input": "",
        "output": right,
        "choices": choices,
        "rejected": next(choice for choice in choices if choice != right),
        "images": list(images),
    }


def digit(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """Which digit it is."""
    name = rng.choice(DIGITS)
    others = [other for other in DIGITS if other != name]
    return _row("Which digit is shown?", name, others, rng, [rng.choice(paths[name])])


def stamp(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """What kind of thing it is."""
    name = rng.choice(list(STAMP_CLASSES))
    others = [other for other in STAMP_CLASSES if other != name]
    return _row("What is shown?", name, others, rng, [rng.choice(paths[name])])


def digit_or_stamp(asked: str) -> Maker:
    """A digit and a thing side by side, of which the question names one. The other one is an option, too.

    Args:
        asked: `digit` or `thing`.
    """

    def make(paths: dict[str, list[str]], rng: random.Random) -> Row:
        (digit, *digits), (thing, *things) = rng.sample(DIGITS, 2), rng.sample(list(STAMP_CLASSES), 2)
        right, other = (digit, thing) if asked == "digit" else (thing, digit)
        shown = [rng.choice(paths[name]) for name in (digit, thing)]
        rng.shuffle(shown)
        return _row(f"Which {asked} is shown?", right, [other, *digits, *things], rng, shown)

    return make


def capital(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """A country's capital, among others of the same region."""
    region = rng.choice(list(_CAPITALS.values()))
    place = rng.choice(list(region))
    others = sorted({city for city in region.values() if city != region[place]})
    return _row(f"What is the capital of {place}?", region[place], others, rng)


def element(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """An element's symbol, or the element of a symbol."""
    name = rng.choice(list(_ELEMENTS))
    if rng.random() < 0.5:
        others = [symbol for other, symbol in _ELEMENTS.items() if other != name]
        return _row(f"What is the chemical symbol of {name}?", _ELEMENTS[name], others, rng)

    others = [other for other in _ELEMENTS if other != name]
    return _row(f"Which chemical element has the symbol {_ELEMENTS[name]}?", name, others, rng)


def kind_of_thing(paths: dict[str, list[str]], rng: random.Random) -> Row:
    """What something is a kind of."""
    name = rng.choice(list(_KINDS))
    return _row(
        f"What kind of thing is this: {rng.choice(_KINDS[name])}?",
        name,
        [other for other in _KINDS if other != name],
        rng,
    )


MAKERS: dict[str, tuple[Maker, ...]] = {
    "image": (digit, stamp),
    "text": (capital, element, kind_of_thing),
    "both": (digit_or_stamp("digit"), digit_or_stamp("thing")),
}
_CAPITALS: dict[str, dict[str, str]] = {}
_ELEMENTS: dict[str, str] = {}
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
    return f"{row['instruction']} {row['output']}"


def write_dataset(folder: Path, seed: int) -> None:
    """Write images, rows, dataset_info.json and a card.

    Args:
        folder: the dataset folder.
        seed: of the images' split and of all rows.
    """
    rng = random.Random(seed)
    _CAPITALS.update(capitals())
    _ELEMENTS.update(elements())
    _KINDS.update(kinds_of_things())
    paths = write_images(folder, seed)
    for kind, (pretrain, tune, test) in ROWS.items():
        rows = list(make_rows(kind, test, paths["test"], rng))
        without = {identity(row) for row in rows} if kind == "text" else frozenset()
        _write(folder, f"{kind}_test", rows)
        _write(folder, f"{kind}_train", make_rows(kind, tune, paths["train"], rng, without))
        if pretrain:
            _write(folder, f"{kind}_pretrain", make_rows(kind, pretrain, paths["train"], rng))

    (folder / "dataset_info.json").write_text(json.dumps(dataset_info(), indent=2) + "\n", encoding="utf-8")
    shutil.copy(Path(__file__).parent / "card.md", folder / "README.md")


def dataset_info() -> dict[str, Any]:
    """Every kind plainly, with the twins of every training mix, and for the diagnosis."""
    relevant = {"image": ["image"], "text": ["text"], "both": ["image", "text"]}
    info: dict[str, Any] = {}
    for kind, (pretrain, _, _) in ROWS.items():
        info[f"{kind}_plain"] = {"file_name": f"{kind}_train.jsonl", "columns": COLUMNS}
        if pretrain:
            info[f"{kind}_pretrain"] = {"file_name": f"{kind}_pretrain.jsonl", "columns": COLUMNS}

        for mix, perturbations in trained(SIDE).items():
            gone = removed("train")[kind] if mix == GROUNDED else []
            info[f"{kind}_{mix}"] = _twins(f"{kind}_train.jsonl", relevant[kind], perturbations[kind], gone)

        info[f"{kind}_test"] = _twins(f"{kind}_test.jsonl", relevant[kind], tested(SIDE)[kind], removed("test")[kind])
        pairs = dict(info[f"{kind}_{WIDEST}"], ranking=True)
        preferred = {"chosen": "output", "rejected": "rejected"}
        pairs["columns"] = {key: name for key, name in pairs["columns"].items() if key != "response"} | preferred
        info[f"{kind}_pairs"] = pairs

    return info


def _twins(
    file: str, relevant: list[str], perturbations: list[Perturbation], counterfactuals: list[Perturbation]
) -> dict[str, Any]:
    block = {"relevant": relevant, "perturbations": perturbations}
    return {
        "file_name": file,
        "formatting": "alpaca_twins",
        "columns": COLUMNS | {"choices": "choices", "answer": "output"},
        "twins": block | ({"counterfactuals": counterfactuals} if counterfactuals else {}),
    }


def _write(folder: Path, name: str, rows: Iterable[Row]) -> None:
    """Write rows, and their images of two images."""
    lines = []
    for row in rows:
        images = [beside(folder, *row["images"])] if len(row["images"]) == 2 else row["images"]
        lines.append(json.dumps(row | {"images": images}) + "\n")

    (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


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
