"""Film strips against frames that PyAV decodes, spectrograms against tones of known pitch, and media that cannot be read."""

import base64
import math
import wave
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.clip_files import (
    CLASSES,
    read_frames,
    shown_class,
    write_audio,
    write_clip,
    write_corrupt,
    write_unknown_codec,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from modality_interference.media.thumbnails import clip_thumbnails
from modality_interference.modality import Modality
from modality_interference.results import MediaThumbnail


GAP = 2
PITCHES = 64  # rows of a spectrogram


def thumbnail(source: object, modality: Modality = Modality.VIDEO, reference: str = "row:0") -> MediaThumbnail:
    media = {"row": [source], "extra": [source]}
    (found,) = clip_thumbnails([reference], modality, media, lambda path: Path(path).name)
    return found


def audio(source: object, reference: str = "row:0") -> MediaThumbnail:
    return thumbnail(source, Modality.AUDIO, reference)


def pixels(shown: MediaThumbnail) -> np.ndarray:
    head, _, content = shown.uri.partition(";base64,")
    assert head in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(BytesIO(base64.b64decode(content))).convert("RGB"))


def panels(shown: MediaThumbnail, width: int) -> list[np.ndarray]:
    strip = pixels(shown)
    count = (strip.shape[1] + GAP) // (width + GAP)
    assert strip.shape[1] == count * (width + GAP) - GAP
    for place in range(1, count):
        assert (abs(strip[:, place * (width + GAP) - GAP : place * (width + GAP)].astype(int) - 128) < 40).all()

    return [strip[:, place * (width + GAP) :][:, :width] for place in range(count)]


def write_samples(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())

    return path


def row_of(frequency: float) -> int:
    """Where a spectrogram has its row of a frequency: Slaney's mel scale, up to 8 kHz."""

    def mel(hertz: float) -> float:
        return 3 * hertz / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)

    return PITCHES - round(mel(frequency) / mel(8000) * (PITCHES + 1))


class TestFilmStrips:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
    def test_are_the_frames_in_the_middle_of_each_quarter(self, tmp_path: Path, suffix: str):
        path = write_clip(tmp_path / f"clip{suffix}", fps=8, seconds=2, size=(64, 48))
        frames, _ = read_frames(path)
        shown = thumbnail(str(path))
        assert shown.modality == "video" and shown.caption == f"clip{suffix}, 2.0 s, 64 × 48"
        found = panels(shown, 64)
        assert len(found) == 4
        for panel, index in zip(found, (2, 6, 10, 14)):  # at 0.25, 0.75, 1.25 and 1.75 s
            np.testing.assert_array_equal(panel, frames[index])

    def test_of_a_clip_with_many_keyframes(self, tmp_path: Path):
        path = write_clip(tmp_path / "clip.mp4", audio=None, fps=24, seconds=40, size=(64, 48))
        frames, _ = read_frames(path)
        for panel, index in zip(panels(thumbnail(str(path)), 64), (120, 360, 600, 840)):
            np.testing.assert_array_equal(panel, frames[index])

    def test_show_what_is_on_the_screen_where_frames_come_at_any_time(self, tmp_path: Path):
        times = [0.0, 0.1, 0.9, 1.0, 3.9]
        path = write_clip(tmp_path / "clip.mp4", audio=None, times=times, size=(64, 48))
        frames, _ = read_frames(path)
        shown = thumbnail(str(path))
        length = float(shown.caption.split(", ")[1].removesuffix(" s"))
        middles = [length * (part + 0.5) / 4 for part in range(4)]
        expected = sorted({max(index for index, time in enumerate(times) if time <= middle) for middle in middles})
        found = panels(shown, 64)
        assert len(found) == len(expected)
        for panel, index in zip(found, expected):
            np.testing.assert_array_equal(panel, frames[index])

    def test_show_each_frame_once(self, tmp_path: Path):
        path = write_clip(tmp_path / "clip.mp4", audio=None, fps=1, seconds=2, size=(64, 48))
        assert len(panels(thumbnail(str(path)), 64)) == 2

    @pytest.mark.parametrize("name", ["bell", "siren"])
    def test_of_large_clips_are_small(self, tmp_path: Path, name: str):
        shown = thumbnail(str(write_clip(tmp_path / "clip.mp4", name, size=(640, 360))))
        assert len(shown.uri) < 8_000
        found = panels(shown, 96)
        assert [panel.shape for panel in found] == [(54, 96, 3)] * 4
        assert {shown_class(panel) for panel in found} == {name}

    def test_black_frames_are_black_and_of_the_same_size(self, tmp_path: Path):
        path = str(write_clip(tmp_path / "clip.mp4", size=(64, 48)))
        shown = thumbnail(path, reference="removed:row:0")
        assert shown.caption == "black frames, 2.0 s, 64 × 48"
        assert pixels(shown).shape == pixels(thumbnail(path)).shape
        assert not any(panel.any() for panel in panels(shown, 64))

    def test_of_shuffled_and_of_frozen_frames(self, tmp_path: Path):
        paths = [str(tmp_path / f"{index}.png") for index in range(8)]
        for index, path in enumerate(paths):
            Image.new("RGB", (32, 16), (30 * index, 0, 0)).save(path)

        shuffled, frozen = (thumbnail(paths, reference=f"{edit}:row:0") for edit in ("shuffled:1", "frozen:50"))
        assert shuffled.caption == "0.png and 7 more, frames shuffled, 8 frames, 32 × 16"
        shown = [panel[0, 0, 0] for panel in panels(shuffled, 32)]
        assert sorted(shown) == [30, 90, 150, 210] != shown
        assert frozen.caption == "0.png and 7 more, one frame throughout, 8 frames, 32 × 16"
        assert [panel[0, 0, 0] for panel in panels(frozen, 32)] == [120] * 4

    def test_of_a_list_of_images(self, tmp_path: Path):
        paths = [str(tmp_path / f"{index}.png") for index in range(8)]
        for index, path in enumerate(paths):
            Image.new("RGB", (32, 16), (30 * index, 0, 0)).save(path)

        shown = thumbnail(paths)
        assert shown.caption == "0.png and 7 more, 8 frames, 32 × 16"
        assert [panel[0, 0, 0] for panel in panels(shown, 32)] == [30, 90, 150, 210]


class TestSpectrograms:
    @pytest.mark.parametrize("name", ["bell", "horn", "voice"])
    @pytest.mark.parametrize(
        "form", [{}, {"rate": 44100, "channels": 2}, {"rate": 48000, "bits": 24}, {"seconds": 0.1}]
    )
    def test_a_tone_lights_the_row_of_its_pitch(self, tmp_path: Path, name: str, form: dict):
        shown = audio(str(write_audio(tmp_path / "tone.wav", name, **form)))
        assert shown.modality == "audio" and shown.caption == f"tone.wav, {form.get('seconds', 2.0):.1f} s"
        light = pixels(shown).astype(int).sum(axis=-1)
        assert light.shape[0] == PITCHES
        assert abs(light.mean(axis=1).argmax() - row_of(CLASSES[name].frequency)) <= 1

    def test_time_goes_to_the_right(self, tmp_path: Path):
        times = np.arange(32000) / 16000
        samples = 0.3 * np.sin(2 * np.pi * 1000 * times) * (times < 0.5)
        light = pixels(audio(str(write_samples(tmp_path / "tone.wav", samples)))).astype(int).sum(axis=(0, 2))
        quarter = len(light) // 4
        assert light[: quarter - 4].min() > 10 * light[quarter + 8 :].max()

    def test_shifted_audio_is_shown_where_it_is_heard(self, tmp_path: Path):
        times = np.arange(32000) / 16000
        samples = 0.3 * np.sin(2 * np.pi * 1000 * times) * (times < 0.5)
        shown = audio(str(write_samples(tmp_path / "tone.wav", samples)), "shifted:1500:row:0")
        assert shown.caption == "tone.wav, 1.5 s later, 2.0 s"
        light = pixels(shown).astype(int).sum(axis=(0, 2))
        quarter = len(light) // 4
        assert light[-quarter + 4 :].min() > 10 * light[: -quarter - 8].max()

    def test_louder_is_brighter(self, tmp_path: Path):
        paths = [write_audio(tmp_path / f"{loud}.wav", amplitude=loud) for loud in (0.001, 0.01, 0.1)]
        light = [pixels(audio(str(path))).astype(int).sum() for path in paths]
        assert light[0] < light[1] < light[2]

    def test_silence_is_dark(self, tmp_path: Path):
        path = str(write_audio(tmp_path / "tone.wav"))
        removed, silent = audio(path, "removed:row:0"), audio(str(write_audio(tmp_path / "0.wav", amplitude=0.0)))
        assert removed.caption == "silence, 2.0 s" and silent.caption == "0.wav, 2.0 s"
        assert pixels(removed).max() < 16 and pixels(silent).max() < 16

    def test_of_a_clips_own_audio(self, tmp_path: Path):
        shown = audio(str(write_clip(tmp_path / "clip.mp4", "bell", "horn")), "extra:0")
        assert shown.caption.startswith("clip.mp4 (another row's), 2.0")
        assert abs(pixels(shown).astype(int).sum(axis=(1, 2)).argmax() - row_of(1100)) <= 1

    def test_of_long_noise_shows_the_beginning_and_stays_small(self, tmp_path: Path):
        noise = np.random.default_rng(0).normal(0, 0.1, 70 * 16000).clip(-1, 1)
        shown = audio(str(write_samples(tmp_path / "noise.wav", noise)))
        assert shown.caption == "noise.wav, the first 60 s" and len(shown.uri) < 8_000


def unreadable(folder: Path, kind: str) -> Path | list:
    folder.mkdir(exist_ok=True)
    path = folder / f"a {kind}.mp4"
    if kind == "corrupt":
        write_corrupt(path)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir(exist_ok=True)
    elif kind == "text":
        path.write_text("no clip")
    elif kind == "playlist":  # it may not open what it names
        write_clip(folder / "other.ts")
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2.0,\nother.ts\n#EXT-X-ENDLIST\n")
    elif kind == "list":
        write_clip(folder / "other.mp4")
        path.write_text("ffconcat version 1.0\nfile other.mp4\n")

    return path


class TestUnreadable:
    @pytest.mark.parametrize("modality", [Modality.VIDEO, Modality.AUDIO])
    @pytest.mark.parametrize("kind", ["corrupt", "empty", "folder", "text", "playlist", "list", "missing"])
    def test_the_caption_says_why_without_the_folder(self, tmp_path: Path, modality: Modality, kind: str):
        path = unreadable(tmp_path / "here", kind)
        for reference in ("row:0", "removed:row:0"):
            shown = thumbnail(str(path), modality, reference)
            assert shown.uri == ""
            assert shown.caption.startswith(f"a {kind}.mp4: cannot be shown, ") and "here" not in shown.caption

    @pytest.mark.parametrize(
        ("modality", "without", "why"),
        [
            (Modality.VIDEO, {"visual": None}, "file without video"),
            (Modality.AUDIO, {"audio": None}, "file without audio"),
            (Modality.AUDIO, {"audio_seconds": 0.02, "bits": 24}, "audio too short"),
        ],
    )
    def test_tracks_that_are_missing(self, tmp_path: Path, modality: Modality, without: dict, why: str):
        path = write_clip(tmp_path / "clip.mov", **without)
        assert thumbnail(str(path), modality) == MediaThumbnail(
            modality=modality.value, caption=f"clip.mov: cannot be shown, {why}", uri=""
        )

    def test_a_video_without_a_decoder(self, tmp_path: Path):
        path = write_unknown_codec(tmp_path / "clip.mkv")
        why = "broken video: PyAV has no decoder for its video track"
        assert thumbnail(str(path)).caption == f"clip.mkv: cannot be shown, {why}"

    @pytest.mark.parametrize("source", [7, None, [], {"bytes": b"RIFF", "path": None}, [7], ["absent.png"]])
    @pytest.mark.parametrize("modality", [Modality.VIDEO, Modality.AUDIO])
    def test_what_is_no_medium(self, source: object, modality: Modality):
        (shown,) = clip_thumbnails(["row:0"], modality, {"row": [source], "extra": None}, lambda _: "embedded")
        assert shown.uri == "" and "cannot be shown" in shown.caption

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        data=st.binary(min_size=1, max_size=200), head=st.sampled_from([b"", b"RIFF", b"\0\0\0\x18ftypmp42", b"OggS"])
    )
    def test_bytes_of_any_kind(self, tmp_path: Path, data: bytes, head: bytes):
        path = tmp_path / "any"
        path.write_bytes(head + data)
        for modality in (Modality.VIDEO, Modality.AUDIO):
            assert thumbnail(str(path), modality).caption.startswith("any")
