"""Run the ablation on the audio-visual demo's model: what alignment tuning, twins and the alignment loss buy, over seeds.

`make ablation-av` runs the reduced grid with one seed, `make ablation-av ARGS=--full` all cells with three seeds.
Clips, base and recipes are the demo's (`examples/clips`), made anew for every seed.
"""

import sys
from pathlib import Path


HERE = Path(__file__).resolve().parent
CLIPS = HERE.parent / "clips"
sys.path.insert(0, str(HERE.parent))

from shared.steps import EXECUTABLES, ROOT  # noqa: E402
from shared.study import BASE, Cell, Keys, Seed, Study, run_study  # noqa: E402


ALIGNMENT: Keys = {"dataset": "clips_misaligned"}
TWINS: Keys = {"dataset": "clips_twins", "twins_per_example": 2}
JS: Keys = {"consistency_method": "js"}
LOSS: Keys = {"alignment_weight": 0.1}
CELLS = (
    Cell(BASE, "base", against="plain"),
    Cell("plain", "plain tuning"),
    Cell("alignment", "alignment tuning", ALIGNMENT, against="plain"),
    Cell("alignment_loss", "alignment tuning + alignment loss", ALIGNMENT | LOSS, against="alignment"),
    Cell(
        "alignment_loss_large",
        "alignment tuning + alignment loss, weight 1",
        ALIGNMENT | {"alignment_weight": 1.0},
        reduced=False,
        against="alignment",
    ),
    Cell("twins", "twins", TWINS, reduced=False, against="alignment"),
    Cell("twins_js", "twins + JS", TWINS | JS, against="alignment"),
    Cell("twins_js_loss", "twins + JS + alignment loss", TWINS | JS | LOSS, against="twins_js"),
    Cell(
        "twins_js_pgd1",
        "twins + JS + PGD (K=1)",
        TWINS | JS | {"adversarial_method": "pgd", "adversarial_steps": 1},
        reduced=False,
        against="twins_js",
    ),
)
SMALL = ("--seconds", "1", "--fps", "2", "--size", "32")  # as the demo's


def build_base(seed: Seed, threads: int) -> None:
    """Clips, datasets and base of a seed, as far as they are not there."""
    data = str(seed.data.relative_to(ROOT))
    if not (seed.data / "clips_seen.jsonl").exists():
        raw = f"{data}/raw"
        clips = [str(EXECUTABLES / "modality-interference"), "clips"]
        seed.python("clips", CLIPS / "make_clips.py", "--output", raw, "--source", "stamps", threads=threads)
        seed.run("prepare", [*clips, "prepare", raw, data, *SMALL, "--workers", str(threads)], threads)
        words = ["--name", "clips", "--split", "train=0.8,test=0.2", "--seed", str(seed.number)]
        seed.run("pair", [*clips, "pair", f"{data}/clips.jsonl", *words], threads)
        seed.python("datasets", CLIPS / "make_datasets.py", "--data", data, threads=threads)

    random = seed.work / "random"
    if not (random / "spk_dict.pt").exists():
        words = ("--data", data, "--output", str(random))
        seed.python("random", CLIPS / "build_base.py", *words, threads=threads)

    seed.pretrain(CLIPS / "pretrain.yaml", random, threads)


STUDY = Study(HERE, CLIPS / "finetune_plain.yaml", CLIPS / "evaluate.yaml", CELLS, seeds=3, build=build_base)

if __name__ == "__main__":
    run_study(STUDY, __doc__)
