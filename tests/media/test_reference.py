"""Media references: read and written again, and the videos and audio that they name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.errors import ModalityInterferenceError
from modality_interference.media.edits import ClipEdit, Editing
from modality_interference.media.image import load_image
from modality_interference.media.reference import (
    CanvasKind,
    CanvasReference,
    FileReference,
    HiddenReference,
    Hiding,
    StoredReference,
    UnreadMedium,
    edited_reference,
    find_medium,
    fitted_reference,
    is_removed,
    parse,
    removed_reference,
)


COLUMNS = st.sampled_from(["row", "extra"])
LENGTHS = st.none() | st.builds(StoredReference, COLUMNS, st.integers(0, 10**9))
EDITS = st.one_of(
    st.builds(ClipEdit, st.just(Editing.SHUFFLED), st.integers(0, 2**63 - 1)),
    st.builds(ClipEdit, st.just(Editing.FROZEN), st.integers(0, 100)),
    st.builds(ClipEdit, st.just(Editing.SHIFTED), st.integers(-60_000, 60_000).filter(bool)),
)
STORED = st.builds(StoredReference, COLUMNS, st.integers(0, 10**9), st.booleans(), LENGTHS)
EDITED = st.builds(StoredReference, COLUMNS, st.integers(0, 10**9), st.just(False), LENGTHS, EDITS)
FILES = st.builds(FileReference, st.text().map("/{}".format))
IMAGES = FILES | STORED.filter(lambda reference: not reference.removed and reference.like is None)
SIZES = st.tuples(st.integers(1, 8192), st.integers(1, 8192)) | IMAGES
CANVASES = st.builds(CanvasReference, st.sampled_from(CanvasKind), st.integers(0, 2**63), SIZES)


HIDDEN = st.builds(HiddenReference, st.sampled_from(Hiding), st.integers(0, 2**63), st.integers(1, 100), IMAGES)


@given(STORED | EDITED | FILES | CANVASES | HIDDEN)
def test_references_round_trip(reference):
    assert parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("row:0", StoredReference("row", 0)),
        ("extra:12", StoredReference("extra", 12)),
        ("removed:extra:1", StoredReference("extra", 1, removed=True)),
        ("extra:2:row:1", StoredReference("extra", 2, like=StoredReference("row", 1))),
        ("shuffled:7:row:0", StoredReference("row", 0, edit=ClipEdit(Editing.SHUFFLED, 7))),
        ("frozen:50:row:0", StoredReference("row", 0, edit=ClipEdit(Editing.FROZEN, 50))),
        ("shifted:-2000:row:1", StoredReference("row", 1, edit=ClipEdit(Editing.SHIFTED, -2000))),
        ("file:/pool/a:b.png", FileReference("/pool/a:b.png")),
        ("canvas:noise:7:32x24", CanvasReference(CanvasKind.NOISE, 7, (32, 24))),
        ("hidden:masked:9:60:row:1", HiddenReference(Hiding.MASKED, 9, 60, StoredReference("row", 1))),
        ("canvas:black:0:row:1", CanvasReference(CanvasKind.BLACK, 0, StoredReference("row", 1))),
    ],
)
def test_the_spelling_that_cached_datasets_hold(text, reference):
    assert parse(text) == reference and str(reference) == text


def test_finding_videos_and_audio():
    assert find_medium("row:1", ["a", "b"], []) == UnreadMedium("b")
    assert find_medium("extra:0", [], ["c"]) == UnreadMedium("c")
    assert find_medium(removed_reference("row:0"), ["a"], []) == UnreadMedium("a", removed=True)
    assert find_medium(fitted_reference("extra:0", "removed:row:1"), ["a", "b"], ["c"]) == UnreadMedium("c", like="b")
    assert removed_reference(removed_reference("row:0")) == "removed:row:0"
    assert is_removed("removed:row:0") and not is_removed("row:0")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("row:1", "names a medium that the row does not have"),
        ("extra:0", "names a medium that the row does not have"),
        ("removed:extra:0", "names a medium that the row does not have"),
        ("row:-1", "malformed"),
        ("row:", "malformed"),
        ("row:²", "malformed"),
        ("", "malformed"),
        ("removed:", "malformed"),
        ("removed:removed:row:0", "malformed"),
        ("shuffled:row:0", "malformed"),
        ("shuffled:-1:row:0", "malformed"),
        ("frozen:101:row:0", "malformed"),
        ("shifted:0:row:0", "malformed"),
        ("removed:shifted:5:row:0", "malformed"),
        ("hidden:blurred:0:10:frozen:50:row:0", "not a stored image"),
        ("removed:file:/etc/passwd", "malformed"),
        ("row:0:row:1", "names a medium that the row does not have"),
        ("row:0:row:0:row:0", "malformed"),
        ("row:0:removed:row:0", "malformed"),
        ("file:/etc/passwd", "names an image"),
        ("canvas:black:0:3x3", "names an image"),
    ],
)
def test_references_to_nothing(reference: str, message: str):
    with pytest.raises(ModalityInterferenceError, match=message):
        find_medium(reference, ["a"], [])


def test_edits_of_videos_and_audio():
    edit = ClipEdit(Editing.FROZEN, 50)
    assert edited_reference("row:1", edit) == "frozen:50:row:1" and edited_reference("removed:row:1", edit) is None
    assert find_medium("frozen:50:row:1", ["a", "b"], []) == UnreadMedium("b", edit=edit)
    assert fitted_reference("extra:0", "frozen:50:row:1") == "extra:0:row:1"
    assert removed_reference("frozen:50:row:1") == "removed:row:1" and not is_removed("frozen:50:row:1")
    with pytest.raises(ModalityInterferenceError, match="a medium can be edited once"):
        edited_reference("frozen:50:row:1", edit)

    with pytest.raises(ModalityInterferenceError, match="only videos and audio can be removed or edited"):
        load_image("frozen:50:row:0", [b""], [])


def test_only_stored_media_have_a_length():
    with pytest.raises(ModalityInterferenceError, match="only a row's own or borrowed media have a length"):
        fitted_reference("row:0", "file:/pool/a.png")


def test_only_stored_media_can_be_removed():
    with pytest.raises(ModalityInterferenceError, match="only a row's own or borrowed media"):
        removed_reference("file:/pool/a.png")
