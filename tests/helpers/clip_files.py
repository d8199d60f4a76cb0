"""Clips as real MP4 and WAV files: the moving shape of a class as the video, the tone of a class as the audio.

`write_clip(path, "bell", "horn")` writes a clip that shows a bell's shape and sounds like a horn; keywords make it odd (1 fps,
24-bit audio, no video track, ...). `write_audio` writes a WAV file. `shape_colour`, `shape_centre` and `dominant_frequency` look at
what has been decoded, and `read_frames` and `read_audio` decode with nothing but PyAV.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition


@dataclass(frozen=True)
class ClipClass:
    """What a class looks and sounds like.

    Attributes:
        colour: of the shape, RGB.
        shape: `square`, `disc`, `bar` (wide) or `ring`.
        frequency: of the tone, in Hz.
    """

    colour: tuple[int, int, int]
    shape: str
    frequency: float


CLASSES = {
    "bell": ClipClass((230, 40, 40), "square", 400.0),
    "drum": ClipClass((40, 200, 60), "disc", 700.0),
    "horn": ClipClass((50, 80, 230), "bar", 1100.0),
    "rain": ClipClass((230, 210, 40), "ring", 1600.0),
    "siren": ClipClass((210, 60, 210), "disc", 2200.0),
    "voice": ClipClass((50, 210, 220), "square", 3000.0),
}
BACKGROUND = (24, 24, 24)
PERIOD = 4.0  # seconds in which a shape goes round once
SIZE = (96, 72)  # width and height of a clip where nothing else is said


def write_clip(
    path: Path,
    visual: str | None = "bell",
    audio: str | None = "bell",
    *,
    seconds: float = 2.0,
    fps: int = 12,
    size: tuple[int, int] = SIZE,
    times: Sequence[float] | None = None,
    rate: int = 44100,
    channels: int = 1,
    bits: int = 16,
    amplitude: float = 0.3,
    audio_start: float = 0.0,
    audio_seconds: float | None = None,
    pixel_shape: Fraction = Fraction(1),
    rotation: int = 0,
) -> Path:
    """Write a clip; its folder is made, too.

    Args:
        path: `.mp4` as a rule; `.mkv`, `.mov` and `.avi` work where their codecs allow.
        visual: class of the video; None for a file without a video track.
        audio: class of the audio; None for a file without an audio track.
        seconds: length; 0 for tracks without a single frame, which `.avi` and `.mkv` keep, and `.mp4` leaves out.
        fps: frames per second.
        size: width and height as stored, even numbers.
        times: for a variable frame rate: when each frame is shown, in seconds; `fps` does not matter then.
        rate: of the audio, in Hz.
        channels: 1 or 2.
        bits: 16 is compressed as AAC, 24 is stored as PCM.
        amplitude: of the tone, 0 (silence) to 1.
        audio_start: when the audio begins, in seconds.
        audio_seconds: length of the audio, where it is not that of the video.
        pixel_shape: width of a stored pixel in terms of its height.
        rotation: degrees, counter-clockwise, by which a player has to turn the video: 0, 90, 180 or 270.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        streams = []
        if visual is not None:
            streams.append(container.add_stream("libx264", rate=fps, options={"crf": "12"}))
            streams[0].width, streams[0].height, streams[0].pix_fmt = *size, "yuv420p"
            streams[0].codec_context.sample_aspect_ratio = pixel_shape
            streams[0].codec_context.time_base = streams[0].time_base = _tick(fps, times)

        if audio is not None:
            streams.append(container.add_stream("aac" if bits == 16 else "pcm_s24le", rate=rate))
            streams[-1].codec_context.layout = "stereo" if channels == 2 else "mono"

        container.start_encoding()
        if visual is not None:
            shown = [index / fps for index in range(round(seconds * fps))] if times is None else times
            _mux_frames(container, streams[0], visual, shown)

        if audio is not None:
            samples = tone(audio, seconds if audio_seconds is None else audio_seconds, rate, amplitude)
            _mux_audio(container, streams[-1], samples, channels, bits, audio_start)

    if rotation:
        _set_rotation(path, rotation)

    return path


def write_audio(
    path: Path,
    audio: str = "bell",
    *,
    seconds: float = 2.0,
    rate: int = 16000,
    channels: int = 1,
    bits: int = 16,
    amplitude: float = 0.3,
) -> Path:
    """Write the tone of a class as an uncompressed WAV file; see `write_clip`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream(f"pcm_s{bits}le", rate=rate)
        stream.codec_context.layout = "stereo" if channels == 2 else "mono"
        container.start_encoding()
        _mux_audio(container, stream, tone(audio, seconds, rate, amplitude), channels, bits, 0.0)

    return path


def write_tracks(path: Path, tracks: Sequence[tuple[str, str, str]]) -> Path:
    """Write a file of several tracks, two seconds long.

    Args:
        path: `.mp4` or `.mkv`.
        tracks: in their order: `video`, `audio` or `cover`; the class that it shows or sounds like; its disposition, or "".
    """
    with av.open(str(path), "w") as container:
        streams = []
        for kind, _, disposition in tracks:
            codec = {"video": "libx264", "audio": "aac", "cover": "mjpeg"}[kind]
            stream = container.add_stream(codec, rate=16000 if kind == "audio" else 8)
            if kind == "audio":
                stream.codec_context.layout = "mono"
            else:
                stream.width, stream.height = SIZE
                stream.pix_fmt = "yuvj420p" if kind == "cover" else "yuv420p"
                stream.codec_context.time_base = stream.time_base = Fraction(1, 8)

            wanted = "attached_pic" if kind == "cover" else disposition
            stream.disposition = Disposition[wanted].value if wanted else 0
            streams.append(stream)

        container.start_encoding()
        for stream, (kind, name, _) in zip(streams, tracks, strict=True):
            if kind == "audio":
                _mux_audio(container, stream, tone(name, 2.0, 16000), 1, 16, 0.0)
            else:
                _mux_frames(container, stream, name, [0.0] if kind == "cover" else [index / 8 for index in range(16)])

    return path


# the luma coefficients of red and blue, by FFmpeg's number of the matrix (ITU-T H.273, table 4); 2 is "unspecified"
LUMA = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}


def write_flat(path: Path, colour: tuple[int, int, int], matrix: int, full_range: bool, size: tuple[int, int]) -> Path:
    """Write a clip of one colour with audio, its frames made of RGB by hand (H.273, equations 38 to 42).

    Args:
        path: of an MP4.
        colour: RGB.
        matrix: one of `LUMA`; the file names it, but for 2.
        full_range: whether luma and chroma use all of 0..255.
        size: width and height.
    """
    red, green, blue = (value / 255 for value in colour)
    of_red, of_blue = LUMA[matrix]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    chroma = (blue - luma) / (2 * (1 - of_blue)), (red - luma) / (2 * (1 - of_red))
    scale, offset, chroma_scale = (255, 0, 255) if full_range else (219, 16, 224)
    values = [round(offset + scale * luma), *(round(128 + chroma_scale * value) for value in chroma)]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=8, options={"crf": "1"})
        (video.width, video.height), video.pix_fmt = size, "yuv420p"
        video.codec_context.colorspace, video.codec_context.color_range = matrix, 2 if full_range else 1
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for index in range(16):
            frame = av.VideoFrame(*size, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 8)
            for plane, value in zip(frame.planes, values, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)

            container.mux(video.encode(frame))

        container.mux(video.encode(None))
        _mux_audio(container, audio, tone("bell", 2.0, 16000), 1, 16, 0.0)

    return path


def write_changing(path: Path, parts: Sequence[tuple[str, int, int]]) -> Path:
    """Write an AAC file whose channels and rate change: a second for each part (class, rate, channels)."""
    data = b""
    for number, (name, rate, channels) in enumerate(parts):
        part = path.with_suffix(f".{number}.aac")
        with av.open(str(part), "w", format="adts") as container:
            stream = container.add_stream("aac", rate=rate, layout="stereo" if channels == 2 else "mono")
            _mux_audio(container, stream, tone(name, 1.0, rate), channels, 16, 0.0)

        data += part.read_bytes()

    path.write_bytes(data)
    return path


def write_corrupt(path: Path) -> Path:
    """Write a clip whose second half is missing, with the index that it needs."""
    write_clip(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def write_unknown_codec(path: Path) -> Path:
    """Write a clip (`.mkv`, `.mp4`) whose video nobody can decode, its audio complete; or such an audio (`.wav`)."""
    data = (write_audio if path.suffix == ".wav" else write_clip)(path).read_bytes()
    known, unknown = {
        ".mkv": (b"V_MPEG4/ISO/AVC", b"V_OTHER/NOT/ONE"),
        ".mp4": (b"avc1", b"zzz9"),
        ".wav": (b"fmt \x10\0\0\0\x01\0", b"fmt \x10\0\0\0\xf0\xff"),
    }[path.suffix]
    assert known in data
    path.write_bytes(data.replace(known, unknown))
    return path


def write_labelled(folder: Path, classes: Sequence[str], per_class: int, **settings: object) -> list[Path]:
    """Write `folder/<class>/<class> <number>.mp4`, video and audio of the same class; see `write_clip`."""
    return [
        write_clip(folder / name / f"{name} {number}.mp4", name, name, **settings)  # type: ignore[arg-type]
        for name in classes
        for number in range(per_class)
    ]


def drawn_frame(name: str, time: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The shape of a class where it is at a time: height x width x RGB."""
    width, height = size
    centre_x, centre_y = centre_at(time, size)
    radius = min(size) * 0.16
    rows, columns = np.mgrid[:height, :width]
    x, y = columns + 0.5 - centre_x, rows + 0.5 - centre_y
    inside = {
        "square": (abs(x) < radius) & (abs(y) < radius),
        "disc": np.hypot(x, y) < radius * 1.1,
        "bar": (abs(x) < radius * 1.4) & (abs(y) < radius * 0.6),
        "ring": abs(np.hypot(x, y) - radius) < radius * 0.4,
    }[CLASSES[name].shape]
    drawn = np.full((height, width, 3), BACKGROUND, np.uint8)
    drawn[inside] = CLASSES[name].colour
    return drawn


def centre_at(time: float, size: tuple[int, int] = SIZE) -> tuple[float, float]:
    """Where a shape's centre is at a time, as (x, y) in pixels; always within the central square."""
    angle = 2 * math.pi * time / PERIOD
    reach = min(size) * 0.25
    return size[0] / 2 + reach * math.cos(angle), size[1] / 2 + reach * math.sin(angle)


def tone(name: str, seconds: float, rate: int, amplitude: float = 0.3) -> np.ndarray:
    """The tone of a class, as floats in -1..1."""
    times = np.arange(round(seconds * rate)) / rate
    return amplitude * np.sin(2 * np.pi * CLASSES[name].frequency * times)


def read_frames(path: Path) -> tuple[np.ndarray, list[float]]:
    """Decode a clip: frames x height x width x RGB as stored (not rotated), and the time of each in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))

    return np.stack([frame.to_ndarray(format="rgb24") for frame in frames]), [frame.time for frame in frames]


def read_audio(path: Path) -> tuple[np.ndarray, int]:
    """Decode an audio track: floats in -1..1, channels mixed to one; and its rate."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        wide = av.AudioResampler(format="fltp")
        parts = [part.to_ndarray().mean(axis=0) for frame in frames for part in wide.resample(frame)]

    return np.concatenate(parts), frames[0].sample_rate


def shape_mask(pixels: np.ndarray) -> np.ndarray:
    """Where the shape in a frame is: everything that is much brighter than the background."""
    return pixels.max(axis=-1) > 120


def shape_colour(pixels: np.ndarray) -> np.ndarray:
    """The median colour of the shape in a frame (height x width x RGB)."""
    return np.median(pixels[shape_mask(pixels)], axis=0)


def shape_centre(pixels: np.ndarray) -> tuple[float, float]:
    """Where the shape's centre is, as (x, y) in pixels."""
    rows, columns = np.nonzero(shape_mask(pixels))
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


def shown_class(pixels: np.ndarray) -> str:
    """The class whose colour is nearest to that of the shape in a frame."""
    colour = shape_colour(pixels)
    return min(CLASSES, key=lambda name: float(np.abs(colour - CLASSES[name].colour).sum()))


def dominant_frequency(samples: np.ndarray, rate: int) -> float:
    """The frequency with the most energy, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])


def heard_class(samples: np.ndarray, rate: int) -> str:
    """The class whose tone is nearest to the dominant frequency."""
    frequency = dominant_frequency(samples, rate)
    return min(CLASSES, key=lambda name: abs(frequency - CLASSES[name].frequency))


def _tick(fps: int, times: Sequence[float] | None) -> Fraction:
    return Fraction(1, fps) if times is None else Fraction(1, 1000)


def _mux_frames(container: av.container.OutputContainer, stream, name: str, times: Sequence[float]) -> None:
    tick = stream.codec_context.time_base
    for time in times:
        frame = av.VideoFrame.from_ndarray(drawn_frame(name, time, (stream.width, stream.height)), format="rgb24")
        frame.pts, frame.time_base = round(time / tick), tick
        container.mux(stream.encode(frame))

    if times:
        container.mux(stream.encode(None))


def _mux_audio(container, stream, samples: np.ndarray, channels: int, bits: int, start: float) -> None:
    rate, whole = stream.rate, 2 ** (31 if bits == 24 else 15) - 1
    chunk = 1024
    for first in range(0, len(samples), chunk):
        part = np.round(samples[first : first + chunk] * whole).astype(np.int32 if bits == 24 else np.int16)
        layout = "stereo" if channels == 2 else "mono"
        frame = av.AudioFrame.from_ndarray(
            np.repeat(part, channels)[None], format="s32" if bits == 24 else "s16", layout=layout
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, first + round(start * rate), Fraction(1, rate)
        container.mux(stream.encode(frame))

    if len(samples):
        container.mux(stream.encode(None))


def _set_rotation(path: Path, rotation: int) -> None:
    """Write the display matrix of the video track (ISO 14496-12, `tkhd`), which PyAV cannot."""
    data = bytearray(path.read_bytes())
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    # clockwise in the file, as its y axis points down
    matrix = struct.pack(">9i", cosine << 16, -sine << 16, 0, sine << 16, cosine << 16, 0, 0, 0, 1 << 30)
    place = data.index(b"tkhd")
    unrotated = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    place = data.index(unrotated, place)
    data[place : place + len(matrix)] = matrix
    path.write_bytes(data)
