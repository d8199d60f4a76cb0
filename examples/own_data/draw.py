"""Draw the images of this example and write its rows into data/: 20 coloured shapes, each with a question about shape or colour.

python examples/own_data/draw.py [FOLDER]
"""

import json
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw


SIDE = 96  # pixels
COLOURS = {"red": "#c62828", "green": "#2e7d32", "blue": "#1565c0", "yellow": "#f9a825", "purple": "#6a1b9a"}
SHAPES = ("circle", "square", "triangle", "star")
STAR = [(48, 10), (58, 37), (86, 37), (63, 54), (72, 82), (48, 65), (24, 82), (33, 54), (10, 37), (38, 37)]


def draw(shape: str, colour: str) -> Image.Image:
    """A shape on white: (96, 96) pixels with a palette of two colours."""
    image = Image.new("P", (SIDE, SIDE), 0)
    image.putpalette([255, 255, 255, *bytes.fromhex(COLOURS[colour][1:])])
    canvas = ImageDraw.Draw(image)
    if shape == "circle":
        canvas.ellipse((14, 14, 82, 82), fill=1)
    elif shape == "square":
        canvas.rectangle((18, 18, 78, 78), fill=1)
    else:
        canvas.polygon([(48, 12), (84, 80), (12, 80)] if shape == "triangle" else STAR, fill=1)

    return image


def rows() -> list[dict[str, object]]:
    """Every colour with every shape; questions about shape and about colour in turn."""
    rng = random.Random(0)
    found: list[dict[str, object]] = []
    for index, (colour, shape) in enumerate((colour, shape) for colour in COLOURS for shape in SHAPES):
        about, answer, others = ("shape", shape, SHAPES) if index % 2 else ("colour", colour, tuple(COLOURS))
        choices = [answer, *rng.sample([other for other in others if other != answer], 3)]
        rng.shuffle(choices)
        question = "Which shape is it?" if about == "shape" else "Which colour does the shape have?"
        image = f"images/{colour}_{shape}.png"
        found.append({"question": question, "choices": choices, "answer": answer, "image": image})

    return found


def main(folder: Path) -> None:
    """Write images/ and shapes.jsonl."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for row in rows():
        colour, shape = Path(str(row["image"])).stem.split("_")
        draw(shape, colour).save(folder / str(row["image"]), optimize=True)

    (folder / "shapes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data")
