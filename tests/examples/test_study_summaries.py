"""A study's tables, from lines whose figures are known."""

import importlib
import math
import sys
from pathlib import Path

import pytest


EXAMPLES = Path(__file__).parents[2] / "examples"
STUDIES = ("evidence", "digits_ablation")
WITH_TABLES = (*STUDIES, "clips_ablation")
MODULES = ("summary", "study", "grid", "families", "sources")  # of the studies, which import each other by their names


every_study = pytest.mark.parametrize("summary", WITH_TABLES, indirect=True)


@pytest.fixture(params=STUDIES)
def summary(request, monkeypatch):
    """A study's summary; by default of those on images."""
    monkeypatch.setattr(sys, "path", [str(EXAMPLES / request.param), *sys.path])
    for name in MODULES:
        sys.modules.pop(name, None)

    yield importlib.import_module("summary").SUMMARY
    for name in MODULES:
        sys.modules.pop(name, None)


def line(summary, cell, seed, held_out):
    """A line of the results: 0.8 everywhere but under held-out texts, the first of which is 0.1 worse than the others."""

    def accuracy(value):
        return {
            "rates": {
                "accuracy": {"value": value, "low": value - 0.1, "high": value + 0.1},
                "ece": {"value": 1 - value},
            }
        }

    datasets = {}
    for dataset, perturbations in summary.conditions.values():
        found = datasets.setdefault(dataset, {"perturbations": {}})["perturbations"]
        found |= {name: accuracy(held_out if name in summary.unseen else 0.8) for name in perturbations}

    datasets[summary.dataset]["perturbations"][summary.unseen[0]] = accuracy(held_out - 0.1)
    datasets[summary.dataset]["grounding"] = {"blindness": {"value": 0.6}}
    training = {"core_seconds": 60.0 * seed, "peak_gib": 1.5}
    return {"cell": cell, "seed": seed, "training": training, "datasets": datasets}


def cells_of(row):
    return [cell.strip() for cell in row.split("|")[1:-1]]


def test_the_overview_has_means_and_spreads_over_seeds_and_the_worst_family(summary):
    lines = [line(summary, "base", 0, 0.3), line(summary, "js", 1, 0.5), line(summary, "js", 3, 0.7)]
    plain = [line(summary, "plain", seed, 0.3) for seed in (2, 3)]
    plain[1]["training"]["core_seconds"] = 30.0  # a faster machine than that of the cell
    head, _, base, js = map(cells_of, summary.overview(lines).splitlines())
    base, js = dict(zip(head, base)), dict(zip(head, js))
    assert base["image"] == "80.0"
    held_out = 100 * (0.3 - 0.1 / len(summary.unseen))
    assert base["image, held-out texts"] == f"{held_out:.1f}"
    assert base["worst held-out text"] == "20.0"
    assert js["worst held-out text"] == f"50.0 ± {100 * math.sqrt(0.02):.1f}"
    assert js["seeds"] == "2"
    head, _, base, _, js = map(cells_of, summary.costs(lines + plain).splitlines())
    base, js = dict(zip(head, base)), dict(zip(head, js))
    assert base["unchanged without the image"] == "60.0"
    assert base["ECE"] == "20.0"
    assert base["ECE, held-out texts"] == f"{100 - held_out:.1f}"
    assert (js["training, core-minutes"], js["times plain tuning"], js["GiB"]) == ("1.0 to 3.0", "6.0", "1.5")
    assert base["GiB"] == ""  # not trained


def test_differences_over_seeds_are_paired_and_corrected(summary):
    """Differences 0.1, 0.2, 0.3: t = 2 sqrt(3) with two degrees of freedom, p = 1 - t / sqrt(t^2 + 2).

    So 95 % of t lie within 0.95 sqrt(2 / (1 - 0.95^2)). Two cells are compared; the other's differences are farther from 0 for their spread, so Holm doubles only its p.
    """
    reference, near, far = 0.4, (0.1, 0.2, 0.3), (0.2, 0.21, 0.22)
    lines = [line(summary, summary.reference, seed, reference) for seed in range(3)]
    for cell, differences in (("js", near), ("kl", far)):
        lines += [line(summary, cell, seed, reference + more) for seed, more in enumerate(differences)]

    head, _, js, kl = map(cells_of, summary.tests(lines).splitlines())
    js, kl = dict(zip(head, js)), dict(zip(head, kl))
    t_near, t_far = 2 * math.sqrt(3), 0.21 / (0.01 / math.sqrt(3))
    p_near, p_far = (1 - t / math.sqrt(t**2 + 2) for t in (t_near, t_far))
    errors = 0.95 * math.sqrt(2 / (1 - 0.95**2)) / math.sqrt(3)
    near, far = (f"{20 - 10 * errors:+.1f} to {20 + 10 * errors:+.1f}", f"{21 - errors:+.1f} to {21 + errors:+.1f}")
    assert js["image, held-out texts"] == f"+20.0 ({near}, p {p_near:.3f})"
    assert kl["image, held-out texts"] == f"+21.0 ({far}, p {2 * p_far:.3f})"
    assert (js["seeds"], js["against"]) == ("3", summary.titles[summary.reference])
    assert js["image"] == "+0.0"  # no seed differs: no test


def test_a_cell_is_compared_with_the_one_that_it_adds_to(summary):
    lines = [line(summary, cell, seed, 0.3) for cell in ("augmentation", "js", "js_pgd1") for seed in range(2)]
    head, _, js, attacked = map(cells_of, summary.tests(lines).splitlines())
    assert head[:3] == ["cell", "against", "seeds"]
    assert js[:2] == [summary.titles["js"], summary.titles["augmentation"]]
    assert attacked[:2] == [summary.titles["js_pgd1"], summary.titles["js"]]


@every_study
def test_cells_are_compared_with_cells(summary):
    against = {cell.name: cell.against or summary.reference for cell in summary.study.cells}
    assert set(against.values()) <= against.keys()
    assert [name for name, other in against.items() if name == other] == [summary.reference]


def test_answers_without_evidence_are_told_by_what_took_it(summary):
    def gone(unchanged, margin):
        rates = {"unchanged_rate": unchanged, "confidence": unchanged + 0.1, "evidence_margin": margin}
        return {"rates": {name: {"value": value} for name, value in rates.items()}}

    first, second = line(summary, "js", 0, 0.5), line(summary, "js", 1, 0.5)
    first["datasets"][summary.dataset]["counterfactuals"] = {"counterfactual_black_image": gone(0.25, 1.0)}
    second["datasets"][summary.dataset]["counterfactuals"] = {"counterfactual_black_image": gone(0.35, 2.0)}
    head, _, js = map(cells_of, summary.grounding([first, second]).splitlines())
    dataset = summary.dataset.removesuffix("_test")
    assert head == ["cell", *(f"{dataset}, black_image: {name}" for name in ("unchanged", "confidence", "margin"))]
    spread = f"{100 * math.sqrt(0.005):.1f}"
    assert js == [summary.titles["js"], f"30.0 ± {spread}", f"40.0 ± {spread}", "1.50"]


@pytest.mark.parametrize("summary", ["clips_ablation"], indirect=True)
def test_attention_is_told_by_the_layer_that_differs_most(summary):
    def contrast(modality, condition, *layers):
        return {"modality": modality, "condition": condition, "layers": [{"value": value} for value in layers]}

    def attention(largest):
        video = contrast("video", "clean", 0.1, largest, None)
        return [video, contrast("audio", "clean", 0.0, 0.5), contrast("audio", "misaligned", 9.0)]

    lines = [line(summary, "plain", seed, 0.5) | {"attention": attention(d)} for seed, d in ((1, 2.0), (0, -1.5))]
    head, _, plain = map(cells_of, summary.attention(lines).splitlines())
    assert head == ["cell", *(f"attention to {modality}, a number per seed" for modality in ("video", "audio"))]
    assert plain == [summary.titles["plain"], "-1.50, 2.00", "0.50, 0.50"]


@every_study
def test_what_is_published_is_a_summary_of_the_results(summary):
    lines = list(importlib.import_module("shared.study").read_results(summary.study.published))
    written = summary.study.folder / "summary"
    assert written.is_dir() == bool(lines)
    for name in summary.tables if lines else ():
        assert (written / f"{name}.md").read_text() == getattr(summary, name)(lines)


@every_study
def test_plots_are_written_from_one_seed(summary, tmp_path):
    lines = [line(summary, cell, 0, 0.4) for cell in list(summary.titles)[:3]]
    summary.plot_conditions(lines, tmp_path / "conditions.png")
    assert (tmp_path / "conditions.png").stat().st_size > 10_000
    if summary.curve:
        summary.plot_curve(lines, tmp_path / "curve.png")
        assert (tmp_path / "curve.png").stat().st_size > 10_000


def test_half_a_line_of_a_killed_study_counts_for_nothing(summary, tmp_path):
    shared = importlib.import_module("shared.study")
    file = tmp_path / "results.jsonl"
    assert list(shared.read_results(file)) == []
    shared.append_result(file, {"cell": "plain", "seed": 1})
    with file.open("a") as stream:
        stream.write('{"cell": "js", "se')

    shared.append_result(file, {"cell": "kl", "seed": 1})
    assert [line["cell"] for line in shared.read_results(file)] == ["plain", "kl"]


def test_the_command_line_says_which_cells_run(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    shared = importlib.import_module("shared.study")
    cells = [shared.Cell("base", "base"), shared.Cell("js", "JS"), shared.Cell("kl", "KL", reduced=False)]
    study = shared.Study(tmp_path, tmp_path, tmp_path, cells, seeds=2, build=lambda seed, threads: None)
    shared.append_result(study.results, {"cell": "js", "seed": 0})
    asked = []
    precisions = []

    def run_tasks(study, missing, jobs, bf16, done):
        asked.append(missing)
        precisions.append(bf16)
        return iter(())

    monkeypatch.setattr(shared, "_run_tasks", run_tasks)
    monkeypatch.setattr(shared, "bfloat16_pays", lambda: True)
    for words in ([], ["--full"], ["--seeds", "2", "--cells", "kl,js"]):
        monkeypatch.setattr(sys, "argv", ["study", *words])
        shared.run_study(study, None)

    everything = {0: {"base", "kl"}, 1: {"base", "js", "kl"}}
    assert asked == [{0: {"base"}}, everything, {0: {"kl"}, 1: {"js", "kl"}}]
    for precision in ("float32", "bfloat16"):
        monkeypatch.setattr(sys, "argv", ["study", "--precision", precision])
        shared.run_study(study, None)

    assert precisions == [True, True, True, False, True]  # what is faster here, or what was said
    monkeypatch.setattr(sys, "argv", ["study", "--cells", "mse"])
    with pytest.raises(SystemExit):
        shared.run_study(study, None)

    assert "no mse. There are base, js, kl." in capsys.readouterr().err


def test_a_seed_is_done_before_the_next_and_a_base_that_fails_costs_its_own_cells_only(tmp_path, monkeypatch):
    """What a cell takes is minutes, so only what is run, in which order, is looked at here."""
    monkeypatch.syspath_prepend(EXAMPLES)
    shared = importlib.import_module("shared.study")

    def build(seed, threads):
        if seed.number == 1:
            raise RuntimeError("no base")

    def run_cell(seed, cell, threads):
        return {"cell": cell.name, "seed": seed.number}

    monkeypatch.setattr(shared, "run_cell", run_cell)
    cells = [shared.Cell(name, name) for name in ("base", "plain", "js")]
    study = shared.Study(tmp_path, tmp_path, tmp_path, cells, seeds=3, build=build)
    missing = {0: {"js", "plain"}, 1: {"base"}, 2: {"base", "js"}}
    said = []
    assert list(shared._run_tasks(study, missing, 1, False, said.append)) == ["no base"]
    lines = [(line["seed"], line["cell"]) for line in shared.read_results(study.results)]
    assert lines == [(0, "plain"), (0, "js"), (2, "base"), (2, "js")]
    assert len(said) == 6  # two bases, four cells
