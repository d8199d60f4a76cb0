"""Runs a part of the tests in environments of other versions, and writes what passed.

    python tests/compat/cells.py                                   # the cells that need no checkout
    python tests/compat/cells.py --main PATH --cells main,main-newest   # LLaMA-Factory's main branch, in PATH

Each cell is an environment of its own in build/compat/. A cell that was run again replaces its line in versions.json, from which
tests/helpers/generated_docs.py makes the table in docs/compatibility.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path


ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("versions.json")
SHOWN = ("llamafactory", "transformers", "torch", "accelerate", "peft", "trl", "datasets")
CHECKS = {
    "full": [
        "tests/train/test_trainer.py::test_every_perturbation_is_evaluated",
        "tests/train/test_trainer.py::test_training_learns_and_saves_a_loadable_model",
    ],
    "LoRA": ["tests/integration/test_audio_visual_runs.py::test_lora_as_published_with_everything_on"],
    "diagnosis with probe": ["tests/evaluation/test_attention_probe_in_runs.py::test_under_lora"],
    "generate": ["tests/evaluation/test_trainer.py::test_generated_answers_are_those_of_greedy_decoding"],
    "clips": ["tests/evaluation/test_clips_in_runs.py"],
    "prefix sharing": ["tests/attention/test_row_attention.py"],
    "without the flag": ["tests/integration/test_entry.py::test_without_the_flag_nothing_changes"],
}


@dataclass(frozen=True)
class Cell:
    """Versions to install.

    Attributes:
        what: for the table.
        pins: requirements that replace those of constraints.txt of the same name.
        main: LLaMA-Factory comes from a checkout.
        own_risk: set DISABLE_VERSION_CHECK, since LLaMA-Factory refuses these versions.
    """

    what: str
    pins: dict[str, str] = field(default_factory=dict)
    main: bool = False
    own_risk: bool = False


CELLS = {
    "pinned": Cell("constraints.txt"),
    "oldest": Cell("the oldest transformers", {"transformers": "5.2.0"}),
    "main": Cell("LLaMA-Factory's main branch", {"transformers": "5.8.0"}, main=True),
    "main-newest": Cell(
        "main, beyond what it allows",
        {"transformers": "5.8.0", "accelerate": "1.15.0", "peft": "0.20.0"},
        main=True,
        own_risk=True,
    ),
}


def constraints(cell: Cell) -> list[str]:
    """The lines of constraints.txt with the cell's pins."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    if cell.main:
        del pinned["llamafactory"]

    return [f"{name}=={version}" for name, version in (pinned | cell.pins).items()]


def install(name: str, cell: Cell, main: Path | None) -> Path:
    """Make the cell's environment.

    Returns:
        its Python.
    """
    folder = ROOT / "build" / "compat" / name
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    wanted = ["--editable", f"{ROOT}[demo,test]"] + ([str(main)] if cell.main else [])
    limits = constraints(cell)
    if cell.own_risk:  # LLaMA-Factory's own limits would win against a constraint: an override wins against both
        (folder / "overrides.txt").write_text("\n".join(limits) + "\n", encoding="utf-8")
        wanted += ["--override", str(folder / "overrides.txt")]

    (folder / "constraints.txt").write_text("\n".join(limits) + "\n", encoding="utf-8")
    limited = ["--constraint", str(folder / "constraints.txt"), "--prerelease", "if-necessary-or-explicit"]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), *limited, *wanted], check=True)
    return python


def run(python: Path, cell: Cell) -> dict[str, str]:
    """Which checks pass: `passed`, or the last line that pytest wrote."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "plugin")}
    environment |= {"DISABLE_VERSION_CHECK": "1"} if cell.own_risk else {}
    found = {}
    for check, tests in CHECKS.items():
        command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "--quiet", *tests]
        process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        lines = process.stdout.strip().splitlines() or ["no output"]
        found[check] = "passed" if process.returncode == 0 else lines[-1]
        print(f"  {check}: {lines[-1]}", flush=True)
        if process.returncode:
            print("\n".join(lines[-40:]), file=sys.stderr)

    return found


def versions(python: Path) -> dict[str, str]:
    """The versions in an environment."""
    code = f"import json, importlib.metadata as m; print(json.dumps({{name: m.version(name) for name in {SHOWN}}}))"
    return json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Run the cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--main", type=Path, help="a checkout of LLaMA-Factory's main branch")
    parser.add_argument("--cells", default=",".join(name for name, cell in CELLS.items() if not cell.main))
    arguments = parser.parse_args()
    names = arguments.cells.split(",")
    if unknown := [name for name in names if name not in CELLS]:
        parser.error(f"unknown cells: {', '.join(unknown)}; allowed: {', '.join(CELLS)}")

    if arguments.main is None and any(CELLS[name].main for name in names):
        parser.error("LLaMA-Factory's main branch is not published as a package: name a checkout with --main")

    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in names:
        print(name, flush=True)
        python = install(name, CELLS[name], arguments.main)
        line = {"versions": versions(python), "python": platform.python_version(), "date": date.today().isoformat()}
        results[name] = {"what": CELLS[name].what, **line, "checks": run(python, CELLS[name])}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")

    sys.exit(any(text != "passed" for name in names for text in results[name]["checks"].values()))


if __name__ == "__main__":
    main()
