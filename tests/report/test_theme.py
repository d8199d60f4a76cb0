"""Plots for pages: SVG in the colours of the page's theme, safe to inline, several on one page."""

import re
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.diagnoses import diagnosis, result, scored
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modality_interference.report.plots.attention import attention_plots
from modality_interference.report.plots.diagnosis import effects_plot, radar_plot, rates_plot
from modality_interference.report.table import tidy_table
from modality_interference.report.theme import CARD, SERIES, VARIABLES, Plot, add_legend, label, line_style, make_plot
from modality_interference.results import AttentionContrast, AttentionProfile, AttentionShares, Estimate


HOSTILE = '</text></svg><script>alert("#ffffff url(#p1)")</script>--><!--'
SHARES = [[0.5, 0.3], [0.1, 0.9]]
PROFILE = AttentionProfile(
    groups=[HOSTILE, "image"],
    conditions=[
        AttentionShares(dataset="a", kind="image", perturbation=HOSTILE, rows=1, layers=SHARES, heads=[SHARES, SHARES])
    ],
    contrasts=[
        AttentionContrast(
            modality="\x00",
            asked="image",
            other="text",
            condition="clean",
            asked_rows=1,
            other_rows=1,
            layers=[Estimate(value=1, low=0, high=2), Estimate(value=None, low=None, high=None)],
        )
    ],
)


@pytest.fixture(scope="module")
def plots() -> list[Plot]:
    """One of each kind that a diagnosis has, names from data in all of them."""
    figures = {"clean": result(accuracy=0.9)}
    figures |= {name: result(accuracy=0.4, flip_rate=0.5, causal_effect=0.2) for name in (HOSTILE, "b", "c")}
    found = tidy_table(diagnosis({HOSTILE: figures}))
    effects = effects_plot(scored(HOSTILE, HOSTILE, [True], causal_effect=[0.5]))
    assert effects is not None
    return [rates_plot(found), radar_plot(found), effects, *attention_plots(PROFILE)]


def elements(plot: Plot) -> list[ElementTree.Element]:
    return [element for svg in (plot.svg, plot.narrow) for element in ElementTree.fromstring(svg).iter()]


def test_colours_are_variables_of_the_stylesheet(plots: list[Plot]) -> None:
    sheet = files("modality_interference.report").joinpath("style.css").read_text()
    light = dict(re.findall(r"(--[\w-]+): light-dark\((#\w+), #\w+\)", sheet))

    assert {name: light[name] for name in VARIABLES.values()} == {name: colour for colour, name in VARIABLES.items()}
    for plot in plots:
        styles = [element.get("style", "") for element in elements(plot)]
        assert set(re.findall(r"var\((.+?)\)", " ".join(styles))) <= set(VARIABLES.values())
        assert not re.search(r"#|rgb|black|white", " ".join(styles))


def test_only_harmless_elements_and_no_address(plots: list[Plot]) -> None:
    for plot in plots:
        found = elements(plot)
        allowed = {"svg", "g", "path", "text", "use", "defs", "clipPath", "rect", "mask", "image"}
        assert {element.tag for element in found} <= allowed
        assert not re.search(r"http|javascript|xmlns|<!|<\?|font-family", plot.svg)
        addresses = [element.get("href", "#") for element in found]
        assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)


def test_references_are_unique_over_all_plots_of_a_page(plots: list[Plot]) -> None:
    ids = [element.get("id") for plot in plots for element in elements(plot) if element.get("id")]
    assert len(ids) == len(set(ids)) > 0

    for plot in plots:
        own = {element.get("id") for element in elements(plot)}
        values = [value for element in elements(plot) for value in element.attrib.values()]
        used = {name for value in values for name in re.findall(r"^#(.+)|url\(#(.+?)\)", value)}
        assert {a or b for a, b in used} <= own


def test_text_stays_text(plots: list[Plot]) -> None:
    for plot in plots[:4]:
        written = "".join(element.text or "" for element in elements(plot) if element.tag == "text")
        assert "</text></s" in written and "<script" not in plot.svg and "var(" not in written


def test_says_what_it_is_to_screen_readers(plots: list[Plot]) -> None:
    for plot in plots:
        root = elements(plot)[0]
        assert root.get("role") == "img" and str(root.get("aria-label")).startswith(plot.title)


def test_heatmaps_are_masks_of_the_colour(plots: list[Plot]) -> None:
    masks = [element for element in elements(plots[3]) if element.tag == "mask"]

    assert len(masks) == 3  # the condition and the colour bar; on a phone the condition alone


def test_same_figure_same_bytes() -> None:
    def draw(width: float) -> Figure:
        figure = Figure()
        figure.add_subplot().plot(np.arange(5), marker="o", color=SERIES[0], markeredgecolor=CARD)
        return figure

    assert make_plot("a.png", "", "", draw) == make_plot("a.png", "", "", draw)


@pytest.mark.parametrize(("names", "columns"), [(["a", "b"], 2), (["a"] * 9, 5), (["a" * 32] * 3, 1)])
def test_a_legend_is_no_wider_than_its_figure(names: list[str], columns: int) -> None:
    figure = Figure(figsize=(5, 3))
    add_legend(figure, [Line2D([], [], label=label(name), **line_style(index)) for index, name in enumerate(names)])

    assert figure.legends[0]._ncols == columns  # type: ignore[attr-defined]
    assert figure.get_figheight() > 3
