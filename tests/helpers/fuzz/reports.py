"""Folders of runs with a diagnosis: changed anywhere in their JSON, or with something else in the place of a file."""

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from helpers.clip_diagnoses import clip_results, clip_rows
from helpers.diagnoses import diagnosis, flip, scored
from helpers.fuzz.traps import Traps
from modality_interference.results import JSON_FILE, ROWS_FILE, write_results


TAG = "<script>fuzz(1)</script>"  # must be escaped on a page
TEXTS = st.text(max_size=6) | st.sampled_from(
    [
        *(
            TAG,
            "\ud800",
            "</title><b>",
            "javascript:alert(1)",
            "data:image/png;base64,!!",
            "data:image/svg+xml;base64,PHN2Zz4=",
        ),
        *(
            "http://127.0.0.1/x.png",
            "file:///etc/passwd",
            "../../x",
            "a/b",
            "\0",
            "\x1b[2J",
            "$\\frac{1}{0}$",
            "$",
            "nan",
            "clean",
        ),
        *("x" * 3000, "{{ 7 * 7 }}", "\u202e", "swapped_video_2", "misleading_text", "pictures", "a\nb"),
    ]
)
VALUES = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
    | st.sampled_from([0, 1, -1, 1e308, 10**400, [], {}, [[]], {"": {}}])
    | st.dictionaries(TEXTS, st.floats() | TEXTS, max_size=2)
)  # fmt: skip


def write_run(data: st.DataObject, traps: Traps, name: str) -> Path:
    """Write a folder of a run into `traps.inside`."""
    folder = traps.inside / name
    folder.mkdir()
    if data.draw(st.integers(0, 3), "of clips") == 3:
        found = diagnosis(gallery=[flip()]).model_copy(update={"datasets": clip_results()})
        write_results(folder, found, clip_rows())
    else:
        rows = scored(correct=[True, True, False]) + scored(
            perturbation="misleading_text",
            correct=[False] * 3,
            flipped=[True, True, False],
            misled=[True] * 3,
            target=["dog"] * 3,
        )
        write_results(folder, diagnosis(gallery=[flip()]), rows)

    for file in (JSON_FILE, ROWS_FILE):
        _change(data, traps, folder / file)

    if data.draw(st.integers(0, 3), "other files") == 3:
        (folder / "interference.html").symlink_to(traps.outside / "new.html")
        os.mkfifo(folder / "trainer_log.jsonl")
        (folder / "trainer_state.json").symlink_to("/dev/zero")
        (folder / "interference_accuracy.png").symlink_to(traps.outside / "secret.png")

    return folder


def _change(data: st.DataObject, traps: Traps, path: Path) -> None:
    how = data.draw(
        st.sampled_from(
            ["whole"] * 4 + ["tree"] * 12 + ["bytes", "pipe", "zero", "link", "folder", "missing", "deep"]
        ),
        path.name,
    )
    if how == "tree":
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        for _ in range(data.draw(st.integers(1, 3), "changes")):
            number = data.draw(st.integers(0, len(lines) - 1), "line")
            lines[number] = json.dumps(_changed(data, json.loads(lines[number])))

        path.write_text("".join(f"{line}\n" for line in lines))
    elif how == "bytes":
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

        path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    elif how == "deep":
        path.write_text("[" * 100_000)
    elif how != "whole":
        path.unlink()
        if how == "pipe":
            os.mkfifo(path)
        elif how == "folder":
            path.mkdir()
        elif how != "missing":
            path.symlink_to("/dev/zero" if how == "zero" else traps.outside / "secret.json")


def _changed(data: st.DataObject, tree: Any) -> Any:
    """A copy with one value, key or item changed, left out or added."""
    if not isinstance(tree, (dict, list)) or not tree or data.draw(st.integers(0, 7), "here") == 7:
        return data.draw(VALUES, "value")

    if isinstance(tree, list):
        place = data.draw(st.integers(0, len(tree) - 1), "item")
        return [*tree[:place], _changed(data, tree[place]), *tree[place + 1 :]]

    key = data.draw(st.sampled_from(sorted(tree)), "key")
    how = data.draw(st.sampled_from(["value"] * 5 + ["name", "none", "more"]), "how")
    if how == "value":
        return tree | {key: _changed(data, tree[key])}

    others = {name: value for name, value in tree.items() if name != key}
    if how == "name":
        return others | {data.draw(TEXTS, "name"): tree[key]}

    return others if how == "none" else tree | {data.draw(TEXTS, "name"): tree[key]}
