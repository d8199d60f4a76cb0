"""The reliability diagram: points are bins taken together, weighted by their rows."""

from helpers.diagnoses import diagnosis, rate, scored
from matplotlib.collections import PathCollection

from modality_interference.evaluation.counterfactuals import with_counterfactuals
from modality_interference.evaluation.rates import dataset_results
from modality_interference.report.page import write_report
from modality_interference.report.plots import reliability as module
from modality_interference.results import Diagnosis


def found() -> Diagnosis:
    clean = scored(correct=[True, True, False, True], confidence=[0.9, 0.92, 0.41, 0.44])
    one = scored(perturbation="black_image", correct=[False] * 4, confidence=[0.9] * 4, flipped=[True] * 4)
    two = scored(perturbation="white_image", correct=[True] * 4, confidence=[0.92] * 4, flipped=[True] * 4)
    gone = scored(perturbation="counterfactual_noise", correct=[False] * 4, confidence=[0.3] * 4, flipped=[True] * 4)
    rows = [*clean, *one, *two]
    return diagnosis().model_copy(
        update={"datasets": with_counterfactuals(dataset_results(rows, 0, generated=False), rows, gone, 0)}
    )


def test_points_are_means_of_all_rows_of_a_bin(monkeypatch):
    drawn = {}
    monkeypatch.setattr(module, "make_plot", lambda *args: drawn.update(figure=args[-1](11.8)))
    module.reliability_plot(found(), ["pictures"])
    (axes,) = drawn["figure"].axes
    lines = [line.get_xydata().round(6).tolist() for line in axes.get_lines()]
    assert lines == [
        [[0, 0], [100, 100]],
        [[42.5, 50], [91, 100]],
        [[91, 50]],
        [[30, 0]],
    ]
    sizes = [points.get_sizes().tolist() for points in axes.collections if isinstance(points, PathCollection)]
    assert sizes[0][0] == sizes[0][1] < sizes[1][0]
    legend = [text.get_text() for text in drawn["figure"].legends[0].get_texts()]
    assert legend == ["clean", "perturbed", "without evidence"]


def test_page_shows_error_and_plot_where_confidences_are_known(tmp_path):
    write_report(tmp_path, found(), [])
    page = (tmp_path / "interference.html").read_text().replace("\xa0", " ")
    assert (tmp_path / module.RELIABILITY_FILE).stat().st_size > 1000
    assert "Calibration error" in page and "by chance" in page and "(expected calibration error, ECE)" in page
    assert page.count(rate_shown(found().datasets["pictures"].perturbations["black_image"].rates["ece"].value)) >= 1

    write_report(tmp_path, diagnosis(), [])
    assert not (tmp_path / module.RELIABILITY_FILE).exists()
    assert "Calibration error" not in (tmp_path / "interference.html").read_text()


def rate_shown(value: float) -> str:
    return f"{100 * rate(value).value:.1f} %"
