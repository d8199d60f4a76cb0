"""What prefix sharing does to noise: dropout and NEFTune draw once for a shared token, and once for each row without sharing.

    python benchmarks/noise.py
    python benchmarks/noise.py --draws 200

Needs no network; the reference model of `reference.py`, 3 examples about an image with 3 text twins each, twins and consistency.
The same batch is stepped on again and again with the same weights, and only the noise differs: mean and standard deviation of the
losses over the draws, and of the gradient's direction: the cosine of two draws' gradients, averaged over pairs that follow one another.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from reference import REFERENCE, Mix, Started, configure, start_plugin, write
from step_cost import LORA, machine

from modality_interference.train.losses import LOSS_CONSISTENCY, LOSS_SFT


MIX = Mix(image_heavy=3, text_twins=3, text_heavy=0, both=0, text_tokens=40)
NOISE: dict[str, dict[str, Any]] = {
    "`lora_dropout: 0.1`": LORA | {"lora_dropout": 0.1},
    "`neftune_noise_alpha: 5`": {"neftune_noise_alpha": 5.0},
}


def draw(started: Started) -> tuple[dict[str, float], torch.Tensor]:
    """The losses and the gradient of one step."""
    started.step()
    trainer = started.trainer
    losses = trainer.means.take(lambda share: share, trainer.args.device)
    gradients = [parameter.grad.flatten() for parameter in started.model.parameters() if parameter.grad is not None]
    return losses, torch.cat(gradients)


def line(name: str, share: str, started: Started, draws: int) -> str:
    """One line of the table."""
    configure(started, consistency_method="js", share_prefix=share)
    losses, cosines, before = [], [], None
    for _ in range(draws):
        found, gradient = draw(started)
        losses.append(found)
        if before is not None:
            cosines.append(torch.cosine_similarity(before, gradient, dim=0).item())

        before = gradient

    figures = []
    for loss in (LOSS_SFT, LOSS_CONSISTENCY):
        values = [found[loss] for found in losses]
        figures.append(f"{mean(values):.5f} ± {stdev(values):.5f}")

    return f"| {name} | {share} | {' | '.join(figures)} | {mean(cosines):.3f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=50, help="of the noise (default: 50)")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default: 2)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{machine(torch.device('cpu'))}, {arguments.draws} draws\n")
    print(
        "| noise | `share_prefix` | loss_sft | loss_consistency | cosine of gradients |\n| --- | --- | ---: | ---: | ---: |"
    )
    for name, keys in NOISE.items():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), REFERENCE, MIX)
            started = start_plugin(Path(folder), REFERENCE, MIX, **keys)
            started.model.train()
            for share in ("true", "false"):
                print(line(name, share, started, arguments.draws), flush=True)


if __name__ == "__main__":
    main()
