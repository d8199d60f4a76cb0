"""The YAML keys: what is refused, and how."""

import pytest

from modality_interference.arguments import (
    PLUGIN_NAME,
    PluginArguments,
    parse_batch_mix,
    refuse_without_flag,
    validate,
)
from modality_interference.errors import ModalityInterferenceError


def test_the_defaults_are_valid():
    arguments = PluginArguments(plugin=PLUGIN_NAME)
    validate(arguments)
    assert arguments.adversarial_on and arguments.consistency_on and arguments.twins_limit is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("plugin", "modality_inference", "`plugin` is 'modality_inference'; the only one is"),
        ("consistency_method", "cosine", "allowed: none, kl, reverse_kl, js, mse"),
        ("adversarial_method", "PGD", "allowed: none, gaussian"),
        ("adversarial_update", "adam", "allowed: gradient, sign, normalized"),
        ("adversarial_epsilon", -0.1, "`adversarial_epsilon` is -0.1; it must be a finite number of at least 0"),
        ("consistency_temperature", 0, "above 0"),
        ("consistency_weight", float("nan"), "finite"),
        ("adversarial_weight", "1e-3", "`adversarial_weight` is '1e-3'"),
        ("adversarial_steps", 0, "`adversarial_steps` is 0; it must be a whole number of at least 1"),
        ("adversarial_steps", 2.5, "whole number"),
        ("twins_per_example", 0, "`all` or a whole number of at least 1"),
        ("twins_per_example", "some", "`twins_per_example` is 'some'"),
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


def test_batch_mix():
    assert parse_batch_mix(" image=2, text=2,both=4") == {"image": 2, "text": 2, "both": 4}


@pytest.mark.parametrize(
    "given",
    [{"consistency_method": "js"}, ["--consistency_method", "js"], ["--consistency-method=js"]],
)
def test_keys_without_the_flag_are_refused(given):
    with pytest.raises(ModalityInterferenceError, match="`consistency_method`.*plugin: modality_interference"):
        refuse_without_flag(given, PluginArguments())


def test_abbreviated_words_are_seen_by_their_effect():
    with pytest.raises(ModalityInterferenceError, match="adversarial_steps"):
        refuse_without_flag(["--adversarial_ste", "5"], PluginArguments(adversarial_steps=5))


def test_other_keys_pass():
    refuse_without_flag({"stage": "sft"}, PluginArguments())
