"""Media as requests carry them: files as they are where a server sees what a local run sees, else encoded anew."""

import io
import wave
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import av
import numpy as np
from PIL import Image

from ..data.sample import References
from ..media.audio import read_audio
from ..media.container import explained
from ..media.edits import edited_frames, edited_samples
from ..media.image import image_remark, load_image, read_image, stored_bytes
from ..media.reference import UnreadMedium, find_medium
from ..media.video import decode_video, opened_video, rgb_conversion
from ..modality import MEDIA, Modality
from .prompt import Medium


VideoForm = Literal["frames", "url"]
_MIME = {"JPEG": "image/jpeg", "PNG": "image/png"}
_QUALITY = 95  # of the JPEGs that frames become
_EARLY = 1e-3  # seconds: containers round the time of a frame to a millisecond


class MediaEncoder:
    """Encodes the media of one row and its twins, each once.

    Args:
        aligned: the row, as `Example.aligned` has it.
        video: whether a video is sent as some of its frames, or as a file.
        frames: how many frames.
    """

    def __init__(self, aligned: dict[str, Any], video: VideoForm, frames: int) -> None:
        self._stored = {
            modality: (aligned[f"_{column}"] or [], aligned[f"_twin_{column}"] or [])
            for modality, column in MEDIA.items()
        }
        self._video = video
        self._frames = frames
        self._known: dict[tuple[Modality, str], list[Medium]] = {}

    def encode(self, references: References) -> dict[Modality, list[list[Medium]]]:
        """What each placeholder stands for.

        Raises:
            Unusable: a medium cannot be read.
        """
        return {modality: [self._of(modality, name) for name in names] for modality, names in references.items()}

    def _of(self, modality: Modality, reference: str) -> list[Medium]:
        key = (modality, reference)
        if key not in self._known:
            own, extra = self._stored[modality]
            if modality is Modality.IMAGE:
                self._known[key] = [encode_image(reference, own, extra)]
            else:
                medium = find_medium(reference, own, extra)
                self._known[key] = [encode_audio(medium)] if modality is Modality.AUDIO else self._of_video(medium)

        return self._known[key]

    def _of_video(self, medium: UnreadMedium) -> list[Medium]:
        if self._video == "url":
            return [encode_video(medium)]

        return [_frame_medium(image) for image in sampled_frames(medium, self._frames)]


# Images.


def encode_image(reference: str, own: Sequence[Any], extra: Sequence[Any]) -> Medium:
    """An image as a server has to see it.

    A PNG or a JPEG in colour or grey is sent as it is, a JPEG without its EXIF block: that may say where it was taken, and how to turn it,
    which LLaMA-Factory does not do. Others (palettes, transparency, 16 bits, WEBP, ...) are sent as the RGB that a local run makes of them.

    Args:
        reference: see `media/reference.py`.
        own: the row's images.
        extra: those that twins borrow.

    Raises:
        Unusable: it cannot be read.
    """
    data = stored_bytes(reference, own, extra)
    if data is not None and (file := _plain_file(data)) is not None:
        mime, data = file
        return Medium(Modality.IMAGE, mime, data, sha256(data).hexdigest())

    image = load_image(reference, own, extra).convert("RGB")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return Medium(Modality.IMAGE, "image/png", stream.getvalue(), _pixels_digest([image]))


def _plain_file(data: bytes) -> tuple[str, bytes] | None:
    """Media type and bytes of a file that every reader decodes to the same pixels; None where it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_MIME)) as image:
            kind, plain = image.format, image.mode in ("RGB", "L") and "transparency" not in image.info
            turned = kind == "PNG" and image_remark(image) is not None
    except Exception:  # on broken files PIL raises whatever its readers stumble over
        return None

    if not plain or turned:
        return None

    if kind == "PNG":
        return _MIME[kind], data

    bare = bare_jpeg(data)
    return None if bare is None else (_MIME["JPEG"], bare)


_START, _END, _SCAN = 0xD8, 0xD9, 0xDA  # the second bytes of JPEG's markers
_APP0, _APP2, _APP14, _APP15, _COMMENT = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE
_IN_SCAN = (0x00, *range(0xD0, 0xD8))  # behind 0xFF within a scan: a stuffed byte, a restart


def bare_jpeg(data: bytes) -> bytes | None:
    """A JPEG without what is not of its pixels: EXIF, XMP, IPTC, comments, and whatever follows its end (clips of phones, say).

    Args:
        data: of a JPEG.

    Returns:
        the file, its pixels as they were; None where its blocks cannot be followed.
    """
    if data[:2] != bytes([0xFF, _START]):
        return None

    parts, place = [data[:2]], 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        end = place + 2 + length
        if marker == _SCAN:
            end = _scan_end(data, end)
            if data[end : end + 2] == bytes([0xFF, _END]):
                return b"".join([*parts, data[place : end + 2]])

        if not _is_extra(marker, data[place + 4 : end]):
            parts.append(data[place:end])

        place = end

    return None


def _scan_end(data: bytes, start: int) -> int:
    """Where the marker behind a scan is; the data's end where there is none."""
    place = data.find(b"\xff", start)
    while 0 <= place < len(data) - 1 and data[place + 1] in _IN_SCAN:
        place = data.find(b"\xff", place + 2)

    return len(data) if place < 0 else place


def _is_extra(marker: int, block: bytes) -> bool:
    """Whether a block says nothing of how pixels are decoded. JFIF, colour profiles and Adobe's transform do."""
    if marker == _APP2:
        return not block.startswith(b"ICC_PROFILE")

    return marker == _COMMENT or (_APP0 < marker <= _APP15 and marker != _APP14)


def _pixels_digest(images: Iterable[Image.Image]) -> str:
    found = sha256()
    for image in images:
        found.update(f"{image.mode} {image.size}".encode() + image.tobytes())

    return found.hexdigest()


def _frame_medium(image: Image.Image) -> Medium:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=_QUALITY)
    return Medium(Modality.IMAGE, "image/jpeg", stream.getvalue(), _pixels_digest([image]))


# Audio.


def encode_audio(medium: UnreadMedium) -> Medium:
    """A WAV file, 16-bit mono at the rate of the file; its channels are mixed as a local run mixes them.

    Raises:
        Unusable: it cannot be read.
    """
    samples, rate = _mono(medium.source)
    if medium.like is not None:
        other, other_rate = _mono(medium.like)
        length = round(len(other) * rate / other_rate)
        samples = np.pad(samples[:length], (0, max(0, length - len(samples))))

    if medium.removed:
        samples = np.zeros_like(samples)
    elif medium.edit is not None:
        samples = edited_samples(samples, rate, medium.edit)

    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())

    return Medium(Modality.AUDIO, "audio/wav", stream.getvalue(), sha256(stream.getvalue()).hexdigest())


def _mono(source: Any) -> tuple[np.ndarray, int]:
    found = read_audio(source)
    return found.samples.mean(axis=0), found.rate


# Videos.


class _Shown(NamedTuple):
    """A video: when its frames are shown, and how to get at some of them.

    Attributes:
        times: of each frame, in seconds from the first.
        take: yields the frames of these numbers, which rise.
    """

    times: list[float]
    take: Callable[[Sequence[int]], Iterator[Image.Image]]


def sampled_frames(medium: UnreadMedium, count: int) -> list[Image.Image]:
    """Frames of a video, evenly spread from the first to the last; all where it has no more.

    Args:
        medium: the video; where it takes another one's length, frames are of the other's times.
        count: how many.

    Raises:
        Unusable: it cannot be read.
    """
    times = _shown(medium.source if medium.like is None else medium.like).times
    chosen = sorted({round(place) for place in np.linspace(0, len(times) - 1, count)})
    return list(_shown_frames(medium, [times[number] for number in chosen]))


def encode_video(medium: UnreadMedium) -> Medium:
    """A video file without sound: a file's own frames as they are; those that were removed, fitted or edited as H.264 in an MP4.

    Sound is a modality of its own, which twins change by itself.

    Raises:
        Unusable: it cannot be read, or not be put into an MP4.
    """
    if isinstance(medium.source, str) and medium == UnreadMedium(medium.source):
        data = _without_sound(medium.source)
        return Medium(Modality.VIDEO, "video/mp4", data, sha256(data).hexdigest())

    times = _shown(medium.source if medium.like is None else medium.like).times
    digest, stream = sha256(), io.BytesIO()
    with explained(medium.source, "video not encodable"), av.open(stream, "w", format="mp4") as container:
        track: Any = container.add_stream(
            "libx264" if "libx264" in av.codecs_available else "mpeg4", rate=_rate(times)
        )
        track.pix_fmt, track.codec_context.thread_count = "yuv420p", 1
        for number, image in enumerate(_shown_frames(medium, times)):
            if not number:  # the codec takes even sizes alone
                track.width, track.height = (max(2, side // 2 * 2) for side in image.size)

            image = image.convert("RGB").resize((track.width, track.height))
            digest.update(image.tobytes())
            container.mux(track.encode(av.VideoFrame.from_image(image)))

        container.mux(track.encode(None))

    return Medium(Modality.VIDEO, "video/mp4", stream.getvalue(), digest.hexdigest())


def _rate(times: Sequence[float]) -> Fraction:
    """Frames per second."""
    length = times[-1] - times[0]
    return Fraction((len(times) - 1) / length).limit_denominator(1000) if length > 0 else Fraction(1)


def _without_sound(path: str) -> bytes:
    """The video track of a file, packet by packet, in an MP4."""
    stream = io.BytesIO()
    with opened_video(path) as (source, track), av.open(stream, "w", format="mp4") as target:
        copy = target.add_stream_from_template(track)
        for packet in source.demux(track):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)

    return stream.getvalue()


def _shown_frames(medium: UnreadMedium, times: Sequence[float]) -> Iterable[Image.Image]:
    """As `_frames_at`, after the medium's edit."""
    frames = _frames_at(medium, times)
    return frames if medium.edit is None else edited_frames(frames, Image.Image.tobytes, medium.edit)


def _frames_at(medium: UnreadMedium, times: Sequence[float]) -> Iterator[Image.Image]:
    """What is shown at some times; behind the end the last frame."""
    shown = _shown(medium.source)
    numbers = [max(0, bisect_right(shown.times, time + _EARLY) - 1) for time in times]
    wanted = sorted(set(numbers))
    frames = zip(wanted, shown.take(wanted))
    number, image = next(frames)
    for needed in numbers:
        while number < needed:
            number, image = next(frames)

        yield Image.new("RGB", image.size) if medium.removed else image


def _shown(source: Any) -> _Shown:
    if not isinstance(source, str):  # frames one by one, a second each
        with explained(source, "broken video"):
            return _Shown(
                [float(number) for number in range(len(source))],
                lambda numbers: (read_image(source[number]) for number in numbers),
            )

    with opened_video(source) as (container, track):
        starts = [frame.start for frame in decode_video(container, track)]

    return _Shown([start - starts[0] for start in starts], lambda numbers: _decoded(source, numbers))


def _decoded(path: str, numbers: Sequence[int]) -> Iterator[Image.Image]:
    wanted = set(numbers)
    with opened_video(path) as (container, track):
        for number, frame in enumerate(decode_video(container, track)):
            if number in wanted:
                yield frame.image.to_image(**rgb_conversion(frame.image))

            if number == numbers[-1]:
                return
