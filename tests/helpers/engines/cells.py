"""The cells of the engines' table: their recipes, for two processes and for one."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from helpers.engines.poison import POISONED
from helpers.engines.uneven_data import ROWS_PER_BATCH
from helpers.runs import recipe


STEPS = 3
TUNINGS, ATTACKS, ACCUMULATIONS = ("full", "lora"), ("none", "pgd", "freelb"), (1, 2)
COMMON = dict(
    disable_shuffling=True,  # the rows' order is what makes the ranks uneven
    per_device_train_batch_size=ROWS_PER_BATCH,
    max_steps=STEPS,
    lr_scheduler_type="constant",
    weight_decay=0.01,
    # Adam divides by the gradient's size: with the usual 1e-8 it makes 1e-3 of a rounding error where a gradient is almost 0
    adam_epsilon=1e-4,
    ddp_timeout=180,
    consistency_weight=0.5,
    # an attack that moves the weights by far more than the tolerance
    adversarial_steps=3,
    adversarial_epsilon=0.1,
    adversarial_step_size=0.5,
)


@dataclass(frozen=True)
class Cell:
    """One cell of an engine's row."""

    tuning: str
    attack: str
    accumulation: int
    poisoned: bool = False
    dataset: str = "uneven"
    counterfactuals: str = "none"  # the method of their loss

    def __str__(self) -> str:
        data = "" if self.dataset == "uneven" else f"-{self.dataset}"
        data += "" if self.counterfactuals == "none" else f"-{self.counterfactuals}"
        return f"{self.tuning}-{self.attack}-{self.accumulation}{data}{POISONED if self.poisoned else ''}"

    def keys(self, checkpoint: Path, data: Path, folder: Path, ranks: int) -> dict[str, Any]:
        """The recipe, over the same global batches for any number of ranks that divides 2.

        One process, the reference, computes all rows apart and attacks all at once; several share prefixes, and with
        accumulation attack two rows at a time, which makes the ranks' passes uneven.
        """
        tuning = dict(finetuning_type=self.tuning)
        if self.tuning == "lora":
            tuning |= dict(lora_target="all", lora_rank=4)

        accumulation = dict(gradient_accumulation_steps=self.accumulation * 2 // ranks)
        attack = dict(adversarial_method=self.attack)
        sharing = dict(share_prefix=ranks > 1)
        if ranks > 1 and self.accumulation > 1:
            sharing |= dict(adversarial_rows_per_pass=2)

        if self.counterfactuals != "none":
            attack |= dict(counterfactual_method=self.counterfactuals, counterfactual_weight=1.0)

        overrides = COMMON | tuning | attack | accumulation | sharing | dict(use_cpu=None, dataset=self.dataset)
        return recipe(checkpoint, "qwen2_vl", data, folder / str(self), **overrides)


GONE = [Cell(tuning, "pgd", 2, dataset="gone", counterfactuals="uniform") for tuning in TUNINGS]
CELLS = [*(Cell(*parts) for parts in product(TUNINGS, ATTACKS, ACCUMULATIONS)), *GONE]
