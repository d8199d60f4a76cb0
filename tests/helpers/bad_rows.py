"""Datasets seeded with bad rows of many kinds."""

import base64
import json
import random
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from helpers.runs import COLOURS, COLUMNS


LONG = 10_000_000  # characters
INVALID = b"\xff\xfe\xfa"
TWINS = {"relevant": ["image"], "perturbations": ["misleading_text"], "answer": "text"}


@dataclass
class BadRows:
    """What was seeded.

    Attributes:
        sizes: rows of each dataset.
        kinds: the bad rows of each dataset, by the kind that a summary must count them under.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    @property
    def bad(self) -> set[tuple[str, int]]:
        """The bad rows."""
        return {(name, row) for name, kinds in self.kinds.items() for rows in kinds.values() for row in rows}

    @property
    def good(self) -> set[tuple[str, int]]:
        """All others."""
        return {(name, row) for name, size in self.sizes.items() for row in range(size)} - self.bad


def write_bad_rows(folder: Path, sizes: dict[str, int]) -> BadRows:
    """A dataset_dir with `questions` (JSON-lines, paths), `embedded` (Parquet) and `chats` (JSON-lines), 100 rows bad.

    Args:
        folder: where; files outside the media folder go beside it.
        sizes: rows of each.
    """
    folder.mkdir(parents=True)
    _write_images(folder)
    bad = BadRows(sizes)
    writers = {"questions": _write_questions, "embedded": _write_embedded, "chats": _write_chats}
    for name, write in writers.items():
        write(folder, bad)

    info = {
        "questions": {"file_name": "questions.jsonl", "columns": COLUMNS | {"distractors": "note"}},
        "embedded": {"file_name": "embedded.parquet", "columns": COLUMNS},
    }
    info = {name: entry | {"formatting": "multiple_choice_twins", "twins": TWINS} for name, entry in info.items()}
    info["chats"] = {
        "file_name": "chats.jsonl",
        "formatting": "sharegpt_twins",
        "columns": {"messages": "conversations", "images": "images"},
        "twins": {"relevant": "relevant", "perturbations": ["unrelated_text"]},
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return bad


def _write_images(folder: Path) -> None:
    for colour in COLOURS:
        Image.new("RGB", (40, 40), colour).save(folder / f"{colour}.png")

    Image.new("RGB", (40, 40), "red").save(folder / "red.jpg")
    whole = (folder / "red.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "zero.png").touch()
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "note.png").write_text("not a picture")
    (folder.parent / "outside.png").write_bytes(whole)
    (folder / "link.png").symlink_to(folder.parent / "outside.png")


def bomb() -> bytes:
    """A PNG of a hundred bytes that would take 10 GB."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _spread(bad: BadRows, name: str, changes: list[tuple[str, dict[str, Any]]]) -> dict[int, dict[str, Any]]:
    """Places for the bad rows, at random."""
    places = random.Random(name).sample(range(bad.sizes[name]), len(changes))
    bad.kinds[name] = {}
    for place, (kind, _) in zip(places, changes):
        bad.kinds[name].setdefault(kind, []).append(place)

    return {place: change for place, (_, change) in zip(places, changes)}


def _question(index: int) -> dict[str, Any]:
    choices = [COLOURS[(index + shift) % len(COLOURS)] for shift in range(3)]
    return {
        "question": f"Which colour is shown in {index}?",
        "choices": json.dumps(choices),
        "answer": "A",
        "images": [f"{choices[0]}.png"],
        "note": "",
    }


def _write_questions(folder: Path, bad: BadRows) -> None:
    outside = str(folder.parent / "outside.png")
    colours = json.dumps(["red", "green", "red"])
    encoded = base64.b64encode((folder / "red.png").read_bytes()).decode()
    jpeg = base64.b64encode((folder / "red.jpg").read_bytes()).decode()  # begins as an absolute path
    as_base64 = (encoded, f"data:image/png;base64,{encoded}", jpeg)
    changes = [
        *[("missing image", {"images": ["absent.png"]})] * 3,
        *[("broken image", {"images": ["truncated.png"]})] * 6,
        *[("empty image", {"images": ["zero.png"]})] * 4,
        *[("huge image", {"images": ["bomb.png"]})] * 4,
        *[("not an image", {"images": ["note.png"]})] * 3,
        *[("empty question", {"question": value}) for value in (None, "", "  ", "<image>")],
        *[("text too long", {"question": "why " * (LONG // 4)})] * 2,
        *[("answer not among the options", {"answer": value}) for value in ("mauve", "D", "7", "", None, "NaN")],
        *[("fewer than two options", {"choices": value}) for value in (None, "[]", '["red"]', "[null, null]")],
        *[("options not understood", {"choices": value}) for value in ("red, green", '[["red"], ["green"]]', "NaN")],
        *[("options not understood", {"choices": value}) for value in ('[{"a": 1}, 2]', "[" * 5000, "5", "true")],
        *[("more than 1000 options", {"choices": json.dumps(list(range(1001)))})] * 2,
        *[("duplicated options", {"choices": colours})] * 5,
        *[("path outside the media folder", {"images": [path]}) for path in ("../outside.png", outside)],
        ("link out of the media folder", {"images": ["link.png"]}),
        *[("base64 in place of a path", {"images": [text]}) for text in as_base64],
        *[("path outside the media folder", {"images": ["../../../../../etc/hostname"]})] * 2,
        *[("address in place of a path", {"images": [f"{scheme}://host/red.png"]}) for scheme in ("https", "file")],
        *[("text not encodable", {"choices": '["red \\ud800", "green"]'})] * 2,
        *[("image token without image", {"question": "<image><image>?"})] * 3,
        *[("invalid UTF-8", {"question": "which INVALID?"})] * 3,
        *[("medium not understood", {"images": ["nul\0.png"]})] * 2,
    ]
    assert len(changes) == 70
    changed = _spread(bad, "questions", changes)
    rows = [_question(index) | changed.get(index, {}) for index in range(bad.sizes["questions"])]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "questions.jsonl").write_bytes(text.encode().replace(b"INVALID", INVALID))


def _write_embedded(folder: Path, bad: BadRows) -> None:
    whole = (folder / "green.png").read_bytes()
    changes = [
        *[("broken image", {"images": whole[: len(whole) // 2]})] * 4,
        *[("empty image", {"images": b""})] * 2,
        *[("huge image", {"images": bomb()})] * 2,
        *[("not an image", {"images": b"not a picture"})] * 2,
        *[("answer not among the options", {"answer": float("nan")})] * 3,
        *[("answer not among the options", {"answer": value}) for value in (1.5, -1.0, 1e300, None)],
        ("fewer than two options", {"choices": []}),
        ("options not understood", {"choices": [None, "red"]}),
        ("duplicated options", {"choices": ["red", "red "]}),
        ("invalid UTF-8", {"question": b"which \xff?"}),
    ]
    assert len(changes) == 21
    changed = _spread(bad, "embedded", changes)
    good = {"question": b"Which colour is shown?", "choices": ["red", "green"], "answer": 1.0, "images": whole}
    rows = [good | changed.get(index, {}) for index in range(bad.sizes["embedded"])]
    images = [{"bytes": row["images"], "path": None} for row in rows]
    table = {
        "question": pa.array([row["question"] for row in rows], pa.binary()).view(pa.string()),
        "choices": pa.array([row["choices"] for row in rows], pa.list_(pa.string())),
        "answer": pa.array([row["answer"] for row in rows], pa.float64(), from_pandas=False),
        "images": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
    }
    pq.write_table(pa.table(table), folder / "embedded.parquet")


def _write_chats(folder: Path, bad: BadRows) -> None:
    asked, answered = {"from": "human", "value": "<image>Which colour?"}, {"from": "gpt", "value": "red"}
    changes = [
        *[("no assistant turn", {"conversations": turns}) for turns in ([asked], [], [answered, asked])],
        ("no assistant turn", {"conversations": [asked, answered | {"value": ""}]}),
        *[("unreadable row", {"conversations": turns}) for turns in (None, [asked | {"value": None}, answered])],
        *[("relevant not understood", {"relevant": value}) for value in ("smell", None)],
        ("missing image", {"images": ["absent.png"]}),
    ]
    assert len(changes) == 9
    changed = _spread(bad, "chats", changes)
    good = {"conversations": [asked, answered], "images": ["red.png"], "relevant": "image"}
    rows = [good | changed.get(index, {}) for index in range(bad.sizes["chats"])]
    (folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
