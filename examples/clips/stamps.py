"""Clips of real pictures with their own sounds: stamps of Debian's `tuxpaint-stamps-default`, found at run time.

Each class is one picture and the sound that the package has for it. Every clip varies both: the picture is moved, scaled, turned,
mirrored and lit otherwise, before another ground; the sound is cut elsewhere, played faster or slower, louder or softer, in noise.
Nothing of the package is in this repository; its stamps are GPL-2+ or in the public domain.
"""

import math
import random
from functools import cache
from pathlib import Path

import av
import numpy as np
from clip_file import FRAMES, RATE, SAMPLES, SIZE
from PIL import Image, ImageEnhance, ImageOps


PACKAGE = "tuxpaint-stamps-default"
STAMPS = Path("/usr/share/tuxpaint/stamps")
CLASSES = {
    "bee": "animals/insects/bee",
    "cow": "animals/mammals/bovines/cow",
    "dolphin": "animals/mammals/aquatic/dolphin",
    "elephant": "animals/mammals/elephant",
    "fire engine": "vehicles/emergency/firetruck",
    "owl": "animals/birds/owl",
    "rooster": "animals/birds/rooster",
    "violin": "hobbies/music/string/violin",
}
SCALE = (0.75, 1.1)  # of the picture's longer side, in heights of the frame
MAX_SHIFT, MAX_DRIFT = 5.0, 4.0  # pixels: of the place, and on the way to the last frame
MAX_ANGLE = 15.0  # degrees
BRIGHTNESS, COLOUR = (0.7, 1.2), (0.6, 1.4)
GROUND = (60, 255)  # of each of red, green and blue
SPEED = (0.85, 1.18)  # of the sound; pitch goes with it
LOUDNESS = (0.05, 0.2)  # as the root mean square of what is heard
NOISE = (0.0, 0.03)  # as a standard deviation
MIN_LOUDNESS = 0.7  # of the second that is cut out, as a share of the loudest one's root mean square


def missing() -> bool:
    """Whether the package is not installed."""
    return not all(
        (STAMPS / f"{stem}.ogg").is_file() and (STAMPS / f"{stem}.png").is_file() for stem in CLASSES.values()
    )


def make_frames(name: str, rng: random.Random) -> list[np.ndarray]:
    """The frames of a clip: the varied picture moves slowly over a ground of one colour; RGB, (height, width, 3) each."""
    width, height = SIZE
    picture = _varied(_picture(name), rng)
    ground = tuple(rng.randint(*GROUND) for _ in range(3))
    x, y = (
        (side - own) / 2 + rng.uniform(-MAX_SHIFT, MAX_SHIFT) for side, own in zip(SIZE, picture.size, strict=True)
    )
    direction, drift = rng.uniform(0, 2 * math.pi), rng.uniform(0, MAX_DRIFT)
    frames = []
    for index in range(FRAMES):
        way = drift * index / FRAMES
        frame = Image.new("RGB", (width, height), ground)
        place = (round(x + way * math.cos(direction)), round(y + way * math.sin(direction)))
        frame.paste(picture, place, picture)
        frames.append(np.asarray(frame))

    return frames


def make_audio(name: str, rng: random.Random) -> np.ndarray:
    """The samples of a clip: a part of the sound, or all of it between silence, at another speed, in noise."""
    sound = _sound(name)
    times = np.arange(0, len(sound), rng.uniform(*SPEED))
    sound = np.interp(times, np.arange(len(sound)), sound)
    if len(sound) < SAMPLES:
        start = rng.randint(0, SAMPLES - len(sound))
        sound = np.pad(sound, (start, SAMPLES - len(sound) - start))
    else:
        start = rng.choice(_loud_starts(sound))
        sound = sound[start : start + SAMPLES]

    sound = sound * rng.uniform(*LOUDNESS) / np.sqrt((sound**2).mean())
    return sound + np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(*NOISE), SAMPLES)


def _varied(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A smaller, turned copy in another light, with its transparency."""
    side = rng.uniform(*SCALE) * SIZE[1]
    picture = ImageOps.contain(picture, (round(side), round(side)), Image.Resampling.LANCZOS)
    picture = ImageOps.mirror(picture) if rng.random() < 0.5 else picture
    picture = picture.rotate(rng.uniform(-MAX_ANGLE, MAX_ANGLE), Image.Resampling.BICUBIC, expand=True)
    colours = ImageEnhance.Color(picture.convert("RGB")).enhance(rng.uniform(*COLOUR))
    colours = ImageEnhance.Brightness(colours).enhance(rng.uniform(*BRIGHTNESS))
    colours.putalpha(picture.getchannel("A"))
    return colours


def _loud_starts(sound: np.ndarray) -> list[int]:
    """Where a clip's audio may be cut out of a longer sound: not where it has nearly died away."""
    starts = np.arange(0, len(sound) - SAMPLES + 1, RATE // 20)
    energies = np.diff(np.concatenate([[0.0], np.cumsum(sound**2)])[np.stack([starts, starts + SAMPLES])], axis=0)[0]
    return starts[energies >= MIN_LOUDNESS**2 * energies.max()].tolist()


@cache
def _picture(name: str) -> Image.Image:
    with Image.open(STAMPS / f"{CLASSES[name]}.png") as picture:
        return picture.convert("RGBA")


@cache
def _sound(name: str) -> np.ndarray:
    """All samples, mono, at the clips' rate."""
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(STAMPS / f"{CLASSES[name]}.ogg")) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]

    return np.concatenate([frame.to_ndarray()[0] for frame in frames + resampler.resample(None)]).astype(np.float64)
