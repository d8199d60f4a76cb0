"""Plots of the white-box profile, and untrusted files that hold one."""

import json

import pytest
from helpers.diagnoses import diagnosis, scored
from PIL import Image

from modality_interference.errors import ModalityInterferenceError
from modality_interference.report.comparison import compare_runs
from modality_interference.report.page import write_report
from modality_interference.report.plots.attention import attention_plots, contrast_plots
from modality_interference.report.table import MOST_DRAWN
from modality_interference.results import (
    JSON_FILE,
    AttentionContrast,
    AttentionProfile,
    AttentionShares,
    Estimate,
    read_diagnosis,
    write_results,
)


def clip_profile(effects):
    """A profile of clips with these effects in the second of two layers, by condition and modality."""
    shares = dict(rows=4, layers=[[0.5, 0.5]] * 2, heads=[[[0.5, 0.5]]] * 2)
    contrasts = []
    for (condition, modality), value in effects.items():
        sizes = [Estimate(value=size, low=size - 0.5, high=size + 0.5) for size in (0.1, value)]
        other = "audio" if modality == "video" else "video"
        fields = dict(asked=modality, other=other, asked_rows=4, other_rows=4)
        contrasts.append(AttentionContrast(modality=modality, condition=condition, layers=sizes, **fields))

    conditions = [AttentionShares(dataset="clips", kind="video", perturbation="clean", **shares)]
    return AttentionProfile(groups=["text", "video"], conditions=conditions, contrasts=contrasts)


def test_misaligned_clips_beside_aligned_ones_before_and_after():
    keys = [(condition, modality) for modality in ("video", "audio") for condition in ("clean", "misaligned")]
    before, after = (
        clip_profile(dict(zip(keys, values, strict=True))) for values in ((0.6, 0.4, 0.5, -0.7), (1.6, 1.4, 1, 0.9))
    )
    (plot,) = contrast_plots({"before": before, "after": after}, "x.png")
    assert "video tokens, misaligned clips, before: 0.40 (-0.10 to 0.90) in layer 1" in plot.caption
    assert "audio tokens, misaligned clips, before: -0.70 (-1.20 to -0.20) in layer 1" in plot.caption
    assert "video tokens, after: 1.60 (1.10 to 2.10) in layer 1" in plot.caption
    assert plot.svg.count("misaligned clips") == 2 and plot.svg.count("prompts<") == 4
    (alone,) = contrast_plots({"this run": clip_profile({("misaligned", "video"): 0.4})}, "x.png")
    assert "The largest by layer: video tokens, misaligned clips: 0.40" in alone.caption


def profile(depth=3, undefined=False):
    """Two conditions, one of them with an untrusted name, and a contrast."""
    layers = [[0.5, 0.3, 0.2]] * depth
    shares = dict(rows=4, layers=layers, heads=[[layer, layer] for layer in layers])
    size = Estimate(value=None, low=None, high=None) if undefined else Estimate(value=1.5, low=0.5, high=2.5)
    return AttentionProfile(
        groups=["text", "image", "special"],
        conditions=[
            AttentionShares(dataset="pictures", kind="image", perturbation="clean", **shares),
            AttentionShares(dataset="<b>$x$</b>", kind="text", perturbation="random_pixels", **shares),
        ],
        contrasts=[
            AttentionContrast(
                modality="image", asked="image", other="text", condition="all", asked_rows=4, other_rows=4,
                layers=[size] * depth,
            )
        ],
    )  # fmt: skip


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("depth", [1, 3, 48])
def test_plots_of_shallow_and_deep_models(tmp_path, depth, undefined):
    files = write_report(tmp_path, diagnosis(attention=profile(depth, undefined)), scored(correct=[True]))
    names = {path.name for path in files}
    assert {"interference_attention.png", "interference_attention_contrasts.png"} <= names
    with Image.open(tmp_path / "interference_attention.png") as plot:
        shallow = 1.3 if depth < 10 else 0.14 * depth  # inches of a heatmap
        assert plot.height == pytest.approx(144 * (0.4 + 2 * (shallow + 0.85)), abs=2)  # a line of panels per dataset

    assert "Where the model looks" in (tmp_path / "interference.html").read_text()


def test_an_earlier_runs_plots_go(tmp_path):
    write_report(tmp_path, diagnosis(attention=profile()), scored(correct=[True]))
    write_report(tmp_path, diagnosis(), scored(correct=[True]))
    assert not list(tmp_path.glob("interference_attention*"))
    assert "Where the model looks" not in (tmp_path / "interference.html").read_text()


def test_what_is_written_is_read(tmp_path):
    found = diagnosis(attention=profile(undefined=True))
    write_results(tmp_path, found, [])
    assert read_diagnosis(tmp_path).attention == found.attention


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["groups"].append("smell"),
        lambda found: found["conditions"][1]["layers"].pop(),
        lambda found: found["conditions"][0]["heads"][2][1].append(0.1),
        lambda found: found["contrasts"][0]["layers"].pop(),
        lambda found: found["conditions"][0]["layers"][0].__setitem__(0, 1.5),
        lambda found: found["conditions"][0].__setitem__("rows", 0),
    ],
)
def test_untrusted_profiles_are_checked(tmp_path, change):
    write_results(tmp_path, diagnosis(attention=profile()), [])
    content = json.loads((tmp_path / JSON_FILE).read_text())
    change(content["attention"])
    (tmp_path / JSON_FILE).write_text(json.dumps(content))
    with pytest.raises(ModalityInterferenceError, match="`attention"):
        read_diagnosis(tmp_path)


def test_runs_are_compared(tmp_path):
    rows = scored(correct=[True, False])
    for name, attention in (("base", profile()), ("plain", None), ("all", profile())):
        write_results(tmp_path / name, diagnosis(attention=attention), rows)

    page = compare_runs([tmp_path / name for name in ("base", "plain", "all")], tmp_path / "out")
    assert "Does the prompt direct attention?" in page.read_text()
    assert (tmp_path / "out" / "comparison_attention_contrasts.png").stat().st_size > 5000


def test_not_all_of_very_many_conditions_are_drawn():
    few = profile()
    many = few.model_copy(update={"conditions": [few.conditions[0]] * (2 * MOST_DRAWN)})
    assert f"Of {2 * MOST_DRAWN}, the first {MOST_DRAWN} are drawn." in attention_plots(many)[0].caption
    assert "are drawn." not in attention_plots(few)[0].caption
