"""Reading videos and audio: rates and channels, what is removed, what is remembered, and that LLaMA-Factory gets its readers back."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from helpers.clip_files import (
    CLASSES,
    dominant_frequency,
    heard_class,
    read_audio,
    read_frames,
    shown_class,
    write_audio,
    write_changing,
    write_clip,
    write_flat,
    write_tracks,
    write_unknown_codec,
)
from llamafactory.data.mm_plugin import get_mm_plugin
from PIL import Image

from modality_interference.batching.media_reader import MediaReader
from modality_interference.errors import Unusable
from modality_interference.media.edits import ClipEdit, Editing
from modality_interference.media.image import load_image
from modality_interference.media.reference import UnreadMedium


SETTINGS = {"image_max_pixels": 10**6, "image_min_pixels": 16, "video_fps": 4.0, "video_maxlen": 16}


def plugin():
    return get_mm_plugin(
        "qwen2_omni", image_token="<|IMAGE|>", video_token="<|VIDEO|>", audio_token="<|AUDIO|>",
        vision_bos_token="<v>", vision_eos_token="</v>", audio_bos_token="<a>", audio_eos_token="</a>",
    )  # fmt: skip


def audios(*media, rate: int = 16000) -> list[np.ndarray]:
    mm_plugin = plugin()
    with MediaReader(mm_plugin, 4).installed():
        return mm_plugin._regularize_audios(list(media), sampling_rate=rate)["audios"]


@pytest.mark.parametrize("form", [{"rate": 8000}, {"rate": 44100, "channels": 2}, {"rate": 48000, "bits": 24}, {}])
def test_audio_of_any_form(tmp_path: Path, form: dict[str, int]):
    path = write_audio(tmp_path / "ein Ton.wav", "horn", seconds=1.5, **form)
    (samples,) = audios(str(path))
    assert samples.dtype == np.float32 and samples.shape == (24000,)
    assert dominant_frequency(samples, 16000) == pytest.approx(1100, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.02)
    if form == {}:
        np.testing.assert_allclose(samples, read_audio(path)[0], atol=1e-6)


def test_a_clips_own_audio_and_silence(tmp_path: Path):
    path = str(write_clip(tmp_path / "clip.mp4", "bell", "drum", rate=16000))
    own, silent = audios(path, UnreadMedium(path, removed=True))
    assert dominant_frequency(own, 16000) == pytest.approx(700, abs=2)
    assert own.shape == silent.shape and not silent.any()


def test_audio_beside_a_video_that_cannot_be_decoded(tmp_path: Path):
    path = str(write_unknown_codec(tmp_path / "clip.mkv"))
    (samples,) = audios(path)
    assert dominant_frequency(samples, 16000) == pytest.approx(400, abs=2)
    mm_plugin = plugin()
    with (
        MediaReader(mm_plugin, 4).installed(),
        pytest.raises(Unusable, match="PyAV has no decoder for its video track") as found,
    ):
        mm_plugin._regularize_videos([path], **SETTINGS)

    assert found.value.kind == "broken video"


def test_videos_are_llamafactorys_and_black_ones_as_long(tmp_path: Path):
    path = str(write_clip(tmp_path / "clip.mp4", fps=8, seconds=2.5))
    mm_plugin = plugin()
    expected = mm_plugin._regularize_videos([path], **SETTINGS)
    with MediaReader(mm_plugin, 4).installed():
        found = mm_plugin._regularize_videos([path, UnreadMedium(path, removed=True), UnreadMedium(path)], **SETTINGS)

    for key in ("fps_per_video", "durations", "frames_indices"):
        assert [list(np.ravel(item)) for item in found[key]] == [list(np.ravel(expected[key][0]))] * 3
    frames = [[frame.tobytes() for frame in video] for video in found["videos"]]
    assert frames[0] == frames[2] == [frame.tobytes() for frame in expected["videos"][0]]
    size = expected["videos"][0][0].size
    assert frames[1] == [Image.new("RGB", size).tobytes()] * len(frames[0])


def test_audio_is_cut_or_padded_with_silence_to_the_length_of_another(tmp_path: Path):
    short, long = (
        str(write_audio(tmp_path / f"{name}.wav", name, seconds=seconds))
        for name, seconds in (("horn", 1), ("bell", 1.5))
    )
    (short_alone, long_alone) = audios(short, long)
    cut, padded, same, silent = audios(
        UnreadMedium(long, like=short), UnreadMedium(short, like=long), UnreadMedium(short, like=short),
        UnreadMedium(short, removed=True, like=long),
    )  # fmt: skip
    np.testing.assert_array_equal(cut, long_alone[:16000])
    np.testing.assert_array_equal(padded, np.concatenate([short_alone, np.zeros(8000)]))
    np.testing.assert_array_equal(same, short_alone)
    assert silent.shape == (24000,) and not silent.any()


def test_videos_are_cut_or_padded_with_the_last_frame(tmp_path: Path):
    short, long = (str(write_clip(tmp_path / f"{seconds}.mp4", fps=8, seconds=seconds)) for seconds in (1, 2))
    media = [UnreadMedium(long, like=short), UnreadMedium(short, like=long)]
    mm_plugin = plugin()
    with MediaReader(mm_plugin, 4).installed():
        alone = mm_plugin._regularize_videos([short, long], **SETTINGS)
        fitted = mm_plugin._regularize_videos(media, **SETTINGS)

    for key in ("fps_per_video", "durations", "frames_indices"):
        assert [list(np.ravel(item)) for item in fitted[key]] == [list(np.ravel(item)) for item in alone[key]]

    few, many = ([frame.tobytes() for frame in video] for video in alone["videos"])
    assert (len(few), len(many)) == (4, 8) and len(set(many)) > 4
    assert [[frame.tobytes() for frame in video] for video in fitted["videos"]] == [many[:4], few + few[-1:] * 4]


def test_frames_are_shuffled_or_frozen_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The frames that the model gets, against PyAV's own decoding of the file; which is opened once."""
    path = str(write_clip(tmp_path / "clip.mp4", fps=8, seconds=3))
    decoded, _ = read_frames(Path(path))
    opened = []
    stock = av.open
    monkeypatch.setattr(av, "open", lambda path, *args, **keys: opened.append(path) or stock(path, *args, **keys))
    media = [UnreadMedium(path)]
    media += [UnreadMedium(path, edit=ClipEdit(Editing.SHUFFLED, seed)) for seed in (1, 1, 2)]
    media += [UnreadMedium(path, edit=ClipEdit(Editing.FROZEN, 50))]
    mm_plugin = plugin()
    with MediaReader(mm_plugin, 4).installed():
        read = mm_plugin._regularize_videos(media, **SETTINGS)

    assert len(opened) == 1
    # LLaMA-Factory counts them at `video_fps`, 4, and the file has 8
    sampled = decoded[[round(2 * place) for place in read["frames_indices"][0]]]
    own, shuffled, again, other, frozen = (np.stack(list(map(np.asarray, video))) for video in read["videos"])
    assert len(own) == 12 and np.array_equal(own, sampled)
    order = [int(np.flatnonzero([np.array_equal(frame, one) for one in sampled])[0]) for frame in shuffled]
    assert sorted(order) == list(range(12)) and order != sorted(order)
    assert np.array_equal(shuffled, again) and not np.array_equal(shuffled, other)
    assert np.array_equal(frozen, np.stack([sampled[6]] * 12))
    for key in ("fps_per_video", "durations", "frames_indices"):
        assert all(np.array_equal(item, read[key][0]) for item in read[key])


def test_a_clip_of_one_frame_has_no_other_order(tmp_path: Path):
    path = str(write_clip(tmp_path / "clip.mp4", fps=8, seconds=1 / 8))
    mm_plugin = plugin()
    with MediaReader(mm_plugin, 4).installed(), pytest.raises(Unusable, match="all the same") as found:
        mm_plugin._regularize_videos([UnreadMedium(path, edit=ClipEdit(Editing.SHUFFLED, 1))], **SETTINGS)

    assert found.value.kind == "video that stands still"


def test_audio_is_shifted_exactly(tmp_path: Path):
    path = write_audio(tmp_path / "horn.wav", "horn", seconds=1.5)
    decoded, rate = read_audio(path)
    edits = [ClipEdit(Editing.SHIFTED, milliseconds) for milliseconds in (250, -250)]
    own, later, earlier = audios(str(path), *(UnreadMedium(str(path), edit=edit) for edit in edits))
    quarter = rate // 4
    np.testing.assert_allclose(own, decoded, atol=1e-6)
    np.testing.assert_array_equal(later, np.concatenate([np.zeros(quarter, np.float32), own[:-quarter]]))
    np.testing.assert_array_equal(earlier, np.concatenate([own[quarter:], np.zeros(quarter, np.float32)]))
    with pytest.raises(Unusable, match="lasts 1.50 s, and is shifted by 2 s"):
        audios(UnreadMedium(str(path), edit=ClipEdit(Editing.SHIFTED, 2000)))


def test_each_is_read_once_while_it_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [str(write_audio(tmp_path / f"{index}.wav")) for index in range(3)]
    opened = []
    stock = av.open
    monkeypatch.setattr(av, "open", lambda path, *args, **keys: opened.append(path) or stock(path, *args, **keys))
    mm_plugin = plugin()
    reader = MediaReader(mm_plugin, 2)
    with reader.installed():
        for index in (0, 1, 0, 1, 2, 1, 0):
            mm_plugin._regularize_audios([paths[index]], sampling_rate=16000)

    assert [paths.index(path) for path in opened] == [0, 1, 2, 0]


def test_images_are_preprocessed_once_for_all_texts_about_them(monkeypatch: pytest.MonkeyPatch):
    """Of a clean row, its text twins, and an image twin in between; equal images that are not the same one count apart."""
    mm_plugin, seen = plugin(), []

    def preprocess(self: Any, images: list, *others: Any) -> dict[str, Any]:
        seen.append([image.getpixel((0, 0)) for image in images])
        return {"pixel_values": seen[-1]}

    monkeypatch.setattr(type(mm_plugin), "_get_mm_inputs", preprocess)
    one, other = (Image.new("L", (2, 2), colour) for colour in (1, 2))
    reader = MediaReader(mm_plugin, 2, mm_inputs=True)
    with reader.installed():
        found = [
            mm_plugin._get_mm_inputs(images, [], [], None) for images in ([one], [one], [other], [one, other], [one])
        ]
        found[0].clear()  # a caller may change what it gets
        assert mm_plugin._get_mm_inputs([one], [], [], None) == {"pixel_values": [1]}
        mm_plugin._get_mm_inputs([one.copy()], [], [], None)

    assert seen == [[1], [2], [1, 2], [1]]
    assert [item.get("pixel_values") for item in found[1:]] == [[1], [2], [1, 2], [1]]


def test_llamafactory_gets_its_readers_back():
    mm_plugin = plugin()
    before = dict(mm_plugin.__dict__)
    with pytest.raises(Unusable, match="there is no such file"), MediaReader(mm_plugin, 1).installed():
        mm_plugin._regularize_audios(["absent.wav"], sampling_rate=16000)

    assert mm_plugin.__dict__ == before


def test_what_is_no_file_stays_closed(tmp_path: Path):
    for source in (str(tmp_path), 7, SimpleNamespace()):
        with pytest.raises(Unusable):
            audios(source)


def test_files_that_name_other_files_stay_closed(tmp_path: Path):
    write_clip(tmp_path / "other.mp4")
    concat = tmp_path / "concat.mp4"
    concat.write_text("ffconcat version 1.0\nfile other.mp4\n")
    mm_plugin = plugin()
    assert mm_plugin._regularize_videos([str(concat)], **SETTINGS)["videos"][0]  # LLaMA-Factory by itself follows it
    with MediaReader(mm_plugin, 4).installed():
        for read in (
            lambda: mm_plugin._regularize_videos([str(concat)], **SETTINGS),
            lambda: mm_plugin._regularize_audios([str(concat)], sampling_rate=16000),
        ):
            with pytest.raises(Unusable, match="such as a playlist") as caught:
                read()

            assert caught.value.kind == "unsupported container"


@pytest.mark.parametrize("container", ["flv", "mpeg", "mpegts"])
def test_containers_whose_tracks_turn_up_late_are_read(tmp_path: Path, container: str):
    path = tmp_path / f"clip.{container}"
    with av.open(str(path), "w", format=container) as file:
        track = file.add_stream("flv1" if container == "flv" else "mpeg1video", rate=25)
        track.width = track.height = 64
        track.pix_fmt = "yuv420p"
        for _ in range(12):
            file.mux(track.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), format="rgb24")))

        file.mux(track.encode(None))

    script = (
        "import sys; from modality_interference.media.container import main_track, open_medium\n"
        "with open_medium(sys.argv[1]) as container:\n"
        "    print(sum(1 for _ in container.decode(main_track(container, 'video'))))"
    )
    # in a process of its own: PyAV crashed on such files
    found = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, "12"), found.stderr[-500:]


def videos(*media) -> list[np.ndarray]:
    """The first frame of each."""
    mm_plugin = plugin()
    with MediaReader(mm_plugin, 4).installed():
        return [np.asarray(frames[0]) for frames in mm_plugin._regularize_videos(list(media), **SETTINGS)["videos"]]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(("marks", "chosen"), [(("", "default"), 1), (("default", ""), 0), (("", ""), 0)])
def test_of_several_tracks_the_default_one_is_read(
    suffix: str, marks: tuple[str, str], chosen: int, tmp_path: Path
) -> None:
    shown, heard = ("bell", "horn"), ("voice", "rain")
    tracks = [("audio", heard[0], marks[0]), ("video", shown[0], marks[0]), ("cover", "siren", "")]
    tracks += [("audio", heard[1], marks[1]), ("video", shown[1], marks[1])]
    path = str(
        write_tracks(
            tmp_path / f"clip.{suffix}", [track for track in tracks if suffix == "mp4" or track[0] != "cover"]
        )
    )
    assert heard_class(audios(path)[0], 16000) == heard[chosen]
    assert shown_class(videos(path)[0]) == shown[chosen]


def test_a_track_for_people_who_cannot_see_is_not_the_main_one(tmp_path: Path):
    path = str(write_tracks(tmp_path / "a.mkv", [("audio", "voice", "visual_impaired"), ("audio", "rain", "")]))
    assert heard_class(audios(path)[0], 16000) == "rain"


def test_a_cover_is_no_video(tmp_path: Path):
    path = str(write_tracks(tmp_path / "song.mp4", [("cover", "bell", ""), ("audio", "rain", "default")]))
    with pytest.raises(Unusable, match="it has no video track") as refusal:
        videos(path)

    assert refusal.value.kind == "file without video" and heard_class(audios(path)[0], 16000) == "rain"


COLOURS = [(200, 60, 30), (20, 190, 60), (40, 60, 220), (128, 128, 128)]


@pytest.mark.parametrize("size", [(64, 64), (1280, 720)])
@pytest.mark.parametrize(
    ("matrix", "full_range"), [(1, False), (1, True), (6, False), (6, True), (2, False), (7, False), (9, False)]
)
def test_colours_are_converted_by_the_matrix_of_the_file(
    matrix: int, full_range: bool, size: tuple[int, int], tmp_path: Path
) -> None:
    """By hand, ITU-T H.273; where the file names no matrix, it is BT.601's whatever the size, as in FFmpeg."""
    for colour in COLOURS if size == (64, 64) else COLOURS[:1]:
        (frame,) = videos(str(write_flat(tmp_path / "flat.mp4", colour, matrix, full_range, size)))
        np.testing.assert_allclose(frame.reshape(-1, 3).mean(axis=0), colour, atol=3)


@pytest.mark.parametrize(
    "parts",
    [[("bell", 16000, 1), ("rain", 16000, 2)], [("bell", 16000, 2), ("rain", 16000, 1)]]
    + [[("bell", 16000, 1), ("rain", 32000, 1)], [("bell", 44100, 2), ("rain", 16000, 1), ("horn", 44100, 1)]],
    ids=str,
)
def test_channels_and_rates_that_change_within_a_file(parts: list[tuple[str, int, int]], tmp_path: Path):
    (samples,) = audios(str(write_changing(tmp_path / "radio.aac", parts)))
    assert len(samples) == pytest.approx(17000 * len(parts), rel=0.05)  # AAC begins and ends with some silence
    for number, (name, _, _) in enumerate(parts):
        middle = slice(*(int(len(samples) * (number + share) / len(parts)) for share in (0.25, 0.75)))
        second = samples[middle]
        assert dominant_frequency(second, 16000) == pytest.approx(CLASSES[name].frequency, abs=5)
        assert np.abs(second).max() == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("suffix", ["mp4", "gif", "wav"])
def test_an_image_in_place_of_a_clip(suffix: str, tmp_path: Path):
    path = tmp_path / f"clip.{suffix}"
    frames = [Image.new("RGB", (32, 32), (20 * index, 0, 0)) for index in range(8)]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=100)
    for read in (audios, videos):
        with pytest.raises(Unusable, match="it is a GIF image; allowed: mp4, mkv") as refusal:
            read(str(path))

        assert refusal.value.kind == "unsupported container"


def test_frames_given_one_by_one_are_read_as_images_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ghostscript, started = tmp_path / "gs", tmp_path / "started"
    ghostscript.write_text(f"#!/bin/sh\ntouch {started}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    good, eps, pipe = tmp_path / "0.png", tmp_path / "1.png", tmp_path / "2.png"
    Image.new("RGB", (32, 32), "red").save(good)
    eps.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n")
    os.mkfifo(pipe)
    mm_plugin = plugin()
    with MediaReader(mm_plugin, 4).installed():
        (frames,) = mm_plugin._regularize_videos(
            [[str(good), {"bytes": good.read_bytes(), "path": None}]], **SETTINGS
        )["videos"]
        assert [frame.getpixel((0, 0)) for frame in frames] == [(255, 0, 0)] * 2
        for frame in (eps, pipe):
            for of in ({"bytes": None, "path": str(frame)}, str(frame)):
                with pytest.raises(Unusable):
                    mm_plugin._regularize_videos([[str(good), of]], **SETTINGS)

                with pytest.raises(Unusable):
                    mm_plugin._regularize_images([of], image_max_pixels=10**6, image_min_pixels=16)

    assert not started.exists()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_images_are_read_as_llamafactory_reads_them(mode: str, tmp_path: Path):
    """Bit for bit, also where they are scaled first."""
    noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    wide = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    if mode in wide:
        image = Image.fromarray((noise[..., 0].astype(wide[mode]) * 200).astype(wide[mode]))
    else:
        image = Image.fromarray(noise).convert("P" if mode == "P" else mode)

    assert image.mode == mode
    exif = Image.Exif()
    exif[0x0112] = 6
    suffix = "jpg" if mode == "CMYK" else "tif" if mode in ("I", "F") else "png"
    path = tmp_path / f"image.{suffix}"
    image.save(path, **({} if suffix == "tif" else {"exif": exif}))
    for most, least in ((10**6, 16), (1000, 16), (10**6, 20000)):
        settings = {"image_max_pixels": most, "image_min_pixels": least}
        mm_plugin = plugin()
        (expected,) = mm_plugin._regularize_images([str(path)], **settings)["images"]
        with MediaReader(mm_plugin, 4).installed():
            given = [str(path), {"bytes": path.read_bytes(), "path": None}, load_image("row:0", [str(path)], [])]
            for found in mm_plugin._regularize_images(given, **settings)["images"]:
                assert (found.mode, found.size) == ("RGB", expected.size)
                assert found.tobytes() == expected.tobytes()


def test_an_image_that_is_too_thin_to_scale():
    mm_plugin = plugin()
    thin = Image.new("RGB", (2_000_000, 1))
    with MediaReader(mm_plugin, 4).installed(), pytest.raises(Unusable, match="2,000,000 x 1 pixels") as found:
        mm_plugin._regularize_images([thin], image_max_pixels=10**4, image_min_pixels=16)

    assert found.value.kind == "image too thin" and found.value.source is thin
