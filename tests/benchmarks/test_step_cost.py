"""What a training step costs on the benchmarks' batches, counted: the floor by hand, and how near the step comes to it."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from modality_interference.batching.batch import TwinBatch


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HIDDEN, KEYS, INTERMEDIATE, LAYERS, VOCABULARY = 256, 128, 704, 6, 32_000  # of the reference model


@pytest.fixture(scope="module")
def benchmarks():
    """The benchmarks' folder, from which their modules can be imported."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def bench(benchmarks, tmp_path_factory):
    """The reference batch on the reference model."""
    from reference import REFERENCE, REFERENCE_MIX
    from step_cost import Bench

    return Bench(tmp_path_factory.mktemp("reference"), REFERENCE, REFERENCE_MIX)


@pytest.fixture(scope="module")
def batch(bench):
    return TwinBatch.split(bench.plugin.inputs)


def count(bench, variant):
    from costs import count_step

    started = bench.started(variant)
    return count_step(started.step, started.model, started.trainer.processing_class.pad_token_id)


def rows_of(inputs):
    """The tokens of every row, without padding."""
    return [tuple(ids[mask.bool()].tolist()) for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"])]


def forward(tokens):
    """FLOPs of the decoder's forward of one row: projections, and the two products of attention; rotary angles."""
    weights = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * KEYS + 3 * HIDDEN * INTERMEDIATE
    return LAYERS * (2 * tokens * weights + 4 * tokens * tokens * HIDDEN) + angles(tokens)


def angles(tokens):
    """Positions on three axes times 32 frequencies, a product without a backward."""
    return 2 * 3 * 32 * tokens


def head(tokens):
    return 2 * tokens * HIDDEN * VOCABULARY


def test_the_batch_is_what_the_benchmark_says(bench, batch):
    # a clean image-heavy row has no misleading sentence (4 tokens), a text-only row no image (64 and its 2 marks)
    lengths = Counter(len(row) for row in rows_of(bench.plugin.inputs))
    assert lengths == {64 + 150 + 2: 14, 64 + 146 + 2: 2, 148 + 2: 2}
    assert batch.answer_positions.sum(dim=1).tolist() == [2] * 18
    assert len(batch.masked_rows) == 2 * 3 + 2 * 3  # text-heavy rows can be changed where they have an image
    image_token = bench.plugin.model.config.image_token_id
    images = [row.count(image_token) for row in rows_of(bench.plugin.inputs)]
    assert sorted(images) == [0] * 2 + [64] * 16


def test_plain_rows_are_the_same_rows(bench):
    assert Counter(rows_of(bench.stock.inputs)) == Counter(rows_of(bench.plugin.inputs))


@pytest.mark.parametrize(
    ("variant", "decoder_passes", "attack_passes"), [("b", 0, 0), ("c", 0, 0), ("d", 3, 4), ("e", 3, 4), ("f", 3, 3)]
)
def test_the_floor_is_what_it_says(variant, decoder_passes, attack_passes, bench):
    from costs import Phase
    from step_cost import VARIANTS

    masked = [216, 216, 212] * 2 + [216] * 6
    rows = 14 * forward(216) + 2 * forward(212) + 2 * forward(150)
    once, heads = sum(map(forward, masked)), 12 * head(2)
    found = bench.floor(VARIANTS[variant]).flops
    assert found[Phase.DECODER] == 3 * rows + decoder_passes * once
    assert found[Phase.HEAD] == 3 * 18 * head(2) + decoder_passes * heads
    assert found[Phase.ATTACK] == attack_passes * (once + heads)


def test_vision_is_counted_once_per_distinct_image(bench):
    """2 images of image-heavy examples, 4 of both, a black and a white canvas for all, 2 canvases of noise."""
    from costs import Phase
    from step_cost import VARIANTS

    patches, width, inner, merged = 4 * 64, 128, 352, 4 * 128
    block = 2 * patches * (4 * width * width + 3 * width * inner)
    windows = 4 * 4 * 64 * 64 * width  # three blocks look at windows of 64 patches, the last at all
    attention = 3 * windows + 4 * patches * patches * width
    embedding = 2 * patches * 3 * 2 * 14 * 14 * width
    merger, out = 2 * 64 * merged * merged, 2 * 64 * merged * HIDDEN
    once = embedding + 4 * block + attention + 3 * (merger + out)  # forward and backward of the trainable merger
    assert bench.floor(VARIANTS["e"]).flops[Phase.VISION] == 10 * once


def test_everything_costs_what_its_arithmetic_must(bench):
    from costs import Phase
    from step_cost import VARIANTS

    floor = bench.floor(VARIANTS["e"])
    found = count(bench, "e")
    assert found.total <= 0.9 * floor.total  # the floor knows no shared prefixes
    assert found.flops[Phase.HEAD] == floor.flops[Phase.HEAD]
    merger = 10 * 2 * 64 * (512 * 512 + 512 * HIDDEN)  # of 10 images; the attack needs its forward, too
    assert found.flops[Phase.VISION] == floor.flops[Phase.VISION] + merger
    assert found.padding == 0


def test_rows_apart_cost_little_more_than_the_floor(bench):
    """What is above it is the padding, and what a kernel that makes its scores again needs beyond "backward = 2F, 1F"."""
    from step_cost import VARIANTS

    floor = bench.floor(VARIANTS["e"])
    found = count(bench, "e-apart")
    assert found.padding == 2 * 66 + 4 * 4  # 2 text-only rows, 2 image-heavy rows and their copies
    of_row = LAYERS * 4 * 216 * 216 * HIDDEN  # attention, forward
    attention = 0.5 * 30 * of_row + 2 * 12 * 1.5 * of_row  # 18 rows and 12 copies, 2.5 for 2; 12 rows twice, 2.5 for 1
    assert found.total - attention <= 1.05 * floor.total


def test_plain_fine_tuning_runs_the_head_on_every_token(bench):
    """A check of the counting: its parts are what they must be where nothing is saved."""
    from costs import Phase

    found = count(bench, "a").flops
    attention, rotary = 18 * LAYERS * 4 * 216 * 216 * HIDDEN, 18 * angles(216)
    projections = 18 * forward(216) - attention - rotary
    assert found[Phase.HEAD] == 3 * 18 * head(216)
    assert found[Phase.DECODER] == 3 * projections + 3.5 * attention + rotary  # the backward makes the scores again
    assert found[Phase.ATTACK] == 0


def test_sharing_pays_where_images_are_large(benchmarks, tmp_path):
    """8 examples with 4 text twins each, 256 image tokens, 60 text tokens; on half the width and half the layers."""
    from reference import IMAGE_HEAVY_MIX, REFERENCE
    from step_cost import Bench

    narrow = {"hidden_size": 128, "intermediate_size": 352, "num_attention_heads": 2, "num_key_value_heads": 1}
    shape = replace(REFERENCE, text=REFERENCE.text | narrow | {"num_hidden_layers": 3})
    bench = Bench(tmp_path, shape, IMAGE_HEAVY_MIX, stock=False)
    assert bench.plugin.inputs["input_ids"].shape == (40, 256 + 60 + 2 + 2)  # padded to a multiple of 8
    assert count(bench, "e").total <= 0.4 * count(bench, "e-apart").total
