"""Open every door on many hostile inputs, as `make fuzz` does.

    python tests/helpers/fuzz/run.py [--inputs 20000] [--seed N] [--processes N]

Writes results.json as it goes, into build/fuzz, with the inputs of findings; an interrupted run continues. At the end the table
of docs/troubleshooting.md is written, of what was done so far. Exits with 1 where anything was found.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any


os.environ |= {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: E402

from helpers.fuzz.campaign import KINDS, Batch, run_batches  # noqa: E402
from helpers.fuzz.doors import DOORS, FAMILY, Models  # noqa: E402
from helpers.fuzz.media import good_files  # noqa: E402
from helpers.tiny_models import build  # noqa: E402
from modality_interference.files import write_text  # noqa: E402


ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "build" / "fuzz"
RESULTS = FOLDER / "results.json"
TABLE = ROOT / "tests" / "faults" / "fuzz_table.md"
SIZE = 50  # inputs of a batch
PACKAGES = ("llamafactory", "datasets", "pyarrow", "av", "pillow", "hypothesis", "torch")


def main() -> int:
    """Run, or continue."""
    parser = argparse.ArgumentParser(description="Open every door on hostile inputs.")
    parser.add_argument("--inputs", type=int, default=20_000, help="how many, over all doors")
    parser.add_argument("--seed", type=int, help="what decides the inputs; by default the date")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    results = _earlier(options.inputs, options.seed) or _anew(options.inputs, options.seed)
    torch.set_num_threads(1)
    models = Models(*(build(family, FOLDER / "models") for family in ("qwen2_5_vl", FAMILY)))
    good_files()
    status = 0
    try:
        _run(results, models, options.processes)
    except KeyboardInterrupt:
        print("Interrupted; the same command continues.")
        status = 130

    write_text(TABLE, table(results))
    print(table(results))
    for finding in results["findings"]:
        print(f"{finding['door']}, {finding['kind']}: {finding['text'][:500]}\n  {finding['kept']}")

    return 1 if results["findings"] else status


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def _earlier(inputs: int, seed: int | None) -> dict[str, Any] | None:
    """Results of a run that is to be continued; None where there is none."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else None
    if (
        found is None
        or found["inputs"] != inputs
        or seed not in (None, found["seed"])
        or found["versions"] != _versions()
    ):
        return None

    return None if sum(door["inputs"] for door in found["doors"].values()) >= inputs else found


def _anew(inputs: int, seed: int | None) -> dict[str, Any]:
    shutil.rmtree(FOLDER / "findings", ignore_errors=True)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    doors = {name: {"inputs": 0, "used": 0, "batches": 0, "seconds": 0.0} for name in DOORS}
    seed = int(today.replace("-", "")) if seed is None else seed
    return {"inputs": inputs, "seed": seed, "date": today, "versions": _versions(), "doors": doors, "findings": []}


def _run(results: dict[str, Any], models: Models, processes: int) -> None:
    total = results["inputs"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # no thread of its own: a process with threads should not be forked
    with Progress(*columns, auto_refresh=False) as bar:
        done = sum(door["inputs"] for door in results["doors"].values())
        task = bar.add_task("Fuzzing", total=total, completed=done)
        started: dict[str, float] = {}
        for batch in run_batches(_batches(results), models, processes):
            began = started.setdefault(str(batch.folder), time.monotonic())
            if batch.ended:
                _enter(results, batch, time.monotonic() - began)
                done += batch.done
                bar.update(task, completed=done, description=f"Fuzzing, {len(results['findings'])} findings")
                bar.refresh()


def _batches(results: dict[str, Any]) -> Iterator[Batch]:
    """What is left to do, door after door in turn; the seeds follow from that of the run, so a continued run is the same."""
    left = {
        name: round(door.share * results["inputs"]) - results["doors"][name]["inputs"] for name, door in DOORS.items()
    }
    numbers = {name: results["doors"][name]["batches"] for name in DOORS}
    while any(count > 0 for count in left.values()):
        name = max(left, key=lambda door: left[door] / DOORS[door].share)
        seed = zlib.crc32(f"{results['seed']} {name} {numbers[name]}".encode())
        yield Batch(name, seed, min(SIZE, left[name]), FOLDER / "running" / f"{name}-{numbers[name]}")
        numbers[name] += 1
        left[name] -= SIZE


def _enter(results: dict[str, Any], batch: Batch, seconds: float) -> None:
    """Note a batch that has ended, and keep the files of its findings."""
    door = results["doors"][batch.door]
    door["inputs"] += batch.done
    door["used"] += batch.used
    door["batches"] += 1
    door["seconds"] = round(door["seconds"] + seconds, 1)
    for finding in batch.findings:
        kept = FOLDER / "findings" / f"{finding.door}-{finding.kind}-{finding.seed}-{finding.number}.tar"
        if kept.parent.is_dir() or not kept.parent.mkdir(parents=True):
            shutil.copy(finding.kept, kept)

        results["findings"].append(vars(finding) | {"kept": str(kept.relative_to(ROOT))})

    shutil.rmtree(batch.folder, ignore_errors=True)
    write_text(RESULTS, json.dumps(results, indent=1) + "\n")


def table(results: dict[str, Any]) -> str:
    """Inputs and findings by door, for docs/troubleshooting.md."""
    lines = [
        f"| door | inputs | not refused | {' | '.join(_PLURALS.values())} |",
        f"| --- | ---: | ---: |{' ---: |' * len(KINDS)}",
    ]
    totals = dict.fromkeys(("inputs", "used", *KINDS), 0)
    for name, door in DOORS.items():
        counts = {key: results["doors"][name][key] for key in ("inputs", "used")}
        counts |= {kind: sum(f["door"] == name and f["kind"] == kind for f in results["findings"]) for kind in KINDS}
        totals = {key: totals[key] + count for key, count in counts.items()}
        lines.append(f"| {door.what} | {' | '.join(f'{count:,}' for count in counts.values())} |")

    lines.append(f"| all | {' | '.join(f'{count:,}' for count in totals.values())} |")
    minutes = sum(door["seconds"] for door in results["doors"].values()) / 60
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return "\n".join(
        [*lines, "", f"Seed {results['seed']}, {results['date']}, {minutes:.0f} minutes of processes; {versions}.", ""]
    )


_PLURALS = dict(zip(KINDS, ("crashes", "escapes", "hangs", "processes", "connections"), strict=True))


if __name__ == "__main__":
    sys.exit(main())
