"""What all plots share: the light and the dark look, safe labels, and drawing without pyplot.

Plots are drawn during training, in processes that are not ours: nothing global stays changed, no display is needed, and
a user's matplotlibrc does not matter.
"""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib.style
from matplotlib import font_manager
from matplotlib.figure import Figure


DPI = 144
CSS_PIXELS = 96  # per inch
LABEL_LENGTH = 32
LEGEND_COLUMNS = 5
_MOST_PIXELS = 16_000  # of either side; browsers show no larger pictures
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


@dataclass(frozen=True)
class Look:
    """Colours of a plot; those of the pages' cards.

    Attributes:
        name: `light` or `dark`.
        card: behind everything.
        ink: text.
        muted: axes and small text.
        line: the grid.
        clean: of clean rows.
        series: told apart with any kind of colour vision.
    """

    name: str
    card: str
    ink: str
    muted: str
    line: str
    clean: str
    series: tuple[str, ...]

    def colour(self, index: int) -> str:
        """Of the index-th series."""
        return self.series[index % len(self.series)]

    def settings(self) -> dict[str, Any]:
        """As matplotlib's rcParams."""
        return {
            "font.family": _families(),
            "font.size": 9,
            "text.color": self.ink,
            "text.parse_math": False,  # a name may hold a dollar sign
            "figure.facecolor": self.card,
            "savefig.facecolor": self.card,
            "axes.facecolor": self.card,
            "axes.edgecolor": self.line,
            "axes.labelcolor": self.muted,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": self.line,
            "grid.linewidth": 0.7,
            "xtick.color": self.line,
            "ytick.color": self.line,
            "xtick.labelcolor": self.muted,
            "ytick.labelcolor": self.ink,
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
        }


LIGHT = Look(
    name="light",
    card="#ffffff",
    ink="#1a2029",
    muted="#566170",
    line="#d9dee5",
    clean="#6b7684",
    series=("#0072b2", "#d55e00", "#009e73", "#b3589a", "#c98a00", "#4aa3df", "#6a3d9a", "#8c564b"),
)
DARK = Look(
    name="dark",
    card="#1b1f27",
    ink="#e6e9ee",
    muted="#9aa5b4",
    line="#323945",
    clean="#9aa5b4",
    series=("#56a8e8", "#ff8a4c", "#2ec79b", "#e08bc8", "#f0bd45", "#a5d8ff", "#b794f4", "#c9988c"),
)


@dataclass(frozen=True)
class Picture:
    """A plot in both looks.

    Attributes:
        light: PNG.
        dark: PNG.
        width: in CSS pixels.
        height: likewise.
    """

    light: bytes
    dark: bytes
    width: int
    height: int

    @property
    def light_uri(self) -> str:
        """For a page to embed."""
        return f"data:image/png;base64,{base64.b64encode(self.light).decode()}"

    @property
    def dark_uri(self) -> str:
        """For a page to embed."""
        return f"data:image/png;base64,{base64.b64encode(self.dark).decode()}"


def picture(draw: Callable[[Look], Figure]) -> Picture:
    """Draw a figure in both looks."""
    light, (width, height) = png(draw, LIGHT)
    return Picture(light, png(draw, DARK)[0], width, height)


def png(draw: Callable[[Look], Figure], look: Look = LIGHT) -> tuple[bytes, tuple[int, int]]:
    """Draw a figure: its PNG, and its width and height in CSS pixels."""
    with matplotlib.style.context(look.settings(), after_reset=True):
        figure = draw(look)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=min(DPI, _MOST_PIXELS / max(figure.get_size_inches())))

    width, height = (round(inches * CSS_PIXELS) for inches in figure.get_size_inches())
    return buffer.getvalue(), (width, height)


def label(name: str, length: int = LABEL_LENGTH) -> str:
    """A name as plots show it: its middle left out where it is long, and a box for what no font has."""
    shown = "".join(character if ord(character) in _glyphs() else "\N{WHITE SQUARE}" for character in name)
    if shown.startswith("_"):
        shown = f" {shown}"  # legends leave out what begins with an underscore

    if len(shown) <= length:
        return shown

    tail = (length - 1) // 2
    return f"{shown[: length - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{shown[-tail:]}"


@cache
def _families() -> list[str]:
    installed = set(font_manager.fontManager.get_font_names())
    return [_FONT, *(name for name in _WIDER_FONTS if name in installed)]


@cache
def _glyphs() -> frozenset[int]:
    """Code points that the fonts of `_families` can show."""
    fonts = (font_manager.get_font(font_manager.findfont(name)) for name in _families())
    return frozenset(code for font in fonts for code in font.get_charmap() if chr(code).isprintable())
