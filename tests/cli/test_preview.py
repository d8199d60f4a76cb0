"""`modality-interference preview`: the twins that a run makes, on a page and in the terminal."""

import base64
import json
import os
import pty
import shutil
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers.loading import load_data
from helpers.runs import COLUMNS, recipe, write_datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modality_interference.cli import main
from modality_interference.cli.preview import preview_rows
from modality_interference.media.image import load_image
from modality_interference.report.text import changes, shortened


SCRIPT = Path(sys.executable).with_name("modality-interference")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TWINS = {"relevant": ["image"], "perturbations": ["misleading_text"], "answer": "text"}
CHOICE = {"formatting": "multiple_choice_twins", "columns": COLUMNS, "twins": TWINS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The datasets of `runs`, and others that only this file needs."""
    folder = write_datasets(tmp_path_factory.mktemp("preview") / "colours")
    info = json.loads((folder / "dataset_info.json").read_text())

    def add(name: str, rows: list[dict[str, Any]], **entry: Any) -> None:
        (folder / f"{name}.json").write_text(json.dumps(rows))
        info[name] = {"file_name": f"{name}.json"} | entry

    row = {"question": "Which colour is shown?", "choices": ["red", "green"], "answer": "A", "images": ["red_0.png"]}
    tags = {"question": "<script>alert(1)</script>", "choices": ["<b>red</b>", '"><img src=x onerror=alert(1)>']}
    add("tags", [row | tags], **CHOICE)
    add("controls", [row | {"question": "a\x1b[2Jb\u202ec"}], **CHOICE)
    bad = [row | {"images": ["lost.png"]}, row | {"answer": "mauve"}]
    add("some_bad", [row, *bad, row | {"question": "<image> or <image>?"}], **CHOICE)
    twins = {"relevant": ["text"], "perturbations": [{"name": "irrelevant_image", "pool": "pool"}, "white_image"]}
    (folder / "pool").mkdir()
    (folder / "pool" / "broken.png").write_bytes((folder / "red_0.png").read_bytes()[:40])
    add("bad_pool", [row | {"images": []}], **CHOICE | {"twins": twins})
    messages = [
        ("system", "Be brief."),
        ("human", "Hello."),
        ("gpt", "Hi."),
        ("human", "<image>Colour?"),
        ("gpt", "Red."),
    ]
    chat = [{"from": role, "value": text} for role, text in messages]
    long = {"relevant": ["image"], "perturbations": [{"name": "long_context", "tokens": 5000}]}
    columns = {"messages": "conversations", "images": "images"}
    rows = [{"conversations": chat, "images": ["red_0.png"]}]
    add("chat", rows, formatting="sharegpt_twins", columns=columns, twins=long)
    add("swapped", json.loads((folder / "pictures.json").read_text()), **CHOICE)
    info["swapped"]["twins"] = {"relevant": ["text"], "perturbations": ["irrelevant_image"], "answer": "text"}
    info["hub"] = CHOICE | {"hf_hub_url": "owner/name"}
    info["wrong"] = {"file_name": "../x.json", "formatting": "alpacca"}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


@pytest.fixture
def shown(folder, tmp_path, capsys):
    """Runs a preview in this process; gives its text and its page."""

    def show(dataset: str, *options: str) -> tuple[str, str]:
        page = tmp_path / "page.html"
        assert main(["preview", str(folder), dataset, "-o", str(page), *options]) == 0
        return capsys.readouterr().out, page.read_text()

    return show


class Page(HTMLParser):
    """The tags of a page, and the texts inside of some."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("ins", "del", "h3"):
            self._open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.inside[tag][-1] += data


def pixels(uri: str) -> tuple[tuple[int, int], bytes]:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:image/png"
    image = Image.open(BytesIO(base64.b64decode(content)))
    return image.size, image.convert("RGB").tobytes()


# the same twins as a run


@pytest.mark.parametrize("seed", [7, 42])
@pytest.mark.parametrize("dataset", ["pictures", "sums", "both", "swapped"])
def test_the_twins_are_those_of_a_run(dataset, seed, folder, checkpoint, tmp_path):
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset=dataset, seed=seed)
    loaded = load_data(keys)
    previewed, total = preview_rows(folder, dataset, 100, seed)
    assert total == len(loaded.train) == len(previewed) == 8
    seen = set()
    for example, row in zip(loaded.train, previewed):
        assert [twin.perturbation for twin in row.twins] == [item["perturbation"] for item in example["variants"]]
        for variant, twin in [(example, None), *zip(example["variants"], row.twins)]:
            text = row.prompt if twin is None else "".join(p.text for p in twin.pieces if p.change != "removed")
            decoded = loaded.tokenizer.decode(variant["input_ids"]).replace("<|image_pad|>", "")
            asked = text.replace("<image>", "<|vision_start|><|vision_end|>")
            assert decoded.endswith(
                f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{row.answer}<|im_end|>\n"
            )
            images = row.images if twin is None or twin.images is None else twin.images
            for reference, image in zip(variant["image_references"], images, strict=True):
                expected = load_image(reference, example["images"] or [], example["twin_images"] or [])
                small = expected.copy()
                small.thumbnail((256, 256))
                assert image.size == expected.size
                if max(expected.size) <= 64:
                    assert pixels(image.uri) == (small.size, small.tobytes())

            if twin is not None:
                assert (twin.target or "") == variant["target"]
                seen.add((text, *(image.uri for image in images)))

    assert len(seen) > 8 or dataset in ("both", "swapped")


def test_another_seed_gives_other_twins(folder):
    def text(seed: int) -> list[str]:
        return [
            piece.text for shown in preview_rows(folder, "pictures", 8, seed)[0] for piece in shown.twins[1].pieces
        ]

    assert text(1) == text(1) != text(2)


def test_rows_are_spread(folder):
    assert [shown.row for shown in preview_rows(folder, "pictures", 3, 42)[0]] == [0, 2, 5]
    assert [shown.row for shown in preview_rows(folder, "pictures", 9, 42)[0]] == list(range(8))


# terminal


def test_the_script(folder, tmp_path):
    command = [SCRIPT, "preview", folder, "pictures", "-n", "2"]
    environment = {**os.environ, "COLUMNS": "60"}
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert (found.returncode, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    assert lines[0] == "pictures of colours: 2 of 8 rows, twins of seed 42"
    assert lines[-1] == f"The page: {tmp_path / 'preview.html'}" and (tmp_path / "preview.html").is_file()
    assert "row 0 (depends on image)" in lines and "row 4 (depends on image)" in lines
    assert "  prompt    <image>Question:" in lines and "  answer    red" in lines and "  answer    purple" in lines
    assert "  options   A: red (right)" in lines and "  images    red_0.png, 40 x 40" in lines
    target = next(line for line in lines if line.startswith("  ~ misleading_text, claims: ")).split()[-1]
    assert target in ("green", "blue", "yellow")
    assert f"    + This picture seems to depict a {target}." in lines
    assert max(map(len, lines[:-1])) <= 60 and "\x1b" not in found.stdout


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_on_a_terminal(folder, tmp_path, no_color, coloured):
    terminal, stdout = pty.openpty()
    command = [SCRIPT, "preview", folder, "pictures", "-n", "1", "-o", tmp_path / "page.html"]
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=environment)
    os.close(stdout)
    output = b""
    try:
        while chunk := os.read(terminal, 4096):
            output += chunk
    except OSError:  # Linux says so at the end
        pass
    finally:
        os.close(terminal)

    assert process.wait(timeout=60) == 0
    process.stderr.close()
    assert b"This picture seems to depict a" in output
    assert (b"\x1b[32m" in output) == (b"\x1b[" in output) == coloured


def test_texts_are_harmless_for_the_terminal(shown):
    text, page = shown("controls")
    assert "a\\x1b[2Jb\\u202ec" in text and not {"\x1b", "\u202e"} & set(text)


def test_a_chat_and_a_long_text(shown):
    text, page = shown("chat")
    assert "[system] Be brief." in text and "[user] Hello." in text and "[assistant] Hi." in text
    assert "  answer    Red." in text.splitlines()
    assert "characters …]" in text and len(text) < 3000 and len(page) < 60_000


def test_a_plain_dataset(shown):
    text, page = shown("plain", "-n", "1")
    assert "row 0 (plain)" in text and "  answer    red" in text.splitlines() and "It has no twins." in page


def test_an_image_of_another_row_and_of_a_pool(shown, folder):
    text, _ = shown("swapped", "-n", "1")
    assert " (another row's), " in text
    Image.new("RGB", (30, 20), "red").save(folder / "pool" / "red.png")
    (folder / "pool" / "broken.png").rename(folder / "broken.png")
    try:
        assert "pool/red.png, 30 x 20" in shown("bad_pool")[0]
    finally:
        (folder / "pool" / "red.png").unlink()
        (folder / "broken.png").rename(folder / "pool" / "broken.png")


# rows that a run drops


def test_dropped_rows_have_their_reason(shown):
    text, page = shown("some_bad")
    for reason in (
        "lost.png`: there is no such file",
        "answer not among the options: answer 'mauve'",
        "2 `<image>` in",
    ):
        assert reason in " ".join(text.split()) and escape(reason).replace("&#x27;", "&#39;") in page

    lines = text.splitlines()
    assert [line for line in lines if line.startswith("row ")] == [
        "row 0 (depends on image)",
        "row 1 (dropped)",
        "row 2 (dropped)",
        "row 3 (dropped)",
    ]
    assert page.count(">dropped</span>") == 3


def test_dropped_twins_have_their_reason(shown):
    text, page = shown("bad_pool")
    assert "irrelevant_image twin, not an image: cannot read image" in " ".join(text.split())
    assert "irrelevant_image twin, not an image: cannot read image" in page
    assert "  ~ white_image" in text.splitlines() and "~ irrelevant_image" not in text


# the page


def test_the_page_marks_what_changed(shown):
    _, page = shown("pictures", "-n", "2")
    found = Page(page)
    assert found.inside["h3"] == ["Clean row", "misleading_text", "unrelated_text"] * 2
    marked = [text.strip() for text in found.inside["ins"]][1:]  # the first one explains the marks
    assert len(marked) == 4 and all(text.startswith("This picture seems to depict a") for text in marked[::2])
    images = [attributes for tag, attributes in found.tags if tag == "img"]
    assert len(images) == 2
    red, purple = (pixels(attributes["src"]) for attributes in images)
    assert red == ((40, 40), bytes((255, 0, 0)) * 1600) and purple == ((40, 40), bytes((128, 0, 128)) * 1600)


def test_the_page_shows_changed_images(shown):
    _, page = shown("sums", "-n", "1")
    found = Page(page)
    sizes = [
        pixels(attributes["src"])[0] if "png" in attributes["src"][:20] else "jpeg"
        for tag, attributes in found.tags
        if tag == "img"
    ]
    assert sizes == ["jpeg", "jpeg"]  # thumbnails of canvases of 336 x 336
    assert "random pixels, 336 × 336" in page and "black canvas, 336 × 336" in page
    assert found.inside["ins"][1:] == ["<image>"] * 2


def test_tags_of_the_data_stay_text(shown):
    text, page = shown("tags")
    found, plain = Page(page), Page(shown("plain")[1])
    assert [tag for tag, _ in found.tags].count("script") == [tag for tag, _ in plain.tags].count("script")
    assert "b" not in [tag for tag, _ in found.tags]
    assert all((attributes["src"] or "").startswith("data:image/") for tag, attributes in found.tags if tag == "img")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script>alert(1)" not in page
    assert "<script>alert(1)</script>" in text


def test_the_page_fetches_nothing(shown):
    _, page = shown("pictures")
    for tag, attributes in Page(page).tags:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_the_page_in_a_browser(shown, tmp_path):
    shown("tags")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command = [CHROMIUM, *options, "--dump-dom", (tmp_path / "page.html").as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0 and "CONSOLE" not in found.stderr
    page = Page(found.stdout)
    button = next(attributes for tag, attributes in page.tags if tag == "button")
    assert "hidden" not in button  # theme.js ran
    assert any("The answer is" in text for text in page.inside["ins"])  # the options are tags, so they are quoted
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found.stdout


# refusals


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            "picture",
            "`dataset_info.json` has no dataset `picture`. Did you mean `pictures`? It has: `plain`, `pictures`",
        ),
        (
            "hub",
            "dataset `hub` is not on this machine (hub dataset `owner/name`), and this command downloads nothing.",
        ),
        ("wrong", "- dataset `wrong`: `file_name` '../x.json' leads upwards"),
        ("wrong", "- dataset `wrong`: `formatting` is 'alpacca'. Did you mean `alpaca`?"),
    ],
)
def test_refusals(folder, dataset, message, tmp_path, capsys):
    assert main(["preview", str(folder), dataset, "-o", str(tmp_path / "page.html")]) == 1
    found = capsys.readouterr()
    assert found.err.startswith("error: ") and message in found.err and found.out == ""
    assert not (tmp_path / "page.html").exists()


def test_a_broken_info_file(tmp_path, capsys):
    (tmp_path / "dataset_info.json").write_text("{")
    assert main(["preview", str(tmp_path), "pictures"]) == 1
    assert "- `dataset_info.json` is not JSON" in capsys.readouterr().err


def test_an_output_that_cannot_be_written(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["preview", str(folder), "pictures", "-n", "1", "-o", str(tmp_path / "file" / "page.html")]) == 1
    assert capsys.readouterr().err.startswith("error: cannot write ")


# what changed in a text


@given(clean=st.text("ab \n", max_size=40), perturbed=st.text("ab \n", max_size=40))
def test_changes_add_up_to_both_texts(clean, perturbed):
    pieces = changes(clean, perturbed)
    assert "".join(piece.text for piece in pieces if piece.change != "removed") == perturbed
    assert "".join(piece.text for piece in pieces if piece.change != "added") == clean


def test_changes_are_words():
    pieces = changes("Which digit is shown?", "It is a 7. Which digit was shown?")
    assert [(piece.change, piece.text) for piece in pieces] == [
        ("added", "It is a 7. "),
        ("same", "Which digit "),
        ("removed", "is"),
        ("added", "was"),
        ("same", " shown?"),
    ]


def test_long_texts_are_compared_fast_and_shortened():
    question = "Which digit is shown? " * 20
    before, middle, after = changes(question + "End.", f"{question}{'word ' * 100_000}End.")
    assert (before.change, middle.change, after.change) == ("same", "added", "same")
    assert len(middle.text) < 1000 and "[… 499,200 characters …]" in middle.text
    assert shortened("x" * 800) == "x" * 800


def test_media_of_another_folder_are_named_from_there(tmp_path, capsys):
    folder, images = write_datasets(tmp_path / "folder"), tmp_path / "images"
    images.mkdir()
    for image in folder.glob("*.png"):
        image.rename(images / image.name)

    (tmp_path / "link").symlink_to(images)
    command = ["preview", str(folder), "pictures", "-n", "1", "-o", str(tmp_path / "page.html")]
    assert main([*command, "--media-dir", str(tmp_path / "link")]) == 0
    shown = capsys.readouterr().out
    assert f"{json.loads((folder / 'pictures.json').read_text())[0]['images'][0]}, " in shown
    assert str(tmp_path) not in (tmp_path / "page.html").read_text()
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "dropped   missing image: " in shown
    assert main([*command, "--media-dir", str(tmp_path / "absent")]) == 1
    assert "absent` is not a folder. Name the folder where" in capsys.readouterr().err
