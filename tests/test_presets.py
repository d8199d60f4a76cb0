"""Presets: their values against tables written by hand, what wins over them, and where they are seen."""

from typing import Any

import pytest
from helpers.recipes import published

from modality_interference.arguments import DEFAULTS, PLUGIN_NAME, PluginArguments, validate
from modality_interference.errors import ModalityInterferenceError
from modality_interference.presets import PRESETS, apply_preset, preset_line, resolved


# Read off the files of the paper's code (`configs/model_train`): consistency, weight, attack, steps, radius, mix. The weights are
# for the plugin's means. With an attack, of 2:2:4 rows the code adds up 2 x 5 + 2 x 7 variants and divides by 8: 3 times the file's
# weight; of 1:1:6 rows 1.5 times, of 2:2:6 rows 2.4 times. Without one, it adds up 2 x 2 + 2 x 3 and divides by 4: 2.5 times.
PUBLISHED = """
qwen2.5-vl-7b/args_full_KL_PGD                   reverse_kl 0.03    pgd      2 0.001 image=2,text=2,both=4
qwen2.5-vl-7b/args_full_JS_PGD                   js         0.0015  pgd      1 0.001 image=1,text=1,both=6
qwen2.5-vl-7b/only_consistency/args_KL_full      reverse_kl 0.025   none     - -     image=1,text=1,both=6
qwen2.5-vl-7b/only_consistency/args_JS_full      js         0.025   none     - -     image=2,text=2,both=4
qwen2.5-vl-7b/only_adversarial/args_full_PGD     none       -       pgd      1 0.001 image=2,text=2,both=2
qwen2.5-vl-7b/only_adversarial/args_full_RG      none       -       gaussian - 0.05  image=1,text=1,both=6
qwen2.5-vl-7b/vinilla/args_full                  none       -       none     - -     image=1,text=1,both=6
qwen2.5-vl-7b/vinilla/args_onlyvqa               none       -       none     - -     both=6
qwen2.5-vl-3b/args_full_KL_PGD                   reverse_kl 0.003   pgd      2 0.01  image=2,text=2,both=4
qwen2.5-vl-3b/args_full_JS_PGD                   reverse_kl 0.0024  pgd      2 0.001 image=2,text=2,both=6
qwen2.5-vl-3b/only_consistency/args_KL_full      reverse_kl 0.025   none     - -     image=2,text=2,both=4
qwen2.5-vl-3b/only_consistency/args_JS_full      js         0.025   none     - -     image=2,text=2,both=4
qwen2.5-vl-3b/only_adversarial/args_full_PGD     none       -       pgd      1 0.01  image=2,text=2,both=4
qwen2.5-vl-3b/vinilla/args_full                  none       -       none     - -     image=2,text=2,both=4
llava-v1.5-7b/args_full_KL_PGD                   reverse_kl 0.03    pgd      2 0.001 image=2,text=2,both=4
llava-v1.5-7b/only_consistency/args_KL_full      reverse_kl 0.025   none     - -     image=2,text=2,both=4
llava-v1.5-7b/only_adversarial/args_full_PGD     none       -       pgd      1 0.001 image=2,text=2,both=4
llava-v1.5-7b/only_adversarial/args_full_RG      none       -       gaussian - 0.05  -
llava-v1.5-7b/vinilla/args_full                  none       -       none     - -     image=1,text=3,both=4
instructBlip-7b/args_full_KL_PGD                 reverse_kl 0.03    pgd      4 0.05  image=2,text=2,both=4
instructBlip-7b/only_consistency/args_KL_full    reverse_kl 0.025   none     - -     image=2,text=2,both=4
instructBlip-7b/only_consistency/args_JS_full    js         0.025   none     - -     image=2,text=2,both=4
instructBlip-7b/only_adversarial/args_full_PGD   none       -       pgd      1 0.05  image=2,text=2,both=4
instructBlip-7b/only_adversarial/args_full_RG    none       -       gaussian - 0.05  -
instructBlip-7b/vinilla/args_full                none       -       none     - -     image=3,text=3,both=2
instructBlip-7b/vinilla/args_full_nounimodality  none       -       none     - -     both=8
instructBlip-7b/vinilla/args_full_novqa          none       -       none     - -     image=3,text=3
"""


def cells(text: str) -> dict[str, dict[str, Any]]:
    columns = {
        "consistency_method": str,
        "consistency_weight": float,
        "adversarial_method": str,
        "adversarial_steps": int,
        "adversarial_epsilon": float,
        "batch_mix": str,
    }
    table = {}
    for line in text.strip().splitlines():
        name, *values = line.split()
        table[name] = {key: read(cell) for (key, read), cell in zip(columns.items(), values) if cell != "-"}

    return table


def test_published_configurations():
    table, constant = cells(PUBLISHED), {"consistency_temperature": 1.0, "adversarial_step_size": 0.1}
    constant |= {"adversarial_update": "gradient", "adversarial_weight": 1.0, "twins_per_example": "all"}
    assert {f"paper/{name}" for name in table} == {name for name in PRESETS if "/" in name}
    for name, expected in table.items():
        values = PRESETS[f"paper/{name}"]
        assert {key: value for key, value in values.items() if key not in constant} == expected, name
        assert {key: value for key, value in values.items() if key in constant}.items() <= constant.items(), name


def test_the_short_names():
    assert {name for name in PRESETS if "/" not in name} == {"recommended", "paper", "alignment_tuning"}
    assert PRESETS["paper"] == PRESETS["paper/qwen2.5-vl-7b/args_full_KL_PGD"]
    assert PRESETS["alignment_tuning"] == {
        "consistency_method": "none",
        "adversarial_method": "none",
        "alignment_weight": 0.0,
    }
    assert PRESETS["recommended"] == {
        "consistency_method": "js",
        "consistency_weight": 1.0,
        "consistency_temperature": 1.0,
        "adversarial_method": "none",
        "twins_per_example": "all",
    }


def test_presets_and_recipes_of_the_published_configurations_differ_in_the_converted_weight_alone():
    for recipe in published():
        values = dict(PRESETS[f"paper/{recipe.name}"])
        values.pop("consistency_weight", None)
        assert (
            values.items()
            <= (
                recipe.keys | {"adversarial_update": "gradient", "adversarial_weight": 1.0, "twins_per_example": "all"}
            ).items()
        )


@pytest.mark.parametrize("name", list(PRESETS))
def test_values_are_what_the_keys_take(name):
    arguments = PluginArguments(plugin=PLUGIN_NAME, preset=name)
    apply_preset(arguments, {"plugin", "preset"})
    validate(arguments)
    assert resolved(arguments) == {"preset": name, **PRESETS[name]}


def test_without_a_preset_there_are_the_defaults():
    arguments = PluginArguments(plugin=PLUGIN_NAME)
    apply_preset(arguments, {"plugin"})
    assert {key: getattr(arguments, key) for key in DEFAULTS} == DEFAULTS | {"plugin": PLUGIN_NAME}
    assert resolved(arguments) == {} and preset_line(arguments) is None


def test_a_written_key_wins_even_where_it_is_the_default():
    written = {"consistency_method": "js", "adversarial_steps": 3, "batch_mix": None}
    arguments = PluginArguments(plugin=PLUGIN_NAME, preset="paper", **written)
    apply_preset(arguments, {"plugin", "preset", *written})
    assert {key: getattr(arguments, key) for key in written} == written
    assert (arguments.adversarial_method, arguments.consistency_weight) == ("pgd", 0.03)
    assert preset_line(arguments) == (
        "`preset: paper`: consistency_method: js, adversarial_method: pgd, twins_per_example: all, consistency_weight: 0.03, "
        "consistency_temperature: 1.0, adversarial_epsilon: 0.001, adversarial_weight: 1.0, adversarial_steps: 3, "
        "adversarial_step_size: 0.1, adversarial_update: gradient, batch_mix: None (consistency_method, adversarial_steps, "
        "batch_mix: the recipe's own)"
    )


@pytest.mark.parametrize(
    ("name", "message"), [("recomended", "Did you mean `recommended`?"), (True, "is True"), ("", "is ''")]
)
def test_an_unknown_name_is_refused(name, message):
    with pytest.raises(ModalityInterferenceError) as error:
        apply_preset(PluginArguments(plugin=PLUGIN_NAME, preset=name), {"plugin", "preset"})

    assert message in str(error.value)
    assert "There are `recommended`, `paper`, `alignment_tuning`, and `paper/...`" in str(error.value)
