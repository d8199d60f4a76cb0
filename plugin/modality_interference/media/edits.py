"""Edits of a video's order or of an audio's time, which leave what is seen and heard as it is: made where the medium is read."""

import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import Unusable


MAX_BYTES = 1_000_000_000  # of frames that are held at once
Frame = TypeVar("Frame")


class Editing(StrEnum):
    """What is done: with the frames of a video, or with the samples of an audio."""

    SHUFFLED = "shuffled"
    FROZEN = "frozen"
    SHIFTED = "shifted"


@dataclass(frozen=True)
class ClipEdit:
    """An edit of a video or an audio.

    Attributes:
        how: frames in another order, one frame instead of all, or samples at another time.
        number: of shuffled frames the seed of their order; of a frozen video where its one frame stands, in percent of the
            frames; of a shifted audio by how many milliseconds it comes later (negative: earlier).
    """

    how: Editing
    number: int

    def __str__(self) -> str:
        return f"{self.how}:{self.number}"

    @property
    def words(self) -> str:
        """The edit in words, behind the name of a medium."""
        if self.how is Editing.SHIFTED:
            return f"{abs(self.number) / 1000:g} s {'later' if self.number > 0 else 'earlier'}"

        return "frames shuffled" if self.how is Editing.SHUFFLED else "one frame throughout"


def edited_frames(frames: Iterable[Frame], content: Callable[[Frame], bytes], edit: ClipEdit) -> list[Frame]:
    """Frames in another order, or one of them as often as there are frames.

    Args:
        frames: of a video, in order.
        content: the pixels of a frame; frames of equal content are the same.
        edit: of a video.

    Raises:
        Unusable: as `frame_order`; `huge video`: the frames take more than `MAX_BYTES`.
    """
    held: list[Frame] = []
    digests, size = [], 0
    for frame in frames:
        pixels = content(frame)
        size += len(pixels)
        if size > MAX_BYTES:
            raise Unusable("huge video", f"{edit.how} frames are held at once, and take more than {MAX_BYTES:,} bytes")

        held.append(frame)
        digests.append(blake2b(pixels, digest_size=16).digest())

    return [held[index] for index in frame_order(digests, edit)]


def frame_order(frames: Sequence[Hashable], edit: ClipEdit) -> list[int]:
    """Which frame is shown in place of each.

    Args:
        frames: what tells frames apart, in order.
        edit: of a video.

    Returns:
        As many indices. Those of shuffled frames are a permutation after which the video is another one.

    Raises:
        Unusable: see `check_video`.
    """
    check_video(len(set(frames)) > 1, edit)
    if edit.how is Editing.FROZEN:
        return [min(len(frames) - 1, len(frames) * edit.number // 100)] * len(frames)

    rng, order = random.Random(edit.number), list(range(len(frames)))
    while [frames[index] for index in order] == list(frames):
        rng.shuffle(order)

    return order


def check_video(moves: bool, edit: ClipEdit) -> None:
    """Look whether an edit makes another video.

    Args:
        moves: whether the video has two frames that differ.
        edit: what is to be done with it.

    Raises:
        Unusable: `video that stands still`: its frames are all the same; or the edit is none of a video.
    """
    if edit.how is Editing.SHIFTED:
        raise Unusable("edit of another modality", f"a video cannot be {edit.how}; allowed: shuffled, frozen")

    if not moves:
        raise Unusable("video that stands still", f"its frames are all the same, so {edit.how} ones would be, too")


def edited_samples(samples: NDArray, rate: int, edit: ClipEdit) -> NDArray:
    """Samples at a later or earlier time; silence comes in, and what is moved over the end is lost.

    Args:
        samples: (..., samples).
        rate: samples per second.
        edit: of an audio.

    Returns:
        An array of the same shape.

    Raises:
        Unusable: see `check_audio`.
    """
    length, shift = samples.shape[-1], _samples(edit, rate)
    check_audio(length, rate, not samples.any(), edit)
    shifted = np.zeros_like(samples)
    if shift > 0:
        shifted[..., shift:] = samples[..., : length - shift]
    else:
        shifted[..., : length + shift] = samples[..., -shift:]

    return shifted


def check_audio(length: int, rate: int, silent: bool, edit: ClipEdit) -> None:
    """Look whether an edit makes another audio.

    Args:
        length: in samples.
        rate: samples per second.
        silent: whether it is silence.
        edit: what is to be done with it.

    Raises:
        Unusable: `audio too short to shift`, `silent audio`; or the edit is none of an audio.
    """
    if edit.how is not Editing.SHIFTED:
        raise Unusable("edit of another modality", f"an audio cannot be {edit.how}; allowed: shifted")

    if abs(_samples(edit, rate)) >= length:
        seconds = f"{length / max(rate, 1):.2f} s, and is shifted by {abs(edit.number) / 1000:g} s"
        raise Unusable("audio too short to shift", f"it lasts {seconds}; give fewer `seconds`")

    if silent:
        raise Unusable("silent audio", "shifted silence is the same silence")


def _samples(edit: ClipEdit, rate: int) -> int:
    return round(edit.number * rate / 1000)
