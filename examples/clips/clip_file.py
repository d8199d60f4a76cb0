"""The form of the demo's clips: short MP4 files with a video and an audio track."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


SIZE = (48, 36)  # width and height
FPS = 8
RATE = 16_000  # of the audio, in Hz
SECONDS = 1.25  # some more than the demo keeps
FRAMES, SAMPLES = round(SECONDS * FPS), round(SECONDS * RATE)


def write_clip(path: Path, frames: list[np.ndarray], samples: np.ndarray) -> None:
    """Write an MP4 with a video and an audio track.

    Args:
        path: of the file; its folder is made.
        frames: RGB, 8-bit, (height, width, 3) each.
        samples: between -1 and 1; louder ones are clipped.
    """
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

        integers = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        heard = av.AudioFrame.from_ndarray(integers[None], format="s16", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(audio.encode(heard))
        for stream in (video, audio):
            container.mux(stream.encode(None))
