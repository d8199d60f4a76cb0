"""The demo: a small model that falls for misleading sentences, fine-tuned plainly and with the plugin, side by side.

    make demo        (or: python examples/digits/demo.py, in an environment with the package installed)

Runs offline on scikit-learn's handwritten digits. Everything is trained by `llamafactory-cli train` with the recipes beside
this file; what it prints goes to `work/<step>.log`.
"""

import sys
import time
from pathlib import Path

from table import MODELS, print_table


HERE = Path(__file__).resolve().parent
WORK = HERE / "work"

sys.path.insert(0, str(HERE.parent))

from shared.steps import ROOT, Step, compare, evaluate, read_results, run_all, train  # noqa: E402


def steps() -> list[Step | tuple[Step, ...]]:
    """All steps, in order."""
    return [
        Step("Writing the digits datasets", "data", (sys.executable, str(HERE / "make_data.py"))),
        Step("Building a tiny Qwen2.5-VL", "build", (sys.executable, str(HERE / "build_base.py"))),
        train("Pretraining the base model", "pretrain", HERE / "pretrain.yaml", WORK / "base"),
        (
            train("Fine-tuning plainly", "plain", HERE / "finetune_plain.yaml", WORK / "plain"),
            train("Fine-tuning with the plugin", "plugin", HERE / "finetune_interference.yaml", WORK / "plugin"),
        ),
        evaluate("Diagnosing the three models", HERE / "evaluate.yaml", WORK, tuple(MODELS)),
        compare("Comparing the three models", WORK, tuple(MODELS)),
    ]


def main() -> None:
    """Run all steps and print the table."""
    start = time.monotonic()
    run_all(steps(), WORK)
    print_table(read_results(WORK, tuple(MODELS)), WORK / "table.md")
    page = WORK / "comparison" / "comparison.html"
    print(f"\nThe three models side by side: {page.relative_to(ROOT)}")
    print(f"Took {(time.monotonic() - start) / 60:.1f} minutes. Logs, plots, checkpoints: {WORK.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
