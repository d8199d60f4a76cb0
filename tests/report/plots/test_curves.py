"""Curves over the steps of a run: the values and intervals that they are given, none hidden behind another."""

import warnings
from pathlib import Path

import pytest
from helpers.diagnoses import diagnosis, scored
from PIL import Image

from modality_interference.errors import ModalityInterferenceError
from modality_interference.report.page import write_report
from modality_interference.report.plots.curves import curves_plot, draw_curves, write_curves
from modality_interference.report.table import MOST_DRAWN
from modality_interference.report.theme import CLEAN, PHONE, SERIES
from modality_interference.results import CurvePoint, Curves


def points(*values: float, steps: tuple[int, ...] = (10, 20)) -> list[CurvePoint]:
    ends = [(max(0.0, value - 0.1), min(1.0, value + 0.1)) for value in values]
    return [CurvePoint(step=s, value=v, low=low, high=high) for s, v, (low, high) in zip(steps, values, ends)]


CURVES: Curves = {
    "my_set": {
        "clean": {"accuracy": points(0.9, 0.95)},
        "black_image": {"accuracy": points(0.2, 0.95), "flip_rate": points(0.8, 0.3)},
    },
    "my": {"clean": {"accuracy": points(0.5, 0.55)}},
}


def test_lines_are_the_values_with_their_intervals_in_percent() -> None:
    figure = draw_curves(CURVES)
    accuracy, other, flips, nothing = (
        {line.get_color(): pytest.approx(list(line.get_ydata())) for line in axes.lines} for axes in figure.axes
    )

    assert accuracy == {CLEAN: [90, 95], SERIES[0]: [20, 95]}
    assert other == {CLEAN: [50, 55]}
    assert flips == {SERIES[0]: [80, 30]}
    assert nothing == {}
    segments = figure.axes[0].collections[0].get_segments()  # type: ignore[attr-defined]
    assert [list(segment[:, 1]) for segment in segments] == [pytest.approx([80, 100]), pytest.approx([85, 100])]
    assert [text.get_text() for text in figure.legends[0].texts] == ["clean", "black_image"]


def test_lines_that_coincide_are_beside_each_other() -> None:
    clean, black = (line.get_xdata() for line in draw_curves(CURVES).axes[0].lines)

    assert all(0 < there - here < 5 for here, there in zip(clean, black))
    assert [round((here + there) / 2) for here, there in zip(clean, black)] == [10, 20]


@pytest.mark.parametrize(("datasets", "perturbations", "steps"), [(1, 1, 1), (6, 8, 3), (5, 2, 2)])
def test_draws_any_number_without_a_warning(tmp_path: Path, datasets: int, perturbations: int, steps: int) -> None:
    names = ["clean", *(f"perturbation_{index}" for index in range(perturbations))]
    own = points(*[0.5] * steps, steps=tuple(range(steps)))
    curves: Curves = {
        f"a_dataset_with_a_long_name_{dataset}": {name: {"accuracy": own, "flip_rate": own} for name in names}
        for dataset in range(datasets)
    }

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_curves(tmp_path, curves)

    assert path == tmp_path / "interference_curves.png"
    with Image.open(path) as image:
        assert image.format == "PNG"

    figure = draw_curves(curves, PHONE)
    assert len([axes for axes in figure.axes if axes.axison]) == 2 * datasets
    assert len(figure.legends[0].texts) == perturbations + 1


def test_one_evaluation_has_a_whole_step_on_its_axis() -> None:
    figure = draw_curves({"a": {"clean": {"accuracy": points(0.5, steps=(40,))}}})

    assert all(tick == round(tick) for tick in figure.axes[0].get_xticks())


def test_the_page_of_a_run_that_was_evaluated_several_times_shows_them(tmp_path: Path) -> None:
    found = diagnosis({"sums": {}}, curves=CURVES)
    assert type(found).model_validate_json(found.model_dump_json()).curves == CURVES
    page = write_report(tmp_path, found, scored(correct=[True]))[0]
    assert "<h2>Rates over the run, %</h2>" in page.read_text() and (tmp_path / "interference_curves.png").exists()
    write_report(tmp_path, diagnosis({"sums": {}}), scored(correct=[True]))
    assert "Rates over the run" not in page.read_text()


def test_without_an_evaluation_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert write_curves(tmp_path, {}) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(ModalityInterferenceError, match="cannot write .*interference_curves.png"):
        write_curves(tmp_path / "taken", CURVES)


def test_not_all_of_very_many_are_drawn() -> None:
    """A file may have thousands; each takes a while."""
    many: Curves = {f"set_{number}": {"clean": {"accuracy": points(0.5, 0.6)}} for number in range(3 * MOST_DRAWN)}
    plot = curves_plot(many)
    assert (
        plot is not None and f"Of {3 * MOST_DRAWN} datasets and perturbations, the first {MOST_DRAWN}" in plot.caption
    )
    few = curves_plot(dict(list(many.items())[:2]))
    assert few is not None and "the first" not in few.caption
