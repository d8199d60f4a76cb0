"""Accuracies and confusions by class, against tables that pandas makes of the same answers, and as a page shows them."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.diagnoses import diagnosis
from helpers.pages import open_page, overflow, texts
from PIL import Image

from modality_interference.report.classes import ClassFigures, ClassGroup, class_groups
from modality_interference.report.page import write_report
from modality_interference.report.plots.confusion import confusion_plot
from modality_interference.results import ScoredRow


NAMES = ["bell", "drum", "<b>horn</b>"]


def answered(
    name: str, answer: str | None, perturbation: str = "clean", kind: str = "image", **keys: object
) -> ScoredRow:
    fields = dict(dataset="pets", row=0, key=1, options=3) | keys
    return ScoredRow(kind=kind, perturbation=perturbation, correct=answer == name, answer=answer, right=name, **fields)


def random_rows(classes: int, rows: int, kinds: tuple[str, ...] = ("image",), seed: int = 0) -> list[ScoredRow]:
    rng, names = random.Random(seed), [f"class {number}" for number in range(classes)]
    conditions = [(kind, perturbation) for kind in kinds for perturbation in ("clean", "long_context", "silence")]
    return [
        answered(names[index % classes], rng.choice([*names[:5], None, "no class"]), perturbation, kind)
        for index in range(rows)
        for kind, perturbation in conditions
    ]


def test_a_class_by_hand():
    found = ClassFigures.of("bell", {"bell": 3, "drum": 2, "horn": 2, "rain": 1})
    assert found == ClassFigures(rows=8, right=3, wrong="drum", wrong_rows=2) and found.accuracy == 0.375
    assert ClassFigures.of("bell", {"bell": 2}) == ClassFigures(rows=2, right=2)
    assert ClassFigures.of("bell", {}).accuracy is None


@pytest.mark.parametrize("kinds", [("image",), ("video", "audio")])
def test_figures_are_those_of_a_cross_table(kinds: tuple[str, ...]):
    rows = random_rows(7, 60, kinds)
    groups = class_groups(rows)
    assert [group.prompt for group in groups] == ([""] if kinds == ("image",) else ["visual", "audio"])
    table = pd.DataFrame([row.model_dump() for row in rows]).assign(
        answer=lambda frame: frame.answer.fillna("(unparsable)")
    )
    for group, kind in zip(groups, kinds, strict=True):
        of_kind = table[table.kind == kind]
        for clean in (True, False):
            part = of_kind[(of_kind.perturbation == "clean") == clean]
            counts = pd.crosstab(part.right, part.answer)
            for name, *figures in group.lines():
                own, line = figures[0 if clean else 1], counts.loc[name]
                assert (own.rows, own.right) == (line.sum(), line.get(name, 0))
                wrong = line.drop(name, errors="ignore")
                assert own.wrong_rows == wrong.max() == wrong[own.wrong]

            shares, answers = group.confusion(clean)
            other = counts.drop(columns=[name for name in group.classes if name in counts])
            expected = counts.reindex(columns=group.classes, fill_value=0).assign(other=other.sum(axis=1))
            assert answers == list(expected)
            np.testing.assert_allclose(shares, expected.div(expected.sum(axis=1), axis=0).loc[group.classes])

        accuracies = [clean.accuracy for _, clean, _ in group.lines()]
        assert accuracies == sorted(accuracies)


def test_what_has_no_classes():
    assert class_groups([]) == []
    assert class_groups([answered(f"answer {number}", "x") for number in range(9)]) == []  # none comes again
    assert class_groups([answered("Neither", "Neither")] * 9) == []
    assert class_groups([answered(name, name, options=None) for name in NAMES * 3]) == []  # free answers
    assert class_groups([answered(name, name, "silence") for name in NAMES * 3]) == []  # no clean rows


def test_the_plot_is_of_few_classes_only():
    few, many = (class_groups(random_rows(number, 3 * number)) for number in (30, 31))
    assert confusion_plot(many) is None is confusion_plot([])
    clean_only = ClassGroup("pets", "", {True: {"a": {"a": 1}, "b": {"a": 1}}, False: {}})
    plot = confusion_plot([*many, *few, clean_only])
    assert plot.file_name == "interference_confusion.png"
    assert "class 29" in plot.svg and "class 30" not in plot.svg and ">100<" in plot.svg
    assert "perturbed" not in confusion_plot([clean_only]).svg


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_shows_the_tables(chromium, tmp_path: Path, width: int):
    rows = [answered(name, other, kind="audio") for name in NAMES for other in (name, "bell")]
    rows += [answered("bell", "drum", "long_context", kind="audio")]
    path = write_report(tmp_path, diagnosis({}), rows)[0]
    open_page(chromium, path, width=width)
    assert texts(chromium, "details summary")[0] == "pets, audio prompt: 3 classes"
    cells = texts(chromium, "table[aria-labelledby=classes-1] tbody tr")
    flat = [" ".join(cell.split()) for cell in cells]
    if width > 500:
        assert flat == [
            "<b>horn</b> 2 50.0 % bell (1) 0 – –",
            "drum 2 50.0 % bell (1) 0 – –",
            "bell 2 100.0 % – 1 0.0 % drum (1)",
        ]

    assert overflow(chromium) <= 0 and chromium.get_log("browser") == []
    with Image.open(tmp_path / "interference_confusion.png") as image:
        assert image.format == "PNG"

    write_report(tmp_path, diagnosis({}), [])
    assert not (tmp_path / "interference_confusion.png").exists()
