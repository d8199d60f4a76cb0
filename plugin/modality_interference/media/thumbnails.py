"""Images, videos and audio as pages show them: a small image and a caption.

Media come from untrusted places: whatever is wrong with a video or an audio is said in its caption, never raised.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import get_window
from transformers.audio_utils import mel_filter_bank
from transformers.audio_utils import spectrogram as power_spectrum

from ..errors import Unusable
from ..modality import Modality
from ..results import MediaThumbnail
from .audio import MIN_AUDIO_SECONDS, decode_audio
from .container import main_track, open_medium
from .edits import Editing, edited_frames, edited_samples
from .image import load_image
from .reference import UnreadMedium, find_medium
from .video import frames_at, rgb_conversion, time_span


SMALL = 64  # pixels; smaller images are kept as they are, without JPEG's blur
_SIZE = (256, 256)  # pixels


def thumbnail_uri(image: Image.Image) -> str:
    """A small RGB copy of an image, as a `data:` URI."""
    thumbnail = image.convert("RGB")
    thumbnail.thumbnail(_SIZE)
    return _image_uri(thumbnail, exact=max(image.size) <= SMALL)


def _image_uri(image: Image.Image, exact: bool) -> str:
    """An RGB image as a `data:` URI.

    Args:
        image: the image.
        exact: whether it is stored as PNG; else as JPEG, which is smaller for large images.
    """
    kind, stream = "PNG" if exact else "JPEG", BytesIO()
    image.save(stream, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


FRAMES = 4
GAP = 2  # pixels between frames
GAP_COLOUR = (128, 128, 128)  # seen on a light page, on a dark one and between black frames
FRAME_SIZE = (96, 96)  # pixels; larger frames are made smaller


def film_strip(video: UnreadMedium) -> tuple[str, str]:
    """Draw the strip of a video; of shuffled frames those of the strip are in another order.

    Args:
        video: a path, or a list of images; where it is removed, its frames are black ones of its size.

    Returns:
        The strip as a `data:` URI, and the video's length and size in words.

    Raises:
        Unusable: it holds no frames, for example.
        Exception: whatever PyAV and PIL stumble over.
    """
    frozen = video.edit if video.edit is not None and video.edit.how is Editing.FROZEN else None
    places = [(part + 0.5) / FRAMES for part in range(FRAMES)] if frozen is None else [frozen.number / 100]
    read = _listed_frames if isinstance(video.source, (list, tuple)) else _decoded_frames
    frames, length = read(video.source, places)
    width, height = frames[0].size
    if video.removed:
        frames = [Image.new("RGB", frame.size) for frame in frames]
    elif frozen is not None:
        frames *= FRAMES
    elif video.edit is not None:
        frames = edited_frames(frames, Image.Image.tobytes, video.edit)

    strip = _image_uri(_side_by_side(frames), exact=max(width, height) <= SMALL)
    return strip, f"{length}, {width} × {height}"


def _listed_frames(source: Sequence[Any], places: Sequence[float]) -> tuple[list[Image.Image], str]:
    """The frames at some places of a list of images, in shares of its length; each frame once."""
    count = len(source)
    indices = dict.fromkeys(min(count - 1, int(place * count)) for place in places)
    return [load_image(f"row:{index}", source, ()).convert("RGB") for index in indices], f"{count} frames"


def _decoded_frames(path: str, places: Sequence[float]) -> tuple[list[Image.Image], str]:
    """The frames that are shown at some times of a video file, in shares of its length; each frame once."""
    with open_medium(path) as container:
        track = main_track(container, "video")
        if track is None:
            raise Unusable("file without video", "it has no video track", path)

        start, seconds = time_span(container, track)
        frames = frames_at(container, track, (start + seconds * place for place in places))
        if not frames:
            raise Unusable("video without frames", "not one frame can be decoded", path)

        images = [frame.image.to_image(**rgb_conversion(frame.image)) for frame in frames]

    return images, f"{seconds:.1f} s" if seconds else "unknown length"


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
_WINDOW = int(MIN_AUDIO_SECONDS * RATE)  # samples
_SPECTRUM = 1024  # samples, zeros included: so many that no row of the image is between two frequencies
_FLOOR = 1e-12  # power


def spectrogram(audio: UnreadMedium) -> tuple[str, str]:
    """Draw the spectrogram of an audio.

    Args:
        audio: a path; where it is removed, silence of its length.

    Returns:
        The image as a `data:` URI, and the audio's length in words.

    Raises:
        Unusable: it holds no samples, or too few.
        Exception: whatever PyAV stumbles over.
    """
    samples = _samples(audio.source, LONGEST + 1 + (abs(audio.edit.number) // 1000 if audio.edit is not None else 0))
    if len(samples) < MIN_AUDIO_SECONDS * RATE:
        raise Unusable("audio too short", f"{len(samples)} samples at {RATE} Hz", audio.source)

    if audio.edit is not None:
        samples = edited_samples(samples, RATE, audio.edit)

    shown = samples[: LONGEST * RATE]
    length = f"{len(samples) / RATE:.1f} s" if len(samples) == len(shown) else f"the first {LONGEST} s"
    return _image_uri(_draw(np.zeros_like(shown) if audio.removed else shown), exact=False), length


def _draw(samples: NDArray[np.float32]) -> Image.Image:
    window = get_window(("tukey", 0.25), _WINDOW)
    power = power_spectrum(
        samples,
        window * (np.sqrt(2) / window.sum()),  # so that a tone of full scale has a power of 1/2
        frame_length=_WINDOW,
        hop_length=min(max(1, (len(samples) - _WINDOW) // SIZE[0]), _WINDOW // 2),
        fft_length=_SPECTRUM,
        power=2.0,
        center=False,
        mel_filters=mel_filter_bank(_SPECTRUM // 2 + 1, SIZE[1], 0.0, RATE / 2, RATE, mel_scale="slaney"),
        mel_floor=_FLOOR,
    )  # (mel bands, times)
    rows = Image.fromarray(power[::-1].astype(np.float32)).resize(SIZE, Image.Resampling.BOX)
    decibels = 10 * np.log10(np.maximum(np.asarray(rows), _FLOOR))
    colours = matplotlib.colormaps[_COLOURS]((decibels - QUIETEST) / (LOUDEST - QUIETEST), bytes=True)
    return Image.fromarray(colours[..., :3])


def _samples(path: str, seconds: float) -> NDArray[np.float32]:
    """The beginning of the main audio track, mixed to one channel: a little more than so many seconds where there is more."""
    with open_medium(path) as container:
        track = main_track(container, "audio")
        if track is None:
            raise Unusable("file without audio", "it has no audio track", path)

        decoded = decode_audio(container, track, mono_rate=RATE, seconds=seconds)

    return decoded.samples[0]


@dataclass(frozen=True)
class _Drawing:
    """How the media of a modality are shown.

    Attributes:
        removed: what there is in place of one that was removed.
        draw: makes a `data:` URI and a length in words.
    """

    removed: str
    draw: Callable[[UnreadMedium], tuple[str, str]]


_DRAWINGS = {
    Modality.VIDEO: _Drawing("black frames", film_strip),
    Modality.AUDIO: _Drawing("silence", spectrogram),
}
CLIP_MODALITIES = tuple(_DRAWINGS)


def clip_thumbnails(
    references: Sequence[str], modality: Modality, media: Mapping[str, Any], name: Callable[[Any], str]
) -> list[MediaThumbnail]:
    """Thumbnails of videos or audio.

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
        _thumbnail(find_medium(reference, own, extra), modality, name, borrowed=reference.startswith("extra:"))
        for reference in references
    ]


def _thumbnail(medium: UnreadMedium, modality: Modality, name: Callable[[Any], str], borrowed: bool) -> MediaThumbnail:
    called = _called(medium.source, name) + (" (another row's)" if borrowed else "")
    called += f", {medium.edit.words}" if medium.edit is not None else ""
    drawing = _DRAWINGS[modality]
    try:
        uri, length = drawing.draw(medium)
    except Exception as error:  # PyAV and PIL raise whatever their readers stumble over
        caption = f"{called}: cannot be shown, {_reason(error, modality)}"
        return MediaThumbnail(modality=modality, caption=caption)

    return MediaThumbnail(
        modality=modality, caption=f"{drawing.removed if medium.removed else called}, {length}", uri=uri
    )


def _called(source: Any, name: Callable[[Any], str]) -> str:
    if isinstance(source, (list, tuple)) and source:  # frames one by one
        return f"{name(source[0])} and {len(source) - 1} more"

    return name(source)


def _reason(error: Exception, modality: Modality) -> str:
    """What is wrong, without the path on this machine: pages are shared."""
    if isinstance(error, Unusable):
        return error.kind

    return f"broken {modality}: {getattr(error, 'strerror', None) or type(error).__name__}"
