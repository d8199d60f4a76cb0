"""Average what the attention probe heard: shares by condition, and contrasts between kinds of prompts."""

from collections.abc import Sequence

import numpy as np

from ..attention.shares import GROUPS
from ..modality import CLEAN, KINDS, Modality
from .attention import AttendedRow
from .effect_size import Group, effect_sizes
from .results import AttentionContrast, AttentionProfile, AttentionShares


_DIGITS = 5  # of shares
_CONTRASTS = (  # modality, kind of the prompts that ask for it, kind of those to compare with
    (Modality.IMAGE, Modality.IMAGE, Modality.TEXT),
    (Modality.VIDEO, Modality.VIDEO, Modality.AUDIO),
    (Modality.AUDIO, Modality.AUDIO, Modality.VIDEO),
)


def attention_profile(rows: Sequence[AttendedRow], seed: int) -> AttentionProfile | None:
    """The white-box part of a diagnosis; None where nothing was heard.

    Args:
        rows: of all ranks, which may repeat rows to even out their batches.
        seed: of the bootstrap.
    """
    if not rows:
        return None

    by_identity = {row.identity: row for row in rows}
    unique = [by_identity[identity] for identity in sorted(by_identity)]  # one order, however ranks shared the rows
    present = np.any([row.seen for row in unique], axis=0)
    contrasts = [_contrast(unique, *names, seed) for names in _CONTRASTS]
    return AttentionProfile(
        groups=[group for group, there in zip(GROUPS, present) if there],
        conditions=_conditions(unique, np.flatnonzero(present)),
        contrasts=[contrast for contrast in contrasts if contrast is not None],
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


def _contrast(
    rows: Sequence[AttendedRow], modality: Modality, asked: str, other: str, seed: int
) -> AttentionContrast | None:
    """Compare clean rows; where one of the kinds has the modality in twins alone, all rows."""
    column = GROUPS.index(modality.value)
    kinds = {kind: [row for row in rows if row.kind == kind and row.seen[column]] for kind in (asked, other)}
    clean = {kind: [row for row in members if row.perturbation == CLEAN] for kind, members in kinds.items()}
    only_clean = all(clean.values())
    compared = clean if only_clean else kinds
    if not all(compared.values()):
        return None

    values = {
        kind: np.stack([row.shares[..., column].mean(axis=1, dtype=np.float64) for row in members])
        for kind, members in compared.items()
    }
    centre = np.concatenate(list(values.values())).mean(axis=0)
    one, two = (
        Group.of(values[kind], [(row.dataset, row.row) for row in compared[kind]], centre) for kind in (asked, other)
    )
    return AttentionContrast(
        modality=modality.value,
        asked=asked,
        other=other,
        only_clean=only_clean,
        asked_rows=len(compared[asked]),
        other_rows=len(compared[other]),
        layers=effect_sizes(one, two, seed),
    )
