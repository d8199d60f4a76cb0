"""Run a study: for every seed build a base, tune it in many ways, diagnose each, and write what was found as it is found.

A line of a study's results is a cell of a seed: what it was, what it took, and all rates with their intervals. A study that was
interrupted goes on where it was; a cell that failed is tried again. Logs are in `work/seed<N>/<cell>.log`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from rich.progress import Progress

from .precision import bfloat16_pays
from .steps import EXECUTABLES, ROOT


BASE = "base"
PACKAGES = ("llamafactory", "torch", "transformers", "peft", "llamafactory-modality-interference")
Keys: TypeAlias = dict[str, str | int | float]


@dataclass(frozen=True)
class Cell:
    """One way to tune the base.

    Attributes:
        name: of its folder, and in the results.
        title: as the table calls it.
        keys: of the recipe, beside those of the study's `tune.yaml`.
        reduced: whether the short run has it.
        against: the cell that it is compared with, which differs from it by one thing; "" for the study's own reference.
        script: in place of `llamafactory-cli train`: a script of the study's folder and the words before the recipe.
    """

    name: str
    title: str
    keys: Keys = field(default_factory=dict)
    reduced: bool = True
    against: str = ""
    script: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        core_seconds: on all cores together, which other work on the machine changes little.
        peak_gib: of its memory.
    """

    core_seconds: float = 0.0
    peak_gib: float = 0.0


@dataclass(frozen=True)
class Study:
    """What is run.

    Attributes:
        folder: has `work` and `data`, and what was published.
        tune: the recipe of a cell.
        evaluate: the recipe of a diagnosis.
        cells: all of them; `BASE` is diagnosed only.
        seeds: of the full run; the short one has one.
        build: builds the data and the base of a seed, as far as they are not there, on so many threads.
    """

    folder: Path
    tune: Path
    evaluate: Path
    cells: Sequence[Cell]
    seeds: int
    build: Callable[["Seed", int], None]

    @property
    def results(self) -> Path:
        """What was run here: a line for each cell of a seed."""
        return self.folder / "work" / "results.jsonl"

    @property
    def published(self) -> Path:
        """The results that the documentation shows."""
        return self.folder / "results.jsonl"


@dataclass(frozen=True)
class Seed:
    """Everything of one seed: the split of the images, the base, the order of the rows, an adapter's first weights.

    Attributes:
        study: that it is of.
        number: the seed.
        bf16: whether its processes compute in bfloat16.
    """

    study: Study
    number: int
    bf16: bool = False

    @property
    def work(self) -> Path:
        """Where its checkpoints and logs are."""
        return self.study.folder / "work" / f"seed{self.number}"

    @property
    def data(self) -> Path:
        """Its dataset folder."""
        return self.study.folder / "data" / f"seed{self.number}"

    def keys(self, output: Path) -> Keys:
        """The keys of a recipe that name folders and the seed."""
        data = str(self.data.relative_to(ROOT))
        return {
            "model_name_or_path": str((self.work / BASE).relative_to(ROOT)),
            "dataset_dir": data,
            "media_dir": data,
            "output_dir": str(output.relative_to(ROOT)),
            "seed": self.number,
            "overwrite_cache": "false",  # cells of the same rows tokenize them once
            "bf16": str(self.bf16).lower(),
            "use_cpu": str(not torch.cuda.is_available()).lower(),  # else transformers refuses bfloat16 there
        }

    def python(self, name: str, script: Path, *words: str, threads: int) -> None:
        """Run a script with the seed; its output goes to `<name>.log`."""
        self.run(name, [sys.executable, str(script), *words, "--seed", str(self.number)], threads)

    def train(self, name: str, recipe: Path, keys: Keys, threads: int, script: Sequence[str] = ()) -> Cost:
        """Run `llamafactory-cli train`, or a script of the study in its place; its output goes to `<name>.log`."""
        command = [str(EXECUTABLES / "llamafactory-cli"), "train"]
        if script:
            command = [sys.executable, str(self.study.folder / script[0]), *script[1:]]

        words = [f"{key}={value}" for key, value in keys.items()]
        return self.run(name, [*command, str(recipe.relative_to(ROOT)), *words], threads)

    def pretrain(self, recipe: Path, model: Path, threads: int) -> None:
        """Train the base from a model, if it is not there."""
        if not (self.work / BASE / "train_results.json").exists():
            keys = self.keys(self.work / BASE) | {"model_name_or_path": str(model.relative_to(ROOT))}
            self.train(BASE, recipe, keys, threads)

    def run(self, name: str, command: list[str], threads: int) -> Cost:
        """Run a command in the repository's root; its output goes to `<name>.log`.

        Raises:
            RuntimeError: with the end of the log, where it fails.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        log = self.work / f"{name}.log"
        # threads that wait do not spin: beside other work on the cores, two that do took many times one's processor time
        threading = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
        environment = os.environ | threading | {"WANDB_DISABLED": "true"}
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)

        if process.returncode:
            tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
            raise RuntimeError(f"{tail}\n\n`{name}` of seed {self.number} failed; the whole output is in {log}.")

        return Cost(round(used.ru_utime + used.ru_stime, 1), round(used.ru_maxrss / 2**20, 2))


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
    evaluate = seed.keys(diagnosis)
    training = Cost()
    if cell.name != BASE:
        training = seed.train(cell.name, seed.study.tune, seed.keys(tuned) | cell.keys, threads, cell.script)
        adapter = (tuned / "adapter_config.json").exists()
        evaluate["adapter_name_or_path" if adapter else "model_name_or_path"] = str(tuned.relative_to(ROOT))

    diagnosing = seed.train(f"evaluate_{cell.name}", seed.study.evaluate, evaluate, threads)
    found = json.loads((diagnosis / "interference.json").read_text(encoding="utf-8"))
    for dataset in found["datasets"].values():
        for condition in (*dataset["perturbations"].values(), *dataset.get("counterfactuals", {}).values()):
            condition.pop("reliability", None)  # two thirds of a line, of which the calibration error is said

    return {
        "cell": cell.name,
        "seed": seed.number,
        "keys": cell.keys,
        "training": asdict(training),
        "diagnosis": asdict(diagnosing),
        "seconds": round(time.monotonic() - start, 1),
        "threads": threads,
        "bf16": seed.bf16,
        "datasets": found["datasets"],
        "attention": (found["attention"] or {}).get("contrasts", []),
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


def read_results(file: Path) -> Iterator[dict[str, Any]]:
    """All whole lines of a study's results; half a line, of a study that was killed, counts for nothing."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def append_result(file: Path, line: dict[str, Any]) -> None:
    """Write a line of the results; after half a line, on a new one."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(("\n" if text and not text.endswith("\n") else "") + json.dumps(line) + "\n")


class _Task(NamedTuple):
    """What a worker takes next: a seed's base, its cells, then the next seed.

    Attributes:
        number: of the seed.
        order: of the cell in the grid; -1 is building the base.
    """

    number: int
    order: int


def _run_tasks(
    study: Study, missing: dict[int, set[str]], jobs: int, bf16: bool, done: Callable[[str], None]
) -> Iterator[str]:
    """Build bases and run cells side by side, and write each cell as it ends.

    Args:
        study: what they are of.
        missing: by seed, the names of the cells to run.
        jobs: how many run at once.
        bf16: whether they compute in bfloat16.
        done: is told what has ended.

    Yields:
        what failed; the cells of a base that failed are not tried.
    """
    cores = os.cpu_count() or 1
    ready = [_Task(number, -1) for number, names in sorted(missing.items()) if names]
    building = max(1, cores // max(1, min(jobs, len(ready))))  # a base alone has all cores

    def run(task: _Task) -> dict[str, Any] | None:
        seed = Seed(study, task.number, bf16)
        if task.order < 0:
            return study.build(seed, building)

        return run_cell(seed, study.cells[task.order], max(1, cores // jobs))

    running: dict[Future[dict[str, Any] | None], _Task] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while ready or running:
            while ready and len(running) < jobs:
                task = heappop(ready)
                running[pool.submit(run, task)] = task

            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    line = future.result()
                except RuntimeError as error:
                    yield str(error)
                    continue

                if line is None:
                    for order, cell in enumerate(study.cells):
                        if cell.name in missing[task.number]:
                            heappush(ready, _Task(task.number, order))
                else:
                    append_result(study.results, line)

                done(f"Seed {task.number}: {'the base is built' if line is None else line['cell']}")


def run_study(study: Study, description: str | None) -> None:
    """Run what is missing of a study, as the command line says.

    Args:
        study: what to run.
        description: of `--help`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all cells and seeds, not the reduced grid of one seed")
    parser.add_argument("--cells", help="these cells only, with commas", metavar="A,B,...")
    parser.add_argument("--seeds", type=int, help=f"so many seeds: 1, or {study.seeds} with --full", metavar="N")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="cells that run side by side", metavar="N"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="that processes compute in, such as a published seed's; else what is faster here",
    )
    arguments = parser.parse_args()
    bf16 = arguments.precision == "bfloat16" if arguments.precision else bfloat16_pays()
    seeds = arguments.seeds or (study.seeds if arguments.full else 1)
    names = {cell.name for cell in study.cells if arguments.full or cell.reduced}
    if arguments.cells:
        known, names = {cell.name for cell in study.cells}, set(arguments.cells.split(","))
        if names - known:
            parser.error(f"--cells: no {', '.join(sorted(names - known))}. There are {', '.join(sorted(known))}.")

    finished = {(line["cell"], line["seed"]) for line in read_results(study.results)}
    missing = {number: {name for name in names if (name, number) not in finished} for number in range(seeds)}
    with Progress() as progress:
        total, left = seeds * len(names), sum(map(len, missing.values()))
        bar = progress.add_task("Study", total=total + sum(map(bool, missing.values())), completed=total - left)
        failed = list(
            _run_tasks(
                study,
                missing,
                arguments.jobs,
                bf16,
                lambda said: progress.update(bar, advance=1, description=said),
            )
        )

    if failed:
        sys.exit("\n".join(failed))
