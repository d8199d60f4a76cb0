"""Words on images: where they change pixels, and what cannot be written."""

import numpy as np
import pytest
from PIL import Image

from modality_interference.errors import ModalityInterferenceError, Unusable
from modality_interference.media.image import image_name, load_image
from modality_interference.media.reference import StoredReference, WrittenReference, parse
from modality_interference.media.writing import write


GREY = Image.new("RGB", (120, 80), (128, 128, 128))


def changed(image: Image.Image, before: Image.Image = GREY) -> np.ndarray:
    """(height, width) whether a pixel differs."""
    return (np.asarray(image) != np.asarray(before)).any(axis=-1)


def test_words_change_some_pixels_and_stay_inside():
    for seed in range(30):
        drawn = changed(write("golden retriever", GREY, seed))
        assert 0.005 < drawn.mean() < 0.5
        edges = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
        assert sum(edge.any() for edge in edges) <= 2  # no word is cut: it touches at most a corner

    assert not changed(GREY).any()  # the image itself stays as it is


def test_the_seed_decides_on_place_size_and_colour():
    images = [write("dog", GREY, seed) for seed in range(20)]
    assert write("dog", GREY, 3).tobytes() == images[3].tobytes()
    assert len({image.tobytes() for image in images}) == 20
    heights = {int(changed(image).any(axis=1).sum()) for image in images}
    colours = {tuple(color) for image in images for color in np.asarray(image)[changed(image)].tolist()}
    assert len(heights) > 4 and {(0, 0, 0), (255, 255, 255), (200, 0, 0)} <= colours


def test_different_words_look_different():
    assert write("dog", GREY, 1).tobytes() != write("cat", GREY, 1).tobytes()


def test_long_words_become_lines_of_smaller_letters():
    sentence = "The man is riding a horse over the hills and far away"
    assert changed(write(sentence, Image.new("RGB", (300, 200)), 1), Image.new("RGB", (300, 200))).any()
    for size, words in (((30, 20), sentence), ((300, 200), "dog " * 200)):
        with pytest.raises(Unusable, match="text that cannot be drawn"):
            write(words, Image.new("RGB", size), 1)


@pytest.mark.parametrize("words", ["São Paulo", "Köln", "собака", "5 €"])
def test_accents_and_cyrillic_take_the_other_font(words: str):
    assert changed(write(words, GREY, 1)).any()


@pytest.mark.parametrize("words", ["犬", "كلب", "कुत्ता", "a\U0010fffe", " "])
def test_scripts_that_no_font_has_are_refused_with_the_characters(words: str):
    with pytest.raises(Unusable, match="text that cannot be drawn: no font here has"):
        write(words, GREY, 1)


def test_references():
    for on in ((28, 14), StoredReference("row", 1), StoredReference("extra", 0)):
        reference = WrittenReference("a:b/ü %3A<image>\n", 5, on)
        assert parse(str(reference)) == reference and "<image>" not in str(reference)

    image = load_image("text:7:dog:row:0", [GREY], [])
    assert image.tobytes() == write("dog", GREY, 7).tobytes()
    assert load_image("text:7:dog:28x56", [], []).size == (28, 56)
    assert image_name("text:7:dog:28x56", [], []) == "a canvas with words written on it"


@pytest.mark.parametrize(
    "text",
    ["text:7:dog", "text:x:dog:row:0", "text:7::row:0", "text:7:dog:canvas:black:0:8x8", "text:7:dog:9000x8"]
    + [
        "text:7:dog:removed:row:0",
        "text:7:dog:text:7:dog:row:0",
        "canvas:black:0:text:7:dog:row:0",
        "text:-1:dog:row:0",
    ],
)
def test_malformed_references(text: str):
    with pytest.raises(ModalityInterferenceError, match="malformed|pixels"):
        parse(text)
