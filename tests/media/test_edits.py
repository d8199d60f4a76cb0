"""Edits of order and time: permutations and shifts, exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.errors import Unusable
from modality_interference.media import edits
from modality_interference.media.edits import ClipEdit, Editing, edited_frames, edited_samples, frame_order


SEEDS = st.integers(0, 2**63)
MOVING = st.lists(st.sampled_from("abcd"), min_size=2, max_size=12).filter(lambda frames: len(set(frames)) > 1)


@given(MOVING, SEEDS)
def test_shuffled_frames_are_the_same_frames_in_another_order(frames: list[str], seed: int):
    edit = ClipEdit(Editing.SHUFFLED, seed)
    order = frame_order(frames, edit)
    assert sorted(order) == list(range(len(frames)))
    assert [frames[index] for index in order] != frames
    assert frame_order(frames, edit) == order


def test_every_order_is_drawn_but_the_own_one():
    orders = {tuple(frame_order("abc", ClipEdit(Editing.SHUFFLED, seed))) for seed in range(200)}
    assert len(orders) == 5 and (0, 1, 2) not in orders


@pytest.mark.parametrize(("count", "percent", "index"), [(2, 50, 1), (5, 50, 2), (8, 50, 4), (4, 0, 0), (4, 100, 3)])
def test_a_frozen_video_is_one_of_its_frames_throughout(count: int, percent: int, index: int):
    assert frame_order(range(count), ClipEdit(Editing.FROZEN, percent)) == [index] * count


@pytest.mark.parametrize("how", [Editing.SHUFFLED, Editing.FROZEN])
@pytest.mark.parametrize("frames", ["a", "aaaa"])
def test_a_video_that_stands_still_cannot_be_edited(how: Editing, frames: str):
    with pytest.raises(Unusable, match="its frames are all the same") as found:
        edited_frames(frames, str.encode, ClipEdit(how, 1))

    assert found.value.kind == "video that stands still"


def test_frames_that_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edits, "MAX_BYTES", 3)
    assert len(edited_frames("abc", str.encode, ClipEdit(Editing.FROZEN, 50))) == 3
    with pytest.raises(Unusable, match="take more than 3 bytes"):
        edited_frames("abcd", str.encode, ClipEdit(Editing.FROZEN, 50))


@given(st.integers(2, 50), st.integers(1, 49), st.booleans(), st.integers(1, 2))
def test_samples_are_shifted_exactly(length: int, shift: int, later: bool, channels: int):
    samples = np.arange(1, channels * length + 1, dtype=np.float32).reshape(channels, length)
    edit = ClipEdit(Editing.SHIFTED, shift if later else -shift)  # at 1000 Hz a millisecond is a sample
    if shift >= length:
        with pytest.raises(Unusable, match="give fewer `seconds`"):
            edited_samples(samples, 1000, edit)

        return

    padded = np.pad(samples, [(0, 0), (shift, shift)])
    expected = padded[:, :length] if later else padded[:, 2 * shift :]
    np.testing.assert_array_equal(edited_samples(samples, 1000, edit), expected)


def test_silence_cannot_be_shifted():
    with pytest.raises(Unusable, match="the same silence"):
        edited_samples(np.zeros(1000), 100, ClipEdit(Editing.SHIFTED, 2000))


def test_edits_belong_to_their_modality():
    with pytest.raises(Unusable, match="a video cannot be shifted"):
        frame_order("ab", ClipEdit(Editing.SHIFTED, 100))

    with pytest.raises(Unusable, match="an audio cannot be frozen"):
        edited_samples(np.ones(100), 10, ClipEdit(Editing.FROZEN, 50))
