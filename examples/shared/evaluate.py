"""Diagnose several checkpoints of a demo in one process, which saves the time of importing everything for each.

The same as `llamafactory-cli train RECIPE model_name_or_path=WORK/NAME output_dir=WORK/evaluate_NAME` once for each name.

    python examples/shared/evaluate.py examples/digits/evaluate.yaml examples/digits/work base plain plugin
"""

import sys
from pathlib import Path

import yaml
from llamafactory.train.tuner import run_exp


def main() -> None:
    """Run the recipe for every name; paths are relative to the repository's root."""
    recipe = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
    work = Path(sys.argv[2])
    for name in sys.argv[3:]:
        run_exp(recipe | {"model_name_or_path": str(work / name), "output_dir": str(work / f"evaluate_{name}")})


if __name__ == "__main__":
    main()
