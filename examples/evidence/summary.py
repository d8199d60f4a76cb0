"""The study's tables and plots, out of `results.jsonl`.

    python examples/evidence/summary.py [--output examples/evidence/summary]

Of one seed, intervals are those of the diagnosis, over rows. Of several, what is compared are seeds: means, standard deviations,
and paired t tests with Holm's correction.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from families import CURVE, HELD_OUT
from grid import BASE, CELLS
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests
from study import HERE, results


TITLES = {cell.name: cell.title for cell in CELLS}
TRAINED = ("misleading_text", "unrelated_text")  # in the words of the paper's pattern
UNSEEN = (*(f"misleading_text_{family}" for family in HELD_OUT), "misleading_text_after", "ocr_text")
IMAGES = ("irrelevant_image", "random_pixels")
REFERENCE = "augmentation"
CONDITIONS = {  # what the tables and plots show, by name: dataset and perturbations
    "image: clean": ("image_test", ("clean",)),
    "image: trained texts": ("image_test", TRAINED),
    "image: held-out texts": ("image_test", UNSEEN),
    "text: clean": ("text_test", ("clean",)),
    "text: other images": ("text_test", IMAGES),
    "text: words in an image (held out)": ("text_test", ("typographic_image",)),
    "both: clean": ("both_test", ("clean",)),
}


def accuracies(lines: Iterable[dict]) -> pd.DataFrame:
    """One row for each cell, seed, dataset and perturbation, with the accuracy and its interval.

    Args:
        lines: of `results.jsonl`.
    """
    found = []
    for line in lines:
        for dataset, result in line["datasets"].items():
            for perturbation, condition in result["perturbations"].items():
                accuracy = condition["rates"]["accuracy"]
                found.append(
                    {"cell": line["cell"], "seed": line["seed"], "dataset": dataset, "perturbation": perturbation}
                    | {key: accuracy[key] for key in ("value", "low", "high")}
                )

    table = pd.DataFrame(found)
    order = {name: number for number, name in enumerate(TITLES)}
    return table.sort_values("cell", key=lambda names: names.map(order), kind="stable")


def condition_means(table: pd.DataFrame) -> pd.DataFrame:
    """By cell and seed, the mean accuracy under each of `CONDITIONS`, in their order.

    Args:
        table: as `accuracies` makes it.
    """
    columns = {}
    for name, (dataset, perturbations) in CONDITIONS.items():
        chosen = table[(table.dataset == dataset) & table.perturbation.isin(perturbations)]
        columns[name] = chosen.groupby(["cell", "seed"], sort=False).value.mean()

    means = pd.DataFrame(columns)
    worst = table[(table.dataset == "image_test") & table.perturbation.isin(UNSEEN)]
    means["image: worst held-out text"] = worst.groupby(["cell", "seed"], sort=False).value.min()
    return means


def overview(lines: Sequence[dict]) -> str:
    """The main table, as Markdown: every cell's accuracies in per cent, over seeds, and what its training took."""
    means = condition_means(accuracies(lines))
    costs = pd.DataFrame(
        [{"cell": line["cell"], **line["training"]} for line in lines if line["cell"] != BASE]
    ).groupby("cell")
    head = ["cell", "seeds", *means.columns, "training, core-minutes", "GiB"]
    rows = []
    for cell, own in means.groupby("cell", sort=False):
        cost = costs.get_group(cell) if cell != BASE else None
        took = ["", ""] if cost is None else [f"{cost.core_seconds.mean() / 60:.0f}", f"{cost.peak_gib.max():.1f}"]
        rows.append([TITLES[str(cell)], str(len(own)), *(_percent(own[name]) for name in means.columns), *took])

    return _markdown(head, rows)


def families(lines: Sequence[dict]) -> str:
    """Accuracy on questions about the image under each text, as Markdown, in per cent."""
    table = accuracies(lines)
    table = table[(table.dataset == "image_test")]
    names = ["clean", *TRAINED, *UNSEEN]
    rows = [
        [TITLES[str(cell)], *(_percent(own[own.perturbation == name].value) for name in names)]
        for cell, own in table.groupby("cell", sort=False)
    ]
    return _markdown(["cell", *names], rows)


def tests(lines: Sequence[dict]) -> str:
    """Differences to `REFERENCE` over seeds, as Markdown: in points, with p values after Holm's correction.

    Cells that have not two seeds in common with the reference are left out; where none has, there is no table.
    """
    means = condition_means(accuracies(lines))
    found = []
    for cell, own in means.groupby("cell", sort=False):
        pairs = own.droplevel("cell").join(means.loc[REFERENCE], rsuffix=" of reference", how="inner")
        if cell == REFERENCE or len(pairs) < 2:
            continue

        for name in CONDITIONS:
            difference = pairs[name] - pairs[f"{name} of reference"]
            p = ttest_rel(pairs[name], pairs[f"{name} of reference"]).pvalue if difference.std() > 0 else float("nan")
            found.append((TITLES[str(cell)], name, 100 * difference.mean(), 100 * difference.std(), len(pairs), p))

    if not found:
        return "One seed: nothing can be said over seeds.\n"

    known = [row[-1] for row in found if row[-1] == row[-1]]
    adjusted = iter(multipletests(known, method="holm")[1])
    rows = [
        [title, name, f"{mean:+.1f}", f"{spread:.1f}", str(seeds), f"{next(adjusted):.3f}" if p == p else "-"]
        for title, name, mean, spread, seeds, p in found
    ]
    return _markdown(["cell", "condition", f"against {TITLES[REFERENCE]}", "sd", "seeds", "p (Holm)"], rows)


def plot_conditions(lines: Sequence[dict], path: Path) -> None:
    """One panel a text: every cell's accuracy on questions about the image, with the interval over rows of each seed.

    Args:
        lines: of `results.jsonl`.
        path: of the PNG.
    """
    table = accuracies(lines)
    table = table[table.dataset == "image_test"]
    names = ["clean", *TRAINED, *UNSEEN]
    cells = list(dict.fromkeys(table.cell))[::-1]
    figure, axes = plt.subplots(3, 3, figsize=(11, 1.6 + 0.9 * len(cells)), sharex=True, sharey=True)
    for axis, name in zip(axes.flat, names, strict=True):
        own = table[table.perturbation == name]
        for seed, of_seed in own.groupby("seed"):
            places = [
                cells.index(cell) + 0.15 * (float(str(seed)) - (own.seed.nunique() - 1) / 2) for cell in of_seed.cell
            ]
            errors = [of_seed.value - of_seed.low, of_seed.high - of_seed.value]
            axis.errorbar(
                of_seed.value, places, xerr=errors, fmt="o", color="tab:blue" if name not in UNSEEN else "tab:orange"
            )

        axis.axvline(0.25, color="grey", linestyle=":", linewidth=1)  # chance
        axis.set_title(f"{name}, held out" if name in UNSEEN else name, fontsize=9)
        axis.set_yticks(range(len(cells)), [TITLES[cell] for cell in cells], fontsize=8)
        axis.grid(axis="x", alpha=0.3)

    axes[-1, 1].set_xlabel("accuracy (dotted: guessing)")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def plot_curve(lines: Sequence[dict], path: Path) -> None:
    """The number of families that are trained on against accuracy, under trained and held-out texts.

    Args:
        lines: of `results.jsonl`.
        path: of the PNG.
    """
    means = condition_means(accuracies(lines)).reset_index()
    numbers = {REFERENCE: CURVE[0]} | {f"families{number}": number for number in CURVE[1:]}
    chosen = means[means.cell.isin(numbers)].assign(number=lambda frame: frame.cell.map(numbers))
    figure, axis = plt.subplots(figsize=(5.5, 3.6))
    for name in ("image: clean", "image: trained texts", "image: held-out texts", "image: worst held-out text"):
        over_seeds = chosen.groupby("number")[name].agg(["mean", "std"]).fillna(0)
        axis.errorbar(over_seeds.index, over_seeds["mean"], yerr=over_seeds["std"], marker="o", label=name)

    axis.set_xscale("log", base=2)
    axis.set_xticks(CURVE, [str(number) for number in CURVE])
    axis.set_xlabel("families of texts that are trained on")
    axis.set_ylabel("accuracy")
    axis.set_ylim(0, 1)
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _percent(values: pd.Series) -> str:
    mean, spread = 100 * values.mean(), 100 * values.std()
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ± {spread:.1f}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "summary")
    arguments = parser.parse_args()
    lines = list(results())
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, text in (("overview", overview(lines)), ("families", families(lines)), ("tests", tests(lines))):
        (arguments.output / f"{name}.md").write_text(text, encoding="utf-8")
        print(text)

    plot_conditions(lines, arguments.output / "conditions.png")
    plot_curve(lines, arguments.output / "curve.png")


if __name__ == "__main__":
    main()
