"""From which length on rows share a prefix: the rule by hand, and what it makes of a batch."""

from dataclasses import replace

import pytest
import torch
from helpers.prefixes import batch_of
from transformers import Gemma3nTextConfig, Gemma3TextConfig, MistralConfig, OPTConfig, Qwen2Config, Qwen3MoeConfig

from modality_interference.attention.cost import SharingCost, where_it_pays
from modality_interference.attention.prefix import CommonPrefixes


SIZES = dict(hidden_size=64, intermediate_size=160, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
CPU, GPU = torch.device("cpu"), torch.device("cuda")
COST = SharingCost(linear=1000.0, heads=2, width=16, itemsize=4, balance=10.0, by_parts=True)


class Decoder:
    """What the rule looks at of a text decoder."""

    def __init__(self, config, kernel="sdpa", dtype=torch.float32):
        self.config, self.dtype = config, dtype
        config._attn_implementation = kernel


def test_the_weights_of_a_layer():
    dense = SharingCost.of(Decoder(Qwen2Config(**SIZES)), CPU)
    assert dense.linear == 2 * (64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 160)
    assert (dense.heads, dense.width, dense.itemsize, dense.by_parts) == (4, 64, 4, True)
    experts = Qwen3MoeConfig(**SIZES, moe_intermediate_size=40, num_experts_per_tok=2, num_experts=8)
    assert SharingCost.of(Decoder(experts, dtype=torch.bfloat16), CPU).linear == 2 * (
        64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 80
    )


@pytest.mark.parametrize(
    ("config", "inner"),
    [
        (Gemma3nTextConfig(**SIZES | {"intermediate_size": [160, 80]}, num_hidden_layers=2), 80),  # layers that differ
        (OPTConfig(hidden_size=64, ffn_dim=256, num_attention_heads=4), 256),  # BLIP-2, InstructBLIP: another name
    ],
)
def test_the_weights_of_a_layer_in_families_that_describe_them_otherwise(config, inner):
    key_heads = getattr(config, "num_key_value_heads", 4)
    weights = 2 * 64 * 64 + 2 * 64 * 16 * key_heads + 3 * 64 * inner
    assert SharingCost.of(Decoder(config), CPU).linear == 2 * weights


@pytest.mark.parametrize(
    ("decoder", "device"),
    [
        (Decoder(Qwen2Config(**SIZES)), GPU),
        (Decoder(Qwen2Config(**SIZES), kernel="eager"), CPU),
        (Decoder(Qwen2Config(**SIZES, attention_dropout=0.1)), CPU),
        (Decoder(Gemma3TextConfig(**SIZES, num_hidden_layers=6)), CPU),
    ],
)
def test_where_attention_is_not_by_parts(decoder, device):
    assert not SharingCost.of(decoder, device).by_parts


def test_a_torch_without_the_kernel(without_kernel):
    assert not SharingCost.of(Decoder(Qwen2Config(**SIZES)), CPU).by_parts


def test_a_window_without_a_list_of_layers_counts_as_one():
    assert not SharingCost.of(Decoder(MistralConfig(**SIZES, sliding_window=8)), CPU).by_parts


def test_by_parts_a_row_pays_for_its_own_queries():
    # 10 FLOPs a byte x 4 bytes x 8 times x 16 numbers = 5,120 FLOPs an own token; saved: 1,000 + 32 n a token
    assert COST.pays(5, own=1) and not COST.pays(4, own=1)
    assert not COST.pays(20, own=10) and COST.pays(30, own=10)
    assert COST.pays(1, own=0)


def test_by_groups_a_row_pays_for_the_mask_and_for_scores_that_nobody_needs():
    cost = replace(COST, by_parts=False)
    # 100 own: 2 x 100^2 x 16 FLOPs, 10 x 4 x (2 x 100 x (100 + n) + 4 x (100 + n) x 16) for the bytes moved
    least = next(n for n in range(1, 1000) if cost.pays(n, own=100))
    for shared, pays in ((least - 1, False), (least, True)):
        moved = 10 * 4 * (200 * (100 + shared) + 64 * (100 + shared))
        assert (1000 * shared + 32 * shared**2 > 320_000 + moved) is pays


def test_a_system_prompt_is_shared_where_the_weights_are_large_beside_the_rows():
    large = Qwen2Config(hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4)
    rule = SharingCost.of(Decoder(large, dtype=torch.bfloat16), GPU)
    assert rule.pays(20, own=150)
    assert not rule.pays(20, own=4000)  # two clips
    assert rule.pays(2000, own=200)


ROWS = [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 10], [1, 2, 3, 4, 5, 6, 10, 11], [1, 12, 13]]


def test_runs_at_the_end_that_do_not_pay_are_computed_again():
    batch = batch_of(ROWS)
    rows = torch.arange(len(ROWS))
    every = CommonPrefixes(batch, all_tokens=True).pack(rows, rows[:0])
    assert every.starts.tolist() == [0, 6, 7, 1] and every.runs(2) == [(0, 6), (8, 9)]
    some = CommonPrefixes(batch, all_tokens=True, pays=lambda shared, own: shared > own).pack(rows, rows[:0])
    assert some.starts.tolist() == [0, 6, 6, 0] and some.runs(2) == [(0, 6)]
    assert some.paths[2].tolist() == [0, 1, 2, 3, 4, 5, 9, 10] and some.length == 8 + 1 + 2 + 3


def test_true_shares_whatever_there_is():
    decoder = Decoder(Qwen2Config(**SIZES))
    assert where_it_pays("true", decoder, CPU) is None
    assert not where_it_pays("auto", decoder, CPU)(1, 1000)
