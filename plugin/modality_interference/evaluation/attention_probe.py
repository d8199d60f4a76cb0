"""Which modality the position that decides the answer attends to, and how that differs between kinds of prompts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..attention.interface import with_listener
from ..attention.scores import GROUPS, Queries, ShareProbe, group_weights
from ..batching.batch import TwinBatch
from ..errors import ModalityInterferenceError
from ..modality import CLEAN, KINDS, Modality
from ..results import AttentionContrast, AttentionProfile, AttentionShares, is_misaligned
from .statistics import effect_sizes


@dataclass(frozen=True)
class AttendedRow:
    """What the position that decides a row's answer attends to; see `TwinBatch.decision`.

    Attributes:
        dataset: the row's dataset.
        row: its index there.
        kind: what its answer depends on, the kind of its prompt.
        perturbation: its label, `clean` for the clean row.
        shares: (layers, heads, groups) float32 shares of attention on `scores.GROUPS`.
        seen: (groups,) whether the row has tokens of the group.
        clip: the row of the data, where it is asked several questions; else None.
        misaligned: whether its frames and audio are of different classes.
        whole: whether nothing that the question is about was taken away, and no abstention is offered.
    """

    dataset: str
    row: int
    kind: str
    perturbation: str
    shares: NDArray[Any]
    seen: NDArray[Any]
    clip: int | None = None
    misaligned: bool = False
    whole: bool = True

    @property
    def unit(self) -> tuple[str, int]:
        """What is drawn independently, as `ScoredRow.unit`."""
        return self.dataset, self.row if self.clip is None else self.clip

    @property
    def identity(self) -> tuple[str, int, str, str]:
        """What distinguishes the row from all others of a run."""
        return self.dataset, self.row, self.kind, self.perturbation


class AttentionProbe:
    """Records the attention in the evaluation's forward of one batch.

    Args:
        batch: clean rows and twins.
        depth: layers of the text decoder.
    """

    def __init__(self, batch: TwinBatch, depth: int) -> None:
        self.depth = depth
        self.questions = [question for question in batch.questions or [] if question.dataset]
        indices = [question.batch_row for question in self.questions]
        rows = torch.tensor(indices, device=batch.labels.device, dtype=torch.long)
        groups = group_weights(batch.token_modality)[rows]
        attended = batch.inputs["attention_mask"][rows].bool()
        self.seen = (groups.bool() & attended[..., None]).any(dim=1)
        self.shares = ShareProbe(Queries(rows, batch.decision[rows][:, None]), groups)

    def edit(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The text decoder's keyword arguments; of `generate`, the first forward alone sees the whole prompt."""
        first = kwargs["inputs_embeds"].shape[1] == self.shares.groups.shape[1]
        return with_listener(kwargs, self.shares if self.questions and first else None)

    def rows(self) -> list[AttendedRow]:
        """The recorded shares of the rows that have a question.

        Raises:
            ModalityInterferenceError: not every layer computed its attention by transformers' attention interface.
        """
        if not self.questions:
            return []

        if len(self.shares.layers) != self.depth:
            raise ModalityInterferenceError(
                f"`attention_probe` recorded {len(self.shares.layers)} of the model's {self.depth} layers: the others do not "
                "compute their attention by transformers' attention interface. Set `attention_probe: false`."
            )

        shares, seen = self.shares.shares().float().cpu().numpy(), self.seen.cpu().numpy()
        return [
            AttendedRow(
                question.dataset,
                question.row,
                question.kind,
                question.perturbation,
                shares[index],
                seen[index],
                question.clip,
                is_misaligned(question.perturbation, question.target is not None),
                not question.removed and question.abstention is None,
            )
            for index, question in enumerate(self.questions)
        ]


_DIGITS = 5  # of shares
_CONTRASTS = (  # modality, kind of the prompts that ask for it, kind of those to compare with
    (Modality.IMAGE, Modality.IMAGE, Modality.TEXT),
    (Modality.VIDEO, Modality.VIDEO, Modality.AUDIO),
    (Modality.AUDIO, Modality.AUDIO, Modality.VIDEO),
)


def attention_profile(rows: Sequence[AttendedRow], seed: int) -> AttentionProfile | None:
    """The part of a diagnosis about attention; None where nothing was recorded.

    Args:
        rows: of all ranks, which may repeat rows to even out their batches.
        seed: of the bootstrap.
    """
    if not rows:
        return None

    by_identity = {row.identity: row for row in rows}
    unique = [by_identity[identity] for identity in sorted(by_identity)]  # one order, however ranks shared the rows
    present = np.any([row.seen for row in unique], axis=0)
    contrasts = [contrast for names in _CONTRASTS for contrast in _contrasts(unique, *names, seed)]
    return AttentionProfile(
        groups=[group for group, there in zip(GROUPS, present) if there],
        conditions=_conditions(unique, np.flatnonzero(present)),
        contrasts=contrasts,
    )


def _conditions(rows: Sequence[AttendedRow], columns: np.ndarray) -> list[AttentionShares]:
    found: dict[tuple[str, str, str], list[AttendedRow]] = {}
    for row in rows:
        found.setdefault((row.dataset, row.kind, row.perturbation), []).append(row)

    ordered = sorted(found, key=lambda key: (key[0], KINDS.index(key[1]), key[2] != CLEAN, key[2]))
    return [_shares(key, found[key], columns) for key in ordered]


def _shares(key: tuple[str, str, str], rows: Sequence[AttendedRow], columns: np.ndarray) -> AttentionShares:
    total = np.zeros(rows[0].shares.shape)
    for row in rows:  # not stacked: they may be many
        total += row.shares

    heads = (total / len(rows))[..., columns]
    return AttentionShares(
        dataset=key[0],
        kind=key[1],
        perturbation=key[2],
        rows=len(rows),
        layers=heads.mean(axis=1).round(_DIGITS).tolist(),
        heads=heads.round(_DIGITS).tolist(),
    )


def _contrasts(
    rows: Sequence[AttendedRow], modality: Modality, asked: str, other: str, seed: int
) -> Iterator[AttentionContrast]:
    """Compare clean rows, and misaligned ones; where one of the kinds has the modality in twins alone, all rows."""
    column = GROUPS.index(modality.value)
    present = [row for row in rows if row.kind in (asked, other) and row.seen[column] and row.whole]
    conditions: dict[Literal["clean", "misaligned", "all"], list[AttendedRow]] = {
        "clean": [row for row in present if row.perturbation == CLEAN and not row.misaligned],
        "misaligned": [row for row in present if row.misaligned],
        "all": present,
    }
    found = False
    for condition, members in conditions.items():
        one, two = ([row for row in members if row.kind == kind] for kind in (asked, other))
        if not one or not two or (condition == "all" and found):
            continue

        found = True
        of_one, of_two = (
            np.stack([row.shares[..., column].mean(axis=1, dtype=np.float64) for row in part]) for part in (one, two)
        )
        yield AttentionContrast(
            modality=modality.value,
            asked=asked,
            other=other,
            condition=condition,
            asked_rows=len(one),
            other_rows=len(two),
            layers=effect_sizes(of_one, [row.unit for row in one], of_two, [row.unit for row in two], seed),
        )
