"""Which tokens rows have in common, and where each row's tokens are in a packed sequence that holds common ones once.

A clean row, its text twins and their adversarial copies begin with the same tokens: the system prompt, the image. Under causal
attention those tokens have the same hidden states in all of the rows. So rows are packed into one sequence, without padding, and
the tokens that a row has in common with an earlier one are not repeated. Outside of attention, each token is then computed once;
inside, `RowAttention` gives each row's tokens the keys of its own path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..batching.batch import TwinBatch


Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PackedRows:
    """Rows that are packed into one sequence.

    Attributes:
        first: (rows,) the column of each row's first token; other than 0 where rows are padded on the left.
        starts: (rows,) how many of a row's first tokens belong to another row, or to a prefix that was computed earlier.
        ends: (rows,) how many tokens a row has, those included.
        paths: (rows, columns) the index of every token of a row among the keys: those of a prefix that was computed earlier,
            then those of the sequence. 0 in columns where the row has no token.
        before: how many keys the prefix that was computed earlier has.
        device: of the tensors.
    """

    first: Integers
    starts: Integers
    ends: Integers
    paths: Integers
    before: int
    device: torch.device

    @property
    def own(self) -> Integers:
        """(rows,) how many tokens a row adds to the sequence."""
        return self.ends - self.starts

    @property
    def length(self) -> int:
        """How many tokens the sequence has."""
        return int(self.own.sum())

    @cached_property
    def flat_index(self) -> Tensor:
        """(sequence,) row * columns + column of every token of the sequence."""
        columns = [
            row * self.paths.shape[1] + first + np.arange(start, end)
            for row, (first, start, end) in enumerate(zip(self.first, self.starts, self.ends))
        ]
        return self._tensor(np.concatenate(columns) if columns else np.zeros(0, np.int64))

    @cached_property
    def keys(self) -> Tensor:
        """`paths` on the device."""
        return self._tensor(self.paths)

    @property
    def one_position(self) -> Tensor:
        """(rows, columns) True at one token of the sequence: enough for the model's head when only a prefix is computed."""
        row = int(self.own.argmax())
        one = np.zeros(self.paths.shape, bool)
        one[row, self.first[row] + self.starts[row]] = True
        return self._tensor(one)

    @cached_property
    def present(self) -> Tensor:
        """(rows, columns) where a row has a token."""
        columns = np.arange(self.paths.shape[1])[None]
        return self._tensor((columns >= self.first[:, None]) & (columns < (self.first + self.ends)[:, None]))

    def runs(self, row: int) -> list[tuple[int, int]]:
        """The keys that a row shares, as runs of consecutive ones: their first, and the one after their last."""
        return runs_of(self.paths[row, self.first[row] : self.first[row] + self.starts[row]])

    def continued(self, rows: Integers, ends: Integers) -> "PackedRows":
        """The remaining tokens of some rows, whose first tokens (this sequence) were computed earlier.

        Args:
            rows: (chosen,) their indices among these rows.
            ends: (chosen,) how many tokens each row has.
        """
        first, starts, paths = self.first[rows], self.ends[rows], self.paths[rows]
        before = index = self.before + self.length
        for row in range(len(rows)):
            index = _append(paths[row, first[row] :], starts[row], ends[row], index)

        return PackedRows(first, starts, ends, paths, before, self.device)

    def _tensor(self, array: NDArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


class CommonPrefixes:
    """The common prefixes of the rows of a batch.

    Tokens are the same where their ids, their positions and the media that they represent are.

    Args:
        batch: clean rows and twins; each row's tokens without padding must be contiguous.
        all_tokens: keep all of a row's tokens, as generation needs them. Otherwise a row ends with the last position that
            predicts a token of its answer.
        pays: whether a row with so many other tokens (second) shares so many tokens (first); None shares whatever it can.
        marks: (rows, columns) numbers that must be equal, too, for tokens to be the same; None where there are none.
    """

    def __init__(
        self,
        batch: TwinBatch,
        all_tokens: bool = False,
        pays: Callable[[int, int], bool] | None = None,
        marks: Tensor | None = None,
    ) -> None:
        self.pays = pays
        attended = batch.inputs["attention_mask"].bool().cpu().numpy()
        self.device = batch.labels.device
        self.columns = attended.shape[1]
        self.first: Integers = attended.argmax(axis=1)
        counts = attended.sum(axis=1)
        self.ends: Integers = (
            counts if all_tokens else np.minimum(_answered(batch.answer_positions) - self.first, counts)
        )
        self.ends = self.ends.clip(min=0)
        mask = batch.perturbation_mask.cpu().numpy()
        self.masked_from: Integers = np.where(mask.any(axis=1), mask.argmax(axis=1) - self.first, counts)
        answers = batch.answer_positions.cpu().numpy()
        self.answer_from: Integers = np.where(answers.any(axis=1), answers.argmax(axis=1) - self.first, counts)
        more = [] if marks is None else [marks.cpu().numpy()]
        self.common = _common([*_identities(batch), *more], self.first, counts)

    def pack(self, rows: Tensor, copies: Tensor) -> PackedRows:
        """Pack rows, followed by adversarial copies.

        Args:
            rows: (chosen,) rows of the batch.
            copies: (copies,) the row that each copy is of. From the first token that an attack may change, a copy shares
                nothing.
        """
        chosen = torch.cat([rows, copies]).cpu().numpy()
        ends, limits = self.ends[chosen], self.ends[chosen]
        limits[len(rows) :] = np.minimum(limits, self.masked_from[chosen])[len(rows) :]
        if not ends.any():  # no row has an answer, but engines need a forward
            ends[:1] = 1

        return self._pack(chosen, ends, limits)

    def pack_all(self) -> PackedRows:
        """Pack all rows, without copies."""
        rows = torch.arange(len(self.ends), device=self.device)
        return self.pack(rows, rows[:0])

    def pack_prefixes(self, rows: Tensor) -> PackedRows:
        """Pack the tokens before the first one that an attack on these rows may change, and before their answers."""
        chosen = rows.cpu().numpy()
        ends = np.minimum(np.minimum(self.ends, self.masked_from), self.answer_from)[chosen]
        return self._pack(chosen, ends, ends)

    def rest(self, prefixes: PackedRows, which: Tensor, rows: Tensor) -> PackedRows:
        """Pack the remaining tokens of some of the rows whose prefixes are packed.

        Args:
            prefixes: of `pack_prefixes`.
            which: (chosen,) indices among its rows.
            rows: (chosen,) the same rows' indices in the batch.
        """
        return prefixes.continued(which.cpu().numpy(), self.ends[rows.cpu().numpy()])

    def _pack(self, chosen: Integers, ends: Integers, limits: Integers) -> PackedRows:
        first, starts = self.first[chosen], np.zeros(len(chosen), np.int64)
        paths = np.zeros((len(chosen), self.columns), np.int64)
        count = 0
        for row in range(len(chosen)):
            if row:
                shared = np.minimum(self.common[chosen[row], chosen[:row]], np.minimum(limits[:row], limits[row]))
                parent = shared.argmax()
                path = paths[parent, first[parent] : first[parent] + shared[parent]]
                starts[row] = self._worth(path, int(ends[row]))
                paths[row, first[row] : first[row] + starts[row]] = path[: starts[row]]

            count = _append(paths[row, first[row] :], starts[row], ends[row], count)

        return PackedRows(first, starts, ends, paths, 0, self.device)

    def _worth(self, path: Integers, end: int) -> int:
        """How many tokens a row shares. Runs of keys at the end for which it does not pay are computed again."""
        shared = len(path)
        if self.pays is None:
            return shared

        for begin, after in reversed(runs_of(path)):
            if self.pays(after - begin, end - shared):
                break

            shared -= after - begin

        return shared


def _append(path: Integers, start: int, end: int, index: int) -> int:
    """Number a row's own tokens, from `index` on, which is returned for the next row."""
    path[start:end] = np.arange(index, index + end - start)
    path[end:] = 0
    return index + int(end - start)


def runs_of(path: Integers) -> list[tuple[int, int]]:
    """Runs of consecutive numbers: the first of each, and the one after its last."""
    if not len(path):
        return []

    cuts = np.flatnonzero(np.diff(path) != 1) + 1
    begins, ends = path[np.concatenate([[0], cuts])], path[np.concatenate([cuts, [len(path)]]) - 1] + 1
    return list(zip(begins.tolist(), ends.tolist()))


def _answered(positions: Tensor) -> Integers:
    """(rows,) the column after each row's last answer position, 0 without one."""
    columns = torch.arange(1, positions.shape[1] + 1, device=positions.device)
    return torch.where(positions, columns, 0).amax(dim=1).cpu().numpy()


def _identities(batch: TwinBatch) -> list[NDArray]:
    """(rows, columns) arrays: two tokens are the same where all of these arrays are equal."""
    positions = batch.inputs.get("position_ids")
    axes = [] if positions is None else list(positions) if positions.dim() == 3 else [positions]
    return [value.expand_as(batch.identities).cpu().numpy() for value in (batch.identities, *axes)]


def _common(identities: list[NDArray], first: Integers, counts: Integers) -> Integers:
    """(rows, rows) how many tokens two rows have in common from the start."""
    rows, columns = identities[0].shape
    aligned = np.minimum(first[:, None] + np.arange(columns)[None], columns - 1)
    identities = [np.take_along_axis(identity, aligned, axis=1) for identity in identities]
    common = np.diag(counts).astype(np.int64)
    for row in range(1, rows):
        differs = np.zeros((row, columns), bool)
        for identity in identities:
            differs |= identity[:row] != identity[row]

        same = np.where(differs.any(axis=1), differs.argmax(axis=1), columns)
        common[row, :row] = common[:row, row] = np.minimum(same, np.minimum(counts[:row], counts[row]))

    return common
