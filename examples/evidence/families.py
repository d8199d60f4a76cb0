"""What the study perturbs: which families of texts and images are trained on in which cell, and which never are.

The held-out families are in no training set of any cell, but where the grid leaves one family out at a time.
"""

from typing import Any


Perturbation = str | dict[str, Any]

# In the order in which the curve over the number of families takes them; the first is the paper's.
TRAINABLE = ("statement", "dialogue", "headline", "note", "metadata", "code_comment", "table_row", "ocr_noise")
HELD_OUT = ("quotation", "instruction", "other_language", "search_snippet")
CURVE = (1, 2, 4, 8)  # numbers of families
GROUNDED = "grounded"  # the mix with the most texts, and rows without their image
COUNTERFACTUALS = ("black_image", "irrelevant_image")  # the evidence is gone; of questions about the image


def texts(families: tuple[str, ...], positions: tuple[str, ...] = ("before",)) -> list[Perturbation]:
    """Misleading and unrelated texts of some families; one of them is drawn for each row."""
    words = {"families": list(families), "positions": list(positions)}
    return [{"name": name, **words} for name in ("misleading_text", "unrelated_text")]


def tested(side: int) -> dict[str, list[Perturbation]]:
    """What every cell is diagnosed under, by kind of question.

    Args:
        side: pixels of an image that stands beside a question about text.
    """
    held_out: list[Perturbation] = [{"name": "misleading_text", "families": [family]} for family in HELD_OUT]
    return {
        "image": [
            *texts(("statement",)),
            *held_out,
            {"name": "misleading_text", "positions": ["after"]},
            {"name": "ocr_text", "lines": 3},
        ],
        "text": [
            {"name": "irrelevant_image", "pool": "images/test"},
            {"name": "random_pixels", "size": [side, side]},
            {"name": "typographic_image", "size": [side, side]},
        ],
        "both": [],
    }


def removed(split: str) -> list[Perturbation]:
    """What takes a question's image away, in training and diagnosis.

    Args:
        split: of the images that others are taken from, `train` or `test`.
    """
    black, other = COUNTERFACTUALS
    return [black, {"name": other, "pool": f"images/{split}"}]


def trained(side: int) -> dict[str, dict[str, list[Perturbation]]]:
    """By name of a training mix, what its twins are, by kind of question."""
    images: list[Perturbation] = [
        {"name": "irrelevant_image", "pool": "images/train"},
        {"name": "random_pixels", "size": [side, side]},
    ]
    mixes = {"clean": [], "paper": texts(TRAINABLE[:1])}
    mixes |= {f"families{number}": texts(TRAINABLE[:number]) for number in CURVE[1:]}
    mixes["positions"] = mixes[GROUNDED] = texts(TRAINABLE, ("before", "after", "inside"))
    return {
        name: {"image": texts_of, "text": images if texts_of else [], "both": []} for name, texts_of in mixes.items()
    }
