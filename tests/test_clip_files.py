"""The synthesised media themselves: what is drawn is what a decoder gets."""

import av
import numpy as np
import pytest
from helpers.clip_files import (
    CLASSES,
    centre_at,
    dominant_frequency,
    heard_class,
    read_audio,
    read_frames,
    shape_centre,
    shown_class,
    write_audio,
    write_clip,
    write_corrupt,
    write_labelled,
)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_can_be_told_by_video_and_audio(name, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", name, name, seconds=1, fps=10)
    frames, times = read_frames(path)
    assert frames.shape == (10, 72, 96, 3) and times == pytest.approx(np.arange(10) / 10)
    assert {shown_class(frame) for frame in frames} == {name}
    samples, rate = read_audio(path)
    assert rate == 44100 and dominant_frequency(samples, rate) == pytest.approx(CLASSES[name].frequency, abs=1.5)
    for frame, time in zip(frames, times, strict=True):
        assert shape_centre(frame) == pytest.approx(centre_at(time), abs=1.5)


@pytest.mark.parametrize("bits", [16, 24])
def test_an_audio_file(bits, tmp_path):
    path = write_audio(tmp_path / "sound.wav", "horn", seconds=0.5, rate=8000, channels=2, bits=bits, amplitude=0.25)
    with av.open(str(path)) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.channels, context.sample_rate) == (f"pcm_s{bits}le", 2, 8000)

    samples, rate = read_audio(path)
    assert len(samples) == 4000 and heard_class(samples, rate) == "horn"
    assert np.abs(samples).max() == pytest.approx(0.25, abs=0.002)


def test_labelled_clips(tmp_path):
    paths = write_labelled(tmp_path, ["bell", "rain"], 2, seconds=1)
    assert sorted(tmp_path.rglob("*.mp4")) == sorted(paths) and len(paths) == 4
    assert shown_class(read_frames(tmp_path / "rain" / "rain 1.mp4")[0][0]) == "rain"


def test_a_corrupt_clip_cannot_be_opened(tmp_path):
    with pytest.raises(av.FFmpegError):
        av.open(str(write_corrupt(tmp_path / "clip.mp4")))
