"""The evidence study's tables, from lines whose figures are known."""

import importlib
import math
import sys
from pathlib import Path

import pytest


EVIDENCE = Path(__file__).parents[2] / "examples" / "evidence"


@pytest.fixture
def summary(monkeypatch):
    """The study's modules import each other by their names."""
    monkeypatch.syspath_prepend(str(EVIDENCE))
    yield importlib.import_module("summary")
    for name in ("summary", "study", "grid", "families", "sources"):
        sys.modules.pop(name, None)


def line(summary, cell, seed, held_out):
    """A line of the results: 0.8 everywhere but under held-out texts, the first of which is 0.1 worse than the others."""

    def accuracy(value):
        return {"rates": {"accuracy": {"value": value, "low": value - 0.1, "high": value + 0.1}}}

    image = {name: accuracy(0.8) for name in ("clean", *summary.TRAINED)}
    image |= {name: accuracy(held_out) for name in summary.UNSEEN[1:]}
    image[summary.UNSEEN[0]] = accuracy(held_out - 0.1)
    text = {name: accuracy(0.8) for name in ("clean", *summary.IMAGES, "typographic_image")}
    datasets = {"image_test": image, "text_test": text, "both_test": {"clean": accuracy(0.8)}}
    return {
        "cell": cell,
        "seed": seed,
        "training": {"core_seconds": 60.0 * seed, "peak_gib": 1.5},
        "datasets": {name: {"perturbations": found} for name, found in datasets.items()},
    }


def test_the_overview_has_means_and_spreads_over_seeds_and_the_worst_family(summary):
    lines = [line(summary, "base", 0, 0.3), line(summary, "js", 1, 0.5), line(summary, "js", 3, 0.7)]
    head, _, base, js = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in summary.overview(lines).splitlines()
    ]
    base, js = dict(zip(head, base)), dict(zip(head, js))
    assert base["image: clean"] == "80.0"
    held_out = 100 * (0.3 - 0.1 / len(summary.UNSEEN))
    assert base["image: held-out texts"] == f"{held_out:.1f}"
    assert base["image: worst held-out text"] == "20.0"
    assert js["image: worst held-out text"] == f"50.0 ± {100 * math.sqrt(0.02):.1f}"
    assert (js["seeds"], js["training, core-minutes"], js["GiB"]) == ("2", "2", "1.5")


def test_differences_over_seeds_are_paired_and_corrected(summary):
    """Differences 0.1, 0.2, 0.3: t = 2 sqrt(3) with two degrees of freedom, p = 1 - t / sqrt(t^2 + 2); the only test."""
    better = [(0, 0.1), (1, 0.2), (2, 0.3)]
    lines = [line(summary, summary.REFERENCE, seed, 0.4) for seed, _ in better]
    lines += [line(summary, "js", seed, 0.4 + more) for seed, more in better]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in summary.tests(lines).splitlines()[2:]]
    found = {row[1]: row[2:] for row in rows}
    t = 2 * math.sqrt(3)
    assert found["image: held-out texts"] == ["+20.0", "10.0", "3", f"{1 - t / math.sqrt(t**2 + 2):.3f}"]
    assert found["image: clean"][-1] == "-"  # no seed differs: no test


def test_plots_are_written_from_one_seed(summary, tmp_path):
    lines = [line(summary, cell, 0, 0.4) for cell in ("base", "augmentation", "families8")]
    summary.plot_conditions(lines, tmp_path / "conditions.png")
    summary.plot_curve(lines, tmp_path / "curve.png")
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("conditions.png", "curve.png"))
