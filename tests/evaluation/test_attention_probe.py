"""The probe's shares against the full maps of eager attention, family by family."""

import pytest
import torch
from helpers.tiny_models import FAMILIES
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, Gemma2Config

from modality_interference.attention.interface import AttentionInputs, with_listener
from modality_interference.attention.scores import (
    GROUPS,
    Queries,
    ShareProbe,
    attention_scores,
    group_weights,
    visible_keys,
)
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality
from modality_interference.train.hooks import ModelParts


IMAGE_FAMILIES = [name for name in FAMILIES if FAMILIES[name].image_token]
LONG = " ".join(["What is shown in the image?"] * 6)  # longer than Gemma 3's sliding window


def load(folder, implementation):
    kind = AutoModelForImageTextToText
    return kind.from_pretrained(folder, attn_implementation=implementation, dtype=torch.float32).eval()


def inputs_of(folder, family, side):
    """Three rows of unequal length: an image, no image, an image and a long question."""
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.padding_side = side
    placeholder = getattr(processor, "boi_token", None) or processor.image_token
    texts = [f"{placeholder} Which digit is shown?", "What is 10 plus 23? Answer.", f"{placeholder} {LONG}"]
    shown = [[Image.new("RGB", (40, 40), "red")], [Image.new("RGB", (48, 40), "blue")]]
    images = [shown[0], [], shown[1]]
    if family in ("llava", "internvl") or family.startswith("qwen"):
        images = [image for row in images for image in row]

    return processor(text=texts, images=images, padding=True, return_tensors="pt")


def expected_shares(maps, row, position, groups):
    """(layers, heads, groups) from eager attention's full maps, summed token by token."""
    result = torch.zeros(len(maps), maps[0].shape[1], len(GROUPS))
    for layer, full in enumerate(maps):
        for token, group in enumerate(groups[row].tolist()):
            result[layer, :, group] += full[row, :, position, token]

    return result


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", IMAGE_FAMILIES)
def test_shares_are_those_of_eager_attention(family, side, implementation, checkpoint):
    folder = checkpoint(family)
    eager, model = load(folder, "eager"), load(folder, implementation)
    inputs = inputs_of(folder, family, side)
    with torch.no_grad():
        maps = eager(**inputs, output_attentions=True, use_cache=False).attentions

    attended = inputs["attention_mask"].bool()
    places = torch.arange(attended.shape[1])
    last = torch.where(attended, places, -1).max(dim=1).values
    image = AutoProcessor.from_pretrained(folder).image_token_id
    is_image = inputs["input_ids"] == image
    assert is_image.any(dim=1).tolist() == [True, False, True]
    bits = torch.where(is_image, Modality.IMAGE.bit, Modality.TEXT.bit) * attended
    rows = torch.tensor([2, 0, 1])
    probe = ShareProbe(Queries(rows, last[rows, None]), group_weights(bits)[rows])
    with torch.no_grad(), ModelParts.of(model).hooked(lambda kwargs: with_listener(kwargs, probe)):
        plain = model(**inputs, use_cache=False).logits

    groups = torch.where(is_image, GROUPS.index("image"), torch.where(attended, 0, GROUPS.index("special")))
    for place, row in enumerate(rows.tolist()):
        expected = expected_shares(maps, row, last[row], groups)
        assert torch.allclose(probe.shares()[place], expected, atol=1e-5)
        assert (expected[..., GROUPS.index("image")] > 0).any() == (row != 1)

    assert torch.allclose(probe.shares().sum(dim=-1), torch.ones(()), atol=1e-5)
    with torch.no_grad():
        assert torch.equal(plain, model(**inputs, use_cache=False).logits)  # listening changes nothing


def test_shares_are_not_rounded_where_training_runs_in_bfloat16(checkpoint):
    """Mixed precision keeps weights in float32 and multiplies in bfloat16, of which shares would add up to 1 roughly."""
    folder = checkpoint("qwen2_5_vl")
    model, inputs = load(folder, "sdpa"), inputs_of(folder, "qwen2_5_vl", "right")
    last, rows = inputs["attention_mask"].sum(dim=1) - 1, torch.arange(3)
    bits = torch.full_like(inputs["input_ids"], Modality.TEXT.bit)
    bits[:, ::3] = Modality.IMAGE.bit
    probe = ShareProbe(Queries(rows, last[:, None]), group_weights(bits))
    hooked = ModelParts.of(model).hooked(lambda kwargs: with_listener(kwargs, probe))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), hooked:
        assert model(**inputs, use_cache=False).logits.dtype == torch.bfloat16

    assert probe.shares().dtype == torch.float32
    assert torch.allclose(probe.shares().sum(dim=-1), torch.ones(()), atol=1e-5)


def text_inputs(**keys):
    """One row of four tokens, two heads that share a key head; all queries and keys differ."""
    rng = torch.Generator().manual_seed(0)
    query, key = torch.randn(1, 2, 4, 3, generator=rng), torch.randn(1, 1, 4, 3, generator=rng)
    defaults = dict(layer=0, mask=None, scaling=0.7, softcap=None, window=None, causal=True)
    return AttentionInputs(query=query, key=key, value=key, **{**defaults, **keys})


@pytest.mark.parametrize(
    ("keys", "position", "seen"),
    [
        ({}, 2, [1, 1, 1, 0]),
        ({"causal": False}, 2, [1, 1, 1, 1]),
        ({"window": 2}, 3, [0, 0, 1, 1]),
        ({"mask": torch.tensor([[0, 1, 1, 1]])}, 3, [0, 1, 1, 1]),  # of FlashAttention: padding only
        ({"mask": torch.tensor([[0, 1, 1, 1]]), "window": 3}, 3, [0, 1, 1, 1]),
        ({"mask": torch.tensor([[1, 1, 1, 0]])}, 2, [1, 1, 1, 0]),
        ({"mask": torch.tensor([[[[True, False, True, False]] * 4]])}, 1, [1, 0, 1, 0]),  # of SDPA
        ({"mask": torch.tensor([[[[0.0, -1e30, 0.0, -1e30]] * 4]])}, 1, [1, 0, 1, 0]),  # of eager attention
    ],
)
def test_what_a_query_sees(keys, position, seen):
    inputs = text_inputs(**keys)
    queries = Queries(torch.tensor([0]), torch.tensor([[position]]))
    assert visible_keys(inputs, queries).expand(1, 1, 1, 4).flatten().tolist() == [bool(value) for value in seen]
    scores = attention_scores(inputs, queries)
    for head in range(2):
        expected = [
            0.7 * torch.dot(inputs.query[0, head, position], inputs.key[0, 0, token]).item()
            if seen[token]
            else -torch.inf
            for token in range(4)
        ]
        assert scores[0, head, 0].tolist() == pytest.approx(expected, rel=1e-5)


def test_soft_caps_and_heads_that_share_keys_and_windows():
    """Gemma 2 under eager attention: capped scores, four heads on two keys, a window of 8 in every other layer."""
    config = Gemma2Config(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8, sliding_window=8, attn_logit_softcapping=0.5,
        attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)

    ids = torch.randint(3, 64, (2, 20))
    with torch.no_grad():
        maps = model(input_ids=ids, output_attentions=True, use_cache=False).attentions

    bits = torch.tensor([Modality.TEXT.bit] * 12 + [Modality.AUDIO.bit] * 8).expand(2, -1)
    probe = ShareProbe(Queries(torch.arange(2), torch.full((2, 1), 17)), group_weights(bits))
    handle = model.get_decoder().register_forward_pre_hook(
        lambda module, args, kwargs: (args, with_listener(kwargs, probe)), with_kwargs=True
    )
    with torch.no_grad():
        model(input_ids=ids, use_cache=False)

    handle.remove()
    groups = torch.tensor([GROUPS.index("text")] * 12 + [GROUPS.index("audio")] * 8).expand(2, -1)
    for row in range(2):
        assert torch.allclose(probe.shares()[row], expected_shares(maps, row, 17, groups), atol=1e-5)


def test_keys_of_a_cache_are_refused():
    inputs = text_inputs()
    longer = AttentionInputs(**{**vars(inputs), "key": torch.cat([inputs.key, inputs.key], dim=2)})
    with pytest.raises(ModalityInterferenceError, match="4 tokens, but the model has 8 keys"):
        attention_scores(longer, Queries(torch.tensor([0]), torch.tensor([[3]])))
