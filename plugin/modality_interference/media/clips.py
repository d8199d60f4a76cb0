"""Videos and audio: what a reference to one stands for, and reading each of them once.

A row names its videos and audio by strings, as it does its images (`media/image.py`):

- `row:0`: the row's own video or audio 0;
- `extra:0`: number 0 of `_twin_videos` or `_twin_audios`, borrowed from another clip;
- `removed:row:0`: as many black frames of that size as that video has; silence as long as that audio.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray

from ..errors import ModalityInterferenceError
from .containers import BadClip, bad, check_file, opened
from .image import REMOVED


MIN_SOUND = 0.05  # seconds; of less, an audio encoder makes no token
Result = dict[str, list[Any]]  # what LLaMA-Factory's readers return: a list per key, an item per medium


@dataclass(frozen=True)
class Clip:
    """A video or a sound of a row, not read yet.

    Attributes:
        source: a path, a list of frames, or samples.
        removed: whether its frames shall be black, its sound silent.
    """

    source: Any
    removed: bool = False


def find_clip(reference: str, own: Sequence[Any], extra: Sequence[Any]) -> Clip:
    """The clip behind a reference.

    Args:
        reference: see the module's docstring.
        own: the row's `_videos` or `_audios`.
        extra: the row's `_twin_videos` or `_twin_audios`, likewise.

    Raises:
        ModalityInterferenceError: the reference is malformed or names no medium of this row.
    """
    kind, _, index = reference.removeprefix(REMOVED).partition(":")
    clips = {"row": own, "extra": extra}.get(kind)
    if clips is None or not index.isdecimal() or not index.isascii() or int(index) >= len(clips):
        raise ModalityInterferenceError(
            f"media reference `{reference}` names no video or sound of the row; allowed: `row:0`, `extra:0`, "
            "`removed:row:0`. If a cached dataset brought it, set `overwrite_cache: true`."
        )

    return Clip(clips[int(index)], reference.startswith(REMOVED))


def _clip(medium: Any) -> Clip:
    return medium if isinstance(medium, Clip) else Clip(medium)


def _key(medium: Any) -> Any:
    """What tells media apart."""
    clip = _clip(medium)
    return clip.source if isinstance(clip.source, str) else repr(clip.source), clip.removed


def _read_video(stock: Callable[..., Result], source: Any, settings: dict[str, Any]) -> Result:
    check_file(source, "video")
    try:
        if isinstance(source, str):
            _check_video(source)

        read = stock([source], **settings)
    except StopIteration as error:
        raise bad("file without picture", source, "it has no video track") from error
    except IndexError as error:  # of an odd number of frames the last one is repeated, and there is none
        raise bad("video without frames", source, "not one frame can be decoded") from error
    except BadClip:
        raise
    except Exception as error:  # PyAV and PIL raise whatever their readers stumble over
        raise bad("broken video", source, f"{type(error).__name__}: {error}") from error

    if not read["videos"][0]:
        raise bad("video without frames", source, "not one frame can be decoded")

    return read


def _check_video(path: str) -> None:
    """Look at what LLaMA-Factory's reader does not: it follows playlists, and knows no tracks without a decoder."""
    with opened(path) as container:
        if any(track.codec_context is None for track in container.streams.video[:1]):
            raise bad("broken video", path, "PyAV has no decoder for its picture")


def _read_sound(source: Any, rate: int) -> NDArray[np.float32]:
    check_file(source, "sound")
    try:
        with opened(source) as container:
            if not container.streams.audio:
                raise bad("file without sound", source, "it has no audio track")

            samples, found_rate = _decode(container)
    except (BadClip, MemoryError):
        raise
    except Exception as error:  # PyAV raises whatever its decoders stumble over
        raise bad("broken sound", source, f"{type(error).__name__}: {error}") from error

    if samples.shape[-1] < MIN_SOUND * max(found_rate, 1):
        raise bad("sound too short", source, f"{samples.shape[-1]} samples at {found_rate} Hz")

    sound = torch.from_numpy(samples)
    sound = sound.mean(dim=0) if len(sound) > 1 else sound[0]
    return torchaudio.functional.resample(sound, found_rate, rate).numpy()


def _decode(container: Any) -> tuple[NDArray[np.float32], int]:
    """(channels, samples) of the first audio track as it is, and its rate."""
    parts, resampler, rate = [], None, 0
    for frame in container.decode(audio=0):
        if resampler is None:
            rate = frame.sample_rate
            resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)

        parts += [part.to_ndarray() for part in resampler.resample(frame)]

    return np.concatenate(parts, axis=1) if parts else np.zeros((1, 0), np.float32), rate
