"""Rows in a fixed order that fall unevenly on two ranks: in answer tokens, twins, rows to attack, and counterfactual rows."""

import json
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image


Batches: TypeAlias = tuple[tuple[str, ...], ...]
# Device batches of two rows, in the order in which they are dealt; two ranks take them in turn. `image` rows have a twin
# and tokens to attack, `text` rows a twin with tokens to attack, `image,text` rows neither.
BATCHES = (
    ("image", "text"), ("image,text", "image,text"),  # the second rank has nothing to attack
    ("image,text", "image,text"), ("image", "image"),  # the first has not
    ("image", "text"), ("text", "image,text"),  # both have, unequally
    ("image,text", "image,text"), ("image,text", "image,text"),  # neither has, though the step attacks
    ("image,text", "image,text"), ("image,text", "image"), ("text", "text"), ("image", "image,text"),
)  # fmt: skip
# Without perturbations of images a batch of `text` rows has no image at all, neither of a row nor of a twin.
TEXT_BATCHES = (
    ("image", "image"), ("text", "text"),  # the second rank has text only
    ("text", "text"), ("image", "text"),  # the first has
    ("text", "text"), ("text", "text"),  # both have, though the step attacks
)  # fmt: skip
ROWS_PER_BATCH = 2
ANSWERS = ("red", "a rather unusual shade of greenish blue", "blue and a little green", "white")


def write_uneven(folder: Path) -> Path:
    """A LLaMA-Factory dataset_dir with the datasets `uneven` and `text_ranks`, of `BATCHES` and `TEXT_BATCHES`.

    `gone` is `uneven` with a counterfactual row of every row that has an image, of which three in four need further rows to show
    their options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = {
        "uneven": _write(folder, "uneven", BATCHES, ["misleading_text", "black_image"]),
        "text_ranks": _write(folder, "text_ranks", TEXT_BATCHES, ["misleading_text"]),
    }
    gone = entries["uneven"]["twins"] | {"counterfactuals": ["white_image"]}
    entries["gone"] = entries["uneven"] | {"twins": gone}
    (folder / "dataset_info.json").write_text(json.dumps(entries))
    return folder


def _write(folder: Path, name: str, batches: Batches, perturbations: list[str]) -> dict[str, Any]:
    """Write a dataset's rows and images; its entry."""
    rows = []
    for index, about in enumerate(kind for batch in batches for kind in batch):
        images = []
        if "image" in about:
            images = [f"{index}.png"]
            Image.new("RGB", (40 + 8 * (index % 2), 40), (9 * index, 255 - 9 * index, 7 * index)).save(
                folder / images[0]
            )

        right = index % len(ANSWERS)
        question = f"Question {index}: which colour is it{' by name' * (index % 3)}?"
        rows.append(
            {"question": question, "choices": ANSWERS, "answer": "ABCD"[right], "images": images, "about": about}
        )

    (folder / f"{name}.json").write_text(json.dumps(rows))
    return {
        "file_name": f"{name}.json",
        "formatting": "multiple_choice_twins",
        "columns": {"question": "question", "choices": "choices", "answer": "answer", "images": "images"},
        "twins": {"relevant": "about", "perturbations": perturbations, "answer": "text"},
    }
