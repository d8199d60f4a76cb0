"""Scores with a constant and outputs that are computed anew, of one layer, against the arithmetic written out."""

import math

import pytest
import torch

from modality_interference.attention.interface import AttentionInputs, ScoreBias
from modality_interference.attention.scores import GROUPS, Queries, ShareProbe, group_weights, with_attention
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality


CONSTANT = 1.7


def inputs_of(rng, **more):
    """One layer of two heads on one key head; four tokens, of which the second and the third are an image."""
    query, key, value = (torch.randn(1, heads, 4, 3, generator=rng, dtype=torch.float64) for heads in (2, 1, 1))
    defaults = dict(layer=0, mask=None, scaling=0.7, softcap=None, window=None, causal=True)
    return AttentionInputs(query=query, key=key, value=value, **{**defaults, **more})


@pytest.mark.parametrize("softcap", [None, 0.4])
def test_shares_and_outputs_in_closed_form(softcap):
    """A share s becomes s e^c / (1 - s + s e^c), and the output the mean of values with these weights; behind a soft cap."""
    inputs = inputs_of(torch.Generator().manual_seed(0), softcap=softcap)
    image = torch.tensor([[False, True, True, False]])
    queries = Queries(torch.tensor([0]), torch.tensor([[3]]))
    bits = torch.where(image, Modality.IMAGE.bit, Modality.TEXT.bit)
    bias = ScoreBias(CONSTANT, image, torch.tensor([3]))
    shares = []
    for found in (inputs, AttentionInputs(**{**vars(inputs), "bias": bias})):
        probe = ShareProbe(queries, group_weights(bits).double())
        probe.observe(found, torch.zeros(1))
        shares.append(probe.shares()[0, 0, :, GROUPS.index("image")])

    before, after = shares
    grown = before * math.exp(CONSTANT)
    assert torch.allclose(after, grown / (1 - before + grown), atol=1e-12)
    scores = 0.7 * inputs.query[0, :, 3] @ inputs.key[0, 0].T
    scores = scores if softcap is None else softcap * torch.tanh(scores / softcap)
    weights = torch.exp(scores) * torch.where(image, math.exp(CONSTANT), 1.0)
    expected = weights @ inputs.value[0, 0] / weights.sum(dim=1, keepdim=True)
    stock = torch.full((1, 4, 2, 3), 9.0, dtype=torch.float64)
    changed = with_attention(stock, AttentionInputs(**{**vars(inputs), "bias": bias}), queries)
    assert torch.allclose(changed[0, 3], expected, atol=1e-12)
    assert torch.equal(changed[0, :3], stock[0, :3]) and (stock == 9).all()


@pytest.mark.parametrize(
    ("mask", "window", "kept", "seen"),
    [
        (None, None, 6, [1, 1, 1, 1, 1, 1]),
        (None, 3, 3, [0, 0, 0, 1, 1, 1]),  # the cache has kept three
        (torch.tensor([[0, 0, 1, 1, 1, 1]]), None, 6, [0, 0, 1, 1, 1, 1]),  # FlashAttention's mask of padding
        (torch.tensor([[[[False, True, True, True, True, True]]]]), None, 6, [0, 1, 1, 1, 1, 1]),
    ],
)  # fmt: skip
def test_a_token_behind_a_cache(mask, window, kept, seen):
    """The sixth token, of which the fifth was generated before; columns 1 and 3 of the prompt are an image."""
    rng = torch.Generator().manual_seed(1)
    query = torch.randn(1, 2, 1, 3, generator=rng, dtype=torch.float64)
    key, value = (torch.randn(1, 1, 6, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    bias = ScoreBias(-2.0, torch.tensor([[False, True, False, True]]), torch.tensor([3]))
    inputs = AttentionInputs(
        layer=0, query=query, key=key[:, :, -kept:], value=value[:, :, -kept:], mask=mask, scaling=0.5, softcap=None,
        window=window, causal=True, past=5, bias=bias,
    )  # fmt: skip
    found = with_attention(
        torch.zeros(1, 1, 2, 3, dtype=torch.float64), inputs, Queries(torch.tensor([0]), torch.tensor([[0]]))
    )
    constants = torch.tensor([0, -2.0, 0, -2, 0, 0])
    weights = torch.exp(0.5 * query[0, :, 0] @ key[0, 0].T + constants) * torch.tensor(seen)
    assert torch.allclose(found[0, 0], weights @ value[0, 0] / weights.sum(dim=1, keepdim=True), atol=1e-12)


def test_a_cache_of_fixed_size_is_refused():
    inputs = inputs_of(torch.Generator())
    longer = AttentionInputs(**{**vars(inputs), "key": inputs.key.repeat(1, 1, 3, 1)})
    with pytest.raises(ModalityInterferenceError, match="4 tokens, but the model has 12 keys.*`cache_implementation`"):
        with_attention(torch.zeros(1), longer, Queries(torch.tensor([0]), torch.tensor([[3]])))
