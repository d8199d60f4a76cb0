"""The audio-visual demo: a small model that mixes up what it sees and what it hears, and four ways to tune it.

    make demo-av        (or: python examples/clips/demo.py, in an environment with the package installed)

Runs offline on clips that it makes itself: of real pictures with their own sounds where Debian's package of them is installed,
else of shapes and tones. Everything is trained by `llamafactory-cli train` with the recipes beside this file;
what it prints goes to `work/<step>.log`.
"""

import sys
import time
from pathlib import Path

import stamps
from table import MODELS, write_tables

from modality_interference.results import read_diagnosis


HERE = Path(__file__).resolve().parent
DATA, WORK = HERE / "data", HERE / "work"

sys.path.insert(0, str(HERE.parent))

from shared.steps import EXECUTABLES, ROOT, Step, compare, evaluate, run_all, train  # noqa: E402


def clips(title: str, command: str, *words: str) -> Step:
    """A `modality-interference clips` step; one second, two frames of 32x32 pixels."""
    return Step(title, command, (str(EXECUTABLES / "modality-interference"), "clips", command, *words))


def script(title: str, name: str) -> Step:
    """A step that runs a file beside this one."""
    return Step(title, name, (sys.executable, str(HERE / f"{name}.py")))


def tune(name: str, title: str) -> Step:
    """Fine-tune the base with the recipe of that name."""
    return train(title, name, HERE / f"finetune_{name}.yaml", WORK / name)


def _source() -> str:
    """What the clips are made of."""
    if stamps.missing():
        return f"Drawing clips (apt-get install {stamps.PACKAGE}: real pictures with their own sounds)"

    return "Making clips of real pictures with their own sounds"


def steps() -> list[Step | tuple[Step, ...]]:
    """All steps, in order."""
    data = str(DATA.relative_to(ROOT))
    small = ("--seconds", "1", "--fps", "2", "--size", "32")
    return [
        script(_source(), "make_clips"),
        clips("Preparing them", "prepare", f"{data}/raw", data, *small),
        clips("Pairing them", "pair", f"{data}/clips.jsonl", "--name", "clips", "--split", "train=0.8,test=0.2"),
        script("Writing the datasets", "make_datasets"),
        script("Building a tiny Qwen2.5-Omni", "build_base"),
        train("Pretraining the base model", "pretrain", HERE / "pretrain.yaml", WORK / "base"),
        (tune("plain", "Fine-tuning plainly"), tune("alignment", "Alignment tuning")),
        (tune("twins", "Twins and consistency"), tune("everything", "The same with the alignment loss")),
        evaluate("Diagnosing the five models", HERE / "evaluate.yaml", WORK, tuple(MODELS)),
        compare("Comparing the five models", WORK, tuple(MODELS)),
    ]


def main() -> None:
    """Run all steps and print the tables."""
    start = time.monotonic()
    run_all(steps(), WORK)
    write_tables({model: read_diagnosis(WORK / f"evaluate_{model}") for model in MODELS}, WORK / "tables.md")
    page = WORK / "comparison" / "comparison.html"
    print(f"\nThe five models side by side: {page.relative_to(ROOT)}")
    print(f"Took {(time.monotonic() - start) / 60:.1f} minutes. Logs, plots, checkpoints: {WORK.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
