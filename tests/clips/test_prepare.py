"""One clip: what is written against what was drawn, whatever the source's rates, sizes and faults."""

import io
import random
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clip_files import (
    CLASSES,
    PERIOD,
    SIZE,
    centre_at,
    dominant_frequency,
    heard_class,
    read_audio,
    read_frames,
    shape_centre,
    shape_colour,
    shown_class,
    write_audio,
    write_clip,
    write_corrupt,
    write_flat,
    write_tracks,
    write_unknown_codec,
)
from PIL import Image

from modality_interference.clips import encode as encoding
from modality_interference.clips.prepare import Prepared, Settings, loudest_level, prepare
from modality_interference.errors import Unusable


SIDE = 120
SMALL = Settings(size=SIDE)


def decoded(prepared: Prepared, folder: Path) -> tuple[np.ndarray, list[float]]:
    path = folder / "prepared.mp4"
    path.write_bytes(prepared.video)
    return read_frames(path)


def heard(prepared: Prepared) -> np.ndarray:
    with wave.open(io.BytesIO(prepared.audio)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 16000)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32768


def expected_centre(time: float, size: tuple[int, int] = SIZE) -> tuple[float, float]:
    """Of a shape drawn at a time, in the central square scaled to `SIDE`."""
    side = min(size)
    x, y = centre_at(time, size)
    return (x - (size[0] - side) / 2) * SIDE / side, (y - (size[1] - side) / 2) * SIDE / side


def check_frames(frames: np.ndarray, drawn: list[float], size: tuple[int, int] = SIZE) -> None:
    """Frame k shows what was drawn at `drawn[k]`."""
    found = [shape_centre(frame) for frame in frames]
    assert np.array(found) == pytest.approx(
        np.array([expected_centre(time, size) for time in drawn]), abs=SIDE * 0.025
    )


def test_the_defaults(tmp_path):
    prepared = prepare(write_clip(tmp_path / "clip.mp4", "horn", "drum", seconds=11.5, fps=10), Settings())
    frames, times = decoded(prepared, tmp_path)
    assert frames.shape == (80, 504, 504, 3) and prepared.frames == 80
    assert times == pytest.approx(np.arange(80) / 8)
    samples = heard(prepared)
    assert len(samples) == 160_000
    assert shown_class(frames[0]) == "horn" and heard_class(samples, 16000) == "drum"
    with av.open(io.BytesIO(prepared.video)) as container:
        assert [track.type for track in container.streams] == ["video"]
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].average_rate == 8


def test_the_same_bytes_every_time(tmp_path):
    """With x264's defaults, one in three clips of this size is encoded differently; with MB-tree alone, one in twenty."""
    path = write_clip(tmp_path / "clip.mp4", seconds=6)
    assert len({prepare(path, Settings(size=96)).video for _ in range(30)}) == 1


@pytest.mark.parametrize("fps", [1, 5, 8, 12, 30, 60])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_constant_rate_from_any_rate(fps, suffix, tmp_path):
    prepared = prepare(write_clip(tmp_path / f"clip.{suffix}", fps=fps, seconds=3), SMALL)
    frames, times = decoded(prepared, tmp_path)
    assert times == pytest.approx(np.arange(24) / 8) and len(heard(prepared)) == 48_000
    check_frames(frames, [int(k * fps / 8 + 1e-9) / fps for k in range(24)])


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_constant_rate_from_a_variable_one(suffix, tmp_path):
    shown = [0.0, 0.02, 0.04, 0.55, 0.6, 0.9, 1.625, 1.7, 1.9]
    path = write_clip(tmp_path / f"clip.{suffix}", times=shown, seconds=2)
    frames, times = decoded(prepare(path, SMALL), tmp_path)
    assert times == pytest.approx(np.arange(16) / 8)
    check_frames(frames, [max(time for time in shown if time <= k / 8 + 0.0011) for k in range(16)])


@pytest.mark.parametrize(
    "form",
    [
        {"rate": 8000},
        {"rate": 16000},
        {"rate": 22050, "channels": 2},
        {"rate": 48000, "channels": 2, "bits": 24},
        {"rate": 44100, "bits": 24},
    ],
    ids=str,
)
def test_any_audio_becomes_16_khz_mono(form, tmp_path):
    samples = heard(prepare(write_clip(tmp_path / "clip.mp4", audio="rain", amplitude=0.4, **form), SMALL))
    assert len(samples) == 32_000
    assert dominant_frequency(samples, 16000) == pytest.approx(CLASSES["rain"].frequency, abs=1)
    assert np.sqrt(np.mean(samples[1600:-1600] ** 2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.03)


def test_video_and_audio_begin_together(tmp_path):
    path = write_clip(
        tmp_path / "clip.mov", seconds=3, fps=8, audio_start=1.25, audio_seconds=1.5, bits=24, rate=16000
    )
    prepared = prepare(path, SMALL)
    frames, _ = decoded(prepared, tmp_path)
    assert len(frames) == 12 and len(heard(prepared)) == 24_000
    check_frames(frames, [1.25 + k / 8 for k in range(12)])
    assert abs(heard(prepared)[:2]) == pytest.approx([0, 0.3 * np.sin(2 * np.pi * 400 / 16000)], abs=1e-3)


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
def test_audio_before_the_video_is_left_out(suffix, tmp_path):
    shown = [0.5 + k / 8 for k in range(16)]
    prepared = prepare(write_clip(tmp_path / f"clip.{suffix}", times=shown, seconds=2, bits=24), SMALL)
    frames, _ = decoded(prepared, tmp_path)
    assert len(frames) == 12 and len(heard(prepared)) == 24_000
    check_frames(frames, shown[:12])


def test_where_the_video_ends_first_the_audio_is_cut(tmp_path):
    prepared = prepare(write_clip(tmp_path / "clip.mp4", seconds=2, audio_seconds=5), SMALL)
    assert prepared.frames == 16 and len(heard(prepared)) == 32_000


def test_the_rate_of_the_prepared_clip_can_be_odd(tmp_path):
    prepared = prepare(write_clip(tmp_path / "clip.mp4", seconds=2), Settings(size=SIDE, fps=7, seconds=1.5))
    assert prepared.frames == 11 and len(heard(prepared)) == round(11 / 7 * 16000)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied(rotation, tmp_path):
    frames, _ = decoded(prepare(write_clip(tmp_path / "clip.mp4", fps=8, rotation=rotation), SMALL), tmp_path)
    for k, frame in enumerate(frames):
        plain = np.zeros((SIDE, SIDE, 3), np.uint8)
        x, y = (int(place) for place in expected_centre(k / 8))
        plain[y - 3 : y + 3, x - 3 : x + 3] = 255
        turned = np.asarray(Image.fromarray(plain).rotate(rotation))  # counter-clockwise
        assert shape_centre(frame) == pytest.approx(shape_centre(turned), abs=SIDE * 0.03)


@pytest.mark.parametrize("size", [(72, 128), (128, 72), (200, 50)])
def test_the_central_square_of_any_shape(size, tmp_path):
    frames, _ = decoded(prepare(write_clip(tmp_path / "clip.mp4", fps=8, size=size), SMALL), tmp_path)
    check_frames(frames, [k / 8 for k in range(16)], size)


@pytest.mark.parametrize(
    ("size", "pixel_shape", "seen"),
    [((144, 72), Fraction(1, 2), (144, 72)), ((100, 100), Fraction(9, 10), (100, 90)), ((90, 72), 2, (36, 72))],
)
def test_pixels_that_are_not_square(size, pixel_shape, seen, tmp_path):
    """What a player shows as a square is `seen` of the stored pixels, about their centre."""
    path = write_clip(
        tmp_path / "clip.mp4", "bell", fps=8, seconds=PERIOD, size=size, pixel_shape=Fraction(pixel_shape)
    )
    frames, _ = decoded(prepare(path, SMALL), tmp_path)
    inside = 0
    for k, frame in enumerate(frames):
        place = np.array(centre_at(k / 8, size)) - (np.array(size) - seen) / 2
        reach = min(size) * 0.16  # half of a bell's square
        if (place > reach).all() and (place < np.array(seen) - reach).all():
            inside += 1
            assert shape_centre(frame) == pytest.approx(place * SIDE / seen, abs=SIDE * 0.03)

    assert inside > 5


@pytest.mark.parametrize("name", CLASSES)
def test_colours_stay(name, tmp_path):
    frames, _ = decoded(prepare(write_clip(tmp_path / "clip.mp4", name), SMALL), tmp_path)
    assert shape_colour(frames[4]) == pytest.approx(np.array(CLASSES[name].colour), abs=12)


@pytest.mark.parametrize(("marks", "chosen"), [(("", "default"), 1), (("default", ""), 0)])
def test_of_several_tracks_the_default_one_is_prepared(marks, chosen, tmp_path):
    tracks = [("video", "bell", marks[0]), ("audio", "voice", marks[0])]
    tracks += [("video", "horn", marks[1]), ("audio", "rain", marks[1])]
    prepared = prepare(write_tracks(tmp_path / "clip.mkv", tracks), SMALL)
    assert shown_class(decoded(prepared, tmp_path)[0][0]) == ("bell", "horn")[chosen]
    assert heard_class(heard(prepared), 16000) == ("voice", "rain")[chosen]


@pytest.mark.parametrize(("matrix", "size"), [(1, (160, 90)), (1, (1280, 720)), (9, (160, 90)), (2, (1280, 720))])
def test_colours_of_any_matrix_stay(matrix, size, tmp_path):
    """The prepared clip says by which matrix it is converted, and its decoder gets the source's RGB."""
    source = write_flat(tmp_path / "flat.mp4", (200, 60, 30), matrix, False, size)
    frames, _ = decoded(prepare(source, SMALL), tmp_path)
    assert frames.mean(axis=(0, 1, 2)) == pytest.approx([200, 60, 30], abs=4)
    with av.open(str(tmp_path / "prepared.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (6, 1)  # BT.601 of 525 lines; 16 to 235


def test_audio_is_kept_on_request(tmp_path):
    source = write_clip(tmp_path / "clip.mp4", audio="drum", seconds=3)
    prepared = prepare(source, Settings(size=SIDE, keep_audio=True, seconds=2))
    (tmp_path / "kept.mp4").write_bytes(prepared.video)
    samples, rate = read_audio(tmp_path / "kept.mp4")
    assert rate == 16000 and len(samples) == pytest.approx(32_000, abs=2048) and heard_class(samples, rate) == "drum"
    assert len(read_frames(tmp_path / "kept.mp4")[0]) == 16
    assert heard(prepared)[:32_000] == pytest.approx(heard(prepare(source, Settings(size=SIDE, seconds=2))))


@pytest.mark.parametrize("audio", ["bell", None])
def test_a_file_is_opened_at_most_twice(audio, tmp_path, monkeypatch):
    path, opened, stock = write_clip(tmp_path / "clip.mp4", audio=audio), [], av.open
    monkeypatch.setattr(av, "open", lambda file, *args, **keys: opened.append(file) or stock(file, *args, **keys))
    if audio:
        prepare(path, SMALL)
    else:
        refused(path)

    assert opened.count(str(path)) == (2 if audio else 1)


def test_without_h264_it_is_mpeg4(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    encoding.video_codec.cache_clear()
    try:
        prepared = prepare(write_clip(tmp_path / "clip.mp4", "siren", fps=8), SMALL)
    finally:
        encoding.video_codec.cache_clear()

    with av.open(io.BytesIO(prepared.video)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"

    frames, times = decoded(prepared, tmp_path)
    assert times == pytest.approx(np.arange(16) / 8) and shown_class(frames[0]) == "siren"
    check_frames(frames, [k / 8 for k in range(16)])


# bad input


def refused(path: Path, settings: Settings = SMALL) -> str:
    with pytest.raises(Unusable) as refusal:
        prepare(path, settings)

    return str(refusal.value)


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        ({"audio": None}, "no audio: the file has no audio track (it has: video)"),
        ({"visual": None}, "no video: the file has no video track (it has: audio)"),
        ({"seconds": 0.75}, "too short: 0.75 s of video with audio, less than 1 s"),
        ({"seconds": 0.1, "audio_seconds": 2}, "too short: 0.125 s of video with audio, less than 1 s"),
        ({"audio_seconds": 0.5, "bits": 24}, "too short: 0.5 s of video with audio, less than 1 s"),
        ({"audio_start": 3, "seconds": 2, "bits": 24}, "too short: 0 s of video with audio, less than 1 s"),
        ({"amplitude": 0}, "silent: RMS -inf dB where it is loudest, below -60 dB"),
        ({"amplitude": 0.0005, "bits": 24}, "silent: RMS -69"),
    ],
    ids=str,
)
def test_clips_that_are_skipped(clip, reason, tmp_path):
    assert refused(write_clip(tmp_path / "clip.mov", **clip)).startswith(reason)


def test_a_sound_that_is_rare_is_not_silence(tmp_path):
    """A clock that ticks once a second, for 5 ms: -63 dB over the whole clip."""
    rate = 16000
    samples = np.zeros(4 * rate)
    for second in range(4):
        samples[second * rate : second * rate + 80] = 0.0145 * np.sin(2 * np.pi * 2000 * np.arange(80) / rate)

    assert 10 * np.log10(np.mean(samples**2)) == pytest.approx(-62.8, abs=0.1)
    tick = np.sqrt(np.mean(samples[:2000] ** 2))  # an eighth of a second with one tick
    integers = np.round(samples * 32768).astype(np.int16)
    assert loudest_level(integers) == pytest.approx(20 * np.log10(tick), abs=0.1)
    assert loudest_level(integers) == pytest.approx(-53.8, abs=0.1)
    path = tmp_path / "clock.mov"
    write_clip(tmp_path / "mute.mov", audio=None, seconds=4)
    with av.open(str(tmp_path / "mute.mov")) as mute, av.open(str(path), "w") as container:
        video = container.add_stream_from_template(mute.streams.video[0])
        audio = container.add_stream("pcm_s24le", rate=rate, layout="mono")
        for packet in mute.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)

        frame = av.AudioFrame.from_ndarray(
            np.round(samples * 2**31).astype(np.int32)[None], format="s32", layout="mono"
        )
        frame.sample_rate, frame.pts = rate, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))

    assert prepare(path, SMALL).frames == 32
    assert (
        refused(path, Settings(size=SIDE, silent_below=-53))
        == "silent: RMS -53.8 dB where it is loudest, below -53 dB"
    )


@pytest.mark.parametrize("number", [0, 1, 1999, 2000, 2001, 16000])
def test_the_loudest_window_against_all_windows(number):
    samples = np.random.default_rng(number).integers(-32768, 32768, number).astype(np.int16)
    windows = [samples[first : first + 2000] for first in range(max(1, number - 1999))] if number else []
    levels = [np.mean((window / 32768.0) ** 2) for window in windows]
    expected = 10 * np.log10(max(levels)) if levels else -np.inf
    assert loudest_level(samples) == pytest.approx(expected)
    assert loudest_level(np.zeros(number, np.int16)) == -np.inf


def test_limits_can_be_moved(tmp_path):
    short = write_clip(tmp_path / "short.mp4", seconds=0.5)
    assert prepare(short, Settings(size=SIDE, min_seconds=0.5)).frames == 4
    quiet = write_clip(tmp_path / "quiet.mov", amplitude=0.0005, bits=24)  # -69 dB
    assert prepare(quiet, Settings(size=SIDE, silent_below=-72)).frames == 16


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_zero_frames(suffix, tmp_path):
    path = write_clip(tmp_path / f"clip.{suffix}", seconds=0, audio_seconds=2)
    assert refused(path) == "zero frames: the video track holds none"


def test_unreadable_files_have_a_reason_in_words(tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    for path in (write_corrupt(tmp_path / "clip.mp4"), empty, text):
        assert refused(path) == "unreadable: Invalid data found when processing input"

    assert (
        refused(write_unknown_codec(tmp_path / "codec.mkv")) == "unreadable: PyAV has no decoder for its video track"
    )
    assert refused(tmp_path / "absent.mp4") == "unreadable: No such file or directory"
    assert refused(write_audio(tmp_path / "sound.wav")).startswith("unreadable: ")


def test_a_frame_that_is_too_large(tmp_path):
    path = tmp_path / "large.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=1)
        video.width, video.height, video.pix_fmt = 8000, 4400, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        container.mux(video.encode(av.VideoFrame(8000, 4400, "yuv420p")))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))

    assert refused(path).startswith("too large: 8000 x 4400 pixels; at most 33,177,600")


def test_a_cover_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        audio = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.VideoFrame(64, 64, "yuvj420p")
        frame.pts = 0
        container.mux(cover.encode(frame))
        container.mux(cover.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 32000), np.int16), format="s16", layout="mono")
        silence.sample_rate = 16000
        container.mux(audio.encode(silence))
        container.mux(audio.encode(None))

    assert refused(path).startswith("no video: ")


def test_an_image_that_is_named_as_a_video(tmp_path):
    frames = [Image.new("RGB", (32, 32), (20 * index, 0, 0)) for index in range(8)]
    frames[0].save(tmp_path / "clip.mp4", "GIF", save_all=True, append_images=frames[1:])
    assert refused(tmp_path / "clip.mp4").startswith("unreadable: it is a GIF image; allowed: mp4, mkv")


def test_files_that_name_other_files_stay_closed(tmp_path):
    write_clip(tmp_path / "other.mp4")
    concat = tmp_path / "concat.mp4"
    concat.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with av.open(str(concat)) as container:  # PyAV by itself follows it
        assert len(list(container.decode(video=0))) == 24

    assert refused(concat).startswith("unreadable: ")
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n")
    assert refused(playlist).startswith("unreadable: ")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_damage_is_refused_or_survived(suffix, tmp_path):
    """Whatever bytes are wrong: a clip of the right length comes out, or a reason."""
    good = write_clip(tmp_path / f"good.{suffix}").read_bytes()
    rng = random.Random(1)
    outcomes = set()
    for _ in range(25):
        data = bytearray(good)
        for _ in range(rng.choice((1, 10, 300))):
            data[rng.randrange(len(data))] = rng.randrange(256)

        path = tmp_path / f"damaged.{suffix}"
        path.write_bytes(data[: rng.choice((len(data), len(data), len(data) // 2))])
        try:
            prepared = prepare(path, SMALL)
        except Unusable as refusal:
            outcomes.add(refusal.kind)
        else:
            assert 8 <= prepared.frames <= 80 and len(heard(prepared)) == prepared.frames * 2000
            outcomes.add("prepared")

    assert "unreadable" in outcomes and len(outcomes) > 1


def test_the_shape_goes_round_once(tmp_path):
    """The drawn motion itself, so that the checks of times above mean something."""
    frames, _ = decoded(prepare(write_clip(tmp_path / "clip.mp4", fps=8, seconds=PERIOD), SMALL), tmp_path)
    centres = np.array([shape_centre(frame) for frame in frames])
    assert np.ptp(centres, axis=0) == pytest.approx([SIDE / 2] * 2, rel=0.05)
    assert np.abs(np.diff(centres, axis=0)).max(axis=1).min() > SIDE * 0.03  # no two neighbours alike
