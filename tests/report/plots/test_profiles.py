"""Profiles of clips: the table by prompt and condition, its plot, and both pages in a browser."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from helpers.clip_diagnoses import clip_results, clip_rows
from helpers.diagnoses import diagnosis, rate, scored
from helpers.pages import open_page, overflow, plain, shown, texts
from matplotlib.axes import Axes
from PIL import Image

from modality_interference.evaluation.rates import dataset_results
from modality_interference.report.compared import ComparedCondition
from modality_interference.report.comparison import compare_runs
from modality_interference.report.page import write_report
from modality_interference.report.plots.curves import draw_curves
from modality_interference.report.plots.profiles import profiles
from modality_interference.report.summary import diagnosis_summary
from modality_interference.report.table import condition_title, of_all, prompt_lines, tidy_table
from modality_interference.results import CurvePoint, Diagnosis, ScoredRow, write_results


TITLES = ["aligned", "misaligned", "other modality removed", "misleading caption"]
ACCURACY = {"video": [1.0, 0.8, 0.9, 0.6], "audio": [0.9, 0.2, 0.7, 0.4]}  # `clip_diagnoses.RIGHT`, in that order


def clip_diagnosis(gain: int = 0) -> Diagnosis:
    return diagnosis({}).model_copy(update={"datasets": clip_results(gain)})


def run(folder: Path, gain: int) -> Path:
    write_results(folder, clip_diagnosis(gain), clip_rows(gain))
    return folder


def point(run: str, dataset: str, prompt: str, condition: str, accuracy: float) -> dict:
    """A line of the tidy table."""
    found = {"run": run, "dataset": dataset, "prompt": prompt, "condition": condition, "chance": math.nan}
    return found | rate(accuracy).model_dump()


def drawn(axes: Axes, line: int = 0) -> list[float]:
    """The accuracies of a line in percent."""
    return axes.lines[line].get_ydata().tolist()  # type: ignore[union-attr]


class TestTable:
    def test_has_a_line_per_condition_and_a_column_per_prompt(self) -> None:
        lines = prompt_lines(tidy_table(clip_diagnosis()))

        assert [(line["dataset"], line["title"]) for line in lines] == [
            *(("clips", title) for title in TITLES),
            ("clips_removed", "asked modality removed, abstention offered"),
        ]
        for prompt, expected in ACCURACY.items():
            found = [line["conditions"][prompt]["rates"]["accuracy"]["value"] for line in lines[:4]]
            assert found == pytest.approx(expected)

        assert [
            lines[4]["conditions"][prompt]["rates"]["abstention_rate"]["value"] for prompt in ("video", "audio")
        ] == [0.3, 0.5]
        misaligned = lines[1]["conditions"]
        assert {prompt: condition["perturbation"] for prompt, condition in misaligned.items()} == {
            "video": "swapped_audio",
            "audio": "swapped_video",
        }

    def test_a_dataset_that_asks_one_prompt_only(self) -> None:
        heard = [row for row in clip_rows() if row.kind == "audio" and row.dataset == "clips"]

        found = diagnosis({}).model_copy(update={"datasets": dataset_results(heard, seed=0, generated=False)})

        lines = prompt_lines(tidy_table(found))

        assert found.datasets["clips"].kinds == {}
        assert [list(line["conditions"]) for line in lines] == [["audio"]] * 4
        accuracies = [line["conditions"]["audio"]["rates"]["accuracy"]["value"] for line in lines]
        assert accuracies == pytest.approx(ACCURACY["audio"])

    def test_images_have_none(self) -> None:
        assert prompt_lines(tidy_table(diagnosis())) == []

    @pytest.mark.parametrize(
        ("perturbation", "rates", "removed", "title"),
        [
            ("silence", [], False, "other modality removed"),
            ("swapped_audio_2", ["other_modality_rate"], False, "misaligned 2"),
            ("noise_2", [], False, "noise_2"),
            ("x", [], True, "x, asked modality removed"),
            ("clean", [], False, "aligned"),
            ("clean", ["other_modality_rate"], False, "as recorded"),
            ("clean", [], True, "asked modality removed"),
            ("clean", ["abstention_rate"], True, "asked modality removed, abstention offered"),
            ("clean", ["false_abstention_rate"], False, "aligned, abstention offered"),
        ],
    )
    def test_titles(self, perturbation: str, rates: list[str], removed: bool, title: str) -> None:
        assert condition_title(perturbation, rates, removed) == title
        compared = ComparedCondition(dataset="x", kind="video", perturbation=perturbation, removed=removed, figures={})
        assert compared.title == title or rates


class TestSummary:
    def test_says_how_often_the_other_modality_is_followed_and_how_often_the_model_abstains(self) -> None:
        words = plain(diagnosis_summary(of_all(tidy_table(clip_diagnosis()))))

        assert "it answers with the modality that was not asked for in up to 60.0 % (" in words
        assert "(swapped_video on clips)" in words
        assert "missing, clips_removed, it says so in 40.0 % (" in words
        assert "it still names its class" not in words and "Where nothing is missing" not in words
        assert "clips_removed has clean rows only" not in words
        assert "Undisturbed, the model answers 95.0 % (" in words and " on clips correctly." in words

    def test_tells_removal_abstention_and_clips_that_are_misaligned_themselves_apart(self) -> None:
        def row(dataset: str, index: int, answer: str, **keys: object) -> ScoredRow:
            fields = dict(row=index, key=index, kind="video", perturbation="clean", right="dog", options=3)
            return ScoredRow(dataset=dataset, correct=answer == "dog", answer=answer, **fields, **keys)

        answers = ["dog", "dog", "Neither", "cat"]
        rows = [row("cut", index, answer, removed=True) for index, answer in enumerate(answers)]
        rows += [row("control", index, answer, abstention="Neither") for index, answer in enumerate(answers)]
        rows += [
            row("real", index, answer, target="cat", misled=answer == "cat") for index, answer in enumerate(answers)
        ]
        found = diagnosis({}).model_copy(update={"datasets": dataset_results(rows, seed=0, generated=False)})
        words = plain(diagnosis_summary(of_all(tidy_table(found))))

        assert "missing, cut, it still names its class in 50.0 % (" in words
        assert "Where nothing is missing, control, it says that it cannot tell in 25.0 % (" in words
        assert "was not asked for in up to 25.0 % (" in words and "(clean on real)" in words
        assert "Undisturbed" not in words and "clean rows only" not in words


class TestPlot:
    def test_shows_every_accuracy_with_its_interval(self) -> None:
        points = [
            point("run", "clips", prompt, title, value)
            for prompt, values in ACCURACY.items()
            for title, value in reversed(list(zip(TITLES, values)))  # in any order
        ]

        seen, heard = profiles(pd.DataFrame(points)).axes

        assert (seen.get_title(), heard.get_title()) == ("Visual prompt", "Audio prompt")
        for axes, prompt in ((seen, "video"), (heard, "audio")):
            assert [text.get_text() for text in axes.get_xticklabels()] == TITLES
            assert drawn(axes) == pytest.approx([100 * value for value in ACCURACY[prompt]])
            ends = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]  # type: ignore[attr-defined]
            assert ends == [
                pytest.approx([100 * max(0, value - 0.05), 100 * min(1, value + 0.05)]) for value in ACCURACY[prompt]
            ]

    def test_a_line_per_run_beside_each_other(self) -> None:
        points = [
            point(name, "clips", "audio", title, value)
            for name, shift in (("base", 0.0), ("tuned", 0.1))
            for title, value in zip(TITLES, ACCURACY["audio"])
        ]
        points += [point("tuned", "clips", "audio", "noise", 0.5)]  # what one run alone has

        figure = profiles(pd.DataFrame(points))
        base, tuned = figure.axes[0].lines

        assert [text.get_text() for text in figure.legends[0].texts] == ["base", "tuned"]
        assert len(base.get_xdata()) == 4 and len(tuned.get_xdata()) == 5  # type: ignore[arg-type]
        assert all(a < b for a, b in zip(base.get_xdata(), tuned.get_xdata()))  # type: ignore[arg-type]

    def test_datasets_stand_below_each_other(self) -> None:
        points = [point("run", name, prompt, "aligned", 0.5) for name in "ab" for prompt in ("video", "audio")]

        panels = profiles(pd.DataFrame(points[:3])).axes

        assert [axes.get_title() for axes in panels if axes.get_visible()] == [
            "Visual prompt, a",
            "Audio prompt, a",
            "Visual prompt, b",
        ]

    def test_curves_show_how_often_the_other_modality_is_followed(self) -> None:
        rates = {"clean": {"accuracy": 1.0}, "swapped_audio": {"other_modality_rate": 0.25}}
        points = {
            name: {rate: [CurvePoint(step=5, value=value, low=0, high=1)] for rate, value in own.items()}
            for name, own in rates.items()
        }

        panels = draw_curves({"clips": points}).axes

        assert [axes.get_ylabel() for axes in panels] == ["Accuracy, %", "Flip rate, %", "Other modality, %"]
        assert drawn(panels[2]) == [25.0]


class TestReport:
    def test_the_plot_is_written_and_goes_with_the_clips(self, tmp_path: Path) -> None:
        write_report(tmp_path, clip_diagnosis(), clip_rows())
        with Image.open(tmp_path / "interference_profiles.png") as image:
            assert image.format == "PNG"

        write_report(tmp_path, diagnosis(), [])
        assert not (tmp_path / "interference_profiles.png").exists()

    @pytest.mark.parametrize("width", [360, 1280])
    def test_the_page_shows_the_table(self, chromium, tmp_path: Path, width: int) -> None:
        open_page(chromium, write_report(tmp_path, clip_diagnosis(), clip_rows())[0], width=width)

        table = "table[aria-labelledby=prompts] tbody"
        assert texts(chromium, f"{table} th") == [*TITLES, "asked modality removed, abstention offered"] or width < 500
        heard = [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts(chromium, f"{table} td:nth-child(4)")]
        assert [text.splitlines()[0].split(" (")[0] for text in heard] == [
            "90.0 %",
            "20.0 %",
            "70.0 %",
            "40.0 %",
            "50.0 %",
        ]
        assert "answers with the other modality in 60.0 %" in heard[1] and "swapped_video" in heard[1]
        assert overflow(chromium) <= 0
        assert chromium.get_log("browser") == []
        titles = texts(chromium, "h2")
        assert titles.index("Accuracy by prompt") == titles.index("Robustness profiles: accuracy in %") + 1


class TestComparison:
    @pytest.fixture
    def output(self, tmp_path: Path) -> Path:
        compare_runs([run(tmp_path / "base", 0), run(tmp_path / "tuned", 2)], tmp_path / "comparison")
        return tmp_path / "comparison"

    def test_holds_accuracy_and_difference_by_prompt(self, output: Path) -> None:
        found = json.loads((output / "comparison.json").read_text())["prompts"]

        order = [(item["dataset"], item["prompt"], item["perturbation"]) for item in found]
        assert order[:5] == [
            ("clips", "video", "clean"),
            ("clips", "video", "swapped_audio"),
            ("clips", "video", "silence"),
            ("clips", "video", "misleading_caption"),
            ("clips", "audio", "clean"),
        ]
        caption = found[3]["figures"]
        assert caption["base"]["rates"]["accuracy"]["value"] == pytest.approx(0.6)
        assert caption["tuned"]["rates"]["accuracy"]["value"] == pytest.approx(0.8)
        difference = caption["tuned"]["differences"]["accuracy"]
        assert (difference["value"], difference["examples"]) == (pytest.approx(0.2), 10)  # of this prompt's rows alone
        assert order[-1] == ("clips_removed", "audio", "clean")
        assert found[-1]["figures"]["tuned"]["rates"]["abstention_rate"]["value"] == pytest.approx(0.7)

    def test_the_page_has_a_row_per_prompt_and_condition(self, chromium, output: Path) -> None:
        open_page(chromium, output / "comparison.html")

        rows = [text.split("\n")[0] for text in texts(chromium, "table[aria-labelledby=prompts] tbody tr")]
        assert len(rows) == 10
        assert rows[0].startswith("clips visual aligned")
        assert (output / "comparison_profiles.png").exists()
        assert len(shown(chromium, "svg.plot")) == 3
        assert chromium.get_log("browser") == []

    def test_images_have_neither_table_nor_plot(self, chromium, tmp_path: Path) -> None:
        for name in "ab":
            write_results(tmp_path / name, diagnosis(), scored(correct=[True] * 4))

        compare_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "comparison")

        assert not (tmp_path / "comparison" / "comparison_profiles.png").exists()
        assert "Accuracy by prompt" not in (tmp_path / "comparison" / "comparison.html").read_text()
