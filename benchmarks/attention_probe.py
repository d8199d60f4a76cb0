"""What `attention_probe: true` costs an evaluation.

    python benchmarks/attention_probe.py
    python benchmarks/attention_probe.py --rounds 9 --rows 240

Needs no network: the model is the digits demo's, untrained, and the rows are its held-out ones. The recipe
`examples/digits/evaluate.yaml` runs without and with the probe in turn, in one process, and the medians of its evaluation loops
are compared (without loading the model and writing the report). The processor's time is what counts where other programs
run beside this one. So small a model is the hard case: the shorter its prompts and the narrower its layers, the more the
probe's own operations weigh.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from llamafactory.train.tuner import run_exp

from modality_interference.evaluation.trainer import DiagnosisTrainer


DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits"


def prepare(folder: Path, rows: int) -> dict[str, Any]:
    """Make data and model below a folder; the recipe that evaluates one on the other."""
    data, model = folder / "data", folder / "model"
    subprocess.run([sys.executable, DIGITS / "make_data.py", "--output", data], check=True)
    subprocess.run([sys.executable, DIGITS / "build_base.py", "--data", data, "--output", model], check=True)
    recipe = yaml.safe_load((DIGITS / "evaluate.yaml").read_text(encoding="utf-8"))
    places = {"model_name_or_path": model, "dataset_dir": data, "media_dir": data, "output_dir": folder / "run"}
    changes = {"overwrite_cache": False, "preprocessing_num_workers": 1, "max_samples": rows}
    return recipe | changes | {key: str(place) for key, place in places.items()}


class Clock:
    """Times the evaluation loop, which a run goes through once.

    Attributes:
        seconds: of the last run: processor's time, and time on the clock.
    """

    def __init__(self) -> None:
        self.seconds = (0.0, 0.0)
        stock = DiagnosisTrainer.evaluation_loop

        def timed(*args: Any, **keys: Any) -> Any:
            start = time.process_time(), time.perf_counter()
            output = stock(*args, **keys)
            self.seconds = time.process_time() - start[0], time.perf_counter() - start[1]
            return output

        DiagnosisTrainer.evaluation_loop = timed  # type: ignore[method-assign]


def compare(recipe: dict[str, Any], rounds: int) -> None:
    """Run without and with the probe in turn, and print the medians."""
    clock = Clock()
    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for round_ in range(rounds + 1):
        for probe, found in times.items():
            run_exp(recipe | {"attention_probe": probe})
            if round_:  # the first warms caches up
                found.append(clock.seconds)

    for index, name in enumerate(("processor", "clock")):
        without, probed = ([seconds[index] for seconds in times[probe]] for probe in (False, True))
        each = ", ".join(f"{100 * (one / other - 1):.1f}" for one, other in zip(probed, without))
        one, other = statistics.median(probed), statistics.median(without)
        overhead = f"{100 * (one / other - 1):.1f} % (rounds: {each} %)"
        print(f"{name}: {other:.2f} s without the probe, {one:.2f} s with it, overhead {overhead}")


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="evaluations of each kind (default: 5)")
    parser.add_argument("--rows", type=int, default=160, help="examples of each of the three datasets (default: 160)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(prepare(Path(folder), arguments.rows), arguments.rounds)


if __name__ == "__main__":
    main()
