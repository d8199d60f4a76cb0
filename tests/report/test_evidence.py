"""Both axes in comparisons: paired differences against independent tests, Holm's correction with the others, groups of seeds, the page."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.diagnoses import diagnosis, scored
from helpers.pages import open_page, overflow
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from modality_interference.evaluation.counterfactuals import with_counterfactuals
from modality_interference.evaluation.rates import dataset_results
from modality_interference.report.comparison import compare_runs
from modality_interference.report.seeds import compare_groups
from modality_interference.results import ScoredRow, write_results


LABEL = "counterfactual_black_image"
ROWS = 60


def write_run(
    folder: Path, flips: float, stays: float, rng: np.random.Generator, margin: float = 2.0
) -> tuple[list[ScoredRow], list[ScoredRow]]:
    """A run folder with so many flips and answers that stay; its twins and its counterfactual rows."""
    flipped, stayed = (rng.random(ROWS) < flips).tolist(), (rng.random(ROWS) < stays).tolist()
    clean = scored(correct=[True] * ROWS, confidence=(0.9 - 0.1 * rng.random(ROWS)).tolist())
    twins = scored(perturbation="misleading_text", correct=[not flip for flip in flipped], flipped=flipped)
    gone = scored(
        perturbation=LABEL,
        correct=stayed,
        flipped=[not same for same in stayed],
        options=[4] * ROWS,
        confidence=(0.6 + 0.3 * rng.random(ROWS)).tolist(),
        evidence_margin=rng.normal(margin, 1, ROWS).tolist(),
    )
    rows = [*clean, *twins]
    results = with_counterfactuals(dataset_results(rows, 0, generated=False), rows, gone, 0)
    write_results(folder, diagnosis({}).model_copy(update={"datasets": results}), rows, gone)
    return twins, gone


def table_of(base: list[bool], other: list[bool]) -> list[list[int]]:
    return [[sum((a, b) == (x, y) for x, y in zip(base, other)) for b in (True, False)] for a in (True, False)]


def words(page: Path) -> str:
    return " ".join(page.read_text().replace("\xa0", " ").split())


def test_a_model_that_is_less_misled_and_looks_less(tmp_path):
    """Tuned until it ignores its inputs: interference falls, blindness rises."""
    rng = np.random.default_rng(0)
    base = write_run(tmp_path / "base", 0.8, 0.2, rng, margin=3.0)
    tuned = write_run(tmp_path / "tuned", 0.1, 0.8, rng, margin=0.5)
    page = compare_runs([tmp_path / "base", tmp_path / "tuned"], tmp_path / "both")
    written = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert {line["perturbation"] for line in written["conditions"]} == {"clean", "misleading_text"}
    (condition,) = written["evidence"]
    assert condition["perturbation"] == LABEL and condition["figures"]["base"]["differences"] == {}
    assert condition["figures"]["tuned"]["chance"] == 0.25
    found = condition["figures"]["tuned"]["differences"]
    assert set(found) == {"unchanged_rate", "ece", "evidence_margin"}

    stays = [[bool(row.unchanged) for row in gone] for _, gone in (base, tuned)]
    assert found["unchanged_rate"]["value"] == pytest.approx(np.mean(stays[1]) - np.mean(stays[0]))
    assert found["unchanged_rate"]["p"] == pytest.approx(mcnemar(table_of(*stays), exact=True).pvalue)
    margins = [[row.evidence_margin for row in gone] for _, gone in (base, tuned)]
    assert found["evidence_margin"]["p"] == pytest.approx(stats.ttest_rel(*margins).pvalue)
    assert found["evidence_margin"]["value"] == pytest.approx(np.mean(margins[1]) - np.mean(margins[0]))
    assert [found[rate]["verdict"] for rate in ("unchanged_rate", "evidence_margin")] == ["worse", "worse"]

    twins, gone = written["grounding"]
    assert (twins["perturbation"], gone["perturbation"]) == ("all twins", "all counterfactual rows")
    fall, rise = (one["figures"]["tuned"]["differences"] for one in (twins, gone))
    flips = [[row.flipped for row in rows] for rows, _ in (base, tuned)]
    assert fall["flip_rate"]["p"] == pytest.approx(mcnemar(table_of(*flips), exact=True).pvalue)
    assert (fall["flip_rate"]["verdict"], rise["unchanged_rate"]["verdict"]) == ("better", "worse")

    parts = [*written["conditions"], *written["evidence"], *written["grounding"]]
    every = [one for part in parts for one in part["figures"]["tuned"]["differences"].values()]
    expected = multipletests([one["p"] for one in every], method="holm")[1]
    assert [one["p_holm"] for one in every] == pytest.approx(expected.tolist())

    text = words(page)
    assert "Its interference fell on <code>pictures</code>:" in text and "Its blindness rose on <code>pictures" in text
    assert "Does the answer go when the evidence goes?" in text and LABEL in text and "nats" in text
    assert "Blindness was not measured" not in text
    assert (tmp_path / "both" / "comparison_grounding.png").stat().st_size > 1000


def test_a_page_says_where_blindness_was_not_measured(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("base", "tuned"):
        write_run(tmp_path / name, 0.5, 0.5, rng)
        (tmp_path / name / "interference_counterfactuals.jsonl").unlink()
        found = json.loads((tmp_path / name / "interference.json").read_text())
        found["datasets"]["pictures"] |= {"counterfactuals": {}, "grounding": None}
        (tmp_path / name / "interference.json").write_text(json.dumps(found))

    text = words(compare_runs([tmp_path / "base", tmp_path / "tuned"], tmp_path / "both"))
    assert "Blindness was not measured" in text and "Its interference" not in text
    assert not (tmp_path / "both" / "comparison_grounding.png").exists()


def test_one_run_without_counterfactual_rows(tmp_path):
    rng = np.random.default_rng(2)
    write_run(tmp_path / "base", 0.5, 0.5, rng)
    rows = scored(correct=[True] * ROWS)
    plain = diagnosis({}).model_copy(update={"datasets": dataset_results(rows, 0, generated=False)})
    write_results(tmp_path / "old", plain, rows)
    compare_runs([tmp_path / "base", tmp_path / "old"], tmp_path / "both")
    written = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert [list(one["figures"]) for one in (*written["evidence"], *written["grounding"])] == [["base"]] * 3


def test_groups_of_seeds_are_judged_on_both_axes(tmp_path, chromium):
    rng = np.random.default_rng(3)
    chances = {"plain": [(0.8, 0.2), (0.7, 0.3), (0.75, 0.2)], "tuned": [(0.1, 0.7), (0.2, 0.9), (0.1, 0.8)]}
    found: dict[str, list[tuple[float, float]]] = {"plain": [], "tuned": []}
    folders, groups = [], []
    for group, runs in chances.items():
        for seed, (flips, stays) in enumerate(runs):
            folders.append(tmp_path / f"{group}_{seed}")
            groups.append(group)
            twins, gone = write_run(folders[-1], flips, stays, rng)
            found[group].append(
                (np.mean([row.flipped for row in twins]), np.mean([bool(row.unchanged) for row in gone]))
            )

    page = compare_groups(folders, tmp_path / "out", groups)
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    for axis, (condition, rate) in enumerate(zip(written["grounding"], ("flip_rate", "unchanged_rate"))):
        before, after = ([values[axis] for values in found[group]] for group in ("plain", "tuned"))
        tuned = condition["figures"]["tuned"]
        assert tuned["runs"][rate] == pytest.approx(after)
        assert tuned["rates"][rate]["value"] == pytest.approx(np.mean(after))
        assert tuned["differences"][rate]["p"] == pytest.approx(stats.ttest_rel(after, before).pvalue)

    (condition,) = written["evidence"]
    assert set(condition["figures"]["tuned"]["differences"]) == {"unchanged_rate", "ece", "evidence_margin"}
    margin = condition["figures"]["tuned"]["rates"]["evidence_margin"]
    assert margin["low"] < margin["value"] < margin["high"] and margin["value"] > 1  # no share
    assert (tmp_path / "out" / "comparison_grounding.png").stat().st_size > 1000
    assert "Its interference" in words(page) and "Its blindness" in words(page)
    open_page(chromium, page, width=390)
    assert not overflow(chromium)
