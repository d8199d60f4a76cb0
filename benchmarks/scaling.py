"""How a step's time grows: with the attack's steps, twins, sequence length and rows, with shared prefixes and without.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --rounds 5 --only steps,twins --json scaling.json

Needs no network; the model is the reference model of `step_cost.py`. The batch in the middle has 2 examples about an image (64
tokens) with 2 text twins each, 150 text and 2 answer tokens a row, all terms of the loss on and PGD with 2 steps; each sweep
changes one of these (rows get longer in a batch of 1 example with 1 twin). In every round each point makes one step with
`share_prefix: auto` and one with `false`. The floor (see `costs.py`) is turned into seconds by the speed of a large matrix
product, which no model reaches. Slopes are least-squares fits over a sweep's points. Then follow the case that sharing is for
(8 examples with 4 text twins each, 256 image tokens, 60 text tokens), and what the plugin adds to the start of every process
that imports torch.

Prints tables in Markdown, and draws the sweeps into docs/scaling.png.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from reference import IMAGE_HEAVY_MIX, REFERENCE, Mix
from step_cost import Bench, interleaved, timed


PLOT = Path(__file__).resolve().parents[1] / "docs" / "scaling.png"
MIDDLE = Mix(image_heavy=2, text_twins=2, text_heavy=0, both=0)
STEPS = 2
IMAGE_TOKENS = MIDDLE.image[0] * MIDDLE.image[1]
KINDS = SHARED, APART, FLOOR = ("shared", "apart", "floor")
IMPORT = "import time; start = time.perf_counter(); import modality_interference.bootstrap as it; it.install(); "
IMPORT += "print(time.perf_counter() - start)"


@dataclass(frozen=True)
class Sweep:
    """One thing that changes.

    Attributes:
        title: what it is.
        points: its values.
    """

    title: str
    points: tuple[int, ...]


@dataclass(frozen=True)
class Point:
    """A measured point.

    Attributes:
        value: of what the sweep changes.
        shared: seconds of a step that shares prefixes.
        apart: seconds without.
        floor: seconds that the floor's FLOPs take at the speed of a large matrix product.
    """

    value: int
    shared: float
    apart: float
    floor: float


SWEEPS = {
    "steps": Sweep("ascent steps K", (0, 1, 2, 4, 8)),
    "twins": Sweep("twins of an example", (0, 1, 2, 4, 8)),
    "length": Sweep("tokens of a row", (128, 256, 512, 1024, 2048)),
    "rows": Sweep("clean rows and twins", (3, 6, 12, 24)),
}


def setting(sweep: str, value: int) -> tuple[Mix, int]:
    """The batch and the attack's steps of a point."""
    if sweep == "steps":
        return MIDDLE, value

    if sweep == "twins":
        return replace(MIDDLE, text_twins=value), STEPS

    if sweep == "length":
        return replace(MIDDLE, image_heavy=1, text_twins=1, text_tokens=value - IMAGE_TOKENS - 2), STEPS

    return replace(MIDDLE, image_heavy=value // (1 + MIDDLE.text_twins)), STEPS


def method(steps: int) -> dict[str, Any]:
    """Keys of the recipe: everything on."""
    attack = {"adversarial_method": "pgd", "adversarial_steps": steps} if steps else {"adversarial_method": "none"}
    return {"consistency_method": "js", **attack}


def measure(sweep: str, rounds: int, flops_per_second: float) -> list[Point]:
    """All points of a sweep, each on a batch of its own."""
    return [measure_point(value, *setting(sweep, value), rounds, flops_per_second) for value in SWEEPS[sweep].points]


def measure_point(value: int, mix: Mix, steps: int, rounds: int, flops_per_second: float) -> Point:
    """One point, with and without sharing in turn."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), REFERENCE, mix, stock=False)
        seconds = interleaved(
            {
                name: lambda share=share: timed(
                    bench.with_keys(method(steps) | {"share_prefix": share}).step, bench.device
                )
                for name, share in ((SHARED, "auto"), (APART, "false"))
            },
            rounds,
        )
        return Point(value, seconds[SHARED], seconds[APART], bench.floor(method(steps)).total / flops_per_second)


def matrix_speed(size: int = 2048, rounds: int = 7) -> float:
    """FLOPs per second of a large matrix product, the median of some."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    times = [timed(lambda: left @ right, left.device) for _ in range(rounds)]
    return 2 * size**3 / statistics.median(times)


def slopes(points: list[Point]) -> dict[str, float]:
    """Seconds that one more costs, by least squares."""
    values = [point.value for point in points]
    return {name: float(np.polyfit(values, [getattr(point, name) for point in points], 1)[0]) for name in KINDS}


def table(sweep: str, points: list[Point]) -> str:
    """A sweep as a Markdown table, its slopes in the last line."""
    lines = [f"| {SWEEPS[sweep].title} | shared, s | apart, s | shared / apart | floor, s | apart / floor |"]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: |")
    fitted = slopes(points)
    rows = [(str(point.value), *(getattr(point, kind) for kind in KINDS)) for point in points]
    for name, shared, apart, floor in (*rows, ("one more", *(fitted[kind] for kind in KINDS))):
        numbers = (f"{shared:.3g}", f"{apart:.3g}", f"{shared / apart:.2f}", f"{floor:.3g}", f"{apart / floor:.2f}")
        lines.append(f"| {name} | {' | '.join(numbers)} |")

    return "\n".join(lines)


def draw(found: dict[str, list[Point]], path: Path) -> None:
    """One panel per sweep."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    looks = {
        SHARED: ("shared prefixes", "#0072b2", "o-"),
        APART: ("rows apart", "#d55e00", "s-"),
        FLOOR: ("floor at the speed of a matrix product", "#767676", "--"),
    }
    figure, axes = pyplot.subplots(1, len(found), figsize=(3.2 * len(found), 3.2), squeeze=False, layout="constrained")
    for axis, (sweep, points) in zip(axes[0], found.items()):
        for kind, (label, colour, style) in looks.items():
            values, seconds = [point.value for point in points], [getattr(point, kind) for point in points]
            axis.plot(values, seconds, style, color=colour, label=label, linewidth=1.8, markersize=5)

        axis.set_xlabel(SWEEPS[sweep].title)
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
        axis.grid(color="#e5e5e5")
        axis.spines[["top", "right"]].set_visible(False)

    axes[0][0].set_ylabel("seconds of a step")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=130, facecolor="white")
    pyplot.close(figure)


def start_up(times: int = 5) -> float:
    """Seconds that the entry point takes in a process that imports torch, without torch itself."""
    environment = os.environ | {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}  # or torch would have loaded it before
    command = [sys.executable, "-c", f"import torch; {IMPORT}"]
    outputs = [subprocess.run(command, env=environment, capture_output=True, check=True).stdout for _ in range(times)]
    return statistics.median(float(output) for output in outputs)


def _names(text: str) -> Iterable[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in SWEEPS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}; allowed: {', '.join(SWEEPS)}")

    return names


def main() -> None:
    """Measure, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="steps of each point that count (default: 3)")
    parser.add_argument("--only", type=_names, default=list(SWEEPS), help="such as steps,twins (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default: 2)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    speed = matrix_speed()
    found = {sweep: measure(sweep, arguments.rounds, speed) for sweep in arguments.only}
    for sweep, points in found.items():
        print(f"\n{table(sweep, points)}")

    case = measure_point(0, IMAGE_HEAVY_MIX, STEPS, arguments.rounds, speed)
    ratio = f"{case.shared:.2f} s shared, {case.apart:.2f} s apart: {case.shared / case.apart:.2f}"
    print(f"\n8 examples with 4 text twins, 256 image tokens, 60 text tokens: {ratio}")
    print(f"Start-up: {1000 * start_up():.1f} ms. Matrix product: {speed / 1e9:.0f} GFLOP/s.")
    draw(found, PLOT)
    print(f"Wrote {PLOT}.")
    if arguments.json:
        figures = {sweep: [asdict(point) for point in points] for sweep, points in found.items()}
        arguments.json.write_text(json.dumps({**figures, "image_heavy": asdict(case)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
