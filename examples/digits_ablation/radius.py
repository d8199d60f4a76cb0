"""Train as `llamafactory-cli train` does, with a radius of the attack that is no key of the plugin: two experiments of the ablation.

    python radius.py annealed RECIPE KEY=VALUE ...
    python radius.py of_each_row RECIPE KEY=VALUE ...

`annealed` rises from 0 to `adversarial_epsilon` over the first half of `max_steps`. `of_each_row` takes `adversarial_epsilon` as a share of
the root mean square of the embeddings that are attacked in a row.
"""

import sys
from copy import copy
from typing import Any

from modality_interference.arguments import PluginArguments
from modality_interference.train.attack import Attack, Perturbation


RISING = 100  # steps, half of those of a cell in tune.yaml


class AnnealedAttack(Attack):
    """Its radius rises linearly from 0, and stays."""

    def __init__(self, model: Any, parts: Any, arguments: PluginArguments, seed: tuple[int, int], *rest: Any) -> None:
        _, step = seed
        super().__init__(model, parts, _with_radius(arguments, arguments.epsilon * min(1, step / RISING)), seed, *rest)


class RowRadiusAttack(Attack):
    """Its radius is a share of the root mean square of a row's embeddings."""

    def _capture(self, batch: Any, target: Perturbation, *rest: Any) -> Any:
        captured = super()._capture(batch, target, *rest)
        embeds = captured.kwargs["inputs_embeds"][target.rows][target.mask].float()  # (masked, hidden)
        rows = target.token_rows
        squares = rows.sums(embeds.square().mean(dim=1)) / target.mask.sum(dim=1).clamp(min=1)
        self.arguments = _with_radius(self.arguments, self.arguments.epsilon * squares.sqrt()[rows.index, None])
        return captured


def _with_radius(arguments: PluginArguments, radius: Any) -> PluginArguments:
    """A copy of the keys; the radius is a number, or (masked, 1), a number for each masked token."""
    arguments = copy(arguments)
    arguments.adversarial_epsilon = radius
    return arguments


ATTACKS = {"annealed": AnnealedAttack, "of_each_row": RowRadiusAttack}


def main() -> None:
    """Run LLaMA-Factory with another attack in the plugin's trainer."""
    from llamafactory.train.tuner import run_exp  # first: as it is imported, the plugin installs itself

    from modality_interference.train import trainer

    trainer.Attack = ATTACKS[sys.argv.pop(1)]
    run_exp()


if __name__ == "__main__":
    main()
