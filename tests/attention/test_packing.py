"""Which models can share prefixes, and what `share_prefix` says of the others."""

import pytest
from helpers.tiny_models import CLIP_FAMILIES, FAMILIES
from transformers import AutoModel, AutoModelForImageTextToText, DogeConfig, Lfm2Config

from modality_interference.arguments import PluginArguments, validate
from modality_interference.attention.packing import obstacle, shares_prefixes
from modality_interference.errors import ModalityInterferenceError
from modality_interference.train.hooks import ModelParts


def decoder_of(checkpoint, family):
    return ModelParts.of(AutoModelForImageTextToText.from_pretrained(checkpoint(family))).decoder


@pytest.mark.parametrize("family", [*FAMILIES, "llava_next_video"])
def test_every_family_can(checkpoint, family):
    assert family in FAMILIES or family in CLIP_FAMILIES
    assert obstacle(decoder_of(checkpoint, family)) is None


def test_a_kernel_that_takes_no_prefixes(checkpoint):
    decoder = decoder_of(checkpoint, "llava")
    decoder.config._attn_implementation = "flash_attention_2"
    message = r"`share_prefix: true`, but the attention kernel `flash_attention_2` does not support it.*sdpa, eager.*`auto`|auto"
    with pytest.raises(ModalityInterferenceError, match=message):
        shares_prefixes("true", decoder)

    assert not shares_prefixes("auto", decoder)
    assert not shares_prefixes("false", decoder)


def test_layers_without_attention():
    config = Lfm2Config(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, layer_types=["conv", "full_attention"],
    )  # fmt: skip
    why = obstacle(AutoModel.from_config(config))
    assert why == "Lfm2Model has layers other than full and sliding attention (conv)"


def test_an_attention_that_makes_its_own_mask():
    config = DogeConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1,
    )  # fmt: skip
    why = obstacle(AutoModel.from_config(config))
    assert why == "DogeAttention makes a mask of its own, for rows that are not packed"


def test_eager_attention_outside_of_the_interface(checkpoint):
    decoder = decoder_of(checkpoint, "gemma4")
    assert obstacle(decoder) is None
    decoder.config._attn_implementation = "eager"
    why = obstacle(decoder)
    assert why == "Gemma4TextAttention computes eager attention outside of transformers' attention interface"


def test_attention_in_both_directions(checkpoint):
    why = obstacle(decoder_of(checkpoint, "paligemma"))
    assert why == "GemmaAttention is not causal: tokens see later ones, in which rows differ"


@pytest.mark.parametrize(("written", "settled"), [(True, "true"), (False, "false"), ("AUTO", "auto")])
def test_what_yaml_makes_of_the_key(written, settled):
    arguments = PluginArguments(plugin="modality_interference", share_prefix=written)
    validate(arguments)
    assert arguments.share_prefix == settled


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"share_prefix": "yes"}, "`share_prefix`: Input should be 'auto', 'true' or 'false', found 'yes'"),
        (
            {"adversarial_rows_per_pass": -1},
            r"`adversarial_rows_per_pass` must be a whole number of at least 0 \(0 for all at once\), found -1",
        ),
        ({"adversarial_rows_per_pass": 1.5}, "`adversarial_rows_per_pass` must be a whole number .* found 1.5"),
    ],
)
def test_values_that_are_refused(keys, message):
    with pytest.raises(ModalityInterferenceError, match=message):
        validate(PluginArguments(plugin="modality_interference", **keys))
