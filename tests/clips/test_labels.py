"""Labels of clips, from folders and from CSV files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.clips import labels
from modality_interference.clips.labels import Labels, folder_labels, read_labels
from modality_interference.errors import ModalityInterferenceError


SOURCES = ["a.mp4", "dog/b c.mp4", "dog/é.mp4"]


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_folder_is_a_class():
    assert folder_labels(["dog/a.mp4", "a.mp4", "train/dog/a.mp4", "guinea pig/a.mp4"]) == {
        "dog/a.mp4": Labels("dog", "dog"),
        "a.mp4": Labels(),
        "train/dog/a.mp4": Labels(),
        "guinea pig/a.mp4": Labels("guinea pig", "guinea pig"),
    }


def test_one_label_or_two(tmp_path):
    one = write(tmp_path, "label,file\ncat,a.mp4\n dog ,dog/b c.mp4\ndog,dog/é.mp4\n")
    assert read_labels(one, SOURCES) == dict(zip(SOURCES, map(Labels, ("cat", "dog", "dog"), ("cat", "dog", "dog"))))
    rows = (
        'file,visual_label,audio_label\r\n"a.mp4","cat, black",rain\r\ndog/b c.mp4,dog,dog\r\ndog/é.mp4,dog,bell\r\n'
    )
    two = write(tmp_path, "\ufeff" + rows)  # as a spreadsheet saves it
    assert list(read_labels(two, SOURCES).values()) == [
        Labels("cat, black", "rain"),
        Labels("dog", "dog"),
        Labels("dog", "bell"),
    ]


def test_letters_with_marks_are_the_same_in_both_forms(tmp_path):
    path = write(tmp_path, "file,label\ne\u0301.mp4,dog\n")
    assert read_labels(path, ["\u00e9.mp4"]) == {"\u00e9.mp4": Labels("dog", "dog")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.mp4,x\ndog/b c.mp4,x\n", r"1 media files have no row \(dog/é.mp4\); add rows"),
        (
            "file,label\na.mp4,x\ndog/b c.mp4,x\ndog/é.mp4,x\nb.mp4,x\n",
            r"1 of its rows name no media file of the input folder \(line 5: 'b.mp4' Did you mean `a.mp4`\?\)",
        ),
        ("file,label\na.mp4,x\na.mp4,x\n", "line 3: 'a.mp4' has a row already"),
        ("file,label\na.mp4,\n", "line 2: `label` is empty"),
        ("file,visual_label,audio_label\na.mp4,x\n", "line 2: `audio_label` is empty"),
        ("file,visual_label\na.mp4,x\n", "has no column `audio_label`; it has `file`, `visual_label`. The first"),
        ("name,label\na.mp4,x\n", "has no column `file`; it has `name`, `label`"),
        ("file,label,audio_label\na.mp4,x,x\n", "has `label` and more specific columns"),
        ("file,label,label\na.mp4,x,x\n", "has a column twice"),
        ("file,label\na.mp4,x,y\n", "line 2 has more cells than the header has names"),
        ("file,label\na.mp4,\"x\n", "after line 1: unexpected end of data"),
        ("", "has no column `audio_label`, `file`, `visual_label`; it has none"),
        ("file,label\na.mp4,é\n".encode("latin-1"), r"is not UTF-8 text \(byte 17\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text, message, tmp_path):
    with pytest.raises(ModalityInterferenceError, match=message) as refusal:
        read_labels(write(tmp_path, text), SOURCES)

    assert "labels.csv" in str(refusal.value)


def test_an_absent_file(tmp_path):
    with pytest.raises(ModalityInterferenceError, match="cannot read .*absent.csv: No such file or directory"):
        read_labels(tmp_path / "absent.csv", SOURCES)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"file,label\n{text}".encode())))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = write(tmp_path_factory.mktemp("labels"), data)
    try:
        labels = read_labels(path, SOURCES)
    except ModalityInterferenceError:
        return

    assert sorted(labels) == SOURCES


def test_suggestions_are_made_for_what_is_shown_only(tmp_path, monkeypatch):
    """They compare with every file, and of a wrong prefix all rows are wrong."""
    asked = []
    monkeypatch.setattr(labels, "suggestion", lambda file, sources: asked.append(file) or "")
    rows = "".join(f"videos/{number}.mp4,dog\n" for number in range(100))
    with pytest.raises(ModalityInterferenceError, match="100 of its rows name no media file .*line 2: .*, \\.\\.\\."):
        read_labels(write(tmp_path, f"file,label\n{rows}"), SOURCES)

    assert len(asked) == 5
