"""Run the ablation on the digits demo's model: every part of the method, at the same steps and at the same compute, over seeds.

`make ablation` runs the reduced grid with one seed, `make ablation ARGS=--full` all cells with five seeds.
Data and base are the demo's (`examples/digits`), made anew for every seed; the diagnosis has more held-out texts.
"""

import json
import sys
from pathlib import Path


HERE = Path(__file__).resolve().parent
DIGITS = HERE.parent / "digits"
sys.path.insert(0, str(HERE.parent))

from shared.families import CURVE, TRAINABLE, texts  # noqa: E402
from shared.study import BASE, Cell, Keys, Seed, Study, run_study  # noqa: E402


STEPS = 200
# What a step costs in decoder passes of a row (docs/performance.md): a device batch has 14 clean rows, 10 twins and 13 rows
# that an attack can change. So many passes are a step of plain tuning, of one with twins, and of PGD with K = 1 and 2.
PASSES = {"plain": 3 * 14, "twins": 3 * 24, "pgd1": 3 * 24 + 5 * 13, "pgd2": 3 * 24 + 7 * 13}


def _equal(passes: str) -> int:
    """How many steps cost what `STEPS` of PGD with K = 2 do."""
    return round(STEPS * PASSES["pgd2"] / PASSES[passes])


def _plugin(consistency: str = "none", attack: str = "none", image: str = "", **keys: str | int | float) -> Keys:
    """Keys of a cell; `image` is the mix of texts that questions about the image are asked beside, "" for the paper's."""
    return {
        "plugin": "modality_interference",
        "dataset": f"digits_image{image and f'_{image}'},digits_text,digits_both",
        "batch_mix": "image=3,text=2,both=9",
        "consistency_method": consistency,
        "adversarial_method": attack,
        **keys,
    }


def _attacked(name: str, title: str, attack: str, reduced: bool = False, **keys: int | float) -> Cell:
    """Twins of the paper's mix and JS, and an attack."""
    return Cell(f"js_{name}", f"twins + JS + {title}", _plugin("js", attack, **keys), reduced, against="js")


CELLS = (
    Cell(BASE, "base"),
    Cell("plain", "plain tuning"),
    Cell("augmentation", "twins", _plugin()),
    Cell("js", "twins + JS", _plugin("js")),
    Cell("kl", "twins + KL", _plugin("kl"), reduced=False),
    Cell(
        "attack_only",
        "PGD, no twins",
        _plugin("js", "pgd", dataset="digits_image_clean,digits_text_clean,digits_both"),
    ),
    _attacked("gaussian", "gaussian", "gaussian"),
    _attacked("fgsm", "FGSM", "fgsm"),
    _attacked("pgd1", "PGD (K=1)", "pgd", reduced=True, adversarial_steps=1),
    *(
        _attacked(
            f"pgd1_{name}", f"PGD (K=1, epsilon {epsilon})", "pgd", adversarial_steps=1, adversarial_epsilon=epsilon
        )
        for name, epsilon in (("medium", 0.01), ("wide", 0.1))
    ),
    *(
        Cell(
            f"js_pgd1_{radius}",
            f"twins + JS + PGD (K=1, {title})",
            _plugin("js", "pgd", adversarial_steps=1, adversarial_epsilon=epsilon),
            reduced=False,
            against="js_pgd1_medium",
            script=("radius.py", radius),
        )
        for radius, title, epsilon in (
            ("annealed", "epsilon rising to 0.01", 0.01),
            ("of_each_row", "epsilon 5 % of a row's embeddings", 0.05),
        )
    ),
    _attacked("pgd2", "PGD (K=2)", "pgd", reduced=True, adversarial_steps=2),
    _attacked("freelb", "FreeLB", "freelb", adversarial_steps=2),
    Cell("families7", "twins of 7 families", _plugin(image="families7")),
    Cell("families7_js", "twins of 7 families + JS", _plugin("js", image="families7"), against="families7"),
    *(
        Cell(
            f"families{number}_js",
            f"twins of {number} {'family' if number == 1 else 'families'} + JS",
            _plugin("js", image=f"families{number}"),
            reduced=False,
            against="families7_js",
        )
        for number in CURVE[:-1]
    ),
    Cell(
        "families7_js_one",
        "twins of 7 families + JS, one twin a row, drawn anew",
        _plugin("js", image="families7", twins_per_example=1),
        reduced=False,
        against="families7_js",
    ),
    *(
        Cell(
            f"grounded_{method}",
            f"twins of 7 families + JS + {method} on counterfactuals",
            _plugin("js", image="grounded", counterfactual_weight=0.5, counterfactual_method=method),
            reduced=False,
            against="families7_js",
        )
        for method in ("contrast", "uniform")
    ),
    Cell("diverse_js", "twins of both + JS", _plugin("js", image="diverse"), against="js"),
    Cell("plain_equal", "plain tuning, equal compute", {"max_steps": _equal("plain")}, reduced=False, against="plain"),
    Cell(
        "augmentation_equal",
        "twins, equal compute",
        _plugin(max_steps=_equal("twins")),
        reduced=False,
        against="js_equal",
    ),
    Cell("js_equal", "twins + JS, equal compute", _plugin("js", max_steps=_equal("twins")), against="js_pgd2"),
    Cell(
        "js_pgd1_equal",
        "twins + JS + PGD (K=1), equal compute",
        _plugin("js", "pgd", adversarial_steps=1, max_steps=_equal("pgd1")),
        reduced=False,
        against="js_equal",
    ),
    Cell(
        "families7_js_equal",
        "twins of 7 families + JS, equal compute",
        _plugin("js", image="families7", max_steps=_equal("twins")),
        reduced=False,
        against="js_equal",
    ),
)


def build_base(seed: Seed, threads: int) -> None:
    """Data and base of a seed, as far as they are not there."""
    info = seed.data / "dataset_info.json"
    if not info.exists():
        seed.python("data", DIGITS / "make_data.py", "--output", str(seed.data), threads=threads)
        entries = more_tests(json.loads(info.read_text(encoding="utf-8")))
        info.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")

    random = seed.work / "random"
    if not (random / "config.json").exists():
        words = ("--data", str(seed.data), "--output", str(random))
        seed.python("random", DIGITS / "build_base.py", *words, threads=threads)

    seed.pretrain(DIGITS / "pretrain.yaml", random, threads)


def more_tests(info: dict) -> dict:
    """The demo's entries, with other mixes of twins (`digits_image` has the paper's alone), and a longer diagnosis.

    Args:
        info: the demo's `dataset_info.json`.
    """
    block = info["digits_image_test"]["twins"]
    entry, paper = info["digits_image"], block["perturbations"][:2]
    mixes = {"": paper, "_diverse": entry["twins"]["perturbations"], "_clean": []}
    mixes |= {f"_families{number}": texts(TRAINABLE[:number]) for number in CURVE}
    for mix, perturbations in mixes.items():
        info[f"digits_image{mix}"] = entry | {"twins": entry["twins"] | {"perturbations": perturbations}}

    gone = ["black_image", {"name": "irrelevant_image", "pool": "images/train"}]
    info["digits_image_grounded"] = entry | {
        "twins": info[f"digits_image_families{CURVE[-1]}"]["twins"] | {"counterfactuals": gone}
    }
    block["perturbations"] = [*block["perturbations"], {"name": "misleading_text", "positions": ["after"]}]
    block["counterfactuals"] = [*block["counterfactuals"], {"name": "irrelevant_image", "pool": "images/test"}]
    info["digits_text_test"]["twins"]["perturbations"].append({"name": "typographic_image", "size": [32, 32]})
    entry = info["digits_text"]
    info["digits_text_clean"] = entry | {"twins": entry["twins"] | {"perturbations": []}}
    return info


STUDY = Study(HERE, HERE / "tune.yaml", DIGITS / "evaluate.yaml", CELLS, seeds=5, build=build_base)

if __name__ == "__main__":
    run_study(STUDY, __doc__)
