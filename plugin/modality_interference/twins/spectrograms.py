"""Spectrograms: what a sound holds, in one small picture. Time goes to the right, pitch (mel) upwards."""

from typing import Any

import av
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import signal
from transformers.audio_utils import mel_filter_bank

from .clip_media import MIN_SOUND
from .media_files import BadClip, opened
from .thumbnails import picture_uri


SIZE = (192, 64)  # pixels
RATE = 16000  # Hz: what audio encoders hear
LONGEST = 60  # seconds that are shown
QUIETEST, LOUDEST = -80.0, -20.0  # dB of full scale, of a frequency: the first and the last colour
_COLOURS = "magma"  # from black; light and dark pages alike can show it
_WINDOW = int(MIN_SOUND * RATE)  # samples
_SPECTRUM = 1024  # samples, zeros included: so many that no row of the picture is between two frequencies


def spectrogram(source: Any, silent: bool) -> tuple[str, str]:
    """Draw the spectrogram of a sound.

    Args:
        source: a path.
        silent: whether there is silence of its length.

    Returns:
        The picture as a `data:` URI, and the sound's length in words.

    Raises:
        BadClip: it holds no sound, or hardly any.
        Exception: whatever PyAV stumbles over.
    """
    samples = _samples(source)
    if len(samples) < MIN_SOUND * RATE:
        raise BadClip("sound too short", f"{len(samples)} samples at {RATE} Hz", source)

    shown = samples[: LONGEST * RATE]
    length = f"{len(samples) / RATE:.1f} s" if len(samples) == len(shown) else f"the first {LONGEST} s"
    return picture_uri(_draw(np.zeros_like(shown) if silent else shown), exact=False), length


def _draw(samples: NDArray[np.float32]) -> Image.Image:
    step = min(max(1, (len(samples) - _WINDOW) // SIZE[0]), _WINDOW // 2)
    _, _, power = signal.spectrogram(
        samples,
        RATE,
        nperseg=_WINDOW,
        noverlap=_WINDOW - step,
        nfft=_SPECTRUM,
        detrend=False,
        scaling="spectrum",
    )
    mel = mel_filter_bank(_SPECTRUM // 2 + 1, SIZE[1], 0.0, RATE / 2, RATE, mel_scale="slaney").T @ power
    rows = Image.fromarray(mel[::-1].astype(np.float32)).resize(SIZE, Image.Resampling.BOX)
    decibels = 10 * np.log10(np.maximum(np.asarray(rows), 1e-12))
    colours = matplotlib.colormaps[_COLOURS]((decibels - QUIETEST) / (LOUDEST - QUIETEST), bytes=True)
    return Image.fromarray(colours[..., :3])


def _samples(path: str) -> NDArray[np.float32]:
    """The beginning of the first audio track, mixed to one channel: a little more than `LONGEST` where there is more."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    parts: list[NDArray[np.float32]] = []
    with opened(path) as container:
        if not container.streams.audio:
            raise BadClip("file without sound", "it has no audio track", path)

        length = 0.0
        for frame in container.decode(audio=0):
            parts += (part.to_ndarray()[0] for part in resampler.resample(frame))
            length += frame.samples / frame.sample_rate
            if length > LONGEST + 1:
                break

        parts += (part.to_ndarray()[0] for part in resampler.resample(None))

    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
