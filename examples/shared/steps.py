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


def run_all(steps: Sequence[Step], work: Path) -> None:
    """Run steps in order; the first that fails ends the demo with the end of its log.

    Args:
        steps: the commands; they run in the repository's root.
        work: what they print goes to `<name>.log` there.
    """
    work.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(steps, start=1):
        _run(step, f"[{number}/{len(steps)}] {step.title}", work / f"{step.name}.log")


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


def _run(step: Step, label: str, log_path: Path) -> None:
    """Run one step with its progress on one line (on a terminal) or on a line now and then (elsewhere)."""
    start = shown = time.monotonic()
    print(f"{label} ...", end="" if sys.stdout.isatty() else "\n", flush=True)
    environment = os.environ | {"WANDB_DISABLED": "true"}
    with log_path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(step.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
        while process.poll() is None:
            time.sleep(POLL)
            if sys.stdout.isatty():
                print(f"\r\x1b[K{label} {_progress(step)} ({time.monotonic() - start:.0f} s)", end="", flush=True)
            elif time.monotonic() - shown > REPORT_EVERY:
                shown = time.monotonic()
                print(f"{label} {_progress(step)} ({shown - start:.0f} s)", flush=True)

    done = f"{label}: {time.monotonic() - start:.0f} s"
    print(f"\r\x1b[K{done}" if sys.stdout.isatty() else done, flush=True)
    if process.returncode:
        tail = "\n".join(log_path.read_text(encoding="utf-8").splitlines()[-25:])
        sys.exit(f"{tail}\n\n{step.title} failed; the whole output is in {log_path}.")
