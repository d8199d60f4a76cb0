"""Rows in one sequence against the same rows apart, on text decoders alone: windows, kernels, padding, gradients, prefixes."""

import pytest
import torch
from transformers import AutoModel, LlamaConfig, MistralConfig, Qwen2Config

from modality_interference.attention.packing import pack
from modality_interference.attention.prefix import CommonPrefixes
from modality_interference.attention.row_attention import PrefixCache, RowAttention
from modality_interference.batching.batch import TwinBatch
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import IGNORE_LABEL


SIZE = dict(
    vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2
)  # fmt: skip
DECODERS = {
    "llama": LlamaConfig(**SIZE),
    "window": MistralConfig(**SIZE, sliding_window=4),
    "some windows": Qwen2Config(**SIZE, use_sliding_window=True, sliding_window=5, max_window_layers=1),
}
COMMON = [3, 4, 5, 6]
ROWS = [
    [*COMMON, 7, 8, 9, 10, 11],
    [*COMMON, 7, 8, 20, 21, 22, 23, 24, 25, 26],
    [3, 4, 30, 31, 32],
    [*COMMON, 7, 8, 20, 21, 33, 34],
    [40, 41, 42],
]


def rows_of(left: bool) -> TwinBatch:
    """Rows padded on one side; the last token of each is its answer, and from token 4 on an attack may change it."""
    width = max(map(len, ROWS)) + 1
    ids, attended = torch.zeros(len(ROWS), width).long(), torch.zeros(len(ROWS), width).long()
    mask, labels = torch.zeros(len(ROWS), width, dtype=torch.bool), torch.full((len(ROWS), width), IGNORE_LABEL)
    for row, tokens in enumerate(ROWS):
        first = width - len(tokens) if left else 0
        ids[row, first : first + len(tokens)] = torch.tensor(tokens)
        attended[row, first : first + len(tokens)] = 1
        mask[row, first + min(4, len(tokens) - 2) : first + len(tokens) - 1] = True
        labels[row, first + len(tokens) - 1] = tokens[-1]

    return TwinBatch(
        inputs={"input_ids": ids, "attention_mask": attended},
        labels=labels,
        twin_of=torch.zeros(len(ROWS)).long(),
        row_key=torch.arange(len(ROWS)),
        perturbation_mask=mask,
        media_index=None,
        questions=None,
        token_modality=torch.zeros_like(ids),
        relevant=torch.zeros(len(ROWS)),
    )


def positions_of(batch: TwinBatch) -> torch.Tensor:
    return (batch.inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)


@pytest.fixture(params=["sdpa", "eager"])
def kernel(request) -> str:
    return request.param


@pytest.fixture(params=DECODERS)
def decoder(request, kernel):
    torch.manual_seed(0)
    # transformers' eager attention makes NaN of padding in float64: it computes the softmax in float32
    dtype = torch.float64 if kernel == "sdpa" else torch.float32
    return AutoModel.from_config(DECODERS[request.param], attn_implementation=kernel, dtype=dtype).eval()


@pytest.mark.parametrize("left", [False, True])
def test_answers_and_gradients(decoder, left):
    batch = rows_of(left)
    rows = torch.arange(len(ROWS))
    table = torch.randn(50, 32, dtype=decoder.dtype)
    kwargs = {
        "inputs_embeds": table[batch.inputs["input_ids"]],
        "attention_mask": batch.inputs["attention_mask"],
        "position_ids": positions_of(batch),
    }
    apart = decoder(**kwargs, use_cache=False).last_hidden_state[batch.answer_positions]
    weight = torch.randn_like(apart)
    expected = torch.autograd.grad((apart * weight).sum(), list(decoder.parameters()), allow_unused=True)
    packed = CommonPrefixes(batch).pack(rows, rows[:0])
    assert packed.length < sum(map(len, ROWS))
    together = decoder(**pack(kwargs, RowAttention(packed)), use_cache=False).last_hidden_state
    together = together[0, packed.keys[batch.answer_positions]]
    torch.testing.assert_close(together, apart)
    found = torch.autograd.grad((together * weight).sum(), list(decoder.parameters()), allow_unused=True)
    # in float64, too, transformers' norms and rotary embeddings compute in float32: of a gradient's size, that is its rounding
    for one, other in zip(found, expected):
        assert (one is None) == (other is None)
        if one is not None:
            bound = (1e-7 if one.dtype == torch.float64 else 1e-6) * float(other.abs().max())
            torch.testing.assert_close(one, other, atol=bound, rtol=0)


@pytest.mark.parametrize("reentrant", [False, True])
def test_layers_that_are_computed_again_in_the_backward_pass(reentrant):
    torch.manual_seed(0)
    decoder = AutoModel.from_config(DECODERS["llama"], attn_implementation="sdpa", dtype=torch.float64)
    batch, rows = rows_of(left=False), torch.arange(len(ROWS))
    embeds = torch.randn(50, 32, dtype=torch.float64)[batch.inputs["input_ids"]].requires_grad_()
    packed = CommonPrefixes(batch).pack(rows, rows[:0])

    def gradients():
        kwargs = {"inputs_embeds": embeds, "position_ids": positions_of(batch)}
        states = decoder(**pack(kwargs, RowAttention(packed)), use_cache=False).last_hidden_state
        loss = states[0, packed.keys[batch.answer_positions]].square().sum()
        return torch.autograd.grad(loss, embeds) if not reentrant else (loss.backward(), embeds.grad.clone())[1:]

    expected = gradients()[0]
    embeds.grad = None
    decoder.train().gradient_checkpointing_enable({"use_reentrant": reentrant})
    torch.testing.assert_close(gradients()[0], expected, atol=1e-12, rtol=0)


def test_a_prefix_that_was_computed_before(decoder):
    batch = rows_of(left=False)
    common, rows = CommonPrefixes(batch), torch.tensor([0, 1, 3])
    table = torch.randn(50, 32, dtype=decoder.dtype)
    kwargs = {
        "inputs_embeds": table[batch.inputs["input_ids"][rows]],
        "attention_mask": batch.inputs["attention_mask"][rows],
        "position_ids": positions_of(batch)[rows],
    }
    positions = batch.answer_positions[rows]
    apart = decoder(**kwargs, use_cache=False).last_hidden_state[positions]
    cache, prefixes = PrefixCache(), common.pack_prefixes(rows)
    decoder(**pack(kwargs, RowAttention(prefixes, keep=cache)), use_cache=False)
    rest = common.rest(prefixes, torch.arange(3), rows)
    assert prefixes.length == len(COMMON) and rest.before == len(COMMON)
    together = decoder(**pack(kwargs, RowAttention(rest, prefix=cache)), use_cache=False).last_hidden_state
    torch.testing.assert_close(together[0, rest.keys[positions] - rest.before], apart)


def test_a_layer_that_looks_ahead_is_refused(kernel):
    torch.manual_seed(0)
    decoder = AutoModel.from_config(DECODERS["llama"], attn_implementation=kernel, dtype=torch.float64).eval()
    decoder.layers[1].self_attn.is_causal = False
    batch, rows = rows_of(left=False), torch.arange(len(ROWS))
    kwargs = {"inputs_embeds": torch.randn(len(ROWS), batch.labels.shape[1], 32, dtype=torch.float64)}
    with pytest.raises(ModalityInterferenceError, match="LlamaAttention is not causal.*`share_prefix: false`"):
        decoder(**pack(kwargs, RowAttention(CommonPrefixes(batch).pack(rows, rows[:0]))), use_cache=False)


def test_an_attention_that_does_not_know_of_rows_fails_instead_of_computing_something_else():
    decoder = AutoModel.from_config(DECODERS["llama"], attn_implementation="sdpa", dtype=torch.float64)
    batch, rows = rows_of(left=False), torch.arange(len(ROWS))
    kwargs = {"inputs_embeds": torch.randn(len(ROWS), batch.labels.shape[1], 32, dtype=torch.float64)}
    packed = pack(kwargs, RowAttention(CommonPrefixes(batch).pack(rows, rows[:0])))
    del packed["row_attention"]
    with pytest.raises(RuntimeError, match="must match|expand"):
        decoder(**packed, use_cache=False)


def test_visual_tokens_of_deepstack_are_those_of_the_sequence():
    batch, rows = rows_of(left=False), torch.arange(len(ROWS))
    mask = torch.zeros(batch.labels.shape, dtype=torch.bool)
    mask[:, 1:3] = True  # tokens 1 and 2 of every row: the last two rows have their own
    layer = torch.arange(int(mask.sum()), dtype=torch.float64)[:, None]
    kwargs = {
        "inputs_embeds": torch.zeros(*batch.labels.shape, 2),
        "visual_pos_masks": mask,
        "deepstack_visual_embeds": [layer],
        "position_ids": torch.arange(3 * mask.numel()).view(3, *mask.shape),
        "cache_position": torch.arange(mask.shape[1]),
        "use_cache": False,
    }
    attention = RowAttention(CommonPrefixes(batch).pack(rows, rows[:0]))
    packed = pack(kwargs, attention)
    places = attention.rows.flat_index
    assert packed["visual_pos_masks"].shape == (1, len(places))
    assert packed["deepstack_visual_embeds"][0].flatten().tolist() == [
        0,
        1,
        5,
        8,
    ]  # row 2 shares two tokens, row 4 none
    assert torch.equal(packed["position_ids"][:, 0], kwargs["position_ids"].flatten(1)[:, places])
    assert packed["cache_position"].tolist() == list(range(len(places))) and packed["use_cache"] is False
