"""Batches whose composition is fixed by what their examples depend on (the paper's 2:2:4 mix)."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from ..errors import ModalityInterferenceError
from ..modality import kind_of


class BatchMixSampler(Sampler[int]):
    """Yields the indices of examples so that every `sum(mix)` of them, from the start, have the composition `mix`.

    The order depends on the seed and the epoch only. Accelerate gives each rank complete batches, so device batches keep the
    composition for any number of ranks, and the order is the same.

    Args:
        relevant: each example's relevant set as bits.
        mix: how many examples of each kind a device batch holds.
        seed: the run's data seed.
        shuffle: whether to reshuffle each epoch; otherwise the order of the dataset is kept within each kind.

    Raises:
        ModalityInterferenceError: where a kind of the mix is absent or too rare for one batch.
    """

    def __init__(self, relevant: Sequence[int], mix: dict[str, int], seed: int, shuffle: bool = True) -> None:
        self.mix = mix
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0
        kinds: dict[str, list[int]] = {}
        for index, bits in enumerate(relevant):
            kinds.setdefault(kind_of(bits), []).append(index)

        self.rows = {kind: torch.tensor(indices) for kind, indices in kinds.items()}
        for kind, count in mix.items():
            if len(self.rows.get(kind, ())) < count:
                found = ", ".join(f"{len(rows)} x {name}" for name, rows in sorted(self.rows.items())) or "none"
                raise ModalityInterferenceError(
                    f"`batch_mix` asks for {count} x {kind} in every batch; the training data has {found}. "
                    f"Change `batch_mix`, or the `relevant` of the datasets."
                )

        self.batches = min(len(self.rows[kind]) // count for kind, count in mix.items())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches * sum(self.mix.values())

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        orders = {}
        for kind in sorted(self.rows):  # also kinds that the mix leaves out, so that the order of the others stays
            permutation = torch.randperm(len(self.rows[kind]), generator=generator)
            orders[kind] = self.rows[kind][permutation] if self.shuffle else self.rows[kind]

        for batch in range(self.batches):
            for kind, count in self.mix.items():
                yield from orders[kind][batch * count : (batch + 1) * count].tolist()

    def summary(self, ranks: int) -> str:
        """What the log says at the start of training."""
        limiting = min(self.mix, key=lambda kind: len(self.rows[kind]) // self.mix[kind])
        parts = []
        for kind in sorted(self.rows):
            used = self.batches * self.mix.get(kind, 0)
            parts.append(f"{kind}: {used} of {len(self.rows[kind])} examples")

        return (
            f"batch_mix {', '.join(f'{kind}={count}' for kind, count in self.mix.items())}: {self.batches} device batches an "
            f"epoch ({-(-self.batches // ranks)} a rank), limited by `{limiting}`. An epoch sees {'; '.join(parts)} "
            "(another selection every epoch)."
        )
