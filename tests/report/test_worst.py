"""Pages of very many conditions show the worst ones, say so, and leave the files whole."""

import json
import re

import pandas as pd
import pytest
from helpers.diagnoses import diagnosis, result, scored

from modality_interference.report.comparison import compare_runs
from modality_interference.report.page import write_report
from modality_interference.report.table import MOST_SHOWN, left_out, names, tidy_table, worst
from modality_interference.results import write_results


def many(number: int, shift: float = 0.0, **rates: float) -> dict:
    """`number` datasets of clean rows and one perturbation, whose flip rate grows with the dataset's number."""
    return {
        f"set_{index:04}": {
            "clean": result(accuracy=0.9),
            "noise": result(accuracy=0.5, **(rates or {"flip_rate": (index + shift) / (number + shift)})),
        }
        for index in range(number)
    }


def test_as_many_as_a_page_shows():
    table = tidy_table(diagnosis(many(MOST_SHOWN // 2)))
    assert worst(table).equals(table)
    assert left_out(table, "a.json") == [
        "Its plots show the 100 of 200 conditions with the most flips, with their clean rows."
    ]
    assert left_out(tidy_table(diagnosis()), "a.json") == []


def test_the_most_flips_with_their_clean_rows():
    table = tidy_table(diagnosis(many(300)))
    kept = [f"set_{index:04}" for index in range(100, 300)]
    assert names(worst(table)) == [(name, part) for name in kept for part in ("clean", "noise")]
    sentence, plots = left_out(table, "a.json")
    assert plots.startswith("Its plots show the 100 of 600 conditions")
    assert sentence.startswith("This page shows the 400 of 600 conditions in which the most answers flipped")
    assert sentence.endswith("all are in a.json.")


def test_without_flips_the_fall_of_the_accuracy():
    """Free answers may have none."""
    figures = many(300, other_modality_rate=0.1)
    for index, parts in enumerate(figures.values()):
        parts["noise"] = result(accuracy=0.9 - 0.8 * index / 300)

    table = tidy_table(diagnosis(figures))
    assert {dataset for dataset, _ in names(worst(table))} == {f"set_{index:04}" for index in range(100, 300)}


def test_clean_rows_alone_by_their_accuracy():
    figures = {f"set_{index:04}": {"clean": result(accuracy=index / 300)} for index in range(300)}
    table = tidy_table(diagnosis(figures))
    assert names(worst(table)) == [(f"set_{index:04}", "clean") for index in range(200)]


def test_of_several_runs_the_worst_counts():
    upwards, downwards = many(300), dict(reversed(many(300).items()))
    downwards = dict(zip(upwards, downwards.values(), strict=True))
    table = pd.concat([tidy_table(diagnosis(found), str(run)) for run, found in enumerate((upwards, downwards))])
    kept = {dataset for dataset, _ in names(worst(table))}
    assert {"set_0000", "set_0299"} <= kept and len(kept) == 200 and "set_0150" not in kept


@pytest.fixture
def small(monkeypatch):
    """A page that shows few conditions, so that tests draw few."""
    monkeypatch.setattr("modality_interference.report.table.MOST_SHOWN", 4)


def test_a_page(tmp_path, small):
    found = diagnosis(many(8))
    rows = [row for name in found.datasets for part in ("clean", "noise") for row in scored(name, part, [True, False])]
    write_report(tmp_path, found, rows)
    text = (tmp_path / "interference.html").read_text()
    assert "This page shows the 8 of 16 conditions" in text and "interference.json" in text
    assert set(re.findall(r'data-dataset="(\w+)"', text)) == {f"set_{index:04}" for index in (4, 5, 6, 7)}


def test_a_comparison_whose_file_has_all(tmp_path, small):
    for run, shift in (("a", 0.0), ("b", 1.0)):
        found = diagnosis(many(8, shift))
        rows = [
            row for name in found.datasets for part in ("clean", "noise") for row in scored(name, part, [True, False])
        ]
        write_results(tmp_path / run, found, rows)

    page = compare_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert "This page shows the 8 of 16 conditions" in page.read_text()
    assert set(re.findall(r'data-dataset="(\w+)"', page.read_text())) == {f"set_{index:04}" for index in (4, 5, 6, 7)}
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert len(content["conditions"]) == 16 and not any("This page" in note for note in content["notes"])
