"""Media files: good ones of every kind, damaged ones, playlists and documents that name other files, under any name."""

import gzip
import io
import wave
import zipfile
from fractions import Fraction
from functools import cache

import av
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from helpers.bad_rows import bomb


SIDE = 32  # pixels
_CONTAINERS = {  # suffix -> container, video codec, audio codec
    ".mp4": ("mp4", "libx264", "aac"),
    ".mov": ("mov", "mpeg4", "pcm_s16le"),
    ".mkv": ("matroska", "libx264", "aac"),
    ".avi": ("avi", "mpeg4", "mp2"),
    ".flv": ("flv", "flv", "aac"),
    ".ts": ("mpegts", "mpeg2video", "mp2"),
    ".mpg": ("mpeg", "mpeg1video", "mp2"),
    ".ogv": ("ogg", None, "flac"),
    ".flac": ("flac", None, "flac"),
    ".m4a": ("mp4", None, "aac"),
    ".aac": ("adts", None, "aac"),
    ".gif": ("gif", "gif", None),
    ".m4v": ("mp4", "mpeg4", None),
}
_IMAGES = ("png", "jpeg", "avif", "gif", "ico", "bmp", "tiff", "webp", "ppm", "jpeg2000")
SUFFIXES = (
    *_CONTAINERS,
    ".wav",
    ".png",
    ".jpg",
    ".avif",
    ".ico",
    ".webm",
    ".m3u8",
    ".sdp",
    ".svg",
    ".eps",
    ".txt",
    "",
)


@cache
def good_files() -> dict[str, bytes]:
    """Small whole files by kind."""
    files = {suffix[1:]: _clip(*codecs) for suffix, codecs in _CONTAINERS.items()}
    for name in _IMAGES:
        stream = io.BytesIO()
        colours = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(colours).save(stream, name)
        files[f"image {name}"] = stream.getvalue()

    stream = io.BytesIO()
    frames = [Image.new("P", (SIDE, SIDE), index) for index in range(3)]
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    files["animated png"] = stream.getvalue()
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.arange(8000, dtype="<i2").tobytes())

    files["wav"] = stream.getvalue()
    return files


def _clip(container: str, video: str | None, audio: str | None) -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as file:
        tracks = []
        if video:
            track = file.add_stream(video, rate=25)
            track.width = track.height = SIDE
            track.pix_fmt = "rgb8" if video == "gif" else "yuv420p"
            tracks.append((track, [_frame(index) for index in range(13)]))

        if audio:
            track = file.add_stream(audio, rate=32000, layout="mono")
            tracks.append((track, [_sound(track, index) for index in range(16)]))

        for track, frames in tracks:
            for frame in (*frames, None):
                file.mux(track.encode(frame))

    return stream.getvalue()


def _frame(index: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), 20 * index, np.uint8), format="rgb24")
    frame.pts, frame.time_base = index, Fraction(1, 25)
    return frame


def _sound(track: av.AudioStream, index: int) -> av.AudioFrame:
    size = track.codec_context.frame_size or 1024
    samples = (8000 * np.sin(np.arange(index * size, (index + 1) * size) / 9)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.pts, frame.sample_rate, frame.time_base = index * size, 32000, Fraction(1, 32000)
    return next(iter(av.AudioResampler(track.codec_context.format, "mono", 32000).resample(frame)))


@cache
def documents(names: tuple[str, ...], address: str) -> dict[str, bytes]:
    """Files that ask their reader to open others, to connect or to start a program.

    Args:
        names: paths to ask for.
        address: `host:port` to connect to.
    """
    texts = {"eps": "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"}
    for index, name in enumerate([*names, f"http://{address}/secret.wav", f"tcp://{address}"]):
        texts |= {
            f"m3u8 {index}": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{name}\n#EXT-X-ENDLIST\n",
            f"hls key {index}": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{name}"\n#EXTINF:9,\nx.ts\n#EXT-X-ENDLIST\n',
            f"ffconcat {index}": f"ffconcat version 1.0\nfile '{name}'\n",
            f"dash {index}": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
            f"<AdaptationSet><Representation><BaseURL>{name}</BaseURL></Representation></AdaptationSet></Period></MPD>",
            f"svg {index}": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{name}"/></svg>',
            f"imf {index}": f'<?xml version="1.0"?><AssetMap><Path>{name}</Path></AssetMap>',
        }

    texts["sdp"] = f"v=0\no=- 0 0 IN IP4 {address}\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    texts["pdf"] = "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    texts["xpm"] = "/* XPM */\nstatic char *x[] = {\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../outside/new.png", good_files()["image png"])

    binary = {
        "zip": packed.getvalue(),
        "png bomb": bomb(),
        "gz": gzip.compress(good_files()["wav"]),
        "elf": b"\x7fELF",
    }
    return binary | {name: text.encode() for name, text in texts.items()}


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["set", "flip", "insert", "delete", "copy", "number", "cut"]),
        st.one_of(
            st.integers(0, 199), st.integers(0, 2**16)
        ),  # where; the first bytes more often, as headers are there
        st.integers(0, 255),
        st.integers(1, 64),
    ),
    max_size=6,
)


def damaged(data: bytes, changes: list[tuple[str, int, int, int]]) -> bytes:
    """A file with bytes changed, left out, put in or exchanged."""
    content = bytearray(data)
    for kind, place, value, length in changes:
        place %= max(1, len(content))
        if kind == "set":
            content[place : place + 1] = bytes([value])
        elif kind == "flip" and content:
            content[place] ^= 1 << value % 8
        elif kind == "insert":
            content[place:place] = bytes([value]) * length
        elif kind == "delete":
            del content[place : place + length]
        elif kind == "copy":
            content[place : place + length] = content[length * value % max(1, len(content)) :][:length]
        elif kind == "number":  # sizes and counts
            content[place : place + 4] = [b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4), b"\x80\0\0\0"][value % 4]
        elif kind == "cut":
            del content[place:]

    return bytes(content)


@st.composite
def contents(draw: st.DrawFn, names: tuple[str, ...], address: str) -> bytes:
    """Bytes of a media file; arguments as those of `documents`."""
    others = documents(names, address)
    data = draw(st.sampled_from([*good_files().values()] * 3 + [*others.values()]), "kind of file")
    data = damaged(data, draw(_CHANGES, "changes"))
    if draw(st.integers(0, 15), "joined") == 15:
        data += draw(st.sampled_from([*good_files().values()]))

    return gzip.compress(data) if draw(st.integers(0, 31), "packed") == 31 else data
