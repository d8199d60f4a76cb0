"""The sweep over `attention_calibration`: two constants on a tiny model that sees and hears, and what its table and plot say."""

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml
from helpers.av_data import SWAPS, write_clips
from helpers.runs import recipe
from helpers.tiny_models import build
from PIL import Image

from modality_interference.results import read_diagnosis


SCRIPT = Path(__file__).parents[2] / "examples" / "clips" / "attention_sweep.py"


def load():
    spec = importlib.util.spec_from_file_location("attention_sweep", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


sweep = load()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a sweep in the first layer, and another diagnosis beside it: that with the constant of an earlier one."""
    folder = tmp_path_factory.mktemp("sweep")
    model = build("qwen2_5_omni", folder / "model")
    data = write_clips(folder / "data", clips=2, longer=0.0, few={"twins": {"perturbations": SWAPS}})
    settings = dict(do_train=False, do_eval=True, dataset=None, eval_dataset="few", max_steps=None)
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump(recipe(model, "qwen2_omni", data, folder / "unused", **settings))
    )
    with pytest.MonkeyPatch.context() as patch:
        words = ["--recipe", folder / "recipe.yaml", "--output", folder / "out", "--layers", "0", "--constants"]
        patch.setattr(sys, "argv", ["attention_sweep", str(model), *map(str, words), "3", "0"])
        sweep.main()

    return folder / "out"


def test_the_share_grows_with_the_constant(swept):
    """In the first layer alone, whose scores do not depend on what a constant does: each head's share is at most e^3 times as large."""
    without, with_more = (read_diagnosis(swept / name) for name in ("0", "3"))
    assert without.calibration is None
    assert (with_more.calibration.constant, with_more.calibration.layers) == (3, "0")
    for before, after in zip(without.attention.conditions, with_more.attention.conditions, strict=True):
        column = without.attention.groups.index(before.kind)
        for low, high in zip(before.heads[0], after.heads[0], strict=True):
            assert low[column] < high[column] < min(1, 20.1 * low[column])


def test_the_table_has_the_figures_of_the_diagnoses(swept):
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (swept / "attention_sweep.md").read_text().splitlines()
    ]
    assert len(lines) == 2 + 2 * 2 * 2  # two questions, clean and misaligned, two constants
    found = read_diagnosis(swept / "3")
    (shares,) = [
        one for one in found.attention.conditions if (one.kind, one.perturbation) == ("audio", "swapped_video")
    ]
    rates = found.datasets["few"].kinds["audio"]["swapped_video"].rates
    share = shares.layers[0][found.attention.groups.index("audio")]
    cells = [
        f"{100 * rates[name].value:.1f} ({100 * rates[name].low:.1f} to {100 * rates[name].high:.1f}) %"
        for name in ("accuracy", "flip_rate")
    ]
    assert ["audio", "few", "swapped_video", "+3 nats", f"{share:.3f}", *cells] in lines
    assert [line[5] for line in lines if line[2] == "clean" and line[0] == "video" and line[6] == ""] != []
    with Image.open(swept / "attention_sweep.png") as image:
        assert image.format == "PNG"


def test_the_plot_joins_the_constants_and_marks_other_models(swept):
    runs = {0.0: read_diagnosis(swept / "0"), 3.0: read_diagnosis(swept / "3")}
    points = [
        one for constant, found in runs.items() for one in sweep.points_of(found, f"{constant:+g}", constant, "all")
    ]
    tuned = list(sweep.points_of(runs[3.0], "tuned", None, "all"))
    figure = sweep.draw([*points, *tuned], 11.0)
    accuracy, _, flips, _ = figure.axes
    kinds = [axes.get_title().removeprefix("questions about ") for axes in figure.axes[:2]]
    clean = [point for point in points if (point.kind, point.condition[1]) == (kinds[0], "clean")]
    lines = [line for line in accuracy.get_lines() if len(line.get_xdata()) == 2]
    assert [list(line.get_xydata().ravel()) for line in lines][0] == pytest.approx(
        [value for point in clean for value in (100 * point.share, 100 * point.rates["accuracy"].value)]
    )
    low, high = (getattr(clean[0].rates["accuracy"], end) for end in ("low", "high"))
    assert accuracy.containers[0].lines[2][0].get_segments()[0][:, 1] == pytest.approx([100 * low, 100 * high])
    assert {line.get_marker() for line in accuracy.get_lines()} >= {"*"} and len(flips.containers) == 2
    assert figure.legends[0].get_texts()[-1].get_text() == "tuned"


def test_a_diagnosis_without_attention_is_refused(swept):
    found = read_diagnosis(swept / "0").model_copy(update={"attention": None})
    with pytest.raises(SystemExit, match="tuned: the diagnosis has no attention.*`attention_probe: true`"):
        list(sweep.points_of(found, "tuned", None, "all"))
