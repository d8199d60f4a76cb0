"""Losses and gradients that are not finite: what counts as finite, and when a run stops because of them."""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from ..errors import ModalityInterferenceError
from .losses import DROPPED_NONFINITE, SKIPPED_NONFINITE


class Patience:
    """Stops a run in which every optimizer step leaves something out because it is not finite.

    Args:
        steps: how many such steps in a row are too many.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._in_a_row = 0

    def end_step(self, faults: int) -> None:
        """Count an optimizer step.

        Args:
            faults: how much all ranks left out in it.

        Raises:
            ModalityInterferenceError: too many steps in a row left something out.
        """
        self._in_a_row = self._in_a_row + 1 if faults else 0
        if self._in_a_row >= self.steps:
            raise ModalityInterferenceError(
                f"Stopped: {self._in_a_row} optimizer steps in a row had losses or gradients that are not finite "
                f"(`{DROPPED_NONFINITE}` and `{SKIPPED_NONFINITE}` in the log). The checkpoints saved so far are left as "
                "they are: look in the log for the first of these steps and resume from a checkpoint before it "
                "(`resume_from_checkpoint`). Usual remedies: `bf16: true` in place of `fp16`, a lower `learning_rate`, a "
                "smaller `adversarial_epsilon` or `adversarial_step_size`. `nonfinite_patience` sets the number of steps."
            )


def is_finite(norm: Tensor | float | None) -> bool:
    """Whether a gradient norm is finite, the same on all ranks; true where the engine does not report its norm."""
    if norm is None:
        return True

    full = norm.full_tensor() if isinstance(norm, DTensor) else torch.as_tensor(norm)  # FSDP2 leaves it sharded
    return bool(torch.isfinite(full))
