"""Decode the audio track of a file with PyAV."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from .container import check_file, explained, frame_time, main_track, open_medium, unusable


MIN_AUDIO_SECONDS = 0.05  # an audio encoder makes no token of less


@dataclass(frozen=True)
class AudioTrack:
    """The beginning of an audio track, or all of it.

    Attributes:
        start: when it begins, in seconds on the file's clock.
        samples: (channels, samples).
        rate: samples per second; 0 where there are none.
    """

    start: float
    samples: NDArray
    rate: int


def read_audio(source: Any) -> AudioTrack:
    """The main audio track of a row's file, to its end.

    Args:
        source: the audio as the row has it; a path where it is right.

    Raises:
        Unusable: it is no path, missing, empty, without audio, shorter than `MIN_AUDIO_SECONDS`, or cannot be decoded.
    """
    check_file(source, "audio")
    with explained(source, "broken audio"), open_medium(source) as container:
        track = main_track(container, "audio")
        if track is None:
            raise unusable("file without audio", source, "it has no audio track")

        found = decode_audio(container, track)

    length = found.samples.shape[-1]
    if length < MIN_AUDIO_SECONDS * max(found.rate, 1):
        raise unusable("audio too short", source, f"{length} samples at {found.rate} Hz")

    return found


def decode_audio(
    container: InputContainer,
    track: Any,
    sample_format: Literal["fltp", "s16"] = "fltp",
    mono_rate: int | None = None,
    from_time: float = 0.0,
    seconds: float = math.inf,
) -> AudioTrack:
    """Decode a track, as far as it is needed; where its channels or its rate change within the file, those at its beginning count.

    Args:
        container: an open file.
        track: from `main_track`.
        sample_format: 32-bit floats in -1..1 (planar), or 16-bit integers (one channel only).
        mono_rate: mix the channels to one, at this rate; None for the channels and the rate of the file.
        from_time: when the needed part begins, in seconds on the file's clock; not before the track itself.
        seconds: how much is needed from there. There may be some more.

    Raises:
        av.FFmpegError: the track cannot be decoded; and others of `DECODER_ERRORS`.
    """
    parts: list[NDArray] = []
    resampler: av.AudioResampler | None = None
    form, start, end, rate = None, 0.0, 0.0, 0
    for frame in container.decode(track):
        if resampler is None:
            start = end = frame_time(frame, otherwise=0.0)
            rate = mono_rate or frame.sample_rate

        if form != (form := (frame.format.name, frame.layout.name, frame.sample_rate)):  # it may change within a file
            parts += _rest(resampler)
            resampler = av.AudioResampler(sample_format, "mono" if mono_rate else frame.layout, rate)

        assert resampler is not None
        for part in resampler.resample(frame):
            parts.append(part.to_ndarray())
            end += part.samples / rate

        if end >= max(start, from_time) + seconds:
            break

    parts += _rest(resampler)
    if not parts:
        return AudioTrack(start, np.zeros((1, 0), np.float32 if sample_format == "fltp" else np.int16), rate)

    return AudioTrack(start, np.concatenate([_with_channels(part, len(parts[0])) for part in parts], axis=1), rate)


def _with_channels(samples: NDArray, channels: int) -> NDArray:
    """Samples of another number of channels as their mean, in all channels."""
    return samples if len(samples) == channels else np.repeat(samples.mean(axis=0, keepdims=True), channels, axis=0)


def _rest(resampler: av.AudioResampler | None) -> list[NDArray]:
    """What a resampler still holds of the frames that it was given."""
    return [] if resampler is None else [part.to_ndarray() for part in resampler.resample(None) if part is not None]
