"""Make the clips of the audio-visual demo, of several classes, each with a look and a sound of its own.

Real pictures with their own sounds (`stamps.py`) where Debian's package of them is installed, else moving shapes and tones that are
drawn (`drawn.py`). No two clips of a class are the same. `modality-interference clips prepare` and `clips pair` make datasets of
them, as they would of any other videos.

    python examples/clips/make_clips.py [--output examples/clips/data/raw] [--clips 720] [--source drawn] [--seed 0]
"""

import argparse
import random
from pathlib import Path

import drawn
import stamps
from clip_file import write_clip


SOURCES = {"stamps": stamps, "drawn": drawn}


def main() -> None:
    """Write `<output>/<class>/<number>.mp4`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data" / "raw")
    parser.add_argument("--clips", type=int, default=720, help="of all classes together")
    parser.add_argument("--source", choices=tuple(SOURCES), default="drawn" if stamps.missing() else "stamps")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.source == "stamps" and stamps.missing():
        parser.error(f"the stamps are not installed: apt-get install {stamps.PACKAGE}, or --source drawn")

    source = SOURCES[arguments.source]
    others = [name for other in SOURCES.values() if other is not source for name in other.CLASSES]
    mixed = [name for name in others if (arguments.output / name).exists()]
    if mixed:
        parser.error(
            f"{arguments.output} has clips of another source: {', '.join(mixed)}. Remove {arguments.output.parent} first."
        )

    rng = random.Random(arguments.seed)
    each = arguments.clips // len(source.CLASSES)
    for name in source.CLASSES:
        for number in range(each):
            path = arguments.output / name / f"{number:03d}.mp4"
            write_clip(path, source.make_frames(name, rng), source.make_audio(name, rng))

    print(f"Wrote {each * len(source.CLASSES)} clips of {len(source.CLASSES)} classes to {arguments.output}.")


if __name__ == "__main__":
    main()
