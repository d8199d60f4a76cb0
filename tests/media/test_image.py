"""Media references and pools: what they resolve to, and what is refused."""

import io
import os
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modality_interference.data.dataset import list_pool
from modality_interference.errors import ModalityInterferenceError
from modality_interference.media.image import canvas, image_remark, load_image
from modality_interference.media.reference import (
    CanvasKind,
    CanvasReference,
    FileReference,
    extra_reference,
    row_reference,
)


def image_bytes(size: tuple[int, int] = (16, 12), kind: str = "PNG", mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    pixels = random.Random(0).randbytes(size[0] * size[1] * len(Image.new(mode, (1, 1)).getbands()))
    Image.frombytes(mode, size, pixels).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "cat.png"
    path.write_bytes(image_bytes())
    return str(path)


def test_every_kind_of_image_loads_alike(image: str):
    data = image_bytes()
    expected = Image.open(io.BytesIO(data)).tobytes()
    images = [image, {"bytes": data, "path": None}, {"bytes": None, "path": image}, data, Image.open(image)]
    for index in range(len(images)):
        loaded = load_image(row_reference(index), images, [])
        assert (loaded.mode, loaded.size, loaded.tobytes()) == ("RGB", (16, 12), expected)

    assert load_image(extra_reference(0), [], [data]).tobytes() == expected
    assert load_image(str(FileReference(image)), [], []).tobytes() == expected


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16", "CMYK"])
def test_images_stay_as_they_are_stored(mode: str):
    """LLaMA-Factory scales them before it makes them RGB."""
    stream = io.BytesIO()
    Image.new(mode, (5, 4)).save(stream, "TIFF")
    loaded = load_image("row:0", [stream.getvalue()], [])
    assert (loaded.mode, loaded.size) == (mode, (5, 4)) and loaded.convert("RGB").size == (5, 4)


def test_a_mode_that_cannot_become_rgb_is_refused():
    assert "conversion from La to L not supported" in refusal("row:0", [Image.new("La", (5, 4))])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [None, 1, 2, 6, 8, 99])
def test_images_that_are_stored_turned_are_remarked(orientation: int | None, kind: str):
    stream, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation

    Image.new("RGB", (8, 6), "red").save(stream, kind, exif=exif)
    loaded = load_image("row:0", [stream.getvalue()], [])
    assert loaded.size == (8, 6)
    remark = image_remark(loaded)
    assert (remark and remark[0]) == ("image stored turned" if orientation in (2, 6, 8) else None)


@pytest.mark.parametrize(
    ("mode", "kind"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I", "TIFF"), ("F", "TIFF"), ("L", "PNG")]
)
def test_images_of_more_than_8_bits_are_remarked(mode: str, kind: str):
    stream = io.BytesIO()
    Image.new(mode, (8, 6)).save(stream, kind)
    remark = image_remark(load_image("row:0", [stream.getvalue()], []))
    assert (remark and remark[0]) == (None if mode == "L" else "image of more than 8 bits")


def test_broken_exif_is_no_remark():
    image = Image.new("RGB", (8, 6))
    image.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert image_remark(image) is None


@pytest.mark.parametrize(("kind", "pixel"), [(CanvasKind.BLACK, (0, 0, 0)), (CanvasKind.WHITE, (255, 255, 255))])
def test_plain_canvases(kind: CanvasKind, pixel: tuple[int, int, int]):
    image = load_image(str(CanvasReference(kind, 0, (7, 3))), [], [])
    assert image.size == (7, 3)
    assert image.getcolors() == [(21, pixel)]


def test_a_canvas_takes_the_size_of_the_image_it_replaces(image: str):
    for kind in CanvasKind:
        assert load_image(f"canvas:{kind}:5:row:0", [image], []).size == (16, 12)


def test_noise_has_the_same_bytes_everywhere():
    image = canvas(CanvasKind.NOISE, 7, (32, 24))
    assert image == canvas(CanvasKind.NOISE, 7, (32, 24))
    assert image != canvas(CanvasKind.NOISE, 8, (32, 24))
    assert sha256(image.tobytes()).hexdigest()[:16] == "6ef2279f7b0161aa"


@given(st.sampled_from(list(CanvasKind)), st.integers(0, 2**63), st.integers(1, 40), st.integers(1, 40))
def test_canvas_references_round_trip(kind: CanvasKind, seed: int, width: int, height: int):
    loaded = load_image(str(CanvasReference(kind, seed, (width, height))), [], [])
    assert loaded == canvas(kind, seed, (width, height))


def refusal(reference: str, images: list) -> str:
    with pytest.raises(ModalityInterferenceError) as raised:
        load_image(reference, images, [])

    return str(raised.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "ICO"])
def test_truncated_images_are_refused(tmp_path: Path, kind: str):
    data = image_bytes((64, 64), kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(data[: len(data) // 2])
    message = refusal("row:0", [str(path)])
    assert f"cannot read image `{path}`" in message
    assert "Replace the file, or remove its row" in message
    assert "an embedded image" in refusal("row:0", [data[: len(data) // 2]])


def test_unreadable_images_are_refused(tmp_path: Path):
    (tmp_path / "note.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    assert "UnidentifiedImageError" in refusal("row:0", [str(tmp_path / "note.png")])
    assert "cannot read image" in refusal("row:0", [str(tmp_path / "empty.png")])
    assert "it is empty" in refusal("row:0", [b""])
    assert "it is 0 x 4 pixels" in refusal("row:0", [Image.new("RGB", (0, 4))])
    assert "no such file" in refusal("row:0", [str(tmp_path / "missing.png")])
    assert "no such file" in refusal("row:0", [str(tmp_path)])
    assert "is not an image; allowed: a path, bytes" in refusal("row:0", [3])
    assert "is not an image" in refusal("row:0", [{"bytes": None, "path": None}])


def test_a_pipe_does_not_block(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "no such file" in refusal("row:0", [str(tmp_path / "pipe.png")])


def test_decompression_bombs_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert "DecompressionBombError" in refusal("row:0", [image_bytes()])
    assert "DecompressionBombError" in refusal("canvas:black:0:row:0", [image_bytes()])


def test_formats_that_start_programs_are_refused():
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(eps)).format == "EPS"  # PIL would read it, with Ghostscript
    assert "UnidentifiedImageError" in refusal("row:0", [eps])


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("", "malformed"),
        ("row:", "malformed"),
        ("row:-1", "malformed"),
        ("row:²", "malformed"),
        ("url:0", "malformed"),
        ("file:relative.png", "malformed"),
        ("row:1", "names a medium that the row does not have (it has 1)"),
        ("canvas:red:0:3x3", "its kind one of black, white, noise"),
        ("canvas:black:x:3x3", "malformed"),
        ("canvas:black:0:0x3", "malformed"),
        ("canvas:black:0", "malformed"),
        ("canvas:black:0:99999x1", "a side may have at most 8192 pixels"),
        ("canvas:black:0:row:7", "does not have"),
        ("canvas:black:0:canvas:black:0:3x3", "malformed"),
        ("removed:row:0", "only videos and audio can be removed"),
    ],
)
def test_bad_references(reference: str, message: str):
    assert message in refusal(reference, [image_bytes()])


@given(st.text())
def test_any_reference_loads_or_is_refused_cleanly(reference: str):
    with pytest.raises(ModalityInterferenceError):
        load_image(f"x{reference}", [], [])


def fill_pool(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image_bytes())


def test_a_pool_lists_its_images_in_order(tmp_path: Path):
    fill_pool(tmp_path / "pool", "b.png", "a.JPG", "deep/c.webp", "notes.txt")
    files = list_pool("pool", "pets", str(tmp_path))
    assert [os.path.relpath(path, tmp_path / "pool") for path in files] == ["a.JPG", "b.png", "deep/c.webp"]
    assert all(os.path.isabs(path) for path in files)


def test_a_link_inside_the_dataset_folder_is_fine(tmp_path: Path):
    fill_pool(tmp_path / "all", "a.png")
    (tmp_path / "pool").symlink_to(tmp_path / "all")
    assert len(list_pool("pool", "pets", str(tmp_path))) == 1


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ("absent", "dataset `pets`: pool `absent` is missing: there is no folder"),
        ("empty", "dataset `pets`: pool `empty` is empty"),
        ("../outside", "leads out of `dataset_dir`"),
        ("link", "leads out of `dataset_dir`"),
        ("linked_file", "linked_file/a.png` leads out of `dataset_dir`"),
        ("/tmp", "must be a path relative to `dataset_dir`"),
        ("", "must be a path relative to `dataset_dir`"),
        ("a\0b", "must be a path relative to `dataset_dir`"),
    ],
)
def test_bad_pools(tmp_path: Path, pool: str, message: str):
    home, outside = tmp_path / "data", tmp_path / "outside"
    fill_pool(outside, "a.png")
    fill_pool(home / "empty", "notes.txt")
    (home / "linked_file").mkdir()
    (home / "linked_file" / "a.png").symlink_to(outside / "a.png")
    (home / "link").symlink_to(outside)
    with pytest.raises(ModalityInterferenceError) as raised:
        list_pool(pool, "pets", str(home))

    assert message in str(raised.value)


@pytest.mark.parametrize("dataset_dir", [None, "ONLINE", "/no/such/folder"])
def test_a_pool_needs_a_dataset_folder(dataset_dir: str | None):
    with pytest.raises(ModalityInterferenceError, match="needs a `dataset_dir` on this machine"):
        list_pool("pool", "pets", dataset_dir)


def test_importing_twins_imports_nothing_heavy():
    code = (
        "import sys, modality_interference.data.converter as _; "
        "print([name for name in ('torch', 'transformers', 'datasets', 'llamafactory') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("size", [(42, 28), (43, 30), (5, 5)])
def test_masked_patches(size):
    """Of the grid's patches the rounded share is black, the others are as they were; the same seed masks the same."""
    image = Image.new("RGB", size, "white")
    masked = load_image("hidden:masked:7:60:row:0", [image], [])
    columns, rows = -(-size[0] // 14), -(-size[1] // 14)
    patches = [
        masked.crop((14 * x, 14 * y, min(14 * x + 14, size[0]), min(14 * y + 14, size[1])))
        for y in range(rows)
        for x in range(columns)
    ]
    colours = [patch.getcolors() for patch in patches]
    assert masked.size == size and all(len(found) == 1 for found in colours)
    assert sum(found[0][1] == (0, 0, 0) for found in colours) == max(1, round(0.6 * columns * rows))
    assert load_image("hidden:masked:7:60:row:0", [image], []).tobytes() == masked.tobytes()


def test_a_blurred_image_keeps_its_colour_and_loses_its_edges():
    image = Image.new("L", (60, 60), 0)
    image.paste(255, (0, 0, 30, 60))
    blurred = load_image("hidden:blurred:0:10:row:0", [image], [])
    assert (blurred.mode, blurred.size) == ("RGB", (60, 60))
    line = [blurred.getpixel((x, 30))[0] for x in range(60)]
    assert line == sorted(line, reverse=True) and max(a - b for a, b in zip(line, line[1:])) < 30
    assert sum(line) / 60 == pytest.approx(127.5, abs=3)
    with pytest.raises(ModalityInterferenceError, match="malformed"):
        load_image("hidden:blurred:0:0:row:0", [image], [])
