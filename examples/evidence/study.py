"""Run the evidence study: build the base, tune every cell of the grid, diagnose it, and write what was found as it is found.

    make evidence                    (the reduced grid, one seed)
    make evidence ARGS=--full        (all cells, all seeds)

A line of `results.jsonl` is a cell of a seed: what it was, how long it took, and all rates with their intervals. A study that was
interrupted goes on where it was; a cell that failed is tried again. Logs are in `work/seed<N>/<cell>.log`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from grid import BASE, CELLS, Cell, Keys
from rich.progress import Progress
from sources import require_sources


HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.jsonl"
SEEDS = 3
PACKAGES = ("llamafactory", "torch", "transformers", "peft", "llamafactory-modality-interference")


@dataclass(frozen=True)
class Seed:
    """Everything of one seed: the split of the images, the tower, the order of the rows, LoRA's first weights.

    Attributes:
        number: the seed.
    """

    number: int

    @property
    def work(self) -> Path:
        """Where its checkpoints and logs are."""
        return HERE / "work" / f"seed{self.number}"

    @property
    def data(self) -> Path:
        """Its dataset folder."""
        return HERE / "data" / f"seed{self.number}"

    def folders(self, output: Path) -> Keys:
        """The keys of a recipe that name folders and the seed."""
        data = str(self.data.relative_to(ROOT))
        return {
            "model_name_or_path": str((self.work / BASE).relative_to(ROOT)),
            "dataset_dir": data,
            "media_dir": data,
            "output_dir": str(output.relative_to(ROOT)),
            "seed": self.number,
            "use_cpu": str(not torch.cuda.is_available()).lower(),  # else transformers refuses bfloat16 there
        }


def build_base(seed: Seed, threads: int) -> None:
    """Data, tower and base of a seed, as far as they are not there."""
    number = ("--seed", str(seed.number))
    tower = seed.work / "tower"
    if not (seed.data / "dataset_info.json").exists():
        _run(seed, "data", [sys.executable, str(HERE / "make_data.py"), "--output", str(seed.data), *number], threads)

    if not (tower / "classifier.json").exists():
        command = [
            sys.executable,
            str(HERE / "build_base.py"),
            "--data",
            str(seed.data),
            "--output",
            str(tower),
            *number,
        ]
        _run(seed, "tower", command, threads)

    if not (seed.work / BASE / "train_results.json").exists():
        keys = seed.folders(seed.work / BASE) | {"model_name_or_path": str(tower.relative_to(ROOT))}
        _run(seed, BASE, _llamafactory("pretrain.yaml", keys), threads)


def run_cell(seed: Seed, cell: Cell, threads: int) -> dict[str, Any]:
    """Tune and diagnose a cell.

    Args:
        seed: its base is there.
        cell: what to do; the base itself is diagnosed only.
        threads: that each process computes on.

    Returns:
        A line of the results.
    """
    start = time.monotonic()
    tuned, diagnosis = seed.work / cell.name, seed.work / f"evaluate_{cell.name}"
    evaluate = seed.folders(diagnosis)
    training = Cost()
    if cell.name != BASE:
        training = _run(seed, cell.name, _llamafactory("tune.yaml", seed.folders(tuned) | cell.keys), threads)
        evaluate["adapter_name_or_path"] = str(tuned.relative_to(ROOT))

    diagnosing = _run(seed, f"evaluate_{cell.name}", _llamafactory("evaluate.yaml", evaluate), threads)
    found = json.loads((diagnosis / "interference.json").read_text(encoding="utf-8"))
    return {
        "cell": cell.name,
        "seed": seed.number,
        "keys": cell.keys,
        "training": asdict(training),
        "diagnosis": asdict(diagnosing),
        "seconds": round(time.monotonic() - start, 1),
        "threads": threads,
        "datasets": found["datasets"],
        "machine": _machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _machine() -> str:
    """The processor, as Linux calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()

    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def _llamafactory(recipe: str, keys: Keys) -> list[str]:
    words = [f"{key}={value}" for key, value in keys.items()]
    command = Path(sys.executable).parent / "llamafactory-cli"
    return [str(command), "train", str((HERE / recipe).relative_to(ROOT)), *words]


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        core_seconds: on all cores together, which other work on the machine changes little.
        peak_gib: of its memory.
    """

    core_seconds: float = 0.0
    peak_gib: float = 0.0


def _run(seed: Seed, name: str, command: list[str], threads: int) -> Cost:
    """Run a command in the repository's root; its output goes to a log.

    Returns:
        what it took.

    Raises:
        RuntimeError: with the end of the log, where it fails.
    """
    seed.work.mkdir(parents=True, exist_ok=True)
    log = seed.work / f"{name}.log"
    # threads that wait do not spin: beside other work on the cores, two that do took 14 times one's processor time
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
        "WANDB_DISABLED": "true",
    }
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)

    if process.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
        raise RuntimeError(f"{tail}\n\n`{name}` of seed {seed.number} failed; the whole output is in {log}.")

    return Cost(round(used.ru_utime + used.ru_stime, 1), round(used.ru_maxrss / 2**20, 2))


def finished() -> set[tuple[str, int]]:
    """Cells and seeds that the results have; half a line, of a study that was killed, counts for nothing."""
    return {(line["cell"], line["seed"]) for line in results()}


def results() -> Iterator[dict[str, Any]]:
    """All whole lines of the results."""
    if RESULTS.exists():
        for line in RESULTS.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def _run_cells(seed: Seed, cells: list[Cell], jobs: int, done: Callable[[], None]) -> Iterator[str]:
    """Run cells side by side and write each as it ends; yields what failed."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(run_cell, seed, cell, threads) for cell in cells]):
            try:
                line = future.result()
            except RuntimeError as error:
                yield str(error)
                continue

            append(line)
            done()


def append(line: dict[str, Any]) -> None:
    """Write a line of the results; after half a line, of a study that was killed, on a new one."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(("\n" if text and not text.endswith("\n") else "") + json.dumps(line) + "\n")


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all cells and seeds, not the reduced grid of one seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cells that run side by side")
    arguments = parser.parse_args()
    require_sources()
    seeds = [Seed(number) for number in range(SEEDS if arguments.full else 1)]
    cells = [cell for cell in CELLS if arguments.full or cell.reduced]
    done = finished()
    failed: list[str] = []
    with Progress() as progress:
        bar = progress.add_task("Evidence", total=len(seeds) * len(cells))
        for seed in seeds:
            missing = [cell for cell in cells if (cell.name, seed.number) not in done]
            progress.advance(bar, len(cells) - len(missing))
            if missing:
                progress.update(bar, description=f"Seed {seed.number}: the base")
                build_base(seed, os.cpu_count() or 1)
                progress.update(bar, description=f"Seed {seed.number}: cells")
                for error in _run_cells(seed, missing, arguments.jobs, lambda: progress.advance(bar)):
                    failed.append(error)

    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
