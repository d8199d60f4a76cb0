"""The study's images: scikit-learn's digits and Debian's stamps, split once, those to train on in several versions.

No test image is ever trained on, by the tower or by the cells.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sources import stamps


SIDE = 32  # pixels, which make 16 image tokens
TEST_SHARE = 0.3
DIGIT_VERSIONS, STAMP_VERSIONS = 2, 16
MAX_ANGLE, MAX_SHIFT, MAX_CROP = 12.0, 2.0, 0.15  # degrees, pixels, share of the side
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

Paths = dict[str, dict[str, list[str]]]  # by split ("train", "test") and class, below the dataset folder


def write_images(folder: Path, seed: int) -> Paths:
    """Write all images as RGB files of SIDE x SIDE pixels.

    Args:
        folder: the dataset folder.
        seed: of the split and the versions.
    """
    rng = random.Random(seed)
    paths: Paths = {"train": {}, "test": {}}
    for name, originals in {**_digits(), **_stamps()}.items():
        splits = train_test_split(range(len(originals)), test_size=TEST_SHARE, random_state=seed)
        for split, indices in zip(("train", "test"), splits, strict=True):
            versions = (DIGIT_VERSIONS if name in DIGITS else STAMP_VERSIONS) if split == "train" else 1
            (folder / "images" / split).mkdir(parents=True, exist_ok=True)
            paths[split][name] = list(
                _write(folder, f"images/{split}/{name}", originals, sorted(indices), versions, rng)
            )

    return paths


def beside(folder: Path, left: str, right: str) -> str:
    """Write an image of two images side by side.

    Args:
        folder: the dataset folder.
        left: path of an image below it.
        right: of another of the same split.

    Returns:
        Its path below the dataset folder: `images/<split>_beside/<left>__<right>.png`.
    """
    split = Path(left).parent.name
    path = f"images/{split}_beside/{Path(left).stem}__{Path(right).stem}.png"
    (folder / path).parent.mkdir(exist_ok=True)
    both = Image.new("RGB", (2 * SIDE, SIDE))
    for number, one in enumerate((left, right)):
        with Image.open(folder / one) as image:
            both.paste(image, (number * SIDE, 0))

    both.save(folder / path)
    return path


def _write(
    folder: Path, stem: str, originals: list[Image.Image], indices: list[int], versions: int, rng: random.Random
) -> Iterator[str]:
    for index in indices:
        for version in range(versions):
            name = f"{stem}_{index:04d}_{version}.png"
            varied = _varied(originals[index], rng) if version else originals[index]
            varied.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(folder / name)
            yield name


def _digits() -> dict[str, list[Image.Image]]:
    data = load_digits()
    found: dict[str, list[Image.Image]] = {name: [] for name in DIGITS}
    for pixels, target in zip(data.images, data.target, strict=True):
        image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8)).convert("RGB")
        found[DIGITS[target]].append(image.resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC))

    return found


def _stamps() -> dict[str, list[Image.Image]]:
    """Each on white, with its own proportions."""
    found = {}
    for name, files in stamps().items():
        found[name] = []
        for file in files:
            with Image.open(file) as stamp:
                stamp = stamp.convert("RGBA")
                white = Image.new("RGBA", stamp.size, "white")
                image = Image.alpha_composite(white, stamp).convert("RGB")

            found[name].append(ImageOps.pad(image, (2 * SIDE, 2 * SIDE), Image.Resampling.LANCZOS, color="white"))

    return found


def _varied(image: Image.Image, rng: random.Random) -> Image.Image:
    """The same thing, turned, moved, cropped and lit otherwise; stamps may be mirrored, digits not."""
    border = image.getpixel((0, 0))
    shift = (rng.uniform(-MAX_SHIFT, MAX_SHIFT), rng.uniform(-MAX_SHIFT, MAX_SHIFT))
    angle = rng.uniform(-MAX_ANGLE, MAX_ANGLE)
    image = image.rotate(angle, resample=Image.Resampling.BICUBIC, translate=shift, fillcolor=border)
    crop = rng.uniform(0, MAX_CROP) * image.width
    image = image.crop((crop / 2, crop / 2, image.width - crop / 2, image.height - crop / 2))
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.6, 1.4))
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.2))
    return ImageOps.mirror(image) if border != (0, 0, 0) and rng.random() < 0.5 else image
