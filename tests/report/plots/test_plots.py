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
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.projections.polar import PolarAxes
from PIL import Image
from scipy.stats import ecdf

from modality_interference.report.plots import diagnosis as diagnosis_module
from modality_interference.report.plots.bars import bars
from modality_interference.report.plots.diagnosis import effects_plot, radar_plot, rates_plot
from modality_interference.report.plots.effects import effects
from modality_interference.report.plots.radar import fits, radar
from modality_interference.report.table import tidy_table
from modality_interference.report.theme import CARD, PAGE, PHONE, SERIES, label, make_plot


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
    return pd.DataFrame(keys).assign(rate="accuracy", **rate(0.5).model_dump(), clean=0.6, chance=0.25)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


def ends(line: Line2D) -> tuple[float, float]:
    """Where a line begins and ends on the x axis."""
    places = np.asarray(line.get_xdata())
    return places[0], places[-1]


class TestBars:
    def test_are_as_long_as_the_rates_with_their_intervals(self) -> None:
        accuracy, flips = bars(TABLE, ["accuracy", "flip_rate"]).axes

        assert [bar.get_width() for bar in accuracy.patches] == [0.97, 0.16, 0.5]
        styles = [line.get_linestyle() for line in accuracy.lines]
        ends = {
            style: [list(line.get_xdata()) for line in accuracy.lines if line.get_linestyle() == style]
            for style in styles
        }
        assert ends["-"] == [pytest.approx(pair) for pair in ([0.92, 1.0], [0.11, 0.21], [0.45, 0.55])]
        assert ends["None"] == [[0.97]]  # the diamond of the twin's own clean rows
        assert ends[":"] == [[0.25, 0.25]] * 3  # guessing
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
        (line,) = [line for line in axes.lines if line.get_label() == "run"]

        angles, radii = line.get_data()

        assert isinstance(axes, PolarAxes)
        assert list(radii) == [0.97, 0.16, 0.5, 0.97]  # closed
        assert np.allclose(angles, np.deg2rad([0, 120, 240, 0]))

    def test_twins_are_drawn_within_their_own_clean_rows(self) -> None:
        """The clean accuracy of the dataset is drawn nowhere; guessing is a line without markers."""
        twins = {"clean": result(accuracy=0.611)}
        for index, own in enumerate((0.466, 0.756, 0.5)):
            figures = result(accuracy=0.252, flip_rate=0.5)
            twins[f"p{index}"] = figures.model_copy(update={"clean": {"accuracy": rate(own)}})

        drawn: dict[str, list[float]] = {}

        def draw(*args, **keys):
            figure = radar(*args, **keys)
            drawn.update({line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines})
            return figure

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(diagnosis_module, "radar", draw)
            radar_plot(tidy_table(diagnosis({"clips": twins})))

        assert drawn == {
            "the same rows when clean": [0.466, 0.756, 0.5, 0.466],
            "perturbed rows": [0.252] * 4,
            "guessing": [0.25] * 4,
        }

    @pytest.mark.parametrize(("perturbed", "is_radar"), [(1, False), (2, False), (3, True)])
    def test_needs_three_axes(self, perturbed: int, is_radar: bool) -> None:
        figures = {"clean": result(accuracy=1.0)}
        figures |= {f"p{index}": result(accuracy=0.5, flip_rate=0.5) for index in range(perturbed)}
        found = tidy_table(diagnosis({"sums": figures}))

        title = "Accuracy in %, clean and perturbed"
        as_bars = make_plot("", title, "", lambda width: bars(found, ["accuracy"], width))

        assert (radar_plot(found).png != as_bars.png) == is_radar

    def test_any_number_of_axes_is_one_circle_with_an_arc_over_each_dataset(self) -> None:
        sizes = {"small": 1, "large": 14, "third": 5}
        names = [(dataset, f"p{index}") for dataset, size in sizes.items() for index in range(size)]

        (axes,) = radar(accuracies(names), {"run": SERIES[0]}, filled=[]).axes

        *arcs, line = axes.lines
        step = 2 * np.pi / 20
        inside = [[name for name in range(20) if low < name * step < high] for low, high in map(ends, arcs)]
        assert inside == [[0], list(range(1, 15)), list(range(15, 20))]
        assert len(line.get_xdata()) == 21
        assert {text.get_text() for text in axes.texts if text.get_fontweight() == "bold"} == set(sizes)

    @pytest.mark.parametrize(("axes", "width", "expected"), [(2, PAGE, False), (30, PAGE, True), (9, PHONE, False)])
    def test_a_phone_shows_bars_where_a_radar_would_be_crowded(self, axes: int, width: float, expected: bool) -> None:
        assert fits([("d", f"p{index}") for index in range(axes)], width) == expected


class TestEffects:
    def test_lines_are_the_empirical_survival_functions(self) -> None:
        rng = np.random.default_rng(0)
        found = {"black_image": rng.beta(0.5, 0.5, 40).round(2), "white_image": np.array([0.0] * 5 + [0.5] * 15)}
        lines = [("sums", name, effect) for name, values in found.items() for effect in values]
        (axes,) = effects(pd.DataFrame(lines, columns=["dataset", "perturbation", "effect"])).axes

        for line, values in zip(axes.lines, found.values(), strict=True):
            at, shares = line.get_data()
            survival = 1 - ecdf(values).cdf.evaluate(np.asarray(at) - 0.005)  # at least, on a grid of 0.01
            assert shares == pytest.approx(100 * survival)

    def test_datasets_that_do_not_fit_beside_each_other_are_below_each_other(self) -> None:
        table = pd.DataFrame({"dataset": list("abc"), "perturbation": "p", "effect": 0.5})

        assert [len({axes.get_position().x0 for axes in effects(table, width).axes}) for width in (PAGE, PHONE)] == [
            3,
            1,
        ]

    def test_there_is_no_plot_without_effects(self) -> None:
        assert effects_plot(scored(correct=[True, False])) is None

    def test_effects_a_rounding_error_above_one_bit_are_shown(self) -> None:
        assert effects_plot(scored(perturbation="p", correct=[True], causal_effect=[1.0000001])) is not None


class TestAnyNumberAndName:
    @pytest.mark.parametrize("datasets", [1, 8])
    @pytest.mark.parametrize("perturbations", [1, 6])
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
            title = 0.4 * 96  # pixels, of the file alone
            assert image.size[0] * (height + title) == pytest.approx(image.size[1] * width, rel=0.01)
            assert int(ElementTree.fromstring(plot.narrow).attrib["width"]) <= PHONE * 96

    def test_odd_names_are_drawn_as_they_are_without_a_warning(self) -> None:
        names = [(name, name) for name in ODD_NAMES]
        table = pd.concat([accuracies(names, run) for run in ODD_NAMES])
        lines = pd.DataFrame([(*name, 0.5) for name in names], columns=["dataset", "perturbation", "effect"])

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make_plot("bars.png", "", "", lambda width: bars(table, ["accuracy"], width))
            make_plot(
                "radar.png",
                "",
                "",
                lambda width: radar(table, dict.fromkeys(ODD_NAMES, SERIES[0]), filled=[], width=width),
            )
            make_plot("effects.png", "", "", lambda width: effects(lines, width))

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
        drawn = make_plot("a.png", "", "", lambda width: bars(TABLE, ["accuracy"]))

        assert np.allclose(pixels(drawn.png)[0, 0] / 255, to_rgb(CARD), atol=0.003)
