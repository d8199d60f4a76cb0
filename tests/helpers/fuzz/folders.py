"""Dataset folders: entries that name what they must not, rows of any type, Parquet and Arrow files that declare media."""

import csv
import gzip
import json
import os
import pickle
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from helpers.fuzz.media import contents, good_files
from helpers.fuzz.traps import SYSTEM_FILES, Traps
from modality_interference.dataset_dir.card import HEADINGS


NAME = "rows"
CLIPS = {key: key for key in ("videos", "audios", "visual_label", "audio_label", "swapped_video", "swapped_audio")}
CHOICE = {key: key for key in ("question", "choices", "answer", "images")}
GOOD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # the entry and a row, by kind
    "plain": ({}, {"instruction": "<image>Say red.", "input": "", "output": "red", "images": ["red.png"]}),
    "plain chat": (
        {"formatting": "sharegpt", "columns": {"messages": "messages", "images": "images", "videos": "videos"}},
        {
            "messages": [{"from": "human", "value": "<image>Which?"}, {"from": "gpt", "value": "red"}],
            "images": ["red.png"],
            "videos": [],
        },
    ),
    "plain clips": (
        {"columns": {"prompt": "prompt", "response": "response", "videos": "videos"}},
        {"prompt": "<video>Which?", "response": "red", "videos": ["clip.mp4"]},
    ),
    "choice": (
        {
            "formatting": "multiple_choice_twins",
            "columns": CHOICE,
            "twins": {"relevant": ["image"], "perturbations": ["misleading_text", "unrelated_text"]},
        },
        {"question": "Which colour?", "choices": ["red", "green"], "answer": "A", "images": ["red.png"]},
    ),
    "pool": (
        {
            "formatting": "multiple_choice_twins",
            "columns": CHOICE,
            "twins": {"relevant": ["text"], "perturbations": [{"name": "irrelevant_image", "pool": "pool"}]},
        },
        {"question": "Which colour?", "choices": '["red", "green"]', "answer": "A", "images": []},
    ),
    "classes": (
        {
            "formatting": "image_classification_twins",
            "columns": {"images": "image", "label": "label"},
            "twins": {"relevant": ["image"], "classes": ["red", "green"], "perturbations": ["misleading_text"]},
        },
        {"image": "red.png", "label": 0},
    ),
    "chat": (
        {
            "formatting": "openai_twins",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
            "twins": {"relevant": "kind", "perturbations": ["unrelated_text", "black_image"]},
        },
        {
            "messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "red"}],
            "images": [],
            "kind": "text",
        },
    ),
    "clips": (
        {
            "formatting": "audio_visual_twins",
            "columns": CLIPS | {f"swapped_{key}": f"swapped_{key}" for key in ("visual_label", "audio_label")},
            "twins": {"classes": ["dog", "cat"], "perturbations": ["silence", "black_frames", "swapped_video"]},
        },
        {
            "videos": "clip.mp4",
            "audios": "clip.wav",
            "visual_label": "dog",
            "audio_label": "dog",
            "swapped_video": "clip.mp4",
            "swapped_audio": "clip.wav",
            "swapped_visual_label": "cat",
            "swapped_audio_label": "cat",
        },
    ),
}
HUBS = ("json", "owner/name", "outside/notes", "inside/owner", "../outside", "csv", "https://a/b", "parquet", "")


@cache
def names(traps: Traps) -> list[str]:
    """Paths that an input may name: its own files, and what must stay shut."""
    outside = [str(file) for file in sorted(traps.outside.iterdir()) if file.name != "notes"]
    upwards = [f"../{traps.outside.name}/{Path(file).name}" for file in outside]
    links = [f"link{Path(file).suffix}" for file in outside] + ["links", "links/secret.png", "links/secret.json"]
    addresses = [f"{scheme}://{traps.address}/secret.json" for scheme in ("http", "https", "ftp", "s3", "hf", "tcp")]
    addresses += [f"file://{outside[1]}", f"concat:{outside[1]}", f"subfile,,start,0,end,9,,:{outside[1]}"]
    chained = [f"zip://secret.json::{outside[1]}", f"simplecache::http://{traps.address}/x", "data:,x", "pipe:0", "-"]
    odd = [
        "*.json",
        "**",
        ".",
        "..",
        "/",
        "",
        " ",
        "a\0b",
        "\ud800",
        "x" * 300,
        "CON",
        "~",
        "~root",
        "$HOME",
        "pipe",
        "zero",
    ]
    return ["red.png", "clip.mp4", "clip.wav", *outside, *upwards, *links, *SYSTEM_FILES, *addresses, *chained, *odd]


@cache
def files(traps: Traps) -> st.SearchStrategy[bytes]:
    """Media files, some of which name others."""
    return contents(tuple(names(traps)[3:12]), traps.address)


@cache
def texts(traps: Traps) -> st.SearchStrategy[str]:
    """Paths, tokens and any characters."""
    tokens = [
        "A",
        "red",
        "<image>",
        "<video>",
        "<audio><image>",
        "nan",
        "[1]",
        '["red"]',
        "\x1b[2J",
        "{option}",
        "\u202e",
    ]
    return st.sampled_from([*names(traps), *tokens]) | st.text(max_size=6)


@cache
def cells(traps: Traps) -> st.SearchStrategy[Any]:
    """Values of rows."""
    path = st.sampled_from(names(traps))
    held = st.binary(max_size=4) | files(traps)
    media = st.fixed_dictionaries({"bytes": st.none() | held, "path": st.none() | path})
    scalars = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | texts(traps) | media
    keys = st.sampled_from(["bytes", "path", "from", "value", "role", "content", "type", "text"])
    return path | st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
    )


@cache
def trees(traps: Traps) -> st.SearchStrategy[Any]:
    """JSON."""
    scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts(traps)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(traps), inner, max_size=3),
        max_leaves=6,
    )


@cache
def features(depth: int = 2) -> st.SearchStrategy[Any]:
    """Types of columns as a file's metadata declare them; whether the cells fit is another question."""
    media = st.sampled_from(
        [
            datasets.Image(),
            datasets.Image(decode=False),
            datasets.Audio(),
            datasets.Audio(decode=False),
            datasets.Video(),
            datasets.Pdf(),
        ]
    )
    if not depth:
        return media

    inner = features(depth - 1)
    return (
        media
        | st.builds(datasets.List, inner)
        | st.builds(datasets.LargeList, inner)
        | inner.map(lambda item: {"deep": item})
    )


def _storage(feature: Any) -> Any:
    """What Arrow holds in place of media."""
    if isinstance(feature, dict):
        return pa.struct({name: _storage(item) for name, item in feature.items()})

    if isinstance(feature, (datasets.List, datasets.LargeList)):
        kind = pa.list_ if isinstance(feature, datasets.List) else pa.large_list
        return kind(_storage(feature.feature))

    return pa.struct({"bytes": pa.binary(), "path": pa.string()})


def _filled(feature: Any, item: Any) -> Any:
    if isinstance(feature, dict):
        return {name: _filled(inner, item) for name, inner in feature.items()}

    return [_filled(feature.feature, item)] if isinstance(feature, (datasets.List, datasets.LargeList)) else item


def write_dataset_folder(data: st.DataObject, traps: Traps) -> None:
    """Fill `traps.inside` with a dataset folder that has one dataset, NAME."""
    folder = traps.inside
    (folder / "red.png").write_bytes(good_files()["image png"])
    (folder / "clip.mp4").write_bytes(good_files()["mp4"])
    (folder / "clip.wav").write_bytes(good_files()["wav"])
    (folder / "pool").mkdir()
    shutil.copy(folder / "red.png", folder / "pool" / "red.png")
    _write_traps(data, folder, traps)
    for name in ("clip.mp4", "clip.wav", "red.png", "pool/red.png"):
        if data.draw(st.integers(0, 7), f"whether {name} is another") == 7:
            (folder / name).write_bytes(data.draw(files(traps), name))

    entry, row = GOOD[data.draw(st.sampled_from(sorted(GOOD)), "kind")]
    rows = [dict(row) for _ in range(3)]
    for changed in data.draw(st.sampled_from([[], [1], [1, 2], [0, 1, 2]]), "rows that change"):
        for key in data.draw(st.sets(st.sampled_from(sorted(row)), max_size=3), "columns that change"):
            rows[changed][key] = data.draw(cells(traps), key)

    file = _write_rows(data, traps, rows)
    entry = {"file_name": file} | json.loads(json.dumps(entry))
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 2]), "keys that change")):
        _change_entry(data, traps, entry)

    _write_info(data, traps, {NAME: entry})


def _write_traps(data: st.DataObject, folder: Path, traps: Traps) -> None:
    """A card; links out, pipes and code, which are there most often, so that any name may meet them."""
    (folder / "README.md").write_text("".join(f"# {heading}\ntext\n" for heading in HEADINGS))
    if data.draw(st.integers(0, 3), "no traps") == 3:
        return

    for file in filter(os.path.isfile, traps.outside.iterdir()):
        (folder / f"link{file.suffix}").unlink(missing_ok=True)
        (folder / f"link{file.suffix}").symlink_to(file)

    (folder / "links").symlink_to(traps.outside)
    (folder / "zero").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    if data.draw(st.integers(0, 3), "a folder of a hub's name") == 3:
        (folder / "owner" / "name").mkdir(parents=True)
        (folder / "owner" / "name" / "data.json").symlink_to(traps.outside / "secret.json")

    if data.draw(st.integers(0, 3), "code") == 3:
        for name in ("rows.py", "inside.py", "__init__.py", "conftest.py", "sitecustomize.py"):
            (folder / name).write_text(f"open({str(traps.outside / 'secret.txt')!r}).read()\n")

    if data.draw(st.integers(0, 3), "card") == 3:
        head = data.draw(st.sampled_from(["---\n", "--- \n", ""]))
        body = data.draw(
            st.sampled_from(["license: mit\n", "a: &a [*a]\n", "!!python/object/apply:os.system [gs]\n", "x: {\n"])
        )
        (folder / "README.md").write_bytes(
            (head + body + head + "# Source\n").encode() + data.draw(st.binary(max_size=9))
        )


def _write_rows(data: st.DataObject, traps: Traps, rows: list[dict[str, Any]]) -> str:
    """Write the rows in some way; the name that an entry gives."""
    folder = traps.inside
    kind = data.draw(
        st.sampled_from(
            ["json"] * 4 + ["jsonl", "jsonl", "parquet", "parquet", "arrow", "arrow", "csv", "folder", "raw"]
        ),
        "file",
    )
    if kind == "folder":
        (folder / "many").mkdir()
        (folder / "many" / "a.json").write_text(_dumped(rows))
        other = data.draw(st.sampled_from(["link.json", "pipe", "links", "b.csv", "gz.json", "none"]), "beside it")
        if other in ("link.json", "pipe", "links"):
            (folder / "many" / f"b{Path(other).suffix}").symlink_to(os.path.realpath(folder / other))
        elif other == "gz.json":
            (folder / "many" / "b.json").write_bytes(gzip.compress(_dumped(rows).encode()))
        elif other == "b.csv":
            (folder / "many" / "b.csv").write_text("a,b\n1,2\n")

        return "many"

    name = (
        f"rows.{kind}"
        if kind != "raw"
        else data.draw(st.sampled_from(["rows.json", "rows.parquet", "rows.csv", "rows.arrow"]))
    )
    if kind in ("json", "jsonl"):
        text = _dumped(rows) if kind == "json" else "".join(f"{_dumped(row)}\n" for row in rows)
        (folder / name).write_bytes(_broken(data, text.encode("utf-8", "surrogatepass")))
    elif kind == "csv":
        with open(folder / name, "w", newline="", encoding="utf-8", errors="replace") as file:
            writer = csv.DictWriter(file, sorted(rows[0]))
            writer.writeheader()
            writer.writerows({key: _dumped(value) for key, value in row.items()} for row in rows)
    elif kind == "raw":
        deep = ("[" * 9000 + "]" * 9000).encode()
        dumped = pickle.dumps(rows)
        pieces = [
            deep,
            dumped,
            b"",
            b"\xff\xfe{",
            b"PAR1PAR1",
            b"ARROW1\0\0",
            good_files()["mp4"],
            gzip.compress(deep),
        ]
        (folder / name).write_bytes(data.draw(st.sampled_from(pieces) | st.binary(max_size=60), "raw"))
    else:
        _write_table(data, traps, rows, folder / name)

    return name


def _dumped(value: Any) -> str:
    return json.dumps(value, default=lambda held: held.hex())


def _broken(data: st.DataObject, text: bytes) -> bytes:
    """Half a file, one with a byte that is no UTF-8, one in an archive; as a rule the whole one."""
    how = data.draw(st.sampled_from([""] * 9 + ["half", "byte", "packed", "deep"]), "broken")
    if how == "half":
        return text[: len(text) // 2]

    if how == "byte":
        place = data.draw(st.integers(0, len(text) - 1))
        return text[:place] + bytes([data.draw(st.integers(0, 255))]) + text[place + 1 :]

    if how == "packed":
        return gzip.compress(text)

    return text.replace(b"[", b"[" * 5000, 1) if how == "deep" else text


def _write_table(data: st.DataObject, traps: Traps, rows: list[dict[str, Any]], path: Path) -> None:
    """A Parquet or Arrow file, some columns of which are declared to be media."""
    held = [{"bytes": None, "path": name} for name in names(traps) if name.isprintable()]
    held += [{"bytes": content, "path": None} for content in (b"%!PS-Adobe-3.0 EPSF-3.0\n", good_files()["image png"])]
    columns, declared = {}, {}
    for name in rows[0]:
        try:
            columns[name] = pa.array([row[name] for row in rows])
        except (pa.ArrowException, OverflowError, UnicodeError, TypeError):  # of several types: as text
            columns[name] = pa.array([_dumped(row[name]) for row in rows])

    for name in data.draw(
        st.sets(st.sampled_from([*rows[0], "extra", "_clip", "_twins"]), max_size=3), "declared columns"
    ):
        declared[name] = feature = data.draw(features(), name)
        items = [data.draw(st.sampled_from(held), name) for _ in rows]
        columns[name] = pa.array([_filled(feature, item) for item in items], _storage(feature))

    table = pa.table(columns)
    if declared and data.draw(st.integers(0, 3), "declared") < 3:
        declared = {
            name: declared.get(name)
            or datasets.features.features.generate_from_arrow_type(table.schema.field(name).type)
            for name in columns
        }
        table = table.replace_schema_metadata(datasets.Features(declared).arrow_schema.metadata)
    elif data.draw(st.booleans(), "odd metadata"):
        table = table.replace_schema_metadata(
            {b"huggingface": data.draw(st.sampled_from([b"{", b'{"info": 1}', b"null", b"\xff"]))}
        )

    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        writer = pa.ipc.new_stream if data.draw(st.booleans(), "stream") else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as sink, writer(sink, table.schema) as file:
            file.write_table(table)

    path.write_bytes(_broken(data, path.read_bytes()))


ENTRY_KEYS = (
    *("file_name", "file_name", "hf_hub_url", "ms_hub_url", "script_url", "cloud_file_name", "formatting", "ranking"),
    *("subset", "split", "folder", "num_samples", "columns", "tags", "twins", "comment"),
)


def _change_entry(data: st.DataObject, traps: Traps, entry: dict[str, Any]) -> None:
    key = data.draw(st.sampled_from(ENTRY_KEYS), "key")
    if key in ("columns", "tags", "twins") and isinstance(entry.get(key), dict) and data.draw(st.booleans(), "a part"):
        inner = data.draw(
            st.sampled_from([*entry[key], "images", "videos", "audios", "pool", "question"]), "inner key"
        )
        entry[key] = entry[key] | {inner: data.draw(trees(traps), inner)}
    elif key.endswith(("_url", "file_name", "folder")):
        entry[key] = data.draw(st.sampled_from([*HUBS, *names(traps)]) | trees(traps), key)
    else:
        entry[key] = data.draw(trees(traps), key)


def _write_info(data: st.DataObject, traps: Traps, info: dict[str, Any]) -> None:
    path = traps.inside / "dataset_info.json"
    how = data.draw(st.sampled_from(["good"] * 12 + ["link", "pipe", "raw", "twice", "deep"]), "dataset_info.json")
    text = json.dumps(info)
    if how == "link":
        path.symlink_to(traps.outside / "secret.json")
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "raw":
        path.write_bytes(data.draw(st.binary(max_size=30), "raw"))
    elif how == "twice":
        path.write_text(text[:-1] + "," + text[1:])
    else:
        path.write_text(text if how == "good" else '{"a":' * 3000 + text + "}" * 3000)
