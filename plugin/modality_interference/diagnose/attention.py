"""The white-box profile of a diagnosis: which modality an answer's position attends to, per layer and head."""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..attention.interface import listen_in
from ..attention.scores import Queries
from ..attention.shares import ShareProbe, group_weights
from ..batch import TwinBatch
from ..errors import ModalityInterferenceError


@dataclass(frozen=True)
class AttendedRow:
    """Where the position that gives a row's answer looks.

    Attributes:
        dataset: the row's dataset.
        row: its index there.
        kind: what its answer depends on, the kind of its prompt.
        perturbation: its label, `clean` for the clean row.
        shares: (layers, heads, groups) float32 shares of attention on `shares.GROUPS`.
        seen: (groups,) whether the row has tokens of the group.
    """

    dataset: str
    row: int
    kind: str
    perturbation: str
    shares: NDArray[Any]
    seen: NDArray[Any]

    @property
    def identity(self) -> tuple[str, int, str, str]:
        """What distinguishes the row from all others of a run."""
        return self.dataset, self.row, self.kind, self.perturbation


class AttentionProbe:
    """Listens to the evaluation's forward of one batch.

    Args:
        batch: clean rows and twins.
        depth: layers of the text decoder.
    """

    def __init__(self, batch: TwinBatch, depth: int) -> None:
        self.depth = depth
        last = _last_prompt_token(batch)
        self.questions = [question for question in batch.questions or [] if question.dataset]
        rows = torch.tensor([question.batch_row for question in self.questions], device=last.device, dtype=torch.long)
        groups = group_weights(batch.token_modality)[rows]
        attended = batch.inputs["attention_mask"][rows].bool()
        self.seen = (groups.bool() & attended[..., None]).any(dim=1)
        positions = last[rows][:, None]
        self.shares = ShareProbe(Queries(rows, positions, torch.ones_like(positions, dtype=torch.bool)), groups)

    def edit(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The text decoder's keyword arguments; of `generate`, the first forward alone sees the whole prompt."""
        first = kwargs["inputs_embeds"].shape[1] == self.shares.groups.shape[1]
        return listen_in(kwargs, self.shares if self.questions and first else None)

    def rows(self) -> list[AttendedRow]:
        """What was heard.

        Raises:
            ModalityInterferenceError: not every layer was.
        """
        if not self.questions:
            return []

        if len(self.shares.layers) != self.depth:
            raise ModalityInterferenceError(
                f"`attention_probe` heard {len(self.shares.layers)} of the model's {self.depth} layers: the others do not "
                "compute their attention by transformers' attention interface. Set `attention_probe: false`."
            )

        shares, seen = self.shares.shares().float().cpu().numpy(), self.seen.cpu().numpy()
        return [
            AttendedRow(
                question.dataset, question.row, question.kind, question.perturbation, shares[index], seen[index]
            )
            for index, question in enumerate(self.questions)
        ]


def _last_prompt_token(batch: TwinBatch) -> Tensor:
    """(rows,) the position that predicts the first token of the last answer; of a prompt alone, its last position."""
    answer = batch.answer_positions
    starts = answer.clone()
    starts[:, 1:] &= ~answer[:, :-1]  # of every turn's answer
    attended = batch.inputs["attention_mask"].bool()
    places = torch.arange(answer.shape[1], device=answer.device)
    return torch.where(torch.where(batch.answered[:, None], starts, attended), places, 0).max(dim=1).values
