"""The plots of the white-box profile: where the model looks, and how much the prompt moves its gaze."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...results import AttentionContrast, AttentionProfile, AttentionShares
from ..theme import LEGEND_COLUMNS, Look, label, picture
from .diagnosis import Plot


SHARES_FILE = "interference_attention.png"
CONTRASTS_FILE = "interference_attention_contrasts.png"
COMPARED_FILE = "comparison_attention_contrasts.png"
_COLUMNS = 5  # panels beside each other
_PANEL = 2.1  # inches, width of a heatmap
_LAYER = 0.14  # inches, height of a layer
_SHORTEST = 1.3
_WRITTEN = 12  # layers of which each share is written into its cell


def attention_plots(profile: AttentionProfile | None) -> list[Plot]:
    """The plots of one diagnosis; none where attention was not probed."""
    if profile is None or not profile.conditions or not profile.conditions[0].layers:
        return []

    caption = (
        "Share of its attention that the position which gives the answer pays to each kind of tokens, in %, averaged over "
        "heads and rows, by layer (0 is the first). A panel for every dataset, kind of prompt and perturbation."
    )
    heatmaps = picture(lambda look: _heatmaps(look, profile))
    return [
        Plot(SHARES_FILE, "Where the model looks", caption, heatmaps),
        *contrast_plots({"this run": profile}, CONTRASTS_FILE),
    ]


def contrast_plots(profiles: Mapping[str, AttentionProfile], file_name: str) -> list[Plot]:
    """Cohen's d by layer, a line per run; none where no kinds of prompts can be compared.

    Args:
        profiles: by run.
        file_name: of the PNG.
    """
    found = {
        run: {contrast.modality: contrast for contrast in profile.contrasts if contrast.layers}
        for run, profile in profiles.items()
    }
    modalities = list(dict.fromkeys(modality for contrasts in found.values() for modality in contrasts))
    if not modalities:
        return []

    caption = (
        "Cohen's d between the attention that prompts which ask for a modality draw to its tokens and the attention that the "
        "other prompts draw to them. Above 0 the model looks where the question points; bands are 95 % intervals."
    )
    drawn = picture(lambda look: _contrasts(look, found, modalities))
    return [Plot(file_name, "Does the prompt direct attention?", caption, drawn)]


def _heatmaps(look: Look, profile: AttentionProfile) -> Figure:
    lines = _lines(profile.conditions)
    columns = max(map(len, lines))
    height = max(_SHORTEST, _LAYER * len(profile.conditions[0].layers)) + 0.85
    figure = Figure(figsize=(_PANEL * columns + 1.0, height * len(lines)))
    grid = figure.subplots(len(lines), columns, squeeze=False)
    colours = LinearSegmentedColormap.from_list("shares", [look.card, look.colour(0)])
    for line, panels in zip(lines, grid):
        for axes, condition in zip(panels, line):
            axes.imshow(np.array(condition.layers), cmap=colours, vmin=0, vmax=1, aspect="auto")
            _name_panel(axes, look, condition, profile.groups, first=axes is panels[0])
            if len(condition.layers) <= _WRITTEN:
                _write_shares(axes, look, condition)

        for axes in panels[len(line) :]:
            axes.set_visible(False)

    bar = figure.colorbar(ScalarMappable(cmap=colours), ax=list(grid.flat), shrink=0.6, ticks=[0, 0.5, 1], aspect=30)
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
    bar.outline.set_visible(False)
    return figure


def _lines(conditions: Sequence[AttentionShares]) -> list[list[AttentionShares]]:
    """Panels line by line: every dataset and kind of prompt begins a new one."""
    lines: list[list[AttentionShares]] = []
    for _, members in groupby(conditions, key=lambda condition: (condition.dataset, condition.kind)):
        own = list(members)
        lines += [own[start : start + _COLUMNS] for start in range(0, len(own), _COLUMNS)]

    return lines


def _name_panel(axes: Axes, look: Look, condition: AttentionShares, groups: Sequence[str], first: bool) -> None:
    axes.set_title(label(condition.perturbation, 24), loc="left", pad=16)
    where = label(f"{condition.dataset}, {condition.kind} prompt", 34)
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, 4)}
    axes.annotate(where, (0, 1), **place, fontsize=7.5, color=look.muted, annotation_clip=False)
    axes.set_xticks(range(len(groups)), list(groups), fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("layer" if first else "")
    axes.tick_params(length=0)
    axes.grid(visible=False)


def _write_shares(axes: Axes, look: Look, condition: AttentionShares) -> None:
    for layer, shares in enumerate(condition.layers):
        for group, share in enumerate(shares):
            colour = look.card if share > 0.6 else look.ink
            axes.text(group, layer, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)


def _contrasts(look: Look, found: Mapping[str, Mapping[str, AttentionContrast]], modalities: Sequence[str]) -> Figure:
    legend = 0.3 * -(-len(found) // LEGEND_COLUMNS) if len(found) > 1 else 0
    figure = Figure(figsize=(4.0 * len(modalities) + 0.4, 2.8 + legend))
    panels = figure.subplots(1, len(modalities), sharey=True, squeeze=False)[0]
    for axes, modality in zip(panels, modalities):
        for index, (run, contrasts) in enumerate(found.items()):
            if modality in contrasts:
                _draw_run(axes, look.colour(index), label(run), contrasts[modality])

        first = next(contrasts[modality] for contrasts in found.values() if modality in contrasts)
        axes.set_title(f"To {modality} tokens: {first.asked} against {first.other} prompts", loc="left", fontsize=9)
        axes.axhline(0, color=look.clean, linewidth=1, linestyle=":", zorder=1)
        axes.set_xlabel("layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(length=0)

    panels[0].set_ylabel("Cohen's d")
    if legend:
        longest = max(panels, key=lambda axes: len(axes.get_legend_handles_labels()[0]))
        handles, labels = longest.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(LEGEND_COLUMNS, len(labels)))

    return figure


def _draw_run(axes: Axes, colour: str, name: str, contrast: AttentionContrast) -> None:
    values, lows, highs = (
        np.array([getattr(size, end) if size.value is not None else np.nan for size in contrast.layers], dtype=float)
        for end in ("value", "low", "high")
    )
    layers = np.arange(len(values))
    axes.fill_between(layers, lows, highs, color=colour, alpha=0.2, linewidth=0)
    axes.plot(layers, values, color=colour, marker="o", markersize=3.5, linewidth=1.6, label=name)
