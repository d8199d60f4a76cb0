"""The plots: they show the figures that they are given, in any number, and leave the process as it was."""

import os
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from helpers.diagnoses import diagnosis, rate, result, scored
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.projections.polar import PolarAxes
from PIL import Image

from modality_interference.report.plots.bars import bars
from modality_interference.report.plots.diagnosis import effects_plot, radar_plot, rates_plot
from modality_interference.report.plots.effects import effects
from modality_interference.report.plots.radar import radar
from modality_interference.report.table import tidy_table
from modality_interference.report.theme import CARD, SERIES, label, make_plot


DATASETS = {
    "pictures": {"clean": result(accuracy=0.97), "misleading_text": result(accuracy=0.16, flip_rate=0.84)},
    "sums": {"clean": result(accuracy=0.5)},
}
TABLE = tidy_table(diagnosis(DATASETS), "run")
REPORT_ALONE = """
import sys
from pathlib import Path
from helpers.diagnoses import diagnosis, scored
from modality_interference.report.page import write_report

write_report(Path(sys.argv[1]), diagnosis(), scored(perturbation="p", correct=[True], causal_effect=[1.0]))
assert "matplotlib.figure" in sys.modules
assert not {"matplotlib.pyplot", "torch"} & set(sys.modules)
"""
ODD_NAMES = ["$x^2$ \\frac", "图像问答", "_hidden", "line\nbreak", "tab\t\x00", "عربي", "x" * 200, "%s {0}", ""]


def accuracies(names: list[tuple[str, str]], run: str = "run") -> pd.DataFrame:
    """Lines of the tidy table, 50 % each."""
    keys = [{"run": run, "dataset": dataset, "perturbation": perturbation} for dataset, perturbation in names]
    return pd.DataFrame(keys).assign(rate="accuracy", **rate(0.5).model_dump())


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


def thickness_at(band: PolyCollection, place: float) -> float:
    """How much of a vertical line through a band lies in it."""
    (outline,) = band.get_paths()
    heights, step = np.linspace(0, 3, 3001, retstep=True)
    points = np.column_stack([np.full_like(heights, place), heights])
    return float(outline.contains_points(points).sum() * step)


class TestBars:
    def test_are_as_long_as_the_rates_with_their_intervals(self) -> None:
        accuracy, flips = bars(TABLE, ["accuracy", "flip_rate"]).axes

        assert [bar.get_width() for bar in accuracy.patches] == [0.97, 0.16, 0.5]
        assert [list(line.get_xdata()) for line in accuracy.lines] == [
            pytest.approx(ends) for ends in ([0.92, 1.0], [0.11, 0.21], [0.45, 0.55])
        ]
        assert [bar.get_width() for bar in flips.patches] == [0.84]
        assert [text.get_text() for text in accuracy.texts] == ["97.0", "16.0", "50.0"]

    def test_stand_beside_the_name_of_their_condition(self) -> None:
        axes = bars(TABLE, ["accuracy"]).axes[0]
        names = {round(tick, 6): text.get_text() for tick, text in zip(axes.get_yticks(), axes.get_yticklabels())}

        places = [round(bar.get_y() + bar.get_height() / 2, 6) for bar in axes.patches]

        assert [names[place] for place in places] == ["clean", "misleading_text", "clean"]
        assert [names[place] for place in sorted(names)] == ["pictures", "clean", "misleading_text", "sums", "clean"]

    def test_of_several_runs_do_not_overlap_and_are_in_the_legend(self) -> None:
        other = tidy_table(diagnosis({"pictures": {"misleading_text": result(accuracy=0.94)}}), "_plugin")
        figure = bars(pd.concat([TABLE.assign(run="base"), other]), ["accuracy"])
        axes = figure.axes[0]

        spans = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches)

        assert len(spans) == 4
        assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:]))
        assert [text.get_text().strip() for text in figure.legends[0].texts] == ["base", "_plugin"]
        assert {bar.get_facecolor() for bar in axes.containers[0]} != {
            bar.get_facecolor() for bar in axes.containers[1]
        }


class TestRadar:
    def test_corners_lie_at_the_accuracies(self) -> None:
        (axes,) = radar(TABLE[TABLE.rate == "accuracy"], {"run": SERIES[0]}, filled=["run"]).axes

        angles, radii = axes.lines[0].get_data()

        assert isinstance(axes, PolarAxes)
        assert list(radii) == [0.97, 0.16, 0.5, 0.97]  # closed
        assert np.allclose(angles, np.deg2rad([0, 120, 240, 0]))

    @pytest.mark.parametrize(("perturbed", "is_radar"), [(1, False), (2, False), (3, True)])
    def test_needs_three_axes(self, perturbed: int, is_radar: bool) -> None:
        figures = {"clean": result(accuracy=1.0)}
        figures |= {f"p{index}": result(accuracy=0.5, flip_rate=0.5) for index in range(perturbed)}
        found = tidy_table(diagnosis({"sums": figures}))

        as_bars = make_plot("", "", "", lambda: bars(found, ["accuracy"]))

        assert (radar_plot(found).png != as_bars.png) == is_radar

    def test_many_axes_are_spread_over_several(self) -> None:
        names = [(f"d{dataset}", f"p{index}") for dataset in range(12) for index in range(10)]

        panels = radar(accuracies(names), {"run": SERIES[0]}, filled=[]).axes

        assert [panel.get_title() for panel in panels] == [f"d{dataset}" for dataset in range(12)]
        assert {len(panel.lines[0].get_xdata()) for panel in panels} == {11}

    def test_unequal_datasets_are_split_evenly(self) -> None:
        names = [("small", "p0"), *(("large", f"p{index}") for index in range(14))]

        panels = radar(accuracies(names), {"run": SERIES[0]}, filled=[]).axes

        assert sorted(len(panel.lines[0].get_xdata()) - 1 for panel in panels) == [7, 8]


class TestEffects:
    def test_bands_are_mirrored_histograms(self) -> None:
        found = {"black_image": [0.0] * 50 + [1.0] * 50, "white_image": [0.0] * 25 + [0.51] * 75}
        lines = [("sums", name, effect) for name, values in found.items() for effect in values]
        (axes,) = effects(pd.DataFrame(lines, columns=["dataset", "perturbation", "effect"])).axes

        bands = [collection for collection in axes.collections if isinstance(collection, PolyCollection)]
        thickness = [thickness_at(band, at) for band in bands for at in (0.01, 0.3, 0.52, 0.99)]
        means = [line.get_xdata()[0] for line in axes.lines]

        unit = thickness[6]  # 75 % of the rows at one value: the thickest band
        expected = np.sqrt([2 / 3, 0, 0, 2 / 3, 1 / 3, 0, 1, 0]) * unit
        assert unit > 0.2
        assert thickness == pytest.approx(expected, abs=0.01)
        assert means == pytest.approx([0.5, 0.3825])

    def test_there_is_no_plot_without_effects(self) -> None:
        assert effects_plot(scored(correct=[True, False])) is None

    def test_effects_a_rounding_error_above_one_bit_are_shown(self) -> None:
        assert effects_plot(scored(perturbation="p", correct=[True], causal_effect=[1.0000001])) is not None


class TestAnyNumberAndName:
    @pytest.mark.parametrize("datasets", [1, 12])
    @pytest.mark.parametrize("perturbations", [1, 10])
    def test_draws_without_a_warning(self, datasets: int, perturbations: int) -> None:
        figures = {"clean": result(accuracy=1.0)}
        names = [f"a_perturbation_with_a_long_name_{index}" for index in range(perturbations)]
        figures |= {name: result(accuracy=0.1, flip_rate=0.9, causal_effect=0.5, misled_rate=0.2) for name in names}
        found = tidy_table(diagnosis({f"dataset_{index}": figures for index in range(datasets)}))
        rows = [
            row for name in names for row in scored(perturbation=name, correct=[False] * 3, causal_effect=[0, 0.5, 1])
        ]

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plots = [rates_plot(found), radar_plot(found), effects_plot(rows)]

        for plot in plots:
            assert plot is not None
            image = Image.open(BytesIO(plot.png))
            assert max(image.size) <= 16_000
            svg = ElementTree.fromstring(plot.svg)
            width, height = int(svg.attrib["width"]), int(svg.attrib["height"])
            assert image.size[0] * height == pytest.approx(image.size[1] * width, rel=0.01)

    def test_odd_names_are_drawn_as_they_are_without_a_warning(self) -> None:
        names = [(name, name) for name in ODD_NAMES]
        table = pd.concat([accuracies(names, run) for run in ODD_NAMES])
        lines = pd.DataFrame([(*name, 0.5) for name in names], columns=["dataset", "perturbation", "effect"])

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make_plot("bars.png", "", "", lambda: bars(table, ["accuracy"]))
            make_plot("radar.png", "", "", lambda: radar(table, dict.fromkeys(ODD_NAMES, SERIES[0]), filled=[]))
            make_plot("effects.png", "", "", lambda: effects(lines))

    def test_labels(self) -> None:
        assert label("misleading_text") == "misleading_text"
        assert label("a\nb\x00c") == "a□b□c"
        assert label("abcdefghij", 7) == "abc…hij"
        assert len(label("x" * 500)) == 32


class TestProcess:
    def test_same_figures_same_bytes(self) -> None:
        found = tidy_table(diagnosis())

        assert rates_plot(found) == rates_plot(found)
        assert radar_plot(found) == radar_plot(found)

    def test_settings_of_the_user_neither_matter_nor_change(self) -> None:
        found = tidy_table(diagnosis())
        expected = rates_plot(found)

        with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 20, "text.usetex": True}):
            before = dict(matplotlib.rcParams)
            assert rates_plot(found) == expected
            assert dict(matplotlib.rcParams) == before

    def test_neither_pyplot_nor_torch_is_loaded(self, tmp_path: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

        subprocess.run([sys.executable, "-c", REPORT_ALONE, str(tmp_path)], check=True, env=environment)

        assert (tmp_path / "interference_effects.png").exists()

    def test_files_are_in_the_light_theme(self) -> None:
        drawn = make_plot("a.png", "", "", lambda: bars(TABLE, ["accuracy"]))

        assert np.allclose(pixels(drawn.png)[0, 0] / 255, to_rgb(CARD), atol=0.003)
