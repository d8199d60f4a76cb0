"""Bare files become dataset folders: read by LLaMA-Factory's loader, their rows as they were recognised."""

import base64
import csv
import gzip
import json
from contextlib import suppress
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image
from helpers.diagnoses import image_uri
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modality_interference.dataset_dir.entry import dataset_problems
from modality_interference.dataset_dir.info import read_info
from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration import prepare
from modality_interference.integration.extensions import known_formats
from modality_interference.integration.offline import open_dataset
from modality_interference.integration.prepare import (
    open_entry,
    open_file,
    read_entry,
    split_address,
    twins_entry,
    write_folder,
)
from modality_interference.modality import Modality


RED, BLUE = (base64.b64decode(image_uri(colour).split(",")[1]) for colour in ("red", "blue"))
IMAGE = [Modality.IMAGE]


def prepared(file: Path, folder: Path, relevant=IMAGE, names=None, rows: int = 100):
    """The examples of the folder that is made of a file."""
    with open_file(file, None) as data:
        write_folder(data, twins_entry(data, relevant, names), folder, rows, seed=1)

    ((name, entry),) = read_info(folder).datasets.items()
    assert dataset_problems(name, entry, folder, known_formats()) == []
    with open_dataset(name, entry, folder, seed=1) as dataset:
        return list(dataset.examples(range(len(dataset.rows))))


def pixels(example):
    """The first pixel of each of the row's own images."""
    return [example.images[reference].getpixel((0, 0)) for reference in example.record.media[Modality.IMAGE]]


def write_tsv(file: Path, *rows):
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(rows)

    return file


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_mmbench_as_vlmevalkit_has_it(tmp_path):
    """Images as base64, other rows' images by their index, options of unequal number, hints that are missing."""
    header = "index question hint A B C D answer category image".split()
    file = write_tsv(
        tmp_path / "MMBench_DEV_EN.tsv",
        header,
        [0, "Which\tcolour?", "nan", "red", "blue", "green", "", "A", "x", encoded(RED)],
        [1, "Which colour?", "Look\nhere.", "red", "None", "", "", "B", "x", encoded(BLUE)],
        [1000000, "Which colour?", "", "blue", "red", "", "", "B", "x", "0"],
        [3, "Which colour?", "", "blue", "red", "", "", "B", "x", "@@" * 100],
    )
    first, second, third, broken = prepared(file, tmp_path / "out")
    assert pixels(first) == pixels(third) == [(255, 0, 0)]
    assert pixels(second) == [(0, 0, 255)]
    assert first.record.choices == ("red", "blue", "green")
    assert second.record.choices == ("red", "None")  # not pandas' NaN
    assert "Which\tcolour?" in first.aligned["_prompt"][0]["content"]
    assert "Look\nhere." in second.aligned["_prompt"][0]["content"]
    assert [twin.perturbation for twin in first.twins] == ["misleading_text", "unrelated_text"]
    assert broken.dropped or broken.problems


def test_images_of_several_rows_in_one_cell(tmp_path):
    cell = str([encoded(RED), encoded(BLUE)])
    file = write_tsv(tmp_path / "many.tsv", ["question", "A", "B", "answer", "image"], ["Which?", "x", "y", "A", cell])
    (row,) = prepared(file, tmp_path / "out")
    assert pixels(row) == [(255, 0, 0), (0, 0, 255)]


def test_parquet_with_embedded_images_and_class_labels(tmp_path):
    names = Features({"img": Image(), "label": ClassLabel(names=["cat", "dog", "cow"])})
    rows = [{"img": {"bytes": RED, "path": None}, "label": 1}]
    Dataset.from_list(rows, features=names).to_parquet(tmp_path / "pets.parquet")
    (row,) = prepared(tmp_path / "pets.parquet", tmp_path / "out", relevant=None)
    assert pixels(row) == [(255, 0, 0)]
    assert row.record.choices[row.record.answer] == "dog"


def test_a_csv_with_split_options_and_answers_from_one(tmp_path):
    (tmp_path / "a.csv").write_text("question,options,answer\n" + "".join(f"Which?,x; y; z,{n}\n" for n in (1, 3, 2)))
    rows = prepared(tmp_path / "a.csv", tmp_path / "out", relevant=None)
    assert [(row.record.choices, row.record.answer) for row in rows] == [(("x", "y", "z"), n) for n in (0, 2, 1)]


def test_messages_in_parts(tmp_path):
    parts = [{"type": "image"}, {"type": "text", "text": "Which?"}]
    turns = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]},
    ]
    (tmp_path / "chat.jsonl").write_text(json.dumps({"messages": turns, "images": ["a.png"]}) + "\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(RED)  # where this test reads the folder
    (row,) = prepared(tmp_path / "chat.jsonl", tmp_path / "out")
    assert (row.aligned["_prompt"][0]["content"], row.record.choices) == ("<image>Which?", ())
    assert row.aligned["_response"][0]["content"] == "A dog."


def test_fewer_rows_are_a_part_of_more_in_the_order_of_the_file(tmp_path):
    rows = [{"question": f"Which {n}?", "choices": ["x", "y"], "answer": "x"} for n in range(40)]
    (tmp_path / "a.json").write_text(json.dumps(rows))

    def questions(count):
        found = prepared(tmp_path / "a.json", tmp_path / f"out{count}", None, ["black_image"], count)
        return [int(example.aligned["_prompt"][0]["content"].split()[2][:-1]) for example in found]

    few, more = questions(5), questions(12)
    assert set(few) < set(more)
    assert (few, more) == (sorted(few), sorted(more))
    assert max(more) > 20


def test_links_of_hubs_caches_are_followed_and_no_others(tmp_path, monkeypatch):
    (tmp_path / "blob").write_text(json.dumps({"question": "Which?", "choices": ["x", "y"], "answer": "x"}) + "\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "rows.JSONL").symlink_to(tmp_path / "blob")
    with pytest.raises(ModalityInterferenceError, match="is a link to .*blob`; name that file"):
        prepared(tmp_path / "folder" / "rows.JSONL", tmp_path / "out", None)

    monkeypatch.setattr(prepare, "HF_HUB_CACHE", str(tmp_path))
    assert len(prepared(tmp_path / "folder" / "rows.JSONL", tmp_path / "out", None)) == 1


# entries


@pytest.fixture
def stock(tmp_path):
    """A folder with an entry of LLaMA-Factory's own for each of its formats, without images."""
    turns = {"conversations": [{"from": "human", "value": "Which?"}, {"from": "gpt", "value": "A dog."}]}
    said = {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "A dog."}]}
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    data = {"plain": {"instruction": "Which?", "output": "A dog."}, "turns": turns, "said": said}
    keys = {
        "plain": {},
        "turns": {"formatting": "sharegpt"},
        "said": {"formatting": "openai", "columns": {"messages": "messages"}, "tags": tags},
    }
    for name, row in data.items():
        (tmp_path / f"{name}.json").write_text(json.dumps([row]))
        keys[name]["file_name"] = f"{name}.json"

    (tmp_path / "dataset_info.json").write_text(json.dumps(keys))
    return tmp_path


@pytest.mark.parametrize("name", ["plain", "turns", "said"])
def test_entries_of_llamafactorys_own_formats_need_no_rewriting(stock, name):
    with open_entry(stock, name, read_entry(stock, name), None) as data:
        write_folder(data, twins_entry(data, [Modality.TEXT], ["black_image"]), stock / "out", 10, 1)

    with open_dataset(name, read_entry(stock / "out", name), stock / "out", 1) as dataset:
        (row,) = dataset.examples([0])

    assert row.aligned["_response"] == [{"role": "assistant", "content": "A dog."}]
    assert [twin.perturbation for twin in row.twins] == ["black_image"]


def test_what_an_entry_with_twins_says_stays_but_for_what_is_asked(tmp_path):
    twins = {
        "relevant": "why",
        "perturbations": ["unrelated_text", {"name": "misleading_text", "template": "It is a {option}!"}],
        "answer": "text",
    }
    columns = {"question": "q", "choices": "c", "answer": "a"}
    entry = {"file_name": "a.json", "formatting": "multiple_choice_twins", "columns": columns, "twins": twins}
    (tmp_path / "a.json").write_text(json.dumps([{"q": "Which?", "c": ["x", "y"], "a": "x", "why": "image", "z": 1}]))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"a": entry}))
    with open_entry(tmp_path, "a", read_entry(tmp_path, "a"), None) as data:
        keys = twins_entry(data, None, ["misleading_text"])
        assert keys["twins"] == {**twins, "perturbations": twins["perturbations"][1:]}
        assert twins_entry(data, IMAGE, None)["twins"] == {**twins, "relevant": ["image"]}
        gone = twins_entry(data, IMAGE, None, ["black_image"])["twins"]
        assert gone == {**twins, "relevant": ["image"], "counterfactuals": ["black_image"]}
        with pytest.raises(ModalityInterferenceError, match="`unrelated_text` takes nothing away"):
            twins_entry(data, IMAGE, None, ["unrelated_text"])

        write_folder(data, keys, tmp_path / "out", 10, 1)

    with open_entry(tmp_path / "out", "a", read_entry(tmp_path / "out", "a"), None) as data:
        assert set(data.rows.column_names) >= {"q", "c", "a", "why"}
        assert "z" not in data.rows.column_names


def test_clips_are_asked_under_other_perturbations_too(tmp_path):
    entry = {
        "file_name": "clips.json",
        "formatting": "audio_visual_twins",
        "columns": {"videos": "video", "visual_label": "seen", "audio_label": "heard"},
        "twins": {"perturbations": ["silence"], "classes": ["cat", "dog"]},
    }
    (tmp_path / "clips.json").write_text(json.dumps([{"video": "a.mp4", "seen": "cat", "heard": "dog"}]))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"clips": entry}))
    with open_entry(tmp_path, "clips", read_entry(tmp_path, "clips"), None) as data:
        keys = twins_entry(data, None, ["black_frames", "long_context"])
        write_folder(data, keys, tmp_path / "out", 10, 1)
        with pytest.raises(ModalityInterferenceError, match="relevant` is not used by the format"):
            twins_entry(data, IMAGE, None)

    assert keys["twins"] == {"perturbations": ["black_frames", "long_context"], "classes": ["cat", "dog"]}
    assert read_entry(tmp_path / "out", "clips")["columns"] == entry["columns"]


def test_what_is_refused_is_not_written(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps([{"question": "?", "choices": ["x", "y"], "answer": "x", "image": "a"}])
    )
    with pytest.raises(ModalityInterferenceError, match="black_image"):
        prepared(tmp_path / "a.json", tmp_path / "out", IMAGE, ["black_image"])

    assert not (tmp_path / "out").exists()


def test_a_name_that_leads_elsewhere_names_no_file(stock):
    info = json.loads((stock / "dataset_info.json").read_text())
    (stock / "dataset_info.json").write_text(json.dumps({"../../up": info["plain"]}))
    with open_entry(stock, "../../up", read_entry(stock, "../../up"), None) as data:
        write_folder(data, twins_entry(data, [Modality.TEXT], ["black_image"]), stock / "out" / "data", 10, 1)

    assert sorted(path.name for path in (stock / "out").rglob("*")) == ["data", "dataset_info.json", "up.parquet"]


# what is refused


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"[" * 5000 + b"]" * 5000, "levels deep"),
        ("a.json", gzip.compress(b"[]", mtime=0), "archive"),
        ("a.csv", b"question,question\n1,2\n", "two columns"),
        ("a.tsv", gzip.compress(b"question\tanswer\n", mtime=0), "TSV in UTF-8"),
        ("a.tsv", b"question\tquestion\n1\t2\n", "two columns"),
        ("a.tsv", b"question\tanswer\n1\t2\t3\n", "line 2: 3 cells"),
        ("a.tsv", b"question\tanswer\n", "has no rows|cannot be read|empty"),
        ("a.parquet", b"PAR1", "Parquet"),
        ("a.xlsx", b"", "no table that is read here"),
        ("a.pkl", b"cos\nsystem\n", "no table that is read here"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModalityInterferenceError, match=words), open_file(tmp_path / name, None):
        pass


def test_addresses(tmp_path):
    (tmp_path / "a:b.json").write_text("[]")
    (tmp_path / "dataset_info.json").write_text('{"pets": {"file_name": "a.json"}}')
    assert split_address(str(tmp_path / "a:b.json")) == (tmp_path / "a:b.json", None)
    assert split_address(f"{tmp_path}:pets") == (tmp_path, "pets")
    with pytest.raises(ModalityInterferenceError, match=r"is a folder.*`pets`"):
        split_address(str(tmp_path))

    with pytest.raises(ModalityInterferenceError, match="neither a file"):
        split_address("nowhere:pets")

    with pytest.raises(ModalityInterferenceError, match="Did you mean `pets`"):
        read_entry(tmp_path, "petss")


CELLS = st.none() | st.integers(-(2**70), 2**70) | st.text(max_size=9) | st.lists(st.text(max_size=3), max_size=3)
NAMES = st.sampled_from("question choices answer image messages A B".split()) | st.text(max_size=4)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.dictionaries(NAMES, CELLS, max_size=5), max_size=4), st.sampled_from(["json", "jsonl", "tsv"]))
def test_nothing_but_our_errors_whatever_a_file_holds(tmp_path, rows, kind):
    file = tmp_path / f"rows.{kind}"
    lines = [json.dumps(row) for row in rows]
    text = {"json": f"[{','.join(lines)}]", "jsonl": "\n".join(lines)}.get(kind) or "\n".join(
        "\t".join(map(str, row.values())) for row in rows
    )
    file.write_text(text, encoding="utf-8", errors="replace")
    with suppress(ModalityInterferenceError):
        prepared(file, tmp_path / "out", IMAGE, ["unrelated_text"])
