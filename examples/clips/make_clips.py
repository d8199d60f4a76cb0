"""Make the clips of the audio-visual demo: six classes, each with a moving shape and a tone of its own.

Every clip of a class differs in place, size, direction, brightness, pitch, loudness and noise. `modality-interference clips
prepare` and `clips pair` make datasets of them, as they would of any other videos.

    python examples/clips/make_clips.py [--output examples/clips/data/raw] [--per-class 120] [--seed 0]
"""

import argparse
import math
import random
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True)
class ClipClass:
    """What a class looks and sounds like.

    Attributes:
        colour: of the shape, RGB.
        shape: `square`, `disc`, `bar` (wide), `pole` (tall), `ring` or `cross`.
        frequency: of the tone, in Hz.
    """

    colour: tuple[int, int, int]
    shape: str
    frequency: float


CLASSES = {
    "bell": ClipClass((230, 40, 40), "square", 300.0),
    "drum": ClipClass((40, 200, 60), "disc", 500.0),
    "horn": ClipClass((50, 80, 230), "bar", 850.0),
    "rain": ClipClass((230, 210, 40), "ring", 1400.0),
    "siren": ClipClass((210, 60, 210), "pole", 2300.0),
    "voice": ClipClass((50, 210, 220), "cross", 3800.0),
}
SIZE = (48, 36)  # width and height
FPS = 8
RATE = 16_000  # of the audio, in Hz
SECONDS = 1.25  # some more than the demo keeps
DETUNING = 0.06  # share by which a pitch may differ from its class's
NOISE = (0.0, 0.1)  # least and most, as the standard deviation; the tone's amplitude is LOUDNESS
LOUDNESS = (0.1, 0.4)


def draw_frame(name: str, centre: tuple[float, float], radius: float, brightness: float) -> np.ndarray:
    """A class's shape on a dark ground: height x width x RGB."""
    width, height = SIZE
    rows, columns = np.mgrid[:height, :width]
    x, y = (columns + 0.5 - centre[0]) / radius, (rows + 0.5 - centre[1]) / radius
    inside = {
        "square": (abs(x) < 1) & (abs(y) < 1),
        "disc": np.hypot(x, y) < 1.1,
        "bar": (abs(x) < 1.5) & (abs(y) < 0.6),
        "pole": (abs(x) < 0.6) & (abs(y) < 1.5),
        "ring": abs(np.hypot(x, y) - 1) < 0.4,
        "cross": (abs(x) < 0.4) & (abs(y) < 1.3) | (abs(y) < 0.4) & (abs(x) < 1.3),
    }[CLASSES[name].shape]
    frame = np.full((height, width, 3), 24.0)
    frame[inside] = CLASSES[name].colour
    return (frame * brightness).astype(np.uint8)


def make_frames(name: str, rng: random.Random) -> list[np.ndarray]:
    """The frames of a clip: the shape goes round, starting anywhere."""
    width, height = SIZE
    start, speed = rng.uniform(0, 2 * math.pi), rng.choice((-1, 1)) * rng.uniform(1.5, 4.0)
    reach, radius, brightness = rng.uniform(3, 9), rng.uniform(5.0, 8.0), rng.uniform(0.6, 1.0)
    frames = []
    for index in range(round(SECONDS * FPS)):
        angle = start + speed * index / FPS
        centre = (width / 2 + reach * math.cos(angle), height / 2 + reach * math.sin(angle))
        frames.append(draw_frame(name, centre, radius, brightness))

    return frames


def make_audio(name: str, rng: random.Random) -> np.ndarray:
    """The samples of a clip: a tone near its class's, with an overtone, in noise; 16-bit integers."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    frequency = CLASSES[name].frequency * (1 + rng.uniform(-DETUNING, DETUNING))
    phases = 2 * np.pi * frequency * times + rng.uniform(0, 2 * math.pi)
    tone = rng.uniform(*LOUDNESS) * (np.sin(phases) + rng.uniform(0, 0.3) * np.sin(2 * phases))
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(*NOISE), len(times))
    return np.round(np.clip(tone + noise, -1, 1) * 32767).astype(np.int16)


def write_clip(path: Path, frames: list[np.ndarray], samples: np.ndarray) -> None:
    """Write an MP4 with a video and an audio track."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=FPS, options={"qscale": "3"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = container.add_stream("aac", rate=RATE)
        audio.codec_context.layout = "mono"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))

        heard = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(audio.encode(heard))
        for stream in (video, audio):
            container.mux(stream.encode(None))


def main() -> None:
    """Write `<output>/<class>/<number>.mp4`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data" / "raw")
    parser.add_argument("--per-class", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    for name in CLASSES:
        for number in range(arguments.per_class):
            path = arguments.output / name / f"{number:03d}.mp4"
            write_clip(path, make_frames(name, rng), make_audio(name, rng))

    print(f"Wrote {len(CLASSES) * arguments.per_class} clips of {len(CLASSES)} classes to {arguments.output}.")


if __name__ == "__main__":
    main()
