"""The cells of the study: what each is tuned with, beside the keys of `tune.yaml`.

All are tuned for the same number of optimizer steps on the same rows, but where a title says otherwise. `reduced` are those of
the short run.
"""

import sys
from pathlib import Path

from families import CURVE, GROUNDED, WIDEST


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.study import BASE, Cell, Keys  # noqa: E402


STEPS = 100  # of tune.yaml
# A step of DPO computes both answers of every row and twin, and again with the reference model, forward only.
DPO_STEPS = round(STEPS * 3 / (2 * 3 + 2 * 1))
KINDS = ("image", "text", "both")


def _plain() -> Keys:
    return {"dataset": ",".join(f"{kind}_plain" for kind in KINDS)}


def _twins(mix: str, consistency: str = "none", attack: str = "none", **keys: str | int | float) -> Keys:
    """Twins of a training mix, with a consistency loss and an attack."""
    return {
        "plugin": "modality_interference",
        "dataset": ",".join(f"{kind}_{mix}" for kind in KINDS),
        "consistency_method": consistency,
        "adversarial_method": attack,
        **keys,
    }


def _attacked(name: str, title: str, attack: str, reduced: bool = False, **keys: int | float) -> Cell:
    """Twins of the paper's mix and JS, and an attack."""
    return Cell(f"js_{name}", f"twins + JS + {title}", _twins("paper", "js", attack, **keys), reduced, against="js")


def _preferences(steps: int) -> Keys:
    """DPO on pairs of a right and a wrong answer, and on their twins."""
    keys = _twins("pairs", "js")
    return keys | {"stage": "dpo", "pref_beta": 0.1, "learning_rate": 1e-4, "max_steps": steps}


CELLS = (
    Cell(BASE, "base"),
    Cell("plain", "plain tuning", _plain()),
    Cell("augmentation", "twins", _twins("paper")),
    Cell("js", "twins + JS", _twins("paper", "js")),
    Cell("kl", "twins + KL", _twins("paper", "kl"), reduced=False),
    Cell("attack_only", "PGD, no twins", _twins("clean", "js", "pgd", adversarial_steps=1), reduced=False),
    _attacked("gaussian", "gaussian", "gaussian"),
    _attacked("fgsm", "FGSM", "fgsm"),
    _attacked("pgd1", "PGD (K=1)", "pgd", reduced=True, adversarial_steps=1),
    _attacked("pgd2", "PGD (K=2)", "pgd", adversarial_steps=2),
    _attacked("pgd1_wide", "PGD (K=1, epsilon 0.1)", "pgd", adversarial_steps=1, adversarial_epsilon=0.1),
    _attacked("freelb", "FreeLB", "freelb", adversarial_steps=2),
    *(
        Cell(f"families{number}", f"{number} families", _twins(f"families{number}"), reduced=number == CURVE[-1])
        for number in CURVE[1:]
    ),
    Cell("families7_js", "7 families + JS", _twins("families7", "js"), against="families7"),
    Cell("positions", "7 families, 2 positions", _twins(WIDEST), reduced=False, against="families7"),
    Cell("positions_js", "7 families, 2 positions + JS", _twins(WIDEST, "js"), against="families7_js"),
    Cell(
        "families7_js_slow",
        f"7 families + JS, {2 * STEPS} steps at 2e-4",
        _twins("families7", "js", max_steps=2 * STEPS, learning_rate=2e-4),
        reduced=False,
        against="families7_js",
    ),
    Cell(
        "positions_js_pgd1",
        "7 families, 2 positions + JS + PGD (K=1)",
        _twins(WIDEST, "js", "pgd", adversarial_steps=1),
        against="positions_js",
    ),
    *(
        Cell(
            f"grounded_{method}",
            f"7 families, 2 positions + JS + {method} on counterfactuals",
            _twins(GROUNDED, "js", counterfactual_weight=0.5, counterfactual_method=method),
            against="positions_js",
        )
        for method in ("contrast", "uniform")
    ),
    Cell(
        "preferences",
        f"preferences with 7 families, 2 positions + JS, {DPO_STEPS} steps: equal compute",
        _preferences(DPO_STEPS),
        against="positions_js",
    ),
    Cell(
        "preferences_long",
        "preferences with 7 families, 2 positions + JS, equal steps",
        _preferences(STEPS),
        reduced=False,
        against="positions_js",
    ),
)
