"""What is sent of media: the pixels and samples of a local run, and nothing that is not of them."""

import io
import wave

import numpy as np
import pytest
from helpers.clip_files import write_clip
from PIL import Image

from modality_interference.endpoint.media import (
    MediaEncoder,
    bare_jpeg,
    encode_audio,
    encode_image,
    encode_video,
    sampled_frames,
)
from modality_interference.media.edits import ClipEdit, Editing
from modality_interference.media.image import load_image
from modality_interference.media.reference import UnreadMedium
from modality_interference.modality import Modality


def pixels(data: bytes) -> np.ndarray:
    """What PIL decodes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def noise(mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    """An image of random pixels."""
    return Image.effect_noise(size, 80).convert(mode)


def phone_photo(path, **keys):
    """A JPEG that says where it was taken, that it lies on its side, who made it, and is followed by a clip."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    noise().save(path, "JPEG", exif=exif, comment="secret place", **keys)
    path.write_bytes(path.read_bytes() + b"MotionPhoto secret clip \xff\xd9")
    return path


@pytest.mark.parametrize("keys", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_a_jpeg_without_what_is_not_of_its_pixels(tmp_path, keys):
    data = phone_photo(tmp_path / "photo.jpg", **keys).read_bytes()
    bare = bare_jpeg(data)
    assert b"Exif" in data and b"Exif" not in bare and b"secret" not in bare
    assert np.array_equal(pixels(bare), pixels(data))
    assert bare_jpeg(bare) == bare and not Image.open(io.BytesIO(bare)).getexif()
    assert bare_jpeg(data[:300]) is None and bare_jpeg(b"\xff\xd8\xff") is None


@pytest.mark.parametrize(
    "name,mode,keys,as_it_is",
    [
        ("a.png", "RGB", {}, True),
        ("a.png", "L", {}, True),
        ("a.png", "RGBA", {}, False),
        ("a.png", "P", {}, False),
        ("a.png", "L", {"transparency": 3}, False),
        ("a.jpg", "RGB", {}, True),
        ("a.jpg", "CMYK", {}, False),
        ("a.webp", "RGB", {"lossless": True}, False),
        ("a.gif", "P", {}, False),
        ("a.bmp", "RGB", {}, False),
    ],
)
def test_a_server_sees_the_pixels_of_a_local_run(tmp_path, name, mode, keys, as_it_is):
    path = tmp_path / name
    noise(mode).save(path, **keys)
    sent = encode_image("row:0", [str(path)], [])
    local = load_image("row:0", [str(path)], []).convert("RGB")
    assert np.array_equal(pixels(sent.data), np.asarray(local))
    assert sent.mime == ("image/jpeg" if name == "a.jpg" and as_it_is else "image/png")
    assert (sent.data == path.read_bytes()) == as_it_is
    assert encode_image("row:0", [{"bytes": path.read_bytes(), "path": None}], []).digest == sent.digest


def test_a_canvas_is_drawn(tmp_path):
    noise().save(tmp_path / "a.png")
    sent = encode_image("canvas:noise:5:row:0", [str(tmp_path / "a.png")], [])
    assert pixels(sent.data).shape == (24, 40, 3)
    assert sent.digest == encode_image("canvas:noise:5:40x24", [], []).digest
    assert sent.digest != encode_image("canvas:noise:6:40x24", [], []).digest


def samples(data: bytes) -> tuple[np.ndarray, int]:
    """What a WAV holds."""
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def test_sound_is_sent_as_wav(tmp_path):
    long, short = (str(write_clip(tmp_path / f"{n}.mp4", seconds=n, rate=16000, channels=2)) for n in (2, 1))
    heard, rate = samples(encode_audio(UnreadMedium(long)).data)
    assert rate == 16000 and len(heard) == pytest.approx(32000, abs=2048) and 3000 < np.abs(heard).max() < 20000
    silent, _ = samples(encode_audio(UnreadMedium(long, removed=True)).data)
    assert len(silent) == len(heard) and not silent.any()
    cut, _ = samples(encode_audio(UnreadMedium(long, like=short)).data)
    padded, _ = samples(encode_audio(UnreadMedium(short, like=long)).data)
    assert len(cut) == pytest.approx(16000, abs=2048) and np.array_equal(cut, heard[: len(cut)])
    assert len(padded) == len(heard) and not padded[len(cut) :].any()


def test_edited_clips_are_sent_edited(tmp_path):
    clip = str(write_clip(tmp_path / "a.mp4", seconds=1, fps=8, rate=16000))
    shuffled, frozen, later = (
        UnreadMedium(clip, edit=ClipEdit(how, number))
        for how, number in ((Editing.SHUFFLED, 1), (Editing.FROZEN, 50), (Editing.SHIFTED, 250))
    )
    own = [image.tobytes() for image in sampled_frames(UnreadMedium(clip), 4)]
    other = [image.tobytes() for image in sampled_frames(shuffled, 4)]
    assert sorted(other) == sorted(own) and other != own
    assert [image.tobytes() for image in sampled_frames(frozen, 4)] == [own[2]] * 4
    still, _ = decoded(encode_video(frozen).data, tmp_path / "still.mp4")
    whole, _ = decoded(encode_video(UnreadMedium(clip)).data, tmp_path / "own.mp4")
    assert len(still) == 8 and all(np.abs(np.subtract(frame, whole[4], dtype=float)).mean() < 8 for frame in still)
    heard, shifted = (samples(encode_audio(medium).data)[0] for medium in (UnreadMedium(clip), later))
    assert not shifted[:4000].any() and np.array_equal(shifted[4000:], heard[:-4000])


def test_frames_are_evenly_spread(tmp_path):
    clip = str(write_clip(tmp_path / "a.mp4", seconds=2, fps=12))
    every = sampled_frames(UnreadMedium(clip), 99)
    assert len(every) == 24
    some = sampled_frames(UnreadMedium(clip), 4)
    assert [image.tobytes() for image in some] == [every[number].tobytes() for number in (0, 8, 15, 23)]
    black = sampled_frames(UnreadMedium(clip, removed=True), 4)
    assert len(black) == 4 and not any(np.asarray(image).any() for image in black) and black[0].size == some[0].size
    other = str(write_clip(tmp_path / "b.mp4", visual="siren", seconds=1, fps=12))
    fitted = sampled_frames(UnreadMedium(other, like=clip), 4)
    shown = sampled_frames(UnreadMedium(other), 99)
    assert [image.tobytes() for image in fitted] == [shown[number].tobytes() for number in (0, 8, 11, 11)]
    listed = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in range(10)]
    assert [image.getpixel((0, 0))[0] for image in sampled_frames(UnreadMedium(listed), 3)] == [0, 4, 9]


def decoded(data: bytes, path) -> tuple[list[np.ndarray], bool]:
    """Frames of a file, and whether it has sound."""
    import av

    path.write_bytes(data)
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], bool(container.streams.audio)


def test_videos_are_sent_without_sound(tmp_path):
    clip = str(write_clip(tmp_path / "a.mp4", seconds=1, fps=8))
    frames, has_sound = decoded(encode_video(UnreadMedium(clip)).data, tmp_path / "out.mp4")
    own, had_sound = decoded((tmp_path / "a.mp4").read_bytes(), tmp_path / "own.mp4")
    assert had_sound and not has_sound and np.array_equal(frames, own)
    black, has_sound = decoded(encode_video(UnreadMedium(clip, removed=True)).data, tmp_path / "black.mp4")
    assert len(black) == len(own) and not has_sound and np.max(black) < 20
    longer = str(write_clip(tmp_path / "b.mp4", visual="siren", seconds=2, fps=8))
    fitted, _ = decoded(encode_video(UnreadMedium(longer, like=clip)).data, tmp_path / "fitted.mp4")
    other, _ = decoded(encode_video(UnreadMedium(longer)).data, tmp_path / "other.mp4")
    assert len(fitted) == len(own) and np.abs(np.subtract(fitted, other[: len(own)], dtype=float)).mean() < 8


def test_media_of_a_row_and_its_twins_are_encoded_once(tmp_path):
    clip = str(write_clip(tmp_path / "a.mp4", seconds=1))
    aligned = {f"_{own}{kind}s": [] for kind in ("image", "video", "audio") for own in ("", "twin_")}
    aligned |= {"_videos": [clip], "_audios": [clip]}
    references = {Modality.IMAGE: (), Modality.VIDEO: ("row:0",), Modality.AUDIO: ("removed:row:0",)}
    encoder = MediaEncoder(aligned, "frames", 3)
    first, again = encoder.encode(references), encoder.encode(references)
    assert len(first[Modality.VIDEO][0]) == 3 and first[Modality.VIDEO][0][0] is again[Modality.VIDEO][0][0]
    assert {medium.kind for medium in first[Modality.VIDEO][0]} == {Modality.IMAGE}
