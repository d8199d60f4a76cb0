"""`modality-interference preview` of clips: frame strips and spectrograms of clean rows and of twins, against the prepared files."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.clip_files import read_frames, write_clip, write_corrupt, write_labelled
from PIL import Image

from modality_interference.cli import main
from modality_interference.clips.benchmark import Plan, build_benchmark
from modality_interference.clips.folder import prepare_folder
from modality_interference.clips.prepare import Settings


SIDE = 64  # pixels of a clip, and of a frame in its strip
COLUMNS = ("videos", "visual_label", "audio_label")


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prepared and paired clips, four of two classes, and the same clips as datasets of other forms."""
    folder = tmp_path_factory.mktemp("clips")
    write_labelled(folder / "in", ["bell", "horn"], 2, seconds=1)
    clips = folder / "clips"
    prepare_folder(folder / "in", clips, Settings(size=SIDE, keep_audio=True), 2)
    build_benchmark(clips / "clips.jsonl", None, Plan(abstention="cannot tell"))
    info = json.loads((clips / "dataset_info.json").read_text())
    own = json.loads(json.dumps(info["audio_visual"]))
    own["columns"] = {name: own["columns"][name] for name in COLUMNS}
    info["own_sound"] = own
    (clips / "dataset_info.json").write_text(json.dumps(info))
    return clips


@pytest.fixture
def clips(paired: Path, tmp_path: Path) -> Path:
    return shutil.copytree(paired, tmp_path / "clips")


@pytest.fixture
def shown(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., tuple[list[str], str]]:
    """Runs a preview in this process; gives the lines of its text, and its page."""

    def show(folder: Path, dataset: str = "audio_visual", rows: int = 8) -> tuple[list[str], str]:
        page = tmp_path / "page.html"
        assert main(["preview", str(folder), dataset, "-n", str(rows), "-o", str(page)]) == 0
        return capsys.readouterr().out.splitlines(), page.read_text()

    return show


class Cards(HTMLParser):
    """The cards of a page: title, images as pixels by kind, captions, text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cards: list[dict] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "article":
            self.cards.append({"title": "", "video": [], "audio": [], "captions": [], "text": ""})
        elif tag == "img":
            content = (found["src"] or "").partition(";base64,")[2]
            image = Image.open(BytesIO(base64.b64decode(content))).convert("RGB")
            self.cards[-1][found["class"] or ""].append(np.asarray(image))
        elif tag == "figcaption":
            self.cards[-1]["captions"].append("")

        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.cards and "article" in self._open:
            self.cards[-1]["text"] += data
            if "h3" in self._open:
                self.cards[-1]["title"] += data
            elif "figcaption" in self._open:
                self.cards[-1]["captions"][-1] += data


def rows_of(clips: Path) -> list[dict]:
    return [json.loads(line) for line in (clips / "audio_visual.jsonl").read_text().splitlines()]


def edit(clips: Path, **changes: object) -> None:
    """Change the first row of the dataset."""
    first, *others = rows_of(clips)
    lines = [json.dumps(row) + "\n" for row in (first | changes, *others)]
    (clips / "audio_visual.jsonl").write_text("".join(lines))


def assert_strip(strip: np.ndarray, path: Path) -> None:
    """Its frames are those of a one-second clip at 8 fps in the middles of four quarters: at 1/8, 3/8, 5/8 and 7/8 s."""
    frames, _ = read_frames(path)
    assert strip.shape == (SIDE, 4 * SIDE + 6, 3)
    for place, index in enumerate((1, 3, 5, 7)):
        np.testing.assert_array_equal(strip[:, place * (SIDE + 2) :][:, :SIDE], frames[index])


def test_the_page_shows_clean_rows_and_what_twins_change(paired, shown):
    _, page = shown(paired, rows=1)
    cards = {card["title"]: card for card in Cards(page).cards}
    row = rows_of(paired)[0]
    clean, swapped, silent = cards["Clean row"], cards["swapped_audio"], cards["silence"]
    assert_strip(clean["video"][0], paired / row["video"])
    assert clean["captions"] == [f"Video: {row['video']}, 1.0 s, 64 × 64", f"Audio: {row['audio']}, 1.0 s"]
    assert swapped["captions"] == [f"Audio: {row['swapped_audio']} (another row's), 1.0 s"]
    assert silent["captions"] == ["Audio: silence, 1.0 s"]
    for card in (swapped, silent):
        assert card["video"] == [] and "Unchanged: text, video." in card["text"]

    assert silent["audio"][0].max() < 16
    heard = [card["audio"][0].astype(int).sum(axis=(1, 2)).argmax() for card in (clean, swapped)]
    low, high = ("bell", "horn") if row["audio_label"] == "bell" else ("horn", "bell")
    assert (row["audio_label"], row["swapped_audio_label"]) == (low, high)
    assert (heard[0] > heard[1]) == (low == "bell")  # the first row of an image is the highest pitch
    assert cards["misleading_caption"]["captions"] == []
    assert "Unchanged: video, audio." in cards["misleading_caption"]["text"]


def test_the_page_shows_frames_that_twins_change(paired, shown):
    _, page = shown(paired, rows=8)
    cards = Cards(page).cards
    swapped = [card for card in cards if card["title"] == "swapped_video"]
    black = [card for card in cards if card["title"] == "black_frames"]
    assert len(swapped) == len(black) == 4
    for row, other, removed in zip(rows_of(paired), swapped, black):
        assert_strip(other["video"][0], paired / row["swapped_video"])
        assert other["captions"] == [f"Video: {row['swapped_video']} (another row's), 1.0 s, 64 × 64"]
        assert removed["captions"] == ["Video: black frames, 1.0 s, 64 × 64"]
        assert not removed["video"][0][:, :SIDE].any()
        for card in (other, removed):
            assert card["audio"] == [] and "Unchanged: text, audio." in card["text"]


def test_the_terminal_says_the_same(paired, shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    lines, _ = shown(paired, rows=2)
    row = rows_of(paired)[0]
    assert f"  video     {row['video']}, 1.0 s, 64 × 64" in lines and f"  audio     {row['audio']}, 1.0 s" in lines
    place = next(index for index, line in enumerate(lines) if line.startswith("  ~ swapped_audio, claims: "))
    assert lines[place + 1 : place + 3] == [
        f"    audio     {row['swapped_audio']} (another row's), 1.0 s",
        "    unchanged text, video",
    ]
    place = lines.index("  ~ silence")
    assert lines[place + 1 : place + 3] == ["    audio     silence, 1.0 s", "    unchanged text, video"]


def test_rows_whose_asked_modality_is_removed(paired, shown):
    _, page = shown(paired, "audio_visual_removed", rows=8)
    cards = [card for card in Cards(page).cards if card["title"] == "Clean row"]
    names = [(row["video"], row["audio"]) for row in rows_of(paired) for _ in range(2)]
    for number, (card, (video, audio)) in enumerate(zip(cards, names, strict=True)):
        expected = [f"Video: {video}, 1.0 s, 64 × 64", f"Audio: {audio}, 1.0 s"]
        expected[number % 2] = ("Video: black frames, 1.0 s, 64 × 64", "Audio: silence, 1.0 s")[number % 2]
        assert card["captions"] == expected


def test_clips_with_their_own_audio(paired, shown):
    _, page = shown(paired, "own_sound", rows=1)
    clean, swapped, *_ = Cards(page).cards
    video = rows_of(paired)[0]["video"]
    assert [caption.split(", ")[0] for caption in clean["captions"]] == [f"Video: {video}", f"Audio: {video}"]
    assert swapped["title"] == "swapped_audio" and ".mp4 (another row's), " in swapped["captions"][0]
    assert len(swapped["audio"]) == 1 and swapped["audio"][0].max() > 200


def test_a_clip_that_cannot_be_read_drops_its_row_or_twin_as_in_a_run(clips, shown):
    row = rows_of(clips)[0]
    (clips / row["swapped_audio"]).write_bytes(b"no audio")
    lines, page = shown(clips, rows=1)
    said = re.sub(r"\s+", " ", " ".join(lines))
    assert f"swapped_audio twin, broken audio: cannot use `{row['swapped_audio']}`: InvalidDataError" in said
    assert "swapped_audio" not in [card["title"] for card in Cards(page).cards]
    assert "silence" in [card["title"] for card in Cards(page).cards] and str(clips) not in page
    write_corrupt(clips / row["video"])
    lines, page = shown(clips, rows=1)
    assert "row 0 (dropped)" in lines and Cards(page).cards == []
    assert f"broken video: cannot use `{row['video']}`: InvalidDataError" in re.sub(r"\s+", " ", " ".join(lines))
    assert str(clips) not in page


def test_names_of_files_stay_text(clips, shown):
    name = "<img src=x onerror='alert(1)'>\x1b[2J.mp4"
    (clips / rows_of(clips)[0]["video"]).rename(clips / name)
    edit(clips, video=name)
    lines, page = shown(clips, rows=1)
    assert Cards(page).cards[0]["captions"][0] == f"Video: {name}, 1.0 s, 64 × 64"
    assert "onerror" in unescape(page) and "<img src=x" not in page and "\x1b" not in "".join(lines)


def test_media_outside_of_the_folder_stay_closed(clips, shown):
    write_clip(clips.parent / "secret.mp4", seconds=1)
    for name in ("../secret.mp4", str(clips.parent / "secret.mp4")):
        edit(clips, swapped_audio=name)
        lines, page = shown(clips, rows=1)
        assert "row 0 (dropped)" in lines and Cards(page).cards == []


def test_a_video_of_single_images(tmp_path, shown):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        Image.new("RGB", (32, 16), (60 * index, 0, 0)).save(folder / f"{index}.png")

    row = {"instruction": "<video>What?", "input": "", "output": "b", "videos": [["0.png", "1.png", "2.png"]]}
    columns = {"prompt": "instruction", "query": "input", "response": "output", "videos": "videos"}
    (folder / "rows.json").write_text(json.dumps([row]))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json", "columns": columns}}))
    _, page = shown(folder, "rows", 1)
    (card,) = Cards(page).cards
    assert card["captions"] == ["Video: 0.png and 2 more, 3 frames, 32 × 16"]
    assert [card["video"][0][0, 34 * place, 0] for place in range(3)] == [0, 60, 120]
