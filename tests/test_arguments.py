"""The YAML keys: what is refused, and how."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from transformers import HfArgumentParser

from modality_interference.arguments import (
    PLUGIN_NAME,
    PluginArguments,
    parse_batch_mix,
    parse_layers,
    refuse_without_flag,
    validate,
)
from modality_interference.errors import ModalityInterferenceError


def test_the_defaults_are_valid():
    arguments = PluginArguments(plugin=PLUGIN_NAME)
    validate(arguments)
    assert arguments.consistency_on and arguments.twins_limit is None
    assert not arguments.adversarial_on
    assert not arguments.counterfactual_on


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("plugin", "modality_inference", "`plugin` is 'modality_inference'; the only one is"),
        ("consistency_method", "cosine", "Input should be 'none', 'kl', 'reverse_kl', 'js' or 'mse', found 'cosine'"),
        ("adversarial_method", "PGD", "Input should be 'none', 'gaussian'"),
        ("adversarial_update", "adam", "Input should be 'gradient', 'sign' or 'normalized'"),
        ("adversarial_epsilon", -0.1, "`adversarial_epsilon` must be a finite number of at least 0, found -0.1"),
        ("consistency_temperature", 0, "above 0"),
        ("consistency_weight", float("nan"), "finite"),
        ("adversarial_weight", "1e-3", "`adversarial_weight` must be a finite number of at least 0, found '1e-3'"),
        (
            "adversarial_steps",
            0,
            "`adversarial_steps` must be a whole number of at least 1 (for no attack, use `adversarial_method: none`), found 0",
        ),
        ("adversarial_steps", 2.5, "whole number"),
        ("twins_per_example", 0, "`all` or a whole number of at least 1"),
        (
            "twins_per_example",
            "some",
            "`twins_per_example` must be `all` or a whole number of at least 1, found 'some'",
        ),
        ("counterfactual_weight", -1.0, "a finite number of at least 0, found -1.0"),
        ("counterfactual_method", "dpo", "Input should be 'contrast', 'uniform' or 'abstain', found 'dpo'"),
        ("counterfactual_margin", float("inf"), "a finite number of at least 0"),
        ("counterfactual_beta", 0.0, "`counterfactual_beta` must be a finite number above 0, found 0.0"),
        ("batch_mix", "image=2,image=3", "different kinds"),
        ("batch_mix", "picture=2", "kinds: text, image, video, audio, both, plain"),
        ("batch_mix", "image=0", "at least 1"),
    ],
)
def test_bad_values_are_refused(key, value, message):
    with pytest.raises(ModalityInterferenceError) as error:
        validate(PluginArguments(**{"plugin": PLUGIN_NAME, key: value}))

    assert message in str(error.value) and key in str(error.value)


def test_yaml_numbers_are_fine_for_twins_per_example():
    arguments = PluginArguments(plugin=PLUGIN_NAME, twins_per_example=3)  # type: ignore[arg-type]
    validate(arguments)
    assert arguments.twins_limit == 3


def parse(*words: str) -> PluginArguments:
    """What LLaMA-Factory makes of `key=value` overrides: OmegaConf reads them, HfArgumentParser takes the dictionary."""
    given = OmegaConf.to_container(OmegaConf.from_cli([f"plugin={PLUGIN_NAME}", *words]))
    (arguments,) = HfArgumentParser(PluginArguments).parse_dict(given)
    return arguments


@pytest.mark.parametrize(
    "word",
    [
        "consistency_weight=nan",
        "consistency_weight=true",
        "alignment_weight=.inf",
        "adversarial_steps=true",
        "adversarial_steps=2.0",
        "attention_probe=1",
        "share_prefix=1",
        "batch_mix=2",
        "twins_per_example=2.5",
        "twins_per_example=true",
        "alignment_layers=1.5",
        "diagnosis_scoring=null",
    ],
)
def test_values_of_another_type_are_refused_after_the_parser_has_run(word):
    arguments = parse(word)
    with pytest.raises(ModalityInterferenceError, match=f"`{word.partition('=')[0]}`.*found"):
        validate(arguments)


def test_numbers_and_booleans_of_yaml_become_what_the_keys_take():
    arguments = parse("share_prefix=true", "alignment_layers=12", "twins_per_example=3", "consistency_weight=1")
    validate(arguments)
    assert (arguments.share_prefix, arguments.alignment_layers, arguments.twins_limit) == ("true", "12", 3)
    assert arguments.consistency_weight == 1.0 and arguments.mix is None
    arguments = parse("batch_mix='image=1,text=2'", "share_prefix=False", "attention_probe=true")
    validate(arguments)
    assert arguments.mix == {"image": 1, "text": 2} and arguments.share_prefix == "false" and arguments.attention_probe


def test_the_parser_reads_words():
    words = ["--plugin", PLUGIN_NAME, "--share-prefix", "false", "--twins_per_example=2", "--attention_probe"]
    (arguments,) = HfArgumentParser(PluginArguments).parse_args_into_dataclasses(words)
    validate(arguments)
    assert (arguments.share_prefix, arguments.twins_limit, arguments.attention_probe) == ("false", 2, True)


@pytest.mark.parametrize("item", fields(PluginArguments), ids=lambda item: item.name)
def test_every_key_has_a_help_text(item):
    assert item.metadata["help"].endswith(".")


def test_batch_mix():
    assert parse_batch_mix(" image=2, text=2,both=4") == {"image": 2, "text": 2, "both": 4}


def test_keys_without_the_flag_are_refused():
    with pytest.raises(
        ModalityInterferenceError, match="`consistency_method` is a key of .*plugin: modality_interference"
    ):
        refuse_without_flag({"stage", "consistency_method"})


def test_other_keys_pass():
    refuse_without_flag({"stage", "do_train"})


# `attention_probe`, `alignment_weight`, `attention_calibration` and their layers


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attention_probe", "yes", "`attention_probe` must be `true` or `false`, found 'yes'"),
        ("alignment_weight", -1, "`alignment_weight` must be a finite number of at least 0, found -1"),
        ("alignment_weight", float("inf"), "finite"),
        ("alignment_layers", "first_half", "`alignment_layers` must be `all`, `last_half`, or"),
        ("alignment_layers", "20-12", "such as `12-20`"),
        ("alignment_layers", "1,,2", "numbers and ranges"),
        ("alignment_layers", "-1", "numbers and ranges"),
        ("alignment_layers", "\u0662", "numbers and ranges"),  # a digit, but not one of ours
        ("alignment_layers", None, "numbers and ranges"),
        ("attention_calibration", "1", "`attention_calibration` must be a number from -100 to 100, found '1'"),
        ("attention_calibration", float("nan"), "from -100 to 100"),
        ("attention_calibration", 101, "from -100 to 100"),
        ("attention_calibration_tokens", "media", "'relevant' or 'irrelevant'"),
        ("attention_calibration_layers", "20-12", "`attention_calibration_layers` must be `all`, `last_half`, or"),
    ],
)
def test_bad_attention_keys_are_refused(key, value, message):
    with pytest.raises(ModalityInterferenceError) as error:
        validate(PluginArguments(**{"plugin": PLUGIN_NAME, key: value}))

    assert message in str(error.value) and key in str(error.value)


def test_yaml_may_bring_a_number_as_layers():
    arguments = PluginArguments(plugin=PLUGIN_NAME, alignment_layers=12)
    validate(arguments)
    assert parse_layers("alignment_layers", arguments.alignment_layers, 28) == [12]


@given(st.text(max_size=12) | st.from_regex("[0-9,\\- ]{1,12}", fullmatch=True), st.integers(1, 100))
def test_any_text_is_read_as_layers_or_refused(text, depth):
    try:
        layers = parse_layers("alignment_layers", text, depth)
    except ModalityInterferenceError as error:
        assert "alignment_layers" in str(error)
    else:
        assert layers == sorted(set(layers)) and set(layers) <= set(range(depth)) and layers


@given(st.sets(st.integers(0, 60), min_size=1))
def test_layers_come_back(numbers):
    assert parse_layers("attention_calibration_layers", ",".join(map(str, numbers)), 61) == sorted(numbers)
