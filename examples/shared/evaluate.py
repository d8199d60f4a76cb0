"""Diagnose several checkpoints of a demo in one process, which saves the time of importing everything for each.

The same as `llamafactory-cli train RECIPE model_name_or_path=WORK/NAME output_dir=WORK/evaluate_NAME` once for each name. The
checkpoints have one tokenizer, so the rows are tokenized for the first only. (Processes that are forked to do it again, once a
model has computed on several threads, may hang.)

    python examples/shared/evaluate.py examples/digits/evaluate.yaml examples/digits/work base plain plugin
"""

import shutil
import sys
from pathlib import Path

import yaml
from llamafactory.train.tuner import run_exp


def main() -> None:
    """Run the recipe for every name; paths are relative to the repository's root."""
    recipe = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
    work = Path(sys.argv[2])
    tokenized = work / "tokenized_for_evaluation"
    shutil.rmtree(tokenized, ignore_errors=True)  # of an earlier demo
    for name in sys.argv[3:]:
        paths = {
            "model_name_or_path": work / name,
            "output_dir": work / f"evaluate_{name}",
            "tokenized_path": tokenized,
        }
        run_exp(recipe | {key: str(path) for key, path in paths.items()})


if __name__ == "__main__":
    main()
