"""Attention by parts against the definition of attention, row by row, on random trees of prefixes; and where it is used."""

import pytest
import torch
from helpers.prefixes import batch_of, batches
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from modality_interference.attention import row_attention
from modality_interference.attention.parts import attend_parts, kernel_takes, kernel_works, parts_of
from modality_interference.attention.prefix import CommonPrefixes
from modality_interference.attention.row_attention import PrefixCache, RowAttention


HEADS, KEY_HEADS, WIDTH, SCALE = 4, 2, 8, 0.4
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
NO_MASK = torch.empty(1, 1, 0, 0, dtype=torch.bool)


def defined(query, key, value, rows):
    """The outputs of all tokens of the sequence: a softmax over the keys of a row's path, token by token."""
    outputs, group = [], HEADS // KEY_HEADS
    for first, start, end, path in zip(rows.first, rows.starts, rows.ends, rows.paths):
        for token in range(start, end):
            seen = torch.as_tensor(path[first : first + token + 1])
            own = query[0, :, path[first + token] - rows.before].view(KEY_HEADS, group, 1, WIDTH)
            scores = own @ key[0][:, None, seen].transpose(2, 3) * SCALE
            outputs.append((scores.softmax(-1) @ value[0][:, None, seen]).view(HEADS, WIDTH))

    return torch.stack(outputs)[None]


def states_of(rows, dtype, seed):
    """Random queries, keys and values."""
    rng = torch.Generator().manual_seed(seed)
    lengths = {HEADS: rows.length, KEY_HEADS: rows.before + rows.length}
    return [
        torch.randn(1, lengths[heads], heads, WIDTH, generator=rng, dtype=torch.float64)
        .to(dtype).transpose(1, 2).requires_grad_()
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    ]  # fmt: skip


def assert_exact(rows, dtype, seed):
    states = states_of(rows, dtype, seed)
    found, expected = attend_parts(*states, parts_of(rows), SCALE), defined(*states, rows)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    gradients = [torch.autograd.grad((output * weight).sum(), states) for output in (found, expected)]
    for one, other in zip((found, *gradients[0]), (expected, *gradients[1])):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@settings(max_examples=80, deadline=None)
@given(batches(), st.sampled_from(list(TOLERANCE)), st.integers(0, 1000))
def test_rows_copies_and_their_gradients(batch, dtype, seed):
    rows = torch.arange(len(batch.labels))
    assert_exact(CommonPrefixes(batch).pack(rows, batch.masked_rows), dtype, seed)


@settings(max_examples=50, deadline=None)
@given(batches(left=True), st.sampled_from(list(TOLERANCE)), st.integers(0, 1000))
def test_what_follows_prefixes_that_were_computed_before(batch, dtype, seed):
    rows = batch.masked_rows
    if len(rows):
        common = CommonPrefixes(batch)
        assert_exact(common.rest(common.pack_prefixes(rows), torch.arange(len(rows)), rows), dtype, seed)


FAMILY = [[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 8, 9], [1, 2, 3, 4, 8, 2, 3, 4, 5, 6], [1, 2, 5], [9, 9, 9]]


def packed_family():
    """Rows with runs of one and two rows before their own, one that shares little and one that shares nothing."""
    count = len(FAMILY)
    return CommonPrefixes(batch_of(FAMILY), all_tokens=True).pack(torch.arange(count), torch.arange(0))


def test_the_parts_of_a_family():
    parts = parts_of(packed_family())
    spans = [(part.keys.start, part.keys.stop) for part in parts]
    assert spans == [(0, 7), (7, 9), (9, 14), (14, 15), (15, 18), (0, 4), (7, 8), (0, 2)]
    assert [part.own for part in parts] == [True] * 5 + [False] * 3
    assert [part.queries for part in parts[5:]] == [slice(7, 14), slice(9, 14), slice(14, 15)]


class Layer(nn.Module):
    """What attention functions look at."""

    layer_idx, is_causal, num_key_value_groups = 0, True, HEADS // KEY_HEADS


def attend(attention, states, stock=sdpa_attention_forward, mask=NO_MASK, **kwargs):
    return attention.attend(stock, Layer(), *states, mask, **{"scaling": SCALE, **kwargs})


@pytest.fixture
def by_parts(monkeypatch):
    """How often attention was computed by parts."""
    calls = []

    def counted(*args):
        calls.append(args)
        return attend_parts(*args)

    monkeypatch.setattr(row_attention, "attend_parts", counted)
    return calls


def test_both_ways_find_the_same(by_parts, monkeypatch):
    rows = packed_family()
    states = states_of(rows, torch.float64, 0)
    cache = PrefixCache()
    found = attend(RowAttention(rows, keep=cache), states)
    assert len(by_parts) == 1
    monkeypatch.setattr(row_attention, "kernel_takes", lambda *_: False)
    torch.testing.assert_close(found, attend(RowAttention(rows), states), atol=1e-12, rtol=0)
    assert len(by_parts) == 1
    assert torch.equal(cache.layers[0][0], states[1])


def test_without_the_kernel_it_is_by_groups(by_parts, without_kernel):
    rows = packed_family()
    states = states_of(rows, torch.float64, 0)
    torch.testing.assert_close(attend(RowAttention(rows), states), defined(*states, rows))
    assert not by_parts


def eager(module, query, key, value, mask, scaling, **_):
    scores = query @ key.repeat_interleave(2, 1).transpose(2, 3) * scaling + mask
    return (scores.softmax(-1) @ value.repeat_interleave(2, 1)).transpose(1, 2), None


CAUSAL = torch.ones(1, 1, 10, 10, dtype=torch.bool).tril()


@pytest.mark.parametrize(
    ("kwargs", "used"),
    [
        ({}, True),
        ({"sliding_window": 10, "dropout": 0.0}, True),
        ({"sliding_window": 9}, False),
        ({"dropout": 0.1}, False),
        ({"mask": CAUSAL}, False),
        ({"stock": eager, "additive": True}, False),
    ],
)
def test_it_is_used_for_plain_attention_only(by_parts, kwargs, used):
    rows = packed_family()
    attend(RowAttention(rows), states_of(rows, torch.float32, 0), **kwargs)
    assert bool(by_parts) is used


def test_other_widths_types_and_devices_are_not_for_the_kernel():
    query, key, value = states_of(packed_family(), torch.float32, 0)
    assert kernel_takes(query, key, value)
    assert not kernel_takes(query, key, value[..., :4])
    assert not kernel_takes(query, key.double(), value)
    assert not kernel_takes(*(states.to("meta") for states in (query, key, value)))


def test_a_first_forward_can_be_checkpointed(by_parts):
    """What is computed once in a process is not computed within a forward, which has to save the same each time."""
    kernel_works.cache_clear()
    rows = packed_family()
    states = states_of(rows, torch.float64, 0)
    attention = RowAttention(rows)
    output = checkpoint(lambda *of: attend(attention, of), *states, use_reentrant=False)
    found = torch.autograd.grad(output.square().sum(), states)
    expected = torch.autograd.grad(attend(RowAttention(rows), states).square().sum(), states)
    torch.testing.assert_close(found, expected)
    assert len(by_parts) == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_and_autocast(by_parts, dtype):
    rows = packed_family()
    states = states_of(rows, torch.float64, 0)
    expected = defined(*states, rows)
    gradients = torch.autograd.grad(expected.square().sum(), states)
    halves = [one.detach().to(dtype).requires_grad_() for one in states]
    singles = [one.detach().float().requires_grad_() for one in states]
    with torch.autocast("cpu", dtype=dtype):
        cast = attend(RowAttention(rows), singles)

    bound = 8 * torch.finfo(dtype).eps
    for output, inputs, kept in ((attend(RowAttention(rows), halves), halves, dtype), (cast, singles, torch.float32)):
        assert output.dtype == dtype
        torch.testing.assert_close(output.double(), expected, atol=bound, rtol=bound)
        found = torch.autograd.grad(output.double().square().sum(), inputs)
        for one, other in zip(found, gradients):
            assert one.dtype == kept
            torch.testing.assert_close(one.double(), other, atol=4 * bound, rtol=4 * bound)

    assert len(by_parts) == 2


def test_scores_of_very_different_size_merge_without_overflow():
    rows = packed_family()
    for scale in (200.0, -200.0):  # a part's weight then is 0 or 1
        states = states_of(rows, torch.float32, 1)
        states[1] = (states[1] * scale).detach().requires_grad_()
        found, expected = (
            attend_parts(*states, parts_of(rows), SCALE),
            defined(*(one.double() for one in states), rows),
        )
        torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=0)
        assert all(one.isfinite().all() for one in torch.autograd.grad(found.sum(), states))
