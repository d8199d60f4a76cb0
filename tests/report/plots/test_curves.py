"""Curves over the steps of a run: what the log says, by the names that the trainer knows."""

import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from modality_interference.errors import ModalityInterferenceError
from modality_interference.report.plots.curves import draw_curves, read_curves, write_curves
from modality_interference.report.theme import CLEAN, SERIES


NAMES = [("my_set", "clean"), ("my_set", "black_image"), ("my", "clean")]
LOG = [
    {"loss": 2.0, "step": 5},
    {"eval_my_set_clean_accuracy": 0.9, "eval_my_set_black_image_accuracy": 0.2, "step": 10},
    {"eval_my_set_black_image_flip_rate": 0.8, "eval_my_set_black_image_causal_effect": 0.7, "step": 10},
    {"eval_my_clean_accuracy": 0.5, "step": 10},
    {"eval_my_set_clean_accuracy": 0.95, "eval_my_set_black_image_accuracy": 0.6, "step": 20},
    {"eval_my_set_black_image_flip_rate": 0.3, "eval_my_clean_accuracy": 0.55, "step": 20},
]


def lines(figure: Figure) -> dict[tuple[str, str], dict[str, list[tuple[float, float]]]]:
    """(dataset, y label) -> colour -> points, of every panel that is shown."""
    shown = [axes for axes in figure.axes if axes.axison]
    datasets = [axes.get_title() for axes in shown if axes.get_title()]
    found = {}
    for axes in shown:
        column = axes.get_subplotspec().colspan.start
        rate = "accuracy" if axes.get_subplotspec().rowspan.start % 2 == 0 else "flip_rate"
        dataset = datasets[column + (axes.get_subplotspec().rowspan.start // 2) * 4]
        points = {line.get_color(): list(zip(*line.get_data())) for line in axes.lines}
        found[dataset, rate] = points

    return found


def test_lines_are_the_logged_values_in_percent() -> None:
    figure = draw_curves(read_curves(LOG, NAMES))

    found = lines(figure)

    clean, black = CLEAN, SERIES[0]
    assert found["my_set", "accuracy"] == {clean: [(10, 90), (20, 95)], black: [(10, 20), (20, 60)]}
    assert found["my_set", "flip_rate"] == {black: [(10, 80), (20, 30)]}
    assert found["my", "accuracy"] == {clean: [(10, 50), (20, pytest.approx(55))]}
    assert found["my", "flip_rate"] == {}
    assert [text.get_text() for text in figure.legends[0].texts] == ["clean", "black_image"]


def test_of_two_evaluations_after_a_step_the_last_counts() -> None:
    log = [{"eval_a_clean_accuracy": 0.1, "step": 3}, {"eval_a_clean_accuracy": 0.2, "step": 3}]

    assert read_curves(log, [("a", "clean")]) == {"a": {"clean": {"accuracy": [(3, 0.2)]}}}


def test_another_prefix() -> None:
    log = [{"test_a_clean_accuracy": 0.1, "step": 3}]

    assert read_curves(log, [("a", "clean")]) == {}
    assert read_curves(log, [("a", "clean")], prefix="test") == {"a": {"clean": {"accuracy": [(3, 0.1)]}}}


@pytest.mark.parametrize(
    "log", [[], [{"loss": 1.0, "step": 1}], [{"eval_loss": 1.0, "eval_other_accuracy": 1, "step": 1}]]
)
def test_without_an_evaluation_there_is_nothing_to_draw(tmp_path: Path, log: list) -> None:
    assert write_curves(tmp_path, log, NAMES) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("datasets", "perturbations", "steps"), [(1, 1, 1), (12, 10, 3), (5, 2, 2)])
def test_draws_any_number_without_a_warning(tmp_path: Path, datasets: int, perturbations: int, steps: int) -> None:
    names = [
        (f"a_dataset_with_a_long_name_{dataset}", name)
        for dataset in range(datasets)
        for name in ("clean", *(f"perturbation_{index}" for index in range(perturbations)))
    ]
    log = [
        {"step": step, **{f"eval_{d}_{p}_{rate}": 0.5 for d, p in names for rate in ("accuracy", "flip_rate")}}
        for step in range(steps)
    ]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_curves(tmp_path, log, names)

    assert path == tmp_path / "interference_curves.png"
    with Image.open(path) as image:
        assert image.format == "PNG"

    figure = draw_curves(read_curves(log, names))
    assert len([axes for axes in figure.axes if axes.axison]) == 2 * datasets
    assert len(figure.legends[0].texts) == perturbations + 1


def test_one_evaluation_has_a_whole_step_on_its_axis() -> None:
    figure = draw_curves(read_curves([{"eval_a_clean_accuracy": 0.5, "step": 40}], [("a", "clean")]))

    assert all(tick == round(tick) for tick in figure.axes[0].get_xticks())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(ModalityInterferenceError, match="cannot write .*interference_curves.png"):
        write_curves(tmp_path / "taken", LOG, NAMES)
