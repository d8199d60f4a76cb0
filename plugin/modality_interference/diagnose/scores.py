"""Accuracy and flip rate of every dataset and perturbation, gathered batch by batch."""

from collections import defaultdict

import torch
from accelerate.utils import gather_object

from ..batch import CLEAN, Answers, TwinBatch


class TwinScores:
    """Counts of right and flipped answers; flat in the number of examples."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])  # rows, right, flipped

    def add(self, batch: TwinBatch, answers: Answers) -> None:
        """Score one batch's greedy (teacher-forced) answers."""
        rows = torch.arange(len(batch.labels), device=batch.labels.device)
        flips = answers.flips(rows, batch.twin_of).tolist()
        for row, right in enumerate(answers.correct.tolist()):
            count = self.counts[batch.datasets[row], batch.perturbations[row]]
            count[0] += 1
            count[1] += right
            count[2] += flips[row]

    def metrics(self, prefix: str) -> dict[str, float]:
        """`<prefix>_<dataset>_<perturbation>_{accuracy,flip_rate}` over all ranks, none for plain datasets.

        Args:
            prefix: the Trainer's metric prefix; it already ends in the dataset's name where LLaMA-Factory evaluates each
                dataset by itself.
        """
        totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        for counts in gather_object([dict(self.counts)]):
            for key, values in counts.items():
                totals[key] = [have + more for have, more in zip(totals[key], values)]

        metrics = {}
        for (dataset, perturbation), (rows, right, flipped) in sorted(totals.items()):
            if not dataset:
                continue

            name = prefix if prefix.endswith(f"_{dataset}") else f"{prefix}_{dataset}"
            metrics[f"{name}_{perturbation}_accuracy"] = right / rows
            if perturbation != CLEAN:
                metrics[f"{name}_{perturbation}_flip_rate"] = flipped / rows

        return metrics
