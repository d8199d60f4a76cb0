"""Run a demo's commands one after the other, with their progress."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
EXECUTABLES = Path(sys.executable).parent
POLL = 0.5  # seconds
REPORT_EVERY = 15.0  # seconds between progress lines where the output is not a terminal


@dataclass(frozen=True)
class Step:
    """One command of a demo.

    Attributes:
        title: what the user sees.
        name: of the log file.
        command: program and arguments.
        output: where LLaMA-Factory writes `trainer_log.jsonl`, for the progress.
    """

    title: str
    name: str
    command: tuple[str, ...]
    output: Path | None = None


def train(title: str, name: str, recipe: Path, output: Path) -> Step:
    """A `llamafactory-cli train` step.

    Args:
        title: what the user sees.
        name: of the log file.
        recipe: the YAML file.
        output: `output_dir`.
    """
    paths = (str(recipe.relative_to(ROOT)), f"output_dir={output.relative_to(ROOT)}")
    return Step(title, name, (str(EXECUTABLES / "llamafactory-cli"), "train", *paths), output)


def evaluate(title: str, recipe: Path, work: Path, models: Sequence[str]) -> Step:
    """Diagnose checkpoints, one after the other; see `evaluate.py`.

    Args:
        title: what the user sees.
        recipe: the YAML file.
        work: has the checkpoints, and gets `evaluate_<model>` of each.
        models: names of the checkpoints.
    """
    paths = (str(Path(__file__).parent / "evaluate.py"), str(recipe.relative_to(ROOT)), str(work.relative_to(ROOT)))
    return Step(title, "evaluate", (sys.executable, *paths, *models))


def compare(title: str, work: Path, models: Sequence[str]) -> Step:
    """The page with all models side by side, in `comparison` below the work folder."""
    folder = work.relative_to(ROOT)
    runs = [str(folder / f"evaluate_{model}") for model in models]
    words = ("--names", ",".join(models), "-o", str(folder / "comparison"))
    return Step(title, "compare", (str(EXECUTABLES / "modality-interference"), "report", *runs, *words))


def run_all(steps: Sequence[Step | tuple[Step, ...]], work: Path) -> None:
    """Run steps in order; the first that fails ends the demo with the end of its log.

    Args:
        steps: the commands; they run in the repository's root. Those of a tuple run side by side, on one thread each: such
            a small model gains little from a second one.
        work: what they print goes to `<name>.log` there.
    """
    work.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(steps, start=1):
        together = step if isinstance(step, tuple) else (step,)
        _run(together, f"[{number}/{len(steps)}] {' | '.join(one.title for one in together)}", work)


def read_results(work: Path, models: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each model's `eval_results.json`."""
    return {model: json.loads((work / f"evaluate_{model}" / "eval_results.json").read_text()) for model in models}


def _progress(step: Step) -> str:
    """How far a training run is, from LLaMA-Factory's own log file."""
    log = step.output / "trainer_log.jsonl" if step.output is not None else None
    if log is None or not log.exists():
        return ""

    lines = log.read_text(encoding="utf-8").splitlines()
    try:
        last = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):  # nothing yet, or half a line
        return ""

    loss = f", loss {last['loss']:.3f}" if "loss" in last else ""
    return f"{last.get('percentage', 0):.0f} %{loss}"


def _run(steps: tuple[Step, ...], label: str, work: Path) -> None:
    """Run steps side by side with their progress on one line (on a terminal) or on a line now and then (elsewhere)."""
    start = shown = time.monotonic()
    print(f"{label} ...", end="" if sys.stdout.isatty() else "\n", flush=True)
    threads = {"OMP_NUM_THREADS": "1"} if len(steps) > 1 else {}
    running = [_start(step, work, threads) for step in steps]
    while any(process.poll() is None for process in running) and not any(process.poll() for process in running):
        time.sleep(POLL)
        progress = f"{label} {' | '.join(filter(None, map(_progress, steps)))} ({time.monotonic() - start:.0f} s)"
        if sys.stdout.isatty():
            print(f"\r\x1b[K{progress}", end="", flush=True)
        elif time.monotonic() - shown > REPORT_EVERY:
            shown = time.monotonic()
            print(progress, flush=True)

    done = f"{label}: {time.monotonic() - start:.0f} s"
    print(f"\r\x1b[K{done}" if sys.stdout.isatty() else done, flush=True)
    _end_if_failed(steps, running, work)


def _start(step: Step, work: Path, environment: dict[str, str]) -> subprocess.Popen:
    environment = os.environ | {"WANDB_DISABLED": "true"} | environment
    with (work / f"{step.name}.log").open("w", encoding="utf-8") as log:
        return subprocess.Popen(step.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _end_if_failed(steps: tuple[Step, ...], running: list[subprocess.Popen], work: Path) -> None:
    """Where a process has failed, end those beside it and the demo."""
    failed = [step for step, process in zip(steps, running, strict=True) if process.poll()]
    for process in running:
        if process.poll() is None:
            process.terminate()
            process.wait()

    for step in failed:
        log_path = work / f"{step.name}.log"
        tail = "\n".join(log_path.read_text(encoding="utf-8").splitlines()[-25:])
        sys.exit(f"{tail}\n\n{step.title} failed; the whole output is in {log_path}.")
