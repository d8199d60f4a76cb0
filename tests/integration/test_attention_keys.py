"""`attention_probe`, `alignment_weight` and `alignment_layers`: what is refused, and how."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.arguments import PLUGIN_NAME, PluginArguments, parse_layers, validate
from modality_interference.errors import ModalityInterferenceError


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
    ],
)
def test_bad_values_are_refused(key, value, message):
    with pytest.raises(ModalityInterferenceError) as error:
        validate(PluginArguments(**{"plugin": PLUGIN_NAME, key: value}))

    assert message in str(error.value) and key in str(error.value)


def test_yaml_may_bring_a_number():
    arguments = PluginArguments(plugin=PLUGIN_NAME, alignment_layers=12)
    validate(arguments)
    assert parse_layers(arguments.alignment_layers, 28) == [12]


@given(st.text(max_size=12) | st.from_regex("[0-9,\\- ]{1,12}", fullmatch=True), st.integers(1, 100))
def test_any_text_is_read_or_refused(text, depth):
    try:
        layers = parse_layers(text, depth)
    except ModalityInterferenceError as error:
        assert "alignment_layers" in str(error)
    else:
        assert layers == sorted(set(layers)) and set(layers) <= set(range(depth)) and layers


@given(st.sets(st.integers(0, 60), min_size=1))
def test_numbers_come_back(numbers):
    assert parse_layers(",".join(map(str, numbers)), 61) == sorted(numbers)
