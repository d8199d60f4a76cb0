"""The plots of the white-box profile: where the model looks, and how much the prompt moves its gaze."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import make_axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...results import AttentionContrast, AttentionProfile, AttentionShares
from ..table import MOST_DRAWN, PROMPTS
from ..theme import CLEAN, INK, MUTED, PAGE, Plot, add_legend, label, line_style, make_plot, paint


SHARES_FILE = "interference_attention.png"
CONTRASTS_FILE = "interference_attention_contrasts.png"
COMPARED_FILE = "comparison_attention_contrasts.png"
Contrasts: TypeAlias = Mapping[tuple[str, str], AttentionContrast]  # of a run, by condition and modality
_CONDITIONS = {"clean": "", "misaligned": ", misaligned clips", "all": ", clean rows and twins"}
_COLUMNS = 5  # panels beside each other
_PANEL = 2.2  # inches, width of a heatmap
_LAYER = 0.14  # inches, height of a layer
_SHORTEST = 1.3
_GAP = 0.08  # above and below a panel: the names of tokens keep apart from the next title
_BAR = 2.2  # height of the colour bar
_BARS = 1.0  # its width, with its labels
_CURVE = (4.2, 2.8)  # a panel of contrasts
_LETTER = 0.09  # inches, of a bold title
_TINT = 0.2  # opacity of the intervals of one or two runs
_WRITTEN = 12  # layers of which each share is written into its cell


def attention_plots(profile: AttentionProfile | None) -> list[Plot]:
    """The plots of one diagnosis; none where attention was not probed."""
    if profile is None or not profile.conditions or not profile.conditions[0].layers:
        return []

    caption = (
        "Share of its attention that the position which gives the answer pays to each kind of tokens, in %, averaged over "
        "heads and rows, by layer (0 is the first). A panel for every dataset, kind of prompt and perturbation."
    )
    if len(profile.conditions) > MOST_DRAWN:
        caption += f" Of {len(profile.conditions):,}, the first {MOST_DRAWN} are drawn."
        profile = profile.model_copy(update={"conditions": profile.conditions[:MOST_DRAWN]})

    return [
        make_plot(
            SHARES_FILE, "Where the model looks, % of its attention", caption, lambda width: _heatmaps(profile, width)
        ),
        *contrast_plots({"this run": profile}, CONTRASTS_FILE),
    ]


def contrast_plots(profiles: Mapping[str, AttentionProfile], file_name: str) -> list[Plot]:
    """Cohen's d by layer, a line per run; none where no kinds of prompts can be compared.

    Args:
        profiles: by run.
        file_name: of the PNG.
    """
    found: dict[str, Contrasts] = {
        run: {(contrast.condition, contrast.modality): contrast for contrast in profile.contrasts if contrast.layers}
        for run, profile in profiles.items()
    }
    if not any(found.values()):
        return []

    caption = (
        "Cohen's d between the attention that prompts which ask for a modality draw to its tokens and the attention that the "
        "other prompts draw to them. Above 0 the model looks where the question points; bands are 95 % intervals."
    )
    if largest := "; ".join(_largest(found)):
        caption += f" The largest by layer: {largest}."

    title = "Does the prompt direct attention? Cohen's d"
    return [make_plot(file_name, title, caption, lambda width: _contrasts(found, width))]


def _largest(found: Mapping[str, Contrasts]) -> Iterator[str]:
    """The largest effect of each run, modality and condition, in words."""
    for run, contrasts in found.items():
        for (condition, modality), contrast in contrasts.items():
            sizes = {layer: size for layer, size in enumerate(contrast.layers) if size.value is not None}
            if not sizes:
                continue

            layer = max(sizes, key=lambda layer: abs(sizes[layer].value or 0))
            size = sizes[layer]
            which = _CONDITIONS[condition] + (f", {run}" if len(found) > 1 else "")
            yield f"{modality} tokens{which}: {size.value:.2f} ({size.low:.2f} to {size.high:.2f}) in layer {layer}"


def _heatmaps(profile: AttentionProfile, width: float) -> Figure:
    lines = _lines(profile.conditions, max(1, min(_COLUMNS, int((width - _BARS) / _PANEL))))
    columns = max(map(len, lines))
    height = max(_SHORTEST, _LAYER * len(profile.conditions[0].layers)) + 0.85
    layout = ConstrainedLayoutEngine(h_pad=_GAP)
    figure = Figure(figsize=(min(width, _PANEL * columns + _BARS), height * len(lines)), layout=layout)
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for line, panels in zip(lines, grid):
        for axes, condition in zip(panels, line):
            paint(axes, np.array(condition.layers))
            _name_panel(axes, condition, profile.groups, first=axes is panels[0])
            if len(condition.layers) <= _WRITTEN:
                _write_shares(axes, condition)

        for axes in panels[len(line) :]:
            axes.set_visible(False)

    if width < PAGE and len(profile.conditions[0].layers) <= _WRITTEN:
        return figure  # every share is written into its cell

    bar, _ = make_axes(list(grid.flat), shrink=min(0.8, _BAR / figure.get_figheight()), aspect=20)
    paint(bar, np.linspace(1, 0, 64)[:, None], extent=(0, 1, 0, 1))
    bar.set_xticks([])
    bar.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    bar.yaxis.tick_right()
    return figure


def _lines(conditions: Sequence[AttentionShares], most: int) -> list[list[AttentionShares]]:
    """Panels line by line: every dataset and kind of prompt begins a new one."""
    lines: list[list[AttentionShares]] = []
    for _, members in groupby(conditions, key=lambda condition: (condition.dataset, condition.kind)):
        own = list(members)
        columns = -(-len(own) // -(-len(own) // most))  # lines of equal length
        lines += [own[start : start + columns] for start in range(0, len(own), columns)]

    return lines


def _name_panel(axes: Axes, condition: AttentionShares, groups: Sequence[str], first: bool) -> None:
    axes.set_title(label(condition.perturbation, 24), loc="left", pad=16)
    where = label(f"{condition.dataset}, {_prompt(condition.kind)} prompt", 34)
    position: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, 4)}
    axes.annotate(where, (0, 1), **position, fontsize=7.5, color=MUTED, annotation_clip=False)
    axes.set_xticks(range(len(groups)), [label(group, 10) for group in groups], fontsize=7.5)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("layer" if first else "")
    axes.tick_params(labelleft=first)


def _prompt(kind: str) -> str:
    """As all other plots and tables name the prompts of rows of a kind."""
    return PROMPTS.get(kind, kind)


def _write_shares(axes: Axes, condition: AttentionShares) -> None:
    for layer, shares in enumerate(condition.layers):
        for group, share in enumerate(shares):
            axes.text(group, layer, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=INK)


def _contrasts(found: Mapping[str, Contrasts], width: float) -> Figure:
    keys = list(dict.fromkeys(key for contrasts in found.values() for key in contrasts))
    modalities = list(dict.fromkeys(modality for _, modality in keys))
    conditions = [condition for condition in _CONDITIONS if any(condition == other for other, _ in keys)]
    beside = _CURVE[0] * len(modalities) <= width
    shape = (len(conditions), len(modalities)) if beside else (len(conditions) * len(modalities), 1)
    figure = Figure(figsize=(min(width, _CURVE[0] * shape[1]), _CURVE[1] * shape[0]))
    grid = figure.subplots(*shape, sharey=True, squeeze=False).reshape(len(conditions), len(modalities))
    room = int(figure.get_figwidth() / shape[1] / _LETTER)
    for condition, panels in zip(conditions, grid):
        for modality, axes in zip(modalities, panels):
            drawn = {
                index: runs[condition, modality]
                for index, runs in enumerate(found.values())
                if (condition, modality) in runs
            }
            axes.set_visible(bool(drawn))
            for index, contrast in drawn.items():
                _draw_run(axes, line_style(index), contrast, tint=_TINT / max(1, len(found) - 1))
                _name_contrast(axes, contrast, room)

        panels[0].set_ylabel("Cohen's d")

    if len(found) > 1:
        add_legend(figure, [Line2D([], [], label=label(run), **line_style(index)) for index, run in enumerate(found)])

    return figure


def _name_contrast(axes: Axes, contrast: AttentionContrast, room: int) -> None:
    title = f"To {contrast.modality} tokens: {_prompt(contrast.asked)} against {_prompt(contrast.other)} prompts"
    lines = [*textwrap.wrap(title, room), *filter(None, [_CONDITIONS[contrast.condition].removeprefix(", ")])]
    axes.set_title("\n".join(label(line, room) for line in lines), loc="left", fontsize=8.5)
    axes.axhline(0, color=CLEAN, linewidth=1, linestyle=":", zorder=1)
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_run(axes: Axes, style: dict[str, Any], contrast: AttentionContrast, tint: float) -> None:
    values, lows, highs = (
        np.array([getattr(size, end) if size.value is not None else np.nan for size in contrast.layers], dtype=float)
        for end in ("value", "low", "high")
    )
    layers = np.arange(len(values))
    axes.fill_between(layers, lows, highs, color=style["color"], alpha=tint, linewidth=0)
    axes.plot(layers, values, **style)
