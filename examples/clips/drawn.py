"""Drawn clips: six classes, each with a moving shape and a tone of its own.

Every clip of a class differs in place, size, direction, brightness, pitch, loudness and noise.
"""

import math
import random
from dataclasses import dataclass

import numpy as np
from clip_file import FPS, FRAMES, RATE, SAMPLES, SIZE


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
    for index in range(FRAMES):
        angle = start + speed * index / FPS
        centre = (width / 2 + reach * math.cos(angle), height / 2 + reach * math.sin(angle))
        frames.append(draw_frame(name, centre, radius, brightness))

    return frames


def make_audio(name: str, rng: random.Random) -> np.ndarray:
    """The samples of a clip: a tone near its class's, with an overtone, in noise."""
    times = np.arange(SAMPLES) / RATE
    frequency = CLASSES[name].frequency * (1 + rng.uniform(-DETUNING, DETUNING))
    phases = 2 * np.pi * frequency * times + rng.uniform(0, 2 * math.pi)
    tone = rng.uniform(*LOUDNESS) * (np.sin(phases) + rng.uniform(0, 0.3) * np.sin(2 * phases))
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(*NOISE), len(times))
    return tone + noise
