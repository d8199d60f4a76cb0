"""Media of a suite as files."""

import wave
from io import BytesIO

import av
import numpy as np
import pytest
from helpers.clip_files import write_audio, write_clip

from modality_interference.errors import Unusable
from modality_interference.media.audio import read_audio
from modality_interference.modality import Modality
from modality_interference.suite.media_files import media_file


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    sizes = dict(size=(48, 32), fps=8)
    videos = [write_clip(folder / f"{n}.mp4", "bell", None, seconds=n, **sizes) for n in (1, 2)]
    audios = [write_audio(folder / f"{n}.wav", seconds=n, rate=rate) for n, rate in ((1, 16000), (2, 8000))]
    return {Modality.VIDEO: list(map(str, videos)), Modality.AUDIO: list(map(str, audios))}


def video(media, reference):
    data = media_file(Modality.VIDEO, reference, media[Modality.VIDEO][:1], media[Modality.VIDEO][1:]).data
    with av.open(BytesIO(data)) as container:
        rate = container.streams.video[0].average_rate
        return float(rate), [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def audio(media, reference):
    data = media_file(Modality.AUDIO, reference, media[Modality.AUDIO][:1], media[Modality.AUDIO][1:]).data
    with wave.open(BytesIO(data)) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_videos(media):
    own = media_file(Modality.VIDEO, "row:0", media[Modality.VIDEO], [])
    assert own.data == open(media[Modality.VIDEO][0], "rb").read() and own.name.endswith(".mp4")
    rate, black = video(media, "removed:row:0")
    assert rate == 8 and len(black) == 8 and black[0].shape == (32, 48, 3) and max(map(np.max, black)) <= 2
    _, whole = video(media, "extra:0")
    _, cut = video(media, "extra:0:row:0")
    assert len(whole) == 16 and len(cut) == 8
    assert all(np.abs(a.astype(int) - b).mean() < 6 for a, b in zip(cut, whole))  # encoded again
    padded = media_file(Modality.VIDEO, "row:0:extra:0", media[Modality.VIDEO][:1], media[Modality.VIDEO][1:])
    with av.open(BytesIO(padded.data)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]

    assert len(frames) == 16 and all(np.abs(frame - frames[8]).mean() < 2 for frame in frames[8:])


def test_audio(media):
    rate, samples = audio(media, "row:0")
    stored = read_audio(media[Modality.AUDIO][0]).samples[0]
    assert rate == 16000 and np.array_equal(samples, np.rint(stored * 32768))
    assert audio(media, "removed:row:0")[1].tolist() == [0] * 16000
    rate, cut = audio(media, "extra:0:row:0")
    assert rate == 8000 and np.array_equal(cut, audio(media, "extra:0")[1][:8000])
    _, padded = audio(media, "row:0:extra:0")
    assert len(padded) == 32000 and np.array_equal(padded[:16000], samples) and not padded[16000:].any()


def test_edited_media(media):
    _, own = video(media, "row:0:row:0")
    _, still = video(media, "frozen:50:row:0")
    _, shuffled = video(media, "shuffled:1:row:0")
    assert len(still) == len(shuffled) == len(own) == 8
    assert all(np.abs(np.subtract(frame, own[4], dtype=float)).mean() < 6 for frame in still)
    order = [
        int(np.argmin([np.abs(np.subtract(frame, one, dtype=float)).mean() for one in own])) for frame in shuffled
    ]
    assert sorted(order) == list(range(8)) and order != sorted(order)
    _, samples = audio(media, "row:0")
    _, earlier = audio(media, "shifted:-500:row:0")
    assert np.array_equal(earlier[:8000], samples[8000:]) and not earlier[8000:].any()


def test_lists_of_frames_are_refused(media):
    with pytest.raises(Unusable, match="video as a list of frames"):
        media_file(Modality.VIDEO, "row:0", [["1.png", "2.png"]], [])
