"""Images, videos and audio as pages show them: a small image and a caption.

Clips come from untrusted places: whatever is wrong with one is said in its caption, never raised.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import av
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import signal
from transformers.audio_utils import mel_filter_bank

from ..modality import Modality
from .clips import MIN_SOUND, Clip, find_clip
from .containers import BadClip, opened
from .image import BadPicture, load_image


SMALL = 64  # pixels; smaller pictures are kept as they are, without JPEG's blur
_SIZE = (256, 256)  # pixels


def thumbnail_uri(image: Image.Image) -> str:
    """A small copy of an RGB picture, as a `data:` URI."""
    thumbnail = image.copy()
    thumbnail.thumbnail(_SIZE)
    return picture_uri(thumbnail, exact=max(image.size) <= SMALL)


def picture_uri(image: Image.Image, exact: bool) -> str:
    """An RGB picture as a `data:` URI.

    Args:
        image: the picture.
        exact: whether it is stored as PNG; else as JPEG, which is smaller where pictures are large.
    """
    kind, stream = "PNG" if exact else "JPEG", BytesIO()
    image.save(stream, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


FRAMES = 4
GAP = 2  # pixels between frames
GAP_COLOUR = (128, 128, 128)  # seen on a light page, on a dark one and between black frames
FRAME_SIZE = (96, 96)  # pixels; larger frames are made smaller


def film_strip(source: Any, black: bool) -> tuple[str, str]:
    """Draw the strip of a video.

    Args:
        source: a path, or a list of pictures.
        black: whether its frames are black ones of its size.

    Returns:
        The strip as a `data:` URI, and the video's length and size in words.

    Raises:
        BadClip: it holds no frames.
        Exception: whatever PyAV and PIL stumble over.
    """
    frames, length = _pictures(source) if isinstance(source, (list, tuple)) else _decoded(source)
    width, height = frames[0].size
    if black:
        frames = [Image.new("RGB", frame.size) for frame in frames]

    strip = picture_uri(_side_by_side(frames), exact=max(width, height) <= SMALL)
    return strip, f"{length}, {width} × {height}"


def _pictures(source: Sequence[Any]) -> tuple[list[Image.Image], str]:
    """Frames from the middles of as many equal parts of a list of pictures."""
    count = len(source)
    places = dict.fromkeys((2 * part + 1) * count // (2 * FRAMES) for part in range(FRAMES))
    return [load_image(f"row:{place}", source, ()) for place in places], f"{count} frames"


def _decoded(path: str) -> tuple[list[Image.Image], str]:
    """What is shown in the middles of as many equal parts of a video file; each frame once."""
    with opened(path) as container:
        if not container.streams.video:
            raise BadClip("file without picture", "it has no video track", path)

        track = container.streams.video[0]
        start, seconds = _span(container, track)
        times = (start + seconds * (part + 0.5) / FRAMES for part in range(FRAMES))
        frames = (_frame_at(container, track, time) for time in times)
        found = {frame.pts: frame.to_image() for frame in frames}

    return list(found.values()), f"{seconds:.1f} s" if seconds else "unknown length"


def _span(container: Any, track: Any) -> tuple[float, float]:
    """When a track begins and how long it is, in seconds; 0 where the file does not say."""
    start = float((track.start_time or 0) * track.time_base)
    if track.duration:
        return start, float(track.duration * track.time_base)

    return start, (container.duration or 0) / av.time_base


def _frame_at(container: Any, track: Any, time: float) -> Any:
    """The frame that is shown at a time."""
    for origin in (time, 0.0):  # from the keyframe before; where a file has no index of them, from its beginning
        container.seek(int(origin / track.time_base), stream=track)
        shown = None
        for frame in container.decode(track):
            if shown is not None and frame.time is not None and frame.time > time:
                break

            shown = frame

        if shown is not None and (shown.time is None or shown.time <= time or not origin):
            return shown

    raise BadClip("video without frames", "not one frame can be decoded", container.name)


def _side_by_side(frames: Sequence[Image.Image]) -> Image.Image:
    small = [frame.copy() for frame in frames]
    for frame in small:
        frame.thumbnail(FRAME_SIZE)

    width = sum(frame.width + GAP for frame in small) - GAP
    strip = Image.new("RGB", (width, max(frame.height for frame in small)), GAP_COLOUR)
    left = 0
    for frame in small:
        strip.paste(frame, (left, 0))
        left += frame.width + GAP

    return strip


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


Kind = Literal["video", "sound"]


@dataclass(frozen=True)
class ClipThumbnail:
    """A video or a sound of a row or of a twin.

    Attributes:
        kind: which of them.
        caption: where it comes from, how long it is; why it cannot be shown.
        uri: a film strip or a spectrogram, as a `data:` URI; "" where it cannot be shown.
    """

    kind: Kind
    caption: str
    uri: str


@dataclass(frozen=True)
class _Sense:
    kind: Kind
    removed: str
    draw: Callable[[Any, bool], tuple[str, str]]


SENSES = {
    Modality.VIDEO: _Sense("video", "black frames", film_strip),
    Modality.AUDIO: _Sense("sound", "silence", spectrogram),
}


def clip_thumbnails(
    references: Sequence[str], modality: Modality, media: Mapping[str, Any], name: Callable[[Any], str]
) -> list[ClipThumbnail]:
    """What stands behind references to videos or sounds.

    Args:
        references: of a row or of a twin.
        modality: video or audio.
        media: `row` and `extra`: the row's own media, and those borrowed from other rows; None for none.
        name: of a file or an embedded medium, in captions.

    Raises:
        ModalityInterferenceError: a reference is malformed or names no medium of this row.
    """
    own, extra = (media[key] or () for key in ("row", "extra"))
    return [
        _thumbnail(reference, find_clip(reference, own, extra), SENSES[modality], name) for reference in references
    ]


def _thumbnail(reference: str, clip: Clip, sense: _Sense, name: Callable[[Any], str]) -> ClipThumbnail:
    called = _called(clip.source, name) + (" (another row's)" if reference.startswith("extra:") else "")
    try:
        uri, about = sense.draw(clip.source, clip.removed)
    except Exception as error:  # PyAV and PIL raise whatever their readers stumble over
        return ClipThumbnail(sense.kind, f"{called}: cannot be shown, {_reason(error, sense.kind)}", "")

    return ClipThumbnail(sense.kind, f"{sense.removed if clip.removed else called}, {about}", uri)


def _called(source: Any, name: Callable[[Any], str]) -> str:
    if isinstance(source, (list, tuple)) and source:  # frames one by one
        return f"{name(source[0])} and {len(source) - 1} more"

    return name(source)


def _reason(error: Exception, kind: Kind) -> str:
    """What is wrong, without the path on this machine: pages are shared."""
    if isinstance(error, (BadClip, BadPicture)):
        return error.kind

    return f"broken {kind}: {getattr(error, 'strerror', None) or type(error).__name__}"
