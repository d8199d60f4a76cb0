"""Words written on an image: with the font that Pillow brings, or where that lacks a character, with matplotlib's DejaVu Sans."""

import random
import textwrap
import unicodedata
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..errors import Unusable


MAX_CHARACTERS = 400
MIN_SIZE = 8  # pixels, below which nobody can read
_SHARE = (0.08, 0.25)  # of the image's height that a line of letters takes
_MARGIN = 0.03  # of the width and the height
_COLOURS = (
    ((255, 255, 255), (0, 0, 0)),
    ((0, 0, 0), (255, 255, 255)),
    ((200, 0, 0), (255, 255, 255)),
    ((0, 60, 160), (255, 255, 255)),
    ((255, 220, 0), (0, 0, 0)),
    ((0, 90, 40), (255, 255, 255)),
)  # of letters and of the edge around them, so that they stand out on every image
_PROBE_SIZE = 32
_NO_CHARACTER = "\U0010ffff"  # what every font draws as its sign for a missing one


def write(words: str, image: Image.Image, seed: int) -> Image.Image:
    """Write words on an image, at a place, in a size and in a colour that the seed gives, in several lines where they are long.

    Args:
        words: what to write.
        image: RGB; stays as it is.
        seed: any integer that is not negative.

    Returns:
        A new RGB image of the same size.

    Raises:
        Unusable: `text that cannot be drawn`: the font lacks a character, or the words are too long for the image.
    """
    words = " ".join(words.split())
    if len(words) > MAX_CHARACTERS:
        raise Unusable("text that cannot be drawn", f"{len(words):,} characters; at most {MAX_CHARACTERS} are written")

    missing = {wide: sorted({letter for letter in words if not _drawable(letter, wide)}) for wide in (False, True)}
    wide = bool(missing[False])
    if not words or missing[wide]:
        raise Unusable("text that cannot be drawn", f"no font here has {''.join(missing[wide])!r}")

    rng = random.Random(seed)
    letters, edge = rng.choice(_COLOURS)
    size = max(MIN_SIZE, round(image.height * rng.uniform(*_SHARE)))
    across, down = rng.random(), rng.random()
    text, font, box = _fitted(words, image.size, size, wide)
    free = (image.width - (box[2] - box[0]), image.height - (box[3] - box[1]))
    place = (round(across * free[0]) - box[0], round(down * free[1]) - box[1])
    written = image.copy()
    ImageDraw.Draw(written).text(place, text, fill=letters, font=font, stroke_width=_stroke(font), stroke_fill=edge)
    return written


def _fitted(
    words: str, room: tuple[int, int], size: float, wide: bool
) -> tuple[str, ImageFont.FreeTypeFont, tuple[float, float, float, float]]:
    """The words in lines, and the largest font up to a size in which they fit, with the box that they take."""
    width, height = (side * (1 - 2 * _MARGIN) for side in room)
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    while size >= MIN_SIZE:
        font = _font(int(size), wide)
        for line in dict.fromkeys((len(words), *(len(words) // lines + 4 for lines in range(2, 9)))):
            text = textwrap.fill(words, line, break_long_words=False)
            box = draw.multiline_textbbox((0, 0), text, font=font, stroke_width=_stroke(font))
            if box[2] - box[0] <= width and box[3] - box[1] <= height:
                return text, font, box

        size *= 0.85

    raise Unusable(
        "text that cannot be drawn",
        f"an image of {room[0]} x {room[1]} pixels is too small for {len(words)} characters",
    )


def _stroke(font: ImageFont.FreeTypeFont) -> int:
    return max(1, round(font.size / 16))


@cache
def _font(size: int, wide: bool) -> ImageFont.FreeTypeFont:
    """Pillow's font, or the one with more characters."""
    if wide:
        import matplotlib  # a tenth of a second that few options need

        return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)

    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise Unusable(
            "text that cannot be drawn", "this build of Pillow has no FreeType; install Pillow from a wheel"
        )

    return font


@cache
def _drawable(character: str, wide: bool) -> bool:
    """Whether a font has a sign for a character. Scripts from right to left are left out: not every Pillow can join their letters."""
    if character.isspace():
        return True

    if unicodedata.bidirectional(character) in ("R", "AL", "AN") or unicodedata.category(character).startswith("M"):
        return False

    font = _font(_PROBE_SIZE, wide)
    return bytes(font.getmask(character)) != bytes(font.getmask(_NO_CHARACTER)) and font.getlength(character) > 0
