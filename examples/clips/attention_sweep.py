"""Does the share of attention on what is asked about cause the answer? A sweep over `attention_calibration`, without training.

Diagnoses one model with several constants in one process: the same as `llamafactory-cli train RECIPE model_name_or_path=MODEL
attention_probe=true attention_calibration=C output_dir=OUTPUT/C` for each constant C, but rows are tokenized for the first only.
Writes `attention_sweep.md`, a table, and `attention_sweep.png`: of every kind of question and every condition, the attention's share
on the modality that is asked about (mean over heads and chosen layers), accuracy and flip rate with 95 % intervals.

    make demo-av                                                            # trains the models; 12 minutes
    python examples/clips/attention_sweep.py examples/clips/work/base --beside examples/clips/work/evaluate_alignment

`--beside` draws diagnoses of other models, with the attention that their training gave them: does a change without training do
what tuning does? Paired differences: `modality-interference report OUTPUT/0 OUTPUT/2 -o OUTPUT/comparison`.
"""

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml
from llamafactory.train.tuner import run_exp
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modality_interference.arguments import parse_layers
from modality_interference.modality import CLEAN
from modality_interference.report.theme import CLEAN as GREY
from modality_interference.report.theme import MUTED, add_legend, draw_png, label, line_style
from modality_interference.results import AttentionShares, Diagnosis, Rate, read_diagnosis


CONSTANTS = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)
RATES = {"accuracy": "accuracy", "flip_rate": "flip rate"}
TITLE = "Attention's share on the modality that is asked about, and the answers"
PANEL = (4.6, 3.0)  # inches
OTHERS = "*PX"  # markers of diagnoses beside the sweep


@dataclass(frozen=True)
class Point:
    """What one run found in one condition.

    Attributes:
        run: the constant in words, or the folder's name of another diagnosis.
        constant: in nats; None of another diagnosis.
        kind: what the questions are about.
        condition: dataset and perturbation.
        share: of the deciding position's attention on that modality, in the chosen layers.
        rates: accuracy and, of twins, flip rate.
    """

    run: str
    constant: float | None
    kind: str
    condition: tuple[str, str]
    share: float
    rates: Mapping[str, Rate]


def diagnose(recipe: Mapping[str, Any], constants: Sequence[float], output: Path) -> dict[float, Diagnosis]:
    """Diagnose a model once for each constant, in folders below `output` that are named after them."""
    found = {}
    shutil.rmtree(output / "tokenized", ignore_errors=True)  # of an earlier sweep
    for constant in constants:
        folder = output / f"{constant:g}"
        paths = {"output_dir": str(folder), "tokenized_path": str(output / "tokenized")}
        run_exp({**recipe, **paths, "attention_calibration": constant})
        found[constant] = read_diagnosis(folder)

    return found


def points_of(diagnosis: Diagnosis, run: str, constant: float | None, layers: str) -> Iterator[Point]:
    """Of the kinds of questions that one modality answers, all conditions.

    Args:
        diagnosis: with the attention probe.
        run: its name.
        constant: in nats; None of another diagnosis.
        layers: in which layers shares are taken, as `attention_calibration_layers` names them.
    """
    if diagnosis.attention is None:
        raise SystemExit(f"{run}: the diagnosis has no attention. Make it again with `attention_probe: true`.")

    for shares in diagnosis.attention.conditions:
        result = diagnosis.datasets[shares.dataset]
        results = result.kinds.get(shares.kind, result.perturbations)
        if shares.kind in diagnosis.attention.groups[1:] and shares.perturbation in results:
            rates = {name: rate for name, rate in results[shares.perturbation].rates.items() if name in RATES}
            share = _share(shares, diagnosis.attention.groups.index(shares.kind), layers)
            yield Point(run, constant, shares.kind, (shares.dataset, shares.perturbation), share, rates)


def _share(shares: AttentionShares, column: int, layers: str) -> float:
    chosen = parse_layers("attention_calibration_layers", layers, len(shares.layers))
    return sum(shares.layers[layer][column] for layer in chosen) / len(chosen)


def signed(constant: float) -> str:
    """`+2`, `-2` or `0`."""
    return f"{constant:+g}" if constant else "0"


def table(points: Sequence[Point]) -> str:
    """All points as Markdown, the runs of a condition below each other."""
    lines = [
        "| question | data | condition | run | share | accuracy | flip rate |",
        "| --- | --- | --- | --- " + "| ---: " * 3 + "|",
    ]
    for point in sorted(
        points, key=lambda one: (one.kind, one.condition[0], one.condition[1] != CLEAN, one.condition[1])
    ):
        cells = [_cell(point.rates.get(rate)) for rate in RATES]
        lines.append(f"| {' | '.join([point.kind, *point.condition, point.run, f'{point.share:.3f}', *cells])} |")

    return "\n".join(lines) + "\n"


def _cell(rate: Rate | None) -> str:
    return "" if rate is None else f"{100 * rate.value:.1f} ({100 * rate.low:.1f} to {100 * rate.high:.1f}) %"


def draw(points: Sequence[Point], width: float) -> Figure:
    """A column for each kind of question, accuracy above and flip rate below; a line for each condition.

    Args:
        points: of the sweep, joined by lines in the order of their constants; and of other diagnoses, with a marker each.
        width: in inches.
    """
    kinds, conditions = (
        list(dict.fromkeys(getattr(point, name) for point in points)) for name in ("kind", "condition")
    )
    twins = [condition for condition in conditions if condition[1] != CLEAN]
    styles = {
        condition: line_style(twins.index(condition)) if condition in twins else _clean() for condition in conditions
    }
    looks = _looks(points)
    figure = Figure(figsize=(min(width, PANEL[0] * len(kinds)), PANEL[1] * len(RATES)))
    panels = figure.subplots(len(RATES), len(kinds), squeeze=False, sharex="col", sharey="row")
    for row, (rate, title) in zip(panels, RATES.items(), strict=True):
        row[0].set_ylabel(f"{title}, %")
        for axes, kind in zip(row, kinds, strict=True):
            own = [point for point in points if point.kind == kind and rate in point.rates]
            for condition, style in styles.items():
                _line(axes, [point for point in own if point.condition == condition], rate, style, looks)

    for axes, kind in zip(panels[0], kinds, strict=True):
        axes.set_title(f"questions about {kind}")

    for axes, kind in zip(panels[-1], kinds, strict=True):
        axes.set_xlabel(f"share of attention on {kind} tokens, %")

    named = {
        condition: condition[1] if len({one[0] for one in conditions}) == 1 else " ".join(condition)
        for condition in conditions
    }
    handles = [Line2D([], [], label=label(named[condition], 40), **style) for condition, style in styles.items()]
    handles += [Line2D([], [], color=MUTED, label=label(run, 40), **look) for run, look in looks.items()]
    add_legend(figure, handles)
    return figure


def _looks(points: Sequence[Point]) -> dict[str, dict[str, Any]]:
    """How each diagnosis beside the sweep is drawn: as a marker of its own."""
    runs = dict.fromkeys(point.run for point in points if point.constant is None)
    return {run: {"marker": mark, "markersize": 10, "linestyle": "none"} for run, mark in zip(runs, cycle(OTHERS))}


def _clean() -> dict[str, Any]:
    return {**line_style(0), "color": GREY}


def _line(axes: Axes, points: Sequence[Point], rate: str, style: Mapping[str, Any], looks: Mapping[str, Any]) -> None:
    swept = sorted((point for point in points if point.constant is not None), key=lambda point: point.constant or 0)
    others = [point for point in points if point.constant is None]
    for part, look in ((swept, style), *(([one], {**style, **looks[one.run]}) for one in others)):
        if part:
            values = [100 * point.rates[rate].value for point in part]
            bounds = [
                [100 * abs(point.rates[rate].value - bound) for point, bound in zip(part, ends, strict=True)]
                for ends in zip(*((point.rates[rate].low, point.rates[rate].high) for point in part), strict=True)
            ]
            axes.errorbar([100 * point.share for point in part], values, bounds, elinewidth=0.8, **look)

    for point in swept[:: max(1, len(swept) - 1)]:  # the ends say which way the constant goes
        place = (100 * point.share, 100 * point.rates[rate].value)
        axes.annotate(signed(point.constant or 0), place, (3, 4), textcoords="offset points", fontsize=7, color=MUTED)


def main() -> None:
    """Run the sweep, and write its table and its plot."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model's folder")
    parser.add_argument(
        "--recipe", type=Path, default=here / "evaluate.yaml", help="of a diagnosis; its paths start where you are"
    )
    parser.add_argument("--output", type=Path, default=here / "work" / "attention_sweep")
    parser.add_argument("--constants", type=float, nargs="+", default=CONSTANTS, help="in nats")
    parser.add_argument("--tokens", choices=("relevant", "irrelevant"), default="relevant")
    parser.add_argument("--layers", default="all", help="`all`, `last_half`, or such as `3,7,12-20`")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="folders of diagnoses of other models")
    arguments = parser.parse_args()
    beside = {folder.name: read_diagnosis(folder) for folder in arguments.beside}  # before anything is computed
    recipe = yaml.safe_load(arguments.recipe.read_text(encoding="utf-8")) | {
        "model_name_or_path": str(arguments.model),
        "attention_probe": True,
        "attention_calibration_tokens": arguments.tokens,
        "attention_calibration_layers": arguments.layers,
    }
    swept = diagnose(recipe, sorted(set(arguments.constants)), arguments.output)
    points = [
        *(one for c, found in swept.items() for one in points_of(found, f"{signed(c)} nats", c, arguments.layers)),
        *(one for name, found in beside.items() for one in points_of(found, name, None, arguments.layers)),
    ]
    text = table(points)
    (arguments.output / "attention_sweep.md").write_text(text, encoding="utf-8")
    (arguments.output / "attention_sweep.png").write_bytes(draw_png(TITLE, lambda width: draw(points, width)))
    print(f"{text}\nTable and plot are in {arguments.output}.")


if __name__ == "__main__":
    main()
