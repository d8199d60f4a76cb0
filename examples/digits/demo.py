"""The demo: a small model that falls for misleading sentences, fine-tuned plainly and with the plugin, side by side.

    make demo        (or: python examples/digits/demo.py, in an environment with the package installed)

Runs offline on scikit-learn's handwritten digits. Everything is trained by `llamafactory-cli train` with the recipes beside
this file; what it prints goes to `work/<step>.log`.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from table import MODELS, print_table


HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = HERE / "work"
COMPARISON = WORK / "comparison"
POLL = 0.5  # seconds
REPORT_EVERY = 15.0  # seconds between progress lines where the output is not a terminal


@dataclass(frozen=True)
class Step:
    """One command of the demo.

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


def train(title: str, name: str, recipe: str, output: str, *overrides: str) -> Step:
    """A `llamafactory-cli train` step."""
    cli = Path(sys.executable).parent / "llamafactory-cli"
    path = WORK / output
    command = (str(cli), "train", f"examples/digits/{recipe}", f"output_dir={path.relative_to(ROOT)}", *overrides)
    return Step(title, name, command, path)


def evaluate() -> Step:
    """Diagnose the three checkpoints on the held-out digits."""
    return Step("Diagnosing the three models", "evaluate", (sys.executable, str(HERE / "evaluate.py"), *MODELS))


def compare() -> Step:
    """The page with all three models side by side."""
    cli = Path(sys.executable).parent / "modality-interference"
    runs = [str((WORK / f"evaluate_{model}").relative_to(ROOT)) for model in MODELS]
    words = ("--names", ",".join(MODELS), "-o", str(COMPARISON.relative_to(ROOT)))
    return Step("Comparing the three models", "compare", (str(cli), "report", *runs, *words))


def steps() -> list[Step]:
    """All steps, in order."""
    return [
        Step("Writing the digits datasets", "data", (sys.executable, str(HERE / "make_data.py"))),
        Step("Building a tiny Qwen2.5-VL", "build", (sys.executable, str(HERE / "build_base.py"))),
        train("Pretraining the base model", "pretrain", "pretrain.yaml", "base"),
        train("Fine-tuning plainly", "plain", "finetune_plain.yaml", "plain"),
        train("Fine-tuning with the plugin", "plugin", "finetune_interference.yaml", "plugin"),
        evaluate(),
        compare(),
    ]


def progress(step: Step) -> str:
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


def run(step: Step, number: int, total: int) -> None:
    """Run one step with its progress on one line (on a terminal) or on a line now and then (elsewhere)."""
    start = shown = time.monotonic()
    label = f"[{number}/{total}] {step.title}"
    print(f"{label} ...", end="" if sys.stdout.isatty() else "\n", flush=True)
    with (WORK / f"{step.name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            step.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"WANDB_DISABLED": "true"}
        )
        while process.poll() is None:
            time.sleep(POLL)
            if sys.stdout.isatty():
                print(f"\r\x1b[K{label} {progress(step)} ({time.monotonic() - start:.0f} s)", end="", flush=True)
            elif time.monotonic() - shown > REPORT_EVERY:
                shown = time.monotonic()
                print(f"{label} {progress(step)} ({shown - start:.0f} s)", flush=True)

    done = f"{label}: {time.monotonic() - start:.0f} s"
    print(f"\r\x1b[K{done}" if sys.stdout.isatty() else done, flush=True)
    if process.returncode:
        tail = "\n".join((WORK / f"{step.name}.log").read_text(encoding="utf-8").splitlines()[-25:])
        sys.exit(f"{tail}\n\n{step.title} failed; the whole output is in {WORK / f'{step.name}.log'}.")


def main() -> None:
    """Run all steps and print the table."""
    start = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    every = steps()
    for number, step in enumerate(every, start=1):
        run(step, number, len(every))

    results = {model: json.loads((WORK / f"evaluate_{model}" / "eval_results.json").read_text()) for model in MODELS}
    print_table(results, WORK / "table.md")
    print(f"\nThe three models side by side: {COMPARISON.relative_to(ROOT) / 'comparison.html'}")
    print(f"Took {(time.monotonic() - start) / 60:.1f} minutes. Logs, plots, checkpoints: {WORK.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
