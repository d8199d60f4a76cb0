"""How far expected calibration errors are biased, and how often their intervals hold the error that a model has.

    python benchmarks/calibration.py

Answers are simulated: confidences from two distributions, right with a probability that is a function of the confidence. A few minutes
of CPU time; the table is what docs/evaluation.md quotes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modality_interference.evaluation.calibration import SureAnswers, calibration_errors


Array = NDArray[np.float64]
SAMPLES = 200
CONFIDENCES: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "beta(5, 2)": lambda rng, rows: 0.25 + 0.75 * rng.beta(5, 2, rows),
    "beta(12, 0.6)": lambda rng, rows: 0.25 + 0.75 * rng.beta(12, 0.6, rows),
}
ACCURACIES: dict[str, Callable[[Array], Array]] = {
    "p": lambda p: p,
    "p - 0.03": lambda p: p - 0.03,
    "p - 0.1": lambda p: p - 0.1,
    "p²": np.square,
}


def answers(rng: np.random.Generator, confidences: Array, accuracy: Callable[[Array], Array]) -> SureAnswers:
    """Answers that are right with the probability `accuracy(confidence)`; each is a unit."""
    right = rng.random(len(confidences)) < accuracy(confidences)
    return SureAnswers(confidences, right.astype(float), np.arange(len(confidences)), len(confidences))


def main() -> None:
    """Print a line per distribution, accuracy and number of rows."""
    print("confidences     accuracy   rows   model's ECE   mean ECE   by chance   in the interval")
    for name, draw in CONFIDENCES.items():
        for title, accuracy in ACCURACIES.items():
            confidences = draw(np.random.default_rng(1), 400_000)
            whole = SureAnswers(confidences, accuracy(confidences), np.zeros(len(confidences), dtype=int), 1).error
            for rows in (30, 100, 500):
                rng = np.random.default_rng(0)
                samples = [answers(rng, draw(rng, rows), accuracy) for _ in range(SAMPLES)]
                found = calibration_errors(samples, seed=0)
                held = np.mean([low <= whole + 1e-9 and whole <= high for (_, low, high), _ in found])
                value = np.mean([value for (value, _, _), _ in found])
                by_chance = np.mean([behind.by_chance for _, behind in found])
                print(
                    f"{name:15} {title:10} {rows:4} {whole:13.3f} {value:10.3f} {by_chance:11.3f} {100 * held:15.1f} %",
                    flush=True,
                )


if __name__ == "__main__":
    main()
