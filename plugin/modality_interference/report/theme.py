"""What all plots share: colours, line styles, legends, names of rows, and how a figure becomes a PNG and an inline SVG.

Plots are drawn during training, in processes that are not ours: nothing global stays changed, no display is needed, and
a user's matplotlibrc does not matter. A figure is drawn once, in the colours of the light theme. The SVG on a page refers
to the variables of `style.css` instead, so it follows the theme of the page.
"""

import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
from markupsafe import Markup
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray


CARD = "#ffffff"  # behind everything
INK = "#1a2029"  # text
MUTED = "#566170"  # axes and small text
LINE = "#d9dee5"  # the grid
CLEAN = "#6b7684"  # clean rows
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b3589a", "#c98a00", "#4aa3df", "#6a3d9a", "#8c564b")
VARIABLES = {CARD: "--card", INK: "--ink", MUTED: "--muted", LINE: "--line", CLEAN: "--clean"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)
}  # of `style.css`, by colour of the light theme
_MARKERS = "os^Dv<>P"
_DASHES = ("-", "--", "-.", ":")
PAGE, PHONE = 11.8, 3.5  # inches that a plot has on a page and on a phone
_DPI = 144
_CSS_PIXELS = 96  # per inch
_POINTS = 72
_MOST_PIXELS = 16_000  # of either side of a PNG; browsers show no larger images
_FONT = "DejaVu Sans"  # comes with matplotlib
_WIDER_FONTS = (  # for Chinese, Japanese and Korean names, where installed
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
)


def series_colour(index: int) -> str:
    """Colour of the index-th series; the colours are distinct with any kind of colour vision."""
    return SERIES[index % len(SERIES)]


def line_style(index: int) -> dict[str, Any]:
    """Keywords of `Axes.plot` for the index-th series; dashes distinguish series whose colours repeat."""
    return {
        "color": series_colour(index),
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _DASHES[index // len(SERIES) % len(_DASHES)],
        "markersize": 4.5,
        "linewidth": 1.6,
        "clip_on": False,
    }


def backdrop() -> dict[str, Any]:
    """Keywords of a text's `bbox` that keep it legible above lines."""
    return {"facecolor": CARD, "edgecolor": "none", "pad": 0.6, "alpha": 0.8}


_STRONGEST = 0.55  # opacity of 100 %: figures stay legible on it in both themes


def paint(axes: Axes, shares: NDArray[np.float64], **keywords: Any) -> None:
    """Draw a heatmap of shares, (lines, columns), as the opacity of one colour, so that both themes show them."""
    colour = np.broadcast_to(to_rgb(SERIES[0]), (*shares.shape, 3))
    cells = np.dstack([colour, _STRONGEST * np.clip(shares, 0, 1)])
    axes.imshow(cells, aspect="auto", interpolation="none", gid=VARIABLES[SERIES[0]], **keywords)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


_MOST_COLUMNS = 5
_CHARACTER = 0.075  # inches, of a label
_HANDLE = 0.55  # inches, of a legend's line with its margins
_LEGEND_ROW = 0.25


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Add a legend below all panels and make the figure taller by its height.

    Args:
        figure: its width decides how many columns the legend has.
        handles: one per entry, with labels that passed `label`.
    """
    width, height = figure.get_size_inches()
    widest = _HANDLE + _CHARACTER * max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(_MOST_COLUMNS, len(handles), int(width / widest)))
    rows = -(-len(handles) // columns)
    figure.set_size_inches(width, height + _LEGEND_ROW * rows + 0.1)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


_TITLE = 0.4  # inches, of a file
_HEADING = 0.27  # inches
_GAP = 0.09  # between datasets


@dataclass(frozen=True)
class RowLayout:
    """Where the rows of a plot are, in inches from its top: a heading per dataset, below it a row per perturbation.

    Attributes:
        centres: of the rows, by dataset and perturbation.
        headings: centres of the headings, by dataset.
        height: of all.
    """

    centres: dict[tuple[str, str], float]
    headings: dict[str, float]
    height: float

    @classmethod
    def of(cls, names: Sequence[tuple[str, str]], row_height: float) -> "RowLayout":
        """Lay out datasets and perturbations, those of a dataset together."""
        centres, headings, height = {}, {}, 0.0
        for dataset, members in groupby(names, key=lambda name: name[0]):
            headings[dataset] = height + _HEADING / 2
            height += _HEADING
            for name in members:
                centres[name] = height + row_height / 2
                height += row_height

            height += _GAP

        return cls(centres, headings, height)

    def name_rows(self, axes: Axes) -> None:
        """Write the names left of a panel: datasets bold, their perturbations below them."""
        rows = [(y, label(dataset), "bold") for dataset, y in self.headings.items()]
        rows += [(y, label(perturbation), "normal") for (_, perturbation), y in self.centres.items()]
        axes.set_yticks([y for y, _, _ in rows], [text for _, text, _ in rows])
        for tick, (_, _, weight) in zip(axes.get_yticklabels(), rows):
            tick.set_fontweight(weight)

        axes.set_ylim(self.height, 0)
        axes.grid(visible=False, axis="y")


def label(name: str, length: int = 32) -> str:
    """A name as plots show it: its middle left out where it is long, and a box for what no font has."""
    shown = "".join(character if ord(character) in _glyphs() else "\N{WHITE SQUARE}" for character in name)
    if shown.startswith("_"):
        shown = f" {shown}"  # legends leave out what begins with an underscore

    if len(shown) <= length:
        return shown

    tail = (length - 1) // 2
    return f"{shown[: length - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{shown[-tail:]}"


@cache
def _glyphs() -> frozenset[int]:
    """Code points that the fonts of `_families` can show."""
    fonts = (font_manager.get_font(font_manager.findfont(name)) for name in _families())
    return frozenset(code for font in fonts for code in font.get_charmap() if chr(code).isprintable())


@cache
def _families() -> list[str]:
    installed = set(font_manager.fontManager.get_font_names())
    return [_FONT, *(name for name in _WIDER_FONTS if name in installed)]


@dataclass(frozen=True)
class Plot:
    """A plot as a file and as part of a page.

    Attributes:
        file_name: of the PNG.
        title: its heading.
        caption: what is drawn, and how to read it.
        png: the file's content, in the light theme.
        svg: an element for a page that has `style.css`; text in it is escaped, and it refers to nothing outside of it.
        narrow: the same plot for a phone, which the page shows in its place.
    """

    file_name: str
    title: str
    caption: str
    png: bytes
    svg: Markup
    narrow: Markup


def make_plot(file_name: str, title: str, caption: str, draw: Callable[[float], Figure]) -> Plot:
    """Draw a figure for a file and a page.

    Args:
        file_name: of the PNG; its stem makes the SVG's ids unique on the page.
        title: its heading, with the unit; the file carries it, too.
        caption: what is drawn, and how to read it.
        draw: makes the figure for a width in inches, `PAGE` or `PHONE`; every text from data in it passed `label`.
    """
    stem = file_name.partition(".")[0]
    with _settings(hashsalt=file_name):
        figure = draw(PAGE)
        svg, narrow = _svg(figure, f"{stem}", title, "wide"), _svg(draw(PHONE), f"{stem}-narrow", title, "narrow")
        return Plot(file_name, title, caption, _png(figure, title), svg, narrow)


def draw_png(title: str, draw: Callable[[float], Figure]) -> bytes:
    """Draw a figure for a file alone."""
    with _settings():
        return _png(draw(PAGE), title)


def _settings(hashsalt: str = "") -> Any:
    """The rcParams of all plots, as a context."""
    settings = {
        "font.family": _families(),
        "font.size": 9,
        "text.color": INK,
        "text.parse_math": False,  # a name may hold a dollar sign
        "figure.facecolor": CARD,
        "savefig.facecolor": CARD,
        "axes.facecolor": CARD,
        "axes.edgecolor": LINE,
        "axes.labelcolor": MUTED,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": LINE,
        "grid.linewidth": 0.7,
        "xtick.bottom": False,
        "xtick.major.size": 0,
        "xtick.labelcolor": MUTED,
        "ytick.left": False,
        "ytick.major.size": 0,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        "svg.fonttype": "none",  # text stays text: small, searchable, in the fonts of the page
        "svg.hashsalt": hashsalt,  # same figure, same bytes
    }
    return matplotlib.style.context(settings, after_reset=True)


def _png(figure: Figure, title: str) -> bytes:
    """The figure as a file, its title above it.

    Args:
        figure: whose layout stays as it is where it was drawn before.
        title: above everything, "" for none.
    """
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")

    width, height = figure.get_size_inches()
    if title:
        text = label(title, int(width / _CHARACTER))
        figure.text(0.1 / width, 1 + 0.14 / height, text, fontsize=11, fontweight="bold", va="bottom")

    box = Bbox([[0, 0], [width, height + (_TITLE if title else 0)]])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=min(_DPI, _MOST_PIXELS / max(box.size)), bbox_inches=box)
    return buffer.getvalue()


_NUMBER = re.compile(r"-?\d+\.\d+")
_COLOUR = re.compile(r"#[0-9a-f]{6}")


def _svg(figure: Figure, name: str, title: str, kind: str) -> Markup:
    """An SVG element in which colours are variables, without ids, styles and metadata that a page does not need.

    Args:
        figure: in the colours of the light theme.
        name: begins every id.
        title: says to screen readers what the plot is.
        kind: its class in `style.css`.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    figure.set_layout_engine("none")  # a second drawing finds everything in its place
    width, height = figure.get_size_inches()
    attributes = {
        "class": f"plot {kind}",
        "role": "img",
        "aria-label": f"{title}; the figures are in the tables of this page",
        "viewBox": f"0 0 {_rounded(width * _POINTS)} {_rounded(height * _POINTS)}",
        "width": str(round(width * _CSS_PIXELS)),
        "height": str(round(height * _CSS_PIXELS)),
    }
    inline = ElementTree.Element("svg", attributes)
    numbers = itertools.count(1)
    inline.extend(
        made for child in ElementTree.fromstring(buffer.getvalue()) for made in _inline(child, name, numbers)
    )
    # matplotlib's ids are hashes, also of what a layout leaves to rounding: numbers make the same figure the same text
    ids: dict[str, str] = {}
    hashed = re.compile(rf"{re.escape(name)}-[a-z][0-9a-f]{{10}}\b")
    text = ElementTree.tostring(inline, encoding="unicode")
    return Markup(hashed.sub(lambda found: ids.setdefault(found[0], f"{name}-i{len(ids)}"), text))


def _inline(element: ElementTree.Element, name: str, numbers: Iterator[int]) -> Iterator[ElementTree.Element]:
    """The element for a page; only its children where it is a group without a purpose."""
    tag = element.tag.rpartition("}")[2]  # HTML has no namespaces
    attributes = {key.rpartition("}")[2]: value for key, value in element.items()}
    if tag == "style":  # it would apply to the whole page; `style.css` has its rules
        return

    if tag == "image":
        yield _tinted(attributes, f"{name}-{next(numbers)}")
        return

    if tag not in ("path", "clipPath"):
        attributes.pop("id", None)  # no other element is referred to

    children = [made for child in element for made in _inline(child, name, numbers)]
    if not attributes and (tag == "g" or not children and tag == "defs"):
        yield from children
        return

    made = ElementTree.Element(tag, {key: _attribute(key, value, name) for key, value in attributes.items()})
    made.text = element.text if tag == "text" else None
    made.extend(children)
    yield made


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"

    if key in ("href", "clip-path"):
        return value.replace("#", f"#{name}-")

    if key == "style":
        rules = [rule for rule in value.split("; ") if not rule.startswith("font-family")]
        return _COLOUR.sub(lambda found: f"var({VARIABLES[found[0]]})", "; ".join(rules))

    return _NUMBER.sub(lambda found: _rounded(float(found[0])), " ".join(value.split()))


def _rounded(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _tinted(image: dict[str, str], mask_id: str) -> ElementTree.Element:
    """A raster image as the mask of a rectangle, so that the theme of the page decides its colour.

    Args:
        image: the attributes of an image of one colour, the variable that its id names; its opacity differs.
        mask_id: unique on the page.
    """
    group = ElementTree.Element("g", {"transform": image["transform"]})
    size = {"width": image["width"], "height": image["height"]}
    mask = ElementTree.SubElement(group, "mask", {"id": mask_id, "style": "mask-type: alpha"})
    href = "".join(image["href"].split())
    ElementTree.SubElement(mask, "image", {"href": href, "style": "image-rendering: pixelated", **size})
    colour = {"style": f"fill: var({image['id']})", "mask": f"url(#{mask_id})"}
    ElementTree.SubElement(group, "rect", {**size, **colour})
    return group
