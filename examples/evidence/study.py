"""Run the evidence study: build the base, tune every cell of the grid, diagnose it, and write what was found as it is found.

make evidence                    (the reduced grid, one seed)
make evidence ARGS=--full        (all cells, all seeds)
"""

import sys
from pathlib import Path

from grid import CELLS
from sources import require_sources


HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from shared.study import Seed, Study, run_study  # noqa: E402


def build_base(seed: Seed, threads: int) -> None:
    """Data, tower and base of a seed, as far as they are not there."""
    require_sources()
    tower = seed.work / "tower"
    if not (seed.data / "dataset_info.json").exists():
        seed.python("data", HERE / "make_data.py", "--output", str(seed.data), threads=threads)

    if not (tower / "classifier.json").exists():
        words = ("--data", str(seed.data), "--output", str(tower))
        seed.python("tower", HERE / "build_base.py", *words, threads=threads)

    seed.pretrain(HERE / "pretrain.yaml", tower, threads)


STUDY = Study(HERE, HERE / "tune.yaml", HERE / "evaluate.yaml", CELLS, seeds=3, build=build_base)

if __name__ == "__main__":
    run_study(STUDY, __doc__)
