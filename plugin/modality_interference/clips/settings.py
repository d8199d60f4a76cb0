"""How clips are prepared."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass


SAMPLE_RATE = 16_000  # what the sound encoders of omni models (Whisper's) take
_VERSION = 1  # of the preparation; another one makes all clips anew


@dataclass(frozen=True)
class Settings:
    """How clips are prepared.

    Attributes:
        seconds: the longest that a clip may be; the rest is cut off.
        size: side of the square picture, in pixels; an even number.
        fps: frames per second.
        min_seconds: shorter clips are skipped.
        silent_below: clips whose sound's RMS is below this level (dB of full scale) are skipped as silent.
        keep_sound: whether the MP4 gets a sound track, too.
    """

    seconds: float = 10.0
    size: int = 504
    fps: int = 8
    min_seconds: float = 1.0
    silent_below: float = -60.0
    keep_sound: bool = False

    def fingerprint(self, source: os.stat_result) -> str:
        """What tells whether a clip has to be prepared again: it changes with the file and with the settings.

        Args:
            source: `stat` of the file that the clip is made of.
        """
        facts = [_VERSION, asdict(self), source.st_size, source.st_mtime_ns]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
