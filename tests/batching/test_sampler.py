"""batch_mix: the composition of every batch, its stream over ranks and epochs, and exact resuming."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from helpers.loading import row_names
from helpers.runs import recipe
from hypothesis import given, settings
from hypothesis import strategies as st
from llamafactory.train.tuner import run_exp
from safetensors.torch import load_file
from torch.utils.data import BatchSampler
from transformers import TrainerCallback

from modality_interference.batching.sampler import BatchMixSampler
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality, kind_of


IMAGE, TEXT = Modality.IMAGE.bit, Modality.TEXT.bit
BITS = {"image": IMAGE, "text": TEXT, "both": IMAGE | TEXT, "plain": 0, "audio": Modality.AUDIO.bit}


def rows(**counts: int) -> list[int]:
    """Relevant sets of a dataset, the kinds in turns as long as they last."""
    left, result = dict(counts), []
    while any(left.values()):
        for kind in left:
            if left[kind]:
                left[kind] -= 1
                result.append(BITS[kind])

    return result


def batches(sampler: BatchMixSampler) -> list[list[int]]:
    return list(BatchSampler(sampler, sum(sampler.mix.values()), drop_last=False))


def kinds_of(sampler: BatchMixSampler, batch: list[int]) -> Counter:
    kinds = {index: kind for kind, indices in sampler.rows.items() for index in indices.tolist()}
    return Counter(kinds[index] for index in batch)


@given(
    counts=st.dictionaries(st.sampled_from(sorted(BITS)), st.integers(4, 40), min_size=1),
    data=st.data(),
    seed=st.integers(0, 2**32),
    shuffle=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_batch_has_the_composition(counts, data, seed, shuffle):
    chosen = data.draw(st.lists(st.sampled_from(sorted(counts)), min_size=1, unique=True))
    mix = {kind: data.draw(st.integers(1, 4)) for kind in chosen}
    relevant = rows(**counts)
    sampler = BatchMixSampler(relevant, mix, seed, shuffle)
    sampler.set_epoch(data.draw(st.integers(0, 9)))
    assert [kinds_of(sampler, batch) for batch in batches(sampler)] == [mix] * sampler.batches
    stream = list(sampler)
    assert len(stream) == len(sampler) == len(set(stream))  # no example twice
    assert sampler.batches == min(counts[kind] // mix[kind] for kind in mix)
    assert all(kind_of(relevant[index]) in mix for index in stream)


def test_the_limiting_kind_is_used_up_and_others_take_turns():
    sampler = BatchMixSampler(rows(image=12, text=40, both=24), {"image": 2, "text": 2, "both": 4}, seed=3)
    image, text = (set(sampler.rows[kind].tolist()) for kind in ("image", "text"))
    used: Counter = Counter()
    for epoch in range(40):
        sampler.set_epoch(epoch)
        stream = set(sampler)
        assert image <= stream and set(sampler.rows["both"].tolist()) <= stream
        assert len(text & stream) == 12
        used.update(text & stream)

    assert len(used) == 40  # another selection every epoch


def test_what_does_not_fill_a_batch_is_left_out_in_turns():
    sampler = BatchMixSampler(rows(image=7, text=30), {"image": 2, "text": 1}, seed=3)
    left_out = set()
    for epoch in range(40):
        sampler.set_epoch(epoch)
        left = set(sampler.rows["image"].tolist()) - set(sampler)
        assert len(left) == 1
        left_out |= left

    assert len(left_out) == 7


def test_seeded_and_reshuffled_each_epoch():
    def stream(seed: int, epoch: int, shuffle: bool = True) -> list[int]:
        sampler = BatchMixSampler(rows(image=20, text=20), {"image": 1, "text": 1}, seed, shuffle)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert stream(1, 0) == stream(1, 0)
    assert len({tuple(stream(seed, epoch)) for seed in (0, 1, 2) for epoch in (0, 1, 2)}) == 9
    assert stream(1, 0, shuffle=False) == stream(2, 5, shuffle=False) == list(range(40))
    torch.manual_seed(5)  # the global random state neither matters nor moves
    before = torch.get_rng_state()
    assert stream(1, 0) == stream(1, 0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5])
def test_ranks_share_one_stream(ranks):
    """Accelerate deals batches r, r + W, ... to rank r of W, as it does for Trainer."""
    mix = {"image": 2, "text": 2, "both": 4}
    one = BatchMixSampler(rows(image=30, text=24, both=60), mix, seed=5)
    whole = batches(one)
    assert len(whole) == 12
    dealt = []
    for rank in range(ranks):
        own = BatchMixSampler(rows(image=30, text=24, both=60), mix, seed=5)
        dealt.append(list(BatchSamplerShard(BatchSampler(own, 8, drop_last=False), ranks, rank)))

    assert len({len(own) for own in dealt}) == 1  # every rank takes as many steps
    for rank, own in enumerate(dealt):
        regular = whole[rank::ranks]
        assert own[: len(regular)] == regular
        assert len(own) - len(regular) in (0, 1)  # the last round starts over where batches run out
        assert all(kinds_of(one, batch) == mix for batch in own)

    rounds = [batch for together in zip(*dealt) for batch in together]
    assert rounds[: len(whole)] == whole


def test_summary():
    sampler = BatchMixSampler(rows(image=13, text=40, plain=5), {"image": 2, "text": 3}, seed=0)
    assert sampler.summary(ranks=4) == (
        "batch_mix image=2, text=3: 6 device batches an epoch (2 a rank), limited by `image`. An epoch sees "
        "image: 12 of 13 examples; plain: 0 of 5 examples; text: 18 of 40 examples (another selection every epoch)."
    )


@pytest.mark.parametrize("counts", [dict(image=4), dict(image=4, text=1), {}])
def test_absent_and_rare_kinds(counts):
    found = ", ".join(f"{count} x {kind}" for kind, count in counts.items()) or "none"
    kind = "2 x text" if counts else "1 x image"
    message = f"`batch_mix` asks for {kind} in every batch; the training data has {found}. Change `batch_mix`"
    with pytest.raises(ModalityInterferenceError, match=message):
        BatchMixSampler(rows(**counts), {"image": 1, "text": 2}, seed=0)


# runs


class Watch(TrainerCallback):
    """Keeps the summaries that are logged, and what every step's batches hold."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        collate = train_dataloader.collate_fn
        if args.dataloader_num_workers == 0:
            inner = collate.__class__.__call__

            class Watched(collate.__class__):
                def __call__(own, features):
                    batch = inner(own, features)
                    self.seen.append(row_names(batch, features))
                    return batch

            collate.__class__ = Watched


RUN = dict(
    dataset="pictures,sums,plain",
    batch_mix="image=1,text=1,plain=1",
    per_device_train_batch_size=3,
    twins_per_example=1,
    max_steps=12,
    lr_scheduler_type="constant",
    save_strategy="steps",
    finetuning_type="lora",
    lora_target="all",
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    full = folder / "model.safetensors"
    return load_file(full if full.exists() else folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("settings", "accumulation", "stop"),
    [
        (dict(), 1, 3),  # in the first epoch (8 batches each)
        (dict(), 1, 8),  # between two epochs
        pytest.param(dict(), 1, 11, marks=pytest.mark.engines),
        (dict(), 3, 4),  # accumulation that does not divide an epoch
        pytest.param(
            dict(dataloader_num_workers=1, dataloader_persistent_workers=True), 1, 10, marks=pytest.mark.engines
        ),
        (dict(finetuning_type="full"), 1, 3),
    ],
    ids=["first epoch", "between epochs", "second epoch", "accumulation", "persistent worker", "full tuning"],
)
def test_resuming_is_exact(checkpoint, datasets, tmp_path, settings, accumulation, stop):
    def run(name: str, watch: Watch, **overrides: Any) -> Path:
        keys = dict(gradient_accumulation_steps=accumulation, save_steps=stop) | RUN | settings | overrides
        run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / name, **keys), callbacks=[watch])
        return tmp_path / name

    whole, rest = Watch(), Watch()
    one = run("one", whole)
    two = run("two", rest, resume_from_checkpoint=str(one / f"checkpoint-{stop}"))
    expected, found = weights(one), weights(two)
    assert expected.keys() == found.keys()
    halfway = weights(one / f"checkpoint-{stop}")
    assert not any(torch.equal(halfway[name], expected[name]) for name in expected)
    for name in expected:
        assert torch.equal(expected[name], found[name]), name

    if not settings:
        assert rest.seen == whole.seen[-len(rest.seen) :] and 0 < len(rest.seen) < len(whole.seen)
        for rows in whole.seen:
            assert Counter(name for name, _ in rows) == {"pictures": 2, "sums": 2, "plain": 1}
            assert Counter(perturbation == "clean" for _, perturbation in rows) == {True: 3, False: 2}


def test_a_persistent_worker_learns_of_the_epoch(checkpoint, datasets, tmp_path):
    """Twins drawn in a worker that lives for all epochs are those drawn in the main process."""

    def run(name: str, **workers: Any) -> dict[str, torch.Tensor]:
        keys = RUN | dict(save_strategy="no", max_steps=18) | workers
        run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / name, **keys))
        return weights(tmp_path / name)

    here = run("here")
    there = run("there", dataloader_num_workers=1, dataloader_persistent_workers=True)
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_twins_change_with_the_epoch(checkpoint, datasets, tmp_path):
    watch = Watch()
    keys = RUN | dict(save_strategy="no", max_steps=16)
    run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / "out", **keys), callbacks=[watch])
    epochs = [watch.seen[:8], watch.seen[8:16]]
    drawn = [Counter(perturbation for rows in epoch for _, perturbation in rows) for epoch in epochs]
    for counts in drawn:
        assert counts["clean"] == 24 and sum(counts.values()) == 40

    assert len(watch.seen) == 16 and drawn[0] != drawn[1]


def test_the_run_tells_what_limits_an_epoch(checkpoint, datasets, tmp_path):
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    handler = Keep(level=logging.INFO)
    logging.getLogger("llamafactory").addHandler(handler)
    try:
        keys = RUN | dict(save_strategy="no", max_steps=1)
        run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / "out", **keys))
    finally:
        logging.getLogger("llamafactory").removeHandler(handler)

    (text,) = [text for text in texts if text.startswith("batch_mix ")]
    assert text.startswith(
        "batch_mix image=1, text=1, plain=1: 8 device batches an epoch (8 a rank), limited by `image`"
    )
