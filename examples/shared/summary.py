"""A study's tables and plots, out of a `results.jsonl`.

Of one seed, intervals are those of the diagnosis, over rows. Of several, what is compared are seeds: means, standard deviations,
and paired t tests with Holm's correction.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from .study import BASE, Study, read_results


Lines = Sequence[dict]
ECES = ("ECE", "ECE, held-out texts")  # of questions about the image
PLAIN = "plain"  # the cell that times are related to
TABLES = ("overview", "families", "costs", "grounding", "tests")


@dataclass(frozen=True)
class Summary:
    """What is shown of a study.

    Attributes:
        study: whose results.
        conditions: columns of the overview: a dataset and the perturbations over which accuracies are averaged, by title.
        dataset: the one whose perturbations the study is about, and whose evidence is taken away.
        trained: perturbations of `dataset` that cells train on.
        unseen: perturbations of `dataset` that no cell trains on.
        reference: the cell that others are compared with where they name none.
        tables: which are made.
        chance: accuracy of guessing on `dataset`.
        curve: numbers of families of texts, by the cell that trains on so many; empty for no plot.
    """

    study: Study
    conditions: Mapping[str, tuple[str, tuple[str, ...]]]
    dataset: str
    trained: tuple[str, ...]
    unseen: tuple[str, ...]
    reference: str
    tables: Sequence[str] = TABLES
    chance: float = 0.25
    curve: Mapping[str, int] = field(default_factory=dict)

    @property
    def titles(self) -> dict[str, str]:
        """Of the cells, in their order."""
        return {cell.name: cell.title for cell in self.study.cells}

    @property
    def texts(self) -> list[str]:
        """Everything that questions about the image are asked under."""
        return ["clean", *self.trained, *self.unseen]

    def accuracies(self, lines: Lines) -> pd.DataFrame:
        """One row for each cell, seed, dataset and perturbation, with the accuracy, its interval, and the calibration error.

        Args:
            lines: of the results.
        """
        found = [
            {"cell": line["cell"], "seed": line["seed"], "dataset": dataset, "perturbation": perturbation}
            | {key: condition["rates"]["accuracy"][key] for key in ("value", "low", "high")}
            | {"ece": condition["rates"]["ece"]["value"]}
            for line in lines
            for dataset, result in line["datasets"].items()
            for perturbation, condition in result["perturbations"].items()
        ]
        order = {name: number for number, name in enumerate(self.titles)}
        table = pd.DataFrame(found)
        return table[table.cell.isin(order)].sort_values("cell", key=lambda names: names.map(order), kind="stable")

    def means(self, lines: Lines) -> pd.DataFrame:
        """By cell and seed, mean accuracies and calibration errors.

        Accuracies are those of `conditions`, in their order, and that under the worst unseen text; calibration errors are of
        questions about the image, clean and under unseen texts.
        """
        table = self.accuracies(lines)
        columns = {}
        for name, (dataset, perturbations) in self.conditions.items():
            chosen = table[(table.dataset == dataset) & table.perturbation.isin(perturbations)]
            columns[name] = chosen.groupby(["cell", "seed"], sort=False).value.mean()

        unseen = table[(table.dataset == self.dataset) & table.perturbation.isin(self.unseen)]
        if len(self.unseen) > 1:
            columns["worst held-out text"] = unseen.groupby(["cell", "seed"], sort=False).value.min()

        clean = table[(table.dataset == self.dataset) & (table.perturbation == "clean")]
        for name, rows in zip(ECES, (clean, unseen)):
            columns[name] = rows.groupby(["cell", "seed"], sort=False).ece.mean()

        return pd.DataFrame(columns)

    def blindness(self, lines: Lines) -> dict[str, pd.Series]:
        """By cell, of each seed, the share of answers about the image that stay though it is gone; empty where none was asked."""
        found = [
            {"cell": line["cell"], "value": grounding["blindness"]["value"]}
            for line in lines
            if (grounding := line["datasets"].get(self.dataset, {}).get("grounding"))
        ]
        table = pd.DataFrame(found, columns=["cell", "value"])
        return {str(cell): own.value for cell, own in table.groupby("cell")}

    def overview(self, lines: Lines) -> str:
        """The main table, as Markdown: every cell's accuracies in per cent, over seeds."""
        means = self.means(lines).drop(columns=list(ECES))
        rows = [
            [self.titles[str(cell)], str(len(own)), *(_percent(own[name]) for name in means)]
            for cell, own in means.groupby("cell", sort=False)
        ]
        return _markdown(["cell", "seeds", *means], rows)

    def costs(self, lines: Lines) -> str:
        """What every cell's training took, its calibration, and answers that stay without the image (where asked), as Markdown.

        Seeds may have been run on several machines: times are a range, and in relation to plain tuning of the same seed a mean.
        """
        means, blind = self.means(lines)[list(ECES)], self.blindness(lines)
        trained = pd.DataFrame([{"cell": line["cell"], "seed": line["seed"], **line["training"]} for line in lines])
        seconds = trained.set_index(["cell", "seed"]).core_seconds
        plain = seconds.xs(PLAIN) if PLAIN in seconds.index else pd.Series(dtype=float)
        rows = []
        for cell, own in means.groupby("cell", sort=False):
            took = ["", "", ""]
            if cell != BASE:
                peak = trained[trained.cell == cell].peak_gib.max()
                took = [_range(seconds.xs(cell) / 60), _mean(seconds.xs(cell) / plain), f"{peak:.1f}"]

            stays = [_percent(blind[str(cell)]) if cell in blind else ""] if blind else []
            rows.append([self.titles[str(cell)], *took, *(_percent(own[name]) for name in means), *stays])

        asked = ["unchanged without the image"] if blind else []
        return _markdown(["cell", "training, core-minutes", "times plain tuning", "GiB", *means, *asked], rows)

    def families(self, lines: Lines) -> str:
        """Accuracy on questions about the image under each text, as Markdown, in per cent."""
        table = self.accuracies(lines)
        rows = [
            [
                self.titles[str(cell)],
                *(
                    _percent(own[own.perturbation == name].value) if name in set(own.perturbation) else ""
                    for name in self.texts
                ),
            ]
            for cell, own in table[table.dataset == self.dataset].groupby("cell", sort=False)
        ]
        return _markdown(["cell", *self.texts], rows)

    def grounding(self, lines: Lines) -> str:
        """What answers do when their evidence is gone, as Markdown: which stay, how sure they are, and the margin of the evidence.

        The first two are in per cent; the margin is how much likelier the right answer is with its evidence, as a difference of mean log-likelihoods of a token.
        """
        found = [
            {
                "cell": line["cell"],
                "condition": f"{dataset.removesuffix('_test')}, {name.removeprefix('counterfactual_')}",
                "unchanged": condition["rates"]["unchanged_rate"]["value"],
                "confidence": condition["rates"]["confidence"]["value"],
                "margin": condition["rates"]["evidence_margin"]["value"],
            }
            for line in lines
            for dataset, result in line["datasets"].items()
            for name, condition in result.get("counterfactuals", {}).items()
        ]
        if not found:
            return "No rows without their evidence.\n"

        table = pd.DataFrame(found)
        conditions = list(dict.fromkeys(table.condition))
        rows = []
        for name, title in self.titles.items():
            own = [table[(table.cell == name) & (table.condition == condition)] for condition in conditions]
            if len(own[0]):
                figures = [(_percent(of.unchanged), _percent(of.confidence), f"{of.margin.mean():.2f}") for of in own]
                rows.append([title, *(figure for each in figures for figure in each)])

        names = ("unchanged", "confidence", "margin")
        head = [f"{condition}: {name}" for condition in conditions for name in names]
        return _markdown(["cell", *head], rows)

    def attention(self, lines: Lines) -> str:
        """How far questions about a modality draw attention to it, as Markdown: Cohen's d on clean rows, of the layer where it is farthest from 0."""
        found = [
            {"cell": line["cell"], "modality": contrast["modality"], "d": max(values, key=abs)}
            for line in sorted(lines, key=lambda line: line["seed"])
            for contrast in line["attention"]
            if contrast["condition"] == "clean"
            and (values := [layer["value"] for layer in contrast["layers"] if layer["value"] is not None])
        ]
        table = pd.DataFrame(found)
        modalities = list(dict.fromkeys(table.modality))
        rows = []
        for name, title in self.titles.items():
            own = [table[(table.cell == name) & (table.modality == modality)].d for modality in modalities]
            if len(own[0]):
                rows.append([title, *(", ".join(f"{value:.2f}" for value in values) for values in own)])

        return _markdown(["cell", *(f"attention to {modality}, a number per seed" for modality in modalities)], rows)

    def tests(self, lines: Lines) -> str:
        """Differences to what each cell is compared with, over seeds, as Markdown: in points, with 95 % interval and p value.

        Both are of paired t tests, the p values after Holm's correction over the cells under one condition. Cells that have not two
        seeds in common with their reference are left out; where none has, there is no table.
        """
        means = self.means(lines)
        done = set(means.index.unique("cell"))
        against = {cell.name: cell.against or self.reference for cell in self.study.cells}
        compared = {name: other for name, other in against.items() if name != other and {name, other} <= done}
        pairs = {name: _paired(means.loc[name], means.loc[other]) for name, other in compared.items()}
        pairs = {name: pair for name, pair in pairs.items() if len(pair[0]) > 1}
        if not pairs:
            return "One seed: nothing can be said over seeds.\n"

        columns = {
            condition: _differences([(a[condition], b[condition]) for a, b in pairs.values()]) for condition in means
        }
        rows = [
            [
                self.titles[name],
                self.titles[against[name]],
                str(len(pair[0])),
                *(column[number] for column in columns.values()),
            ]
            for number, (name, pair) in enumerate(pairs.items())
        ]
        return _markdown(["cell", "against", "seeds", *columns], rows, texts=2)

    def plot_conditions(self, lines: Lines, path: Path) -> None:
        """One panel a text: every cell's accuracy on questions about the image, with the interval over rows of each seed.

        Args:
            lines: of the results.
            path: of the PNG.
        """
        table = self.accuracies(lines)
        table = table[table.dataset == self.dataset]
        cells = list(dict.fromkeys(table.cell))[::-1]
        rows = -(-len(self.texts) // 3)
        figure, axes = plt.subplots(
            rows, 3, figsize=(11, 1 + rows * (0.5 + 0.22 * len(cells))), sharex=True, sharey=True, squeeze=False
        )
        for axis, name in zip(axes.flat, self.texts):
            own = table[table.perturbation == name]
            for seed, of_seed in own.groupby("seed"):
                shift = 0.15 * (float(str(seed)) - (own.seed.nunique() - 1) / 2)
                errors = [(of_seed.value - of_seed.low).clip(lower=0), (of_seed.high - of_seed.value).clip(lower=0)]
                places = [cells.index(cell) + shift for cell in of_seed.cell]
                colour = "tab:orange" if name in self.unseen else "tab:blue"
                axis.errorbar(of_seed.value, places, xerr=errors, fmt="o", markersize=4, color=colour)

            axis.axvline(self.chance, color="grey", linestyle=":", linewidth=1)  # chance
            axis.set_title(f"{name}\n(held out)" if name in self.unseen else name, fontsize=9)
            axis.set_yticks(range(len(cells)), [self.titles[cell] for cell in cells], fontsize=8)
            axis.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(cells) - 0.4))
            axis.tick_params(axis="x", labelsize=8)
            axis.grid(axis="x", alpha=0.3)

        for axis in axes.flat[len(self.texts) :]:
            axis.axis("off")

        for axis in axes.flat[max(len(self.texts) - 3, 0) : len(self.texts)]:
            axis.tick_params(labelbottom=True)  # the lowest panel of its column, also above an empty one

        figure.supxlabel("accuracy (dotted: guessing)", fontsize=9)
        _save(figure, path)

    def plot_curve(self, lines: Lines, path: Path) -> None:
        """The number of families that are trained on against accuracy, under trained and held-out texts.

        Args:
            lines: of the results.
            path: of the PNG.
        """
        means = self.means(lines).reset_index()
        chosen = means[means.cell.isin(self.curve)].assign(number=lambda frame: frame.cell.map(self.curve))
        figure, axis = plt.subplots(figsize=(5.5, 3.6))
        texts = [name for name, (dataset, _) in self.conditions.items() if dataset == self.dataset]
        for name in (*texts, "worst held-out text"):
            over_seeds = chosen.groupby("number")[name].agg(["mean", "std"]).fillna(0)
            axis.errorbar(over_seeds.index, over_seeds["mean"], yerr=over_seeds["std"], marker="o", label=name)

        numbers = sorted(chosen.number.unique())
        axis.set_xscale("log", base=2)
        axis.set_xticks(numbers, [str(number) for number in numbers])
        axis.set_xlabel("families of texts that are trained on")
        axis.set_ylabel("accuracy")
        axis.set_ylim(0, 1)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
        _save(figure, path)


def write_summary(summary: Summary, description: str | None) -> None:
    """Write the tables and plots of a study's results beside them, and print the tables.

    Args:
        summary: what is shown.
        description: of `--help`.
    """
    own, published = summary.study.results, summary.study.published
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--results", type=Path, help="by default what was run here, else what was published")
    file = parser.parse_args().results or (own if own.exists() else published)
    lines = list(read_results(file))
    if not lines:
        parser.error(f"{file} has no results; run study.py first")

    output = file.parent / "summary"
    output.mkdir(parents=True, exist_ok=True)
    for name in summary.tables:
        text = getattr(summary, name)(lines)
        (output / f"{name}.md").write_text(text, encoding="utf-8")
        print(text)

    summary.plot_conditions(lines, output / "conditions.png")
    if len(summary.curve.keys() & {line["cell"] for line in lines}) > 2:  # two points are no curve
        summary.plot_curve(lines, output / "curve.png")


def _paired(own: pd.DataFrame, reference: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two cells' means of the seeds that they have in common."""
    seeds = own.index.intersection(reference.index)
    return own.loc[seeds], reference.loc[seeds]


def _differences(pairs: Sequence[tuple[pd.Series, pd.Series]]) -> list[str]:
    """Of each pair over seeds: the mean difference in points, its 95 % interval, and p after Holm's correction."""
    differences = [100 * (own - reference) for own, reference in pairs]
    found = {
        number: ttest_rel(*(100 * side for side in pairs[number]))
        for number, values in enumerate(differences)
        if values.std() > 1e-10
    }
    p = dict(zip(found, multipletests([test.pvalue for test in found.values()], method="holm")[1])) if found else {}
    texts = []
    for number, values in enumerate(differences):
        interval = ""
        if number in found:
            low, high = found[number].confidence_interval(0.95)
            interval = f" ({low:+.1f} to {high:+.1f}, p {p[number]:.3f})"

        texts.append(f"{values.mean():+.1f}{interval}")

    return texts


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _range(values: pd.Series) -> str:
    """The least and the greatest."""
    return " to ".join(dict.fromkeys(f"{value:.1f}" for value in (values.min(), values.max())))


def _mean(values: pd.Series) -> str:
    """The mean of what is known; nothing where nothing is."""
    return f"{values.mean():.1f}" if values.notna().any() else ""


def _percent(values: pd.Series) -> str:
    mean, spread = 100 * values.mean(), 100 * values.std()
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ± {spread:.1f}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table whose first columns, so many, are texts."""
    lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
