"""Diagnose several checkpoints of the demo in one process, which saves the time of importing everything for each.

The same as `llamafactory-cli train examples/digits/evaluate.yaml model_name_or_path=... output_dir=...` once for each.

    python examples/digits/evaluate.py base plain plugin
"""

import sys
from pathlib import Path

import yaml
from llamafactory.train.tuner import run_exp


HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the recipe for every name; paths are relative to the repository's root."""
    recipe = yaml.safe_load((HERE / "evaluate.yaml").read_text(encoding="utf-8"))
    for name in sys.argv[1:]:
        folders = {"model_name_or_path": f"examples/digits/work/{name}"}
        run_exp(recipe | folders | {"output_dir": f"examples/digits/work/evaluate_{name}"})


if __name__ == "__main__":
    main()
