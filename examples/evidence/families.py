"""What the study perturbs: which families of texts and images are trained on in which cell, and which never are.

The held-out families, and texts after the question, are in no training set of any cell.
"""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.families import CURVE, TRAINABLE, Perturbation, held_out_texts, texts  # noqa: E402


WIDEST = "positions"  # the mix with the most texts
GROUNDED = "grounded"  # the same, and rows without their image


def tested(side: int) -> dict[str, list[Perturbation]]:
    """What every cell is diagnosed under, by kind of question.

    Args:
        side: pixels of an image that stands beside a question about text.
    """
    return {
        "image": [
            *texts(("statement",)),
            *held_out_texts(),
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


def removed(split: str) -> dict[str, list[Perturbation]]:
    """What takes a question's image away, in training and diagnosis, by kind of question.

    Beside another image of one thing a question about both still has an answer every second time.

    Args:
        split: of the images that others are taken from, `train` or `test`.
    """
    other = {"name": "irrelevant_image", "pool": f"images/{split}"}
    return {"image": ["black_image", other], "text": [], "both": ["black_image"]}


def trained(side: int) -> dict[str, dict[str, list[Perturbation]]]:
    """By name of a training mix, what its twins are, by kind of question."""
    images: list[Perturbation] = [
        {"name": "irrelevant_image", "pool": "images/train"},
        {"name": "random_pixels", "size": [side, side]},
    ]
    mixes = {"clean": [], "paper": texts(TRAINABLE[:1])}
    mixes |= {f"families{number}": texts(TRAINABLE[:number]) for number in CURVE[1:]}
    mixes[WIDEST] = mixes[GROUNDED] = texts(TRAINABLE, ("before", "inside"))
    return {
        name: {"image": texts_of, "text": images if texts_of else [], "both": []} for name, texts_of in mixes.items()
    }
