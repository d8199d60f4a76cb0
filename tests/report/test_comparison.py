"""Comparison of runs: differences and intervals against independent numbers, bad input, and the page in a browser."""

import gc
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.diagnoses import diagnosis, result, scored
from helpers.pages import open_page, overflow, requested, shown, texts
from PIL import Image
from scipy.stats import bootstrap, ttest_rel
from selenium.webdriver.common.by import By
from statsmodels.stats.contingency_tables import mcnemar

from modality_interference.errors import ModalityInterferenceError
from modality_interference.evaluation.statistics import UnitSums, difference_p, mean_difference_p
from modality_interference.report.compared import ComparedCondition, Difference, RunRates
from modality_interference.report.comparison import compare_runs
from modality_interference.report.differences import differences, headlines, judged_together, pair
from modality_interference.report.table import tidy_table
from modality_interference.results import Diagnosis, ScoredRow, write_results


MISLEADING = ("pictures", "misleading_text")
FIGURES = {"pictures": {"clean": result(accuracy=0.9), "misleading_text": result(accuracy=0.2, flip_rate=0.7)}}


def coin(share: float, size: int, seed: int) -> list[bool]:
    return (np.random.default_rng(seed).random(size) < share).tolist()


def run(folder: Path, rows: list[ScoredRow], found: Diagnosis | None = None) -> Path:
    """A run folder as a diagnosis leaves it."""
    write_results(folder, found or diagnosis(FIGURES), rows)
    return folder


def compared(*folders: Path, names: list[str] | None = None) -> dict:
    """`comparison.json`."""
    output = folders[0].parent / "comparison"
    assert compare_runs(list(folders), output, names) == output / "comparison.html"
    return json.loads((output / "comparison.json").read_text())


def difference(
    reference: list[ScoredRow], other: list[ScoredRow], rate: str = "accuracy", seed: int = 7
) -> Difference:
    return differences(pair(reference, other), [rate], seed)[rate]  # type: ignore[list-item, index]


class TestDifferences:
    def test_is_the_mean_over_pairs(self) -> None:
        found = difference(scored(correct=[True, False, False, True]), scored(correct=[True, True, True, True]))

        assert (found.value, found.examples) == (0.5, 4)

    def test_identical_runs_do_not_differ_but_may(self) -> None:
        rows = scored(correct=coin(0.5, 200, seed=0))

        found = difference(rows, rows)

        assert (found.value, found.p) == (0, 1)
        assert -found.low == found.high == pytest.approx(0.0138, abs=0.0001)  # 1.972 * sqrt(2 / 202) / sqrt(202)

    def test_a_run_better_on_every_example(self) -> None:
        found = difference(scored(correct=[False] * 50), scored(correct=[True] * 50))

        assert (found.value, found.p) == (1, 2 * 0.5**50)
        assert 0.85 < found.low < found.high == 1

    def test_against_mcnemar_and_the_normal_approximation(self) -> None:
        before, after = coin(0.4, 400, seed=1), coin(0.6, 400, seed=2)
        found = difference(scored(correct=before), scored(correct=after))
        changes = np.array(after, float) - np.array(before, float)

        table = np.histogram2d(before, after, bins=2)[0]
        spread = 1.96 * changes.std(ddof=1) / math.sqrt(400)

        assert found.value == pytest.approx(changes.mean())
        assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue)
        assert [found.low, found.high] == pytest.approx([changes.mean() - spread, changes.mean() + spread], abs=0.005)

    def test_pairing_removes_what_both_runs_share(self) -> None:
        """Two runs that fail on the same examples differ clearly, though each varies a lot."""
        before = coin(0.5, 400, seed=3)
        after = [right or index % 20 == 0 for index, right in enumerate(before)]
        found = difference(scored(correct=before), scored(correct=after))

        unpaired = 1.96 * math.sqrt(2 * 0.25 / 400)

        assert found.value < unpaired  # an unpaired test would see nothing
        assert found.low > 0

    def test_rows_of_a_clip_are_no_independent_evidence(self) -> None:
        """Six clips of which both questions are gained are six changes, not twelve: 2 / 2^6, not 2 / 2^12."""
        clips = [index // 2 for index in range(40)]
        before, after = (scored(correct=[index < gained for index in range(40)], clip=clips) for gained in (0, 12))

        assert difference(before, after).p == 2 / 2**6

    def test_causal_effects_have_scipys_paired_interval_and_test(self) -> None:
        before, after = np.random.default_rng(5).beta(0.5, 2, size=(2, 60))
        rows = [scored(perturbation="p", correct=[True] * 60, causal_effect=values) for values in (before, after)]

        found = difference(*rows, "causal_effect", seed=7)

        expected = bootstrap((after - before,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(7))
        assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval), abs=1e-9)
        assert found.p == pytest.approx(ttest_rel(after, before).pvalue)

    def test_rates_that_one_run_lacks_are_not_compared(self) -> None:
        likelihood = scored(perturbation="p", correct=[True] * 3, causal_effect=[0.1, 0.2, 0.3], flipped=[True] * 3)
        generated = scored(perturbation="p", correct=[True] * 3, flipped=[False] * 3)
        rates = ["accuracy", "flip_rate", "causal_effect", "misled_rate"]

        found = differences(pair(likelihood, generated), rates, seed=7)  # type: ignore[arg-type]

        assert set(found) == {"accuracy", "flip_rate"}
        assert found["flip_rate"].value == -1

    def test_one_example_says_nothing(self) -> None:
        found = difference(scored(correct=[False]), scored(correct=[True]))

        assert (found.value, found.low, found.high, found.p) == (1, -1, 1, 1)

    def test_rows_are_matched_by_content_not_by_place(self) -> None:
        before = scored(correct=[True, True, False], key=[5, 6, 7])
        after = scored(correct=[False, True, False], key=[7, 5, 99])

        pairs = pair(before, after)

        assert list(zip(pairs.key, pairs.row, pairs.row_other)) == [("5", 0, 1), ("7", 2, 0)]

    def test_rows_with_the_same_content_are_matched_once_each(self) -> None:
        before, after = scored(correct=[True, False, True], key=[5, 5, 5]), scored(correct=[True, True], key=[5, 5])

        pairs = pair(before, after)

        assert list(zip(pairs.row, pairs.row_other)) == [(0, 0), (1, 1)]


class TestVerdicts:
    """What is claimed of differences, over all of them together."""

    @staticmethod
    def judged(*found: tuple[str, float, float]) -> list[tuple[str, float]]:
        """Verdict and corrected p-value of differences, given as rate, value and p, a condition each."""
        conditions = [
            ComparedCondition(
                dataset="d",
                kind="image",
                perturbation=f"p{index}",
                figures={
                    "run": RunRates(
                        rows=9,
                        shared=9,
                        rates={},
                        differences={rate: Difference(value=value, low=-1, high=1, examples=9, p=p)},
                    )
                },
            )
            for index, (rate, value, p) in enumerate(found)
        ]
        differences = [next(iter(item.figures["run"].differences.values())) for item in judged_together(conditions)[0]]
        return [(difference.verdict, difference.p_holm) for difference in differences]

    @pytest.mark.parametrize(
        ("rate", "value", "expected"),
        [("accuracy", 0.5, "better"), ("accuracy", -0.5, "worse"), ("flip_rate", 0.5, "worse")]
        + [(rate, -0.5, "better") for rate in ("flip_rate", "causal_effect", "misled_rate", "unparsable_rate")]
        + [("other_modality_rate", -0.5, "better"), ("abstention_rate", 0.5, "better")]
        + [("excess_misled_rate", -0.5, "better"), ("excess_misled_rate", 0.5, "worse")],
    )
    def test_the_direction(self, rate: str, value: float, expected: str) -> None:
        assert self.judged((rate, value, 0.001), (rate, value, 0.2)) == [(expected, 0.002), ("unclear", 0.2)]

    def test_holms_correction_by_hand(self) -> None:
        """Of four, the smallest p counts four times, the next three times, and so on, and never less than one before."""
        found = self.judged(*(("accuracy", 0.5, p) for p in (0.012, 0.04, 0.03, 0.02)))

        assert [verdict for verdict, _ in found] == ["better", "unclear", "unclear", "unclear"]
        assert [p for _, p in found] == pytest.approx([0.048, 0.06, 0.06, 0.06])

    @pytest.mark.parametrize("value", [0.0099, 0.0, -0.0004])
    def test_what_is_of_no_use_is_neither(self, value: float) -> None:
        assert self.judged(("causal_effect", value, 1e-9))[0][0] == "negligible"
        assert self.judged(("causal_effect", 0.01, 1e-9))[0][0] == "worse"

    def test_like_runs_are_seldom_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """33 conditions of 60 rows, many with two rows to a unit, no difference: at most 5 % of 150 trials claim one.

        Without the correction, most would.
        """
        monkeypatch.setattr(gc, "collect", lambda: 0)  # statsmodels' corrections end with one, of all of this process
        rng = np.random.default_rng(1)
        claimed = single = 0
        for _ in range(150):
            found = []
            for index in range(33):
                units = np.arange(60) // (1 + index % 2)
                before, after = rng.random((2, 60)) < rng.random(60)[units]  # rows of a unit are alike
                sample = UnitSums.of(after.astype(float) - before, units)
                found.append(("accuracy", sample.mean, difference_p(sample)))

            for index in range(0, 33, 3):
                sample = UnitSums.of(np.subtract(*rng.beta(0.5, 3, (2, 60))), np.arange(60) // (1 + index % 2))
                found.append(("causal_effect", sample.mean, mean_difference_p(sample)))

            claimed += any(verdict in ("better", "worse") for verdict, _ in self.judged(*found))
            single += any(p <= 0.05 for _, _, p in found)

        assert claimed / 150 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 150)
        assert single / 150 > 0.5


class TestFiles:
    def test_json_holds_figures_and_differences_of_every_run(self, tmp_path: Path) -> None:
        before = scored(correct=[True] * 10) + scored(perturbation="misleading_text", correct=[False] * 10)
        after = scored(correct=[True] * 10) + scored(perturbation="misleading_text", correct=[True] * 10)
        better = {
            "pictures": {"clean": result(accuracy=0.9), "misleading_text": result(accuracy=0.8, flip_rate=0.1)},
        }

        found = compared(run(tmp_path / "base", before), run(tmp_path / "plugin", after, diagnosis(better)))

        assert [(item["name"], item["seed"]) for item in found["runs"]] == [("base", 7), ("plugin", 7)]
        assert [(item["dataset"], item["perturbation"]) for item in found["conditions"]] == [
            ("pictures", "clean"),
            MISLEADING,
        ]
        base, plugin = (found["conditions"][1]["figures"][name] for name in ("base", "plugin"))
        assert base["differences"] == {}
        assert base["rates"]["accuracy"] == {"value": 0.2, "low": pytest.approx(0.15), "high": pytest.approx(0.25)}
        assert plugin["rates"]["accuracy"]["value"] == 0.8
        found_difference = plugin["differences"]["accuracy"]
        assert {name: found_difference[name] for name in ("value", "high", "examples", "p", "verdict")} == {
            "value": 1, "high": 1, "examples": 10, "p": 2 / 2**10, "verdict": "better",
        }  # fmt: skip
        assert found_difference["p_holm"] == pytest.approx(2 * 2 / 2**10)  # of two conditions

    def test_prompts_and_decodings_are_told_apart(self, tmp_path: Path) -> None:
        rows = scored(correct=[True] * 4)
        prompted = diagnosis(FIGURES, prompt="ignore_irrelevant", decoding="vcd")
        found = compared(run(tmp_path / "base", rows), run(tmp_path / "prompted", rows, prompted))

        assert [(item["prompt"], item["decoding"]) for item in found["runs"]] == [
            ("none", "standard"),
            ("ignore_irrelevant", "vcd"),
        ]
        page = (tmp_path / "comparison" / "comparison.html").read_text()
        assert "prompted was asked with the prompt ignore_irrelevant, base with none." in page

    def test_changed_attention_is_told(self, tmp_path: Path) -> None:
        rows = scored(correct=[True] * 4)
        changed = diagnosis(FIGURES, calibration={"constant": -2, "tokens": "irrelevant", "layers": "3-5"})
        found = compared(run(tmp_path / "base", rows), run(tmp_path / "changed", rows, changed))

        words = "-2 nats on irrelevant media tokens, layers 3-5"
        assert [item["calibration"] for item in found["runs"]] == [None, words]
        page = (tmp_path / "comparison" / "comparison.html").read_text()
        assert f"The attention of changed was measured with {words}, that of base as it is." in page

    def test_plots_are_written(self, tmp_path: Path) -> None:
        rows = scored(correct=[True] * 4)
        compared(run(tmp_path / "a", rows), run(tmp_path / "b", rows))

        for name in ("comparison_rates.png", "comparison_radar.png"):
            with Image.open(tmp_path / "comparison" / name) as image:
                assert image.format == "PNG"

    def test_runs_are_called_like_their_folders_and_told_apart(self, tmp_path: Path) -> None:
        rows = scored(correct=[True] * 4)
        folders = [run(tmp_path / name / "diagnosis", rows) for name in ("base", "plain")]

        assert [item["name"] for item in compared(*folders)["runs"]] == ["base/diagnosis", "plain/diagnosis"]
        twice = compared(folders[0], folders[0], folders[1])["runs"]
        assert [item["name"] for item in twice] == ["base/diagnosis", "base/diagnosis (2)", "plain/diagnosis"]
        assert [item["name"] for item in compared(*folders, names=["x", "x"])["runs"]] == ["x", "x (2)"]

    def test_every_file_is_whole_when_a_later_one_fails(self, tmp_path: Path) -> None:
        rows = scored(correct=[True] * 4)
        folders = [run(tmp_path / "a", rows), run(tmp_path / "b", rows)]
        compared(*folders)
        output = tmp_path / "comparison"
        old = (output / "comparison.json").read_bytes()
        (output / "comparison.html").unlink()
        (output / "comparison.html").mkdir()

        with pytest.raises(ModalityInterferenceError, match="cannot write .*comparison.html"):
            compare_runs(folders, output)

        assert (output / "comparison.json").read_bytes() == old
        assert not [path for path in output.iterdir() if path.name.startswith(".")]


class TestHeadline:
    def test_is_of_the_conditions_that_all_runs_have(self, tmp_path: Path) -> None:
        """Two datasets, three perturbations, of which the second run lacks one; all by hand."""

        def figures(clean: float, *perturbed: float, excess: float) -> dict:
            twins = {f"p{index}": result(accuracy=value, flip_rate=1 - value) for index, value in enumerate(perturbed)}
            twins["m"] = result(accuracy=0.5, flip_rate=0.5, misled_rate=0.6, excess_misled_rate=excess)
            return {"clean": result(accuracy=clean), **twins}

        base = {"pictures": figures(0.9, 0.4, 0.1, excess=0.5), "sums": {"clean": result(accuracy=0.7)}}
        tuned = {"pictures": figures(0.8, 0.6, excess=-0.1), "sums": {"clean": result(accuracy=0.9)}}
        rows = scored(correct=[True] * 10) + scored("sums", correct=[True] * 10)
        rows += scored(perturbation="p0", correct=[True] * 5 + [False] * 5, flipped=[False] * 10)
        rows += scored(perturbation="m", correct=[False] * 10, flipped=[True] * 10)
        better = [row.model_copy(update={"correct": True}) for row in rows]

        found = compared(
            run(tmp_path / "base", rows, diagnosis(base)), run(tmp_path / "tuned", better, diagnosis(tuned))
        )

        names = ("clean_accuracy", "perturbed_accuracy", "worst_accuracy", "flip_rate", "excess_misled_rate", "worst")
        first, second = found["headlines"]
        assert [first[name] for name in names[:5]] == pytest.approx([0.8, 0.45, 0.4, 0.55, 0.5])
        assert [second[name] for name in names[:5]] == pytest.approx([0.85, 0.55, 0.5, 0.45, -0.1])
        assert [line["worst"] for line in (first, second)] == [["pictures", "p0"], ["pictures", "m"]]
        assert first["differences"] == {}
        change = second["differences"]["perturbed_accuracy"]
        assert change["value"] == pytest.approx((0.5 + 1) / 2)  # of the rows: 5 of 10 gained, and 10 of 10
        assert change["low"] < change["value"] < change["high"]
        assert second["differences"]["clean_accuracy"]["value"] == 0

    def test_conditions_weigh_the_same_and_their_rows_stay_together(self) -> None:
        """As the mean of both conditions' means, resampled by unit: with equal rows, that of scipy over the units' means."""
        rng = np.random.default_rng(3)
        changes = rng.random((2, 40)) < [[0.3], [0.6]]
        before, after = (
            [
                *scored(perturbation="p", correct=[not late or not value for value in changes[0]]),
                *scored(perturbation="q", correct=[not late or not value for value in changes[1]]),
            ]
            for late in (True, False)
        )
        table = tidy_table(diagnosis({"pictures": {name: result(accuracy=0.5) for name in "pq"}}))
        table = pd.concat([table.assign(run=run) for run in ("a", "b")])

        found = headlines(table, {"b": pair(before, after)}, seed=7)[1].differences["perturbed_accuracy"]

        means = changes.mean(axis=0)
        expected = bootstrap((means,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(7))
        assert found.value == pytest.approx(means.mean())
        assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval), abs=1e-9)


class TestNotes:
    def test_runs_that_share_some_examples(self, tmp_path: Path) -> None:
        half = {"pictures": {"clean": result(rows=50, accuracy=0.9)}, "sums": {"clean": result(accuracy=0.9)}}
        base = run(tmp_path / "base", scored(correct=[True] * 100))
        other = run(tmp_path / "other", scored(correct=[True] * 50), diagnosis(half))

        found = compared(base, other)

        assert [note.replace("\N{NO-BREAK SPACE}", " ") for note in found["notes"]] == [
            "other shares with base only 50 of 100 rows of pictures (clean); differences are of the shared rows, the "
            "figures of each run of all its rows.",
            "other was not evaluated on pictures (misleading_text).",
            "base was not evaluated on sums (clean).",
        ]
        assert found["conditions"][0]["figures"]["other"]["shared"] == 50
        assert "base" not in found["conditions"][2]["figures"]

    def test_runs_that_were_not_measured_alike(self, tmp_path: Path) -> None:
        with_target = scored(perturbation="misleading_text", correct=[True] * 3, misled=[False] * 3)
        base = run(tmp_path / "base", with_target)
        changed = diagnosis(FIGURES, seed=8, scoring="generate", notes=["A row was dropped."])
        other = run(tmp_path / "other", scored(perturbation="misleading_text", correct=[True] * 3), changed)

        notes = compared(base, other)["notes"]

        assert notes[0].startswith("other drew its twins with seed 8, base with seed 7: ")
        assert notes[1].startswith("other was scored by generated answers, base by option likelihood: ")
        assert (
            notes[2]
            .replace("\N{NO-BREAK SPACE}", " ")
            .startswith("In 3 shared rows, only one of other and base has a target")
        )
        assert notes[-1] == "other: A row was dropped."

    def test_like_runs_need_no_note(self, tmp_path: Path) -> None:
        rows = [
            row for name in ("clean", "misleading_text") for row in scored(perturbation=name, correct=[True] * 100)
        ]

        assert compared(run(tmp_path / "a", rows), run(tmp_path / "b", rows))["notes"] == []


class TestBadInput:
    def test_runs_without_a_common_example(self, tmp_path: Path) -> None:
        rows = scored(correct=[True] * 4)
        base = run(tmp_path / "base", rows)
        for index, other in enumerate(
            (
                scored("other", correct=[True] * 4),
                scored(perturbation="black_image", correct=[True] * 4),
                scored(correct=[True] * 4, key=[1, 2, 3, 4]),
                [],
            )
        ):
            folder = run(tmp_path / f"other{index}", other)
            with pytest.raises(ModalityInterferenceError) as error:
                compared(base, folder)

            assert all(text in str(error.value) for text in (str(base), str(folder), "the same `eval_dataset`"))

    def test_a_run_alone(self, tmp_path: Path) -> None:
        with pytest.raises(ModalityInterferenceError, match="two run folders or more.*found 1"):
            compare_runs([run(tmp_path / "a", scored(correct=[True]))], tmp_path / "out")

    def test_too_few_names(self, tmp_path: Path) -> None:
        folder = run(tmp_path / "a", scored(correct=[True]))

        with pytest.raises(ModalityInterferenceError, match="Found 1 names for 2 run folders"):
            compare_runs([folder, folder], tmp_path / "out", ["a"])

    def test_a_folder_without_a_diagnosis(self, tmp_path: Path) -> None:
        folder = run(tmp_path / "a", scored(correct=[True]))

        with pytest.raises(ModalityInterferenceError, match="cannot read .*nowhere.interference.json"):
            compare_runs([folder, tmp_path / "nowhere"], tmp_path / "out")

        assert not (tmp_path / "out").exists()

    def test_a_diagnosis_without_figures(self, tmp_path: Path) -> None:
        folder = run(tmp_path / "a", scored(correct=[True]), diagnosis({}))

        assert compared(folder, folder)["conditions"] == []


class TestPage:
    @pytest.fixture(scope="class")
    def page(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Three runs, the third with a name that is an attack."""
        folder = tmp_path_factory.mktemp("runs")
        folders = []
        for name, accuracy in (("base", 0.2), ("plain", 0.3), ("plugin", 0.95)):
            rows = [
                *scored(correct=coin(0.9, 100, seed=1)),
                *scored(perturbation="misleading_text", correct=coin(accuracy, 100, seed=2)),
                *scored("sums", correct=coin(0.9, 100, seed=1)),
                *scored("sums", "black_image", coin(accuracy, 100, seed=3)),
            ]
            figures = {
                "pictures": {
                    "clean": result(accuracy=0.9),
                    "misleading_text": result(accuracy=accuracy, flip_rate=1 - accuracy),
                },
                "sums": {
                    "clean": result(accuracy=0.9),
                    "black_image": result(accuracy=1 - accuracy, flip_rate=accuracy),
                },
            }
            folders.append(run(folder / name, rows, diagnosis(figures)))

        return compare_runs(folders, folder / "out", ["base", "plain", "<script>window.hacked=1</script>"])

    def test_loads_without_console_messages_or_requests(self, chromium, page: Path) -> None:
        open_page(chromium, page)

        assert chromium.get_log("browser") == []
        own = {url for url in requested(chromium) if not url.startswith("data:")}
        assert own == {page.as_uri()}
        assert len(shown(chromium, "svg.plot")) == 2

    def test_text_from_data_stays_text(self, chromium, page: Path) -> None:
        page.with_name("bare.html").write_text(re.sub("<meta http-equiv[^>]+>", "", page.read_text()))
        for address in (page, page.with_name("bare.html")):
            open_page(chromium, address)

            assert chromium.execute_script("return window.hacked") is None
            assert len(chromium.find_elements(By.TAG_NAME, "script")) == 2
            assert any("<script>window.hacked=1</script>" in text for text in texts(chromium, "thead th"))

    def test_shows_differences_and_verdicts(self, chromium, page: Path) -> None:
        open_page(chromium, page)

        cells = texts(chromium, "section:has(#accuracy) tbody tr:nth-child(2) td")

        assert cells[1] == "20.0 %\n(15.0 to 25.0)\nclean 90.0 %"
        assert re.fullmatch(
            r"95\.0 %\n\(90\.0 to 100\.0\)\nclean 90\.0 %\n\+\d+\.\d \(\d+\.\d to \d+\.\d\) better", cells[3]
        )

    def test_says_in_words_what_is_better(self, chromium, page: Path) -> None:
        open_page(chromium, page)

        plugin = texts(chromium, ".summary li")[1]

        assert plugin.startswith(
            "<script>window.hacked=1</script> against base: on clean rows its accuracy is without a clear difference in all 2 "
            "datasets; on perturbed rows its accuracy is better in all 2 conditions"
        )
        assert re.search(r"It gains most under \w+ on \w+: accuracy \+\d+\.\d points \(", plugin)

    def test_starts_with_a_headline(self, chromium, page: Path) -> None:
        """Figures by hand: accuracies under the two perturbations, flips 1 - accuracy and accuracy."""
        open_page(chromium, page)

        first = shown(chromium, "section.card")[0]

        rows = [
            row.text.replace("\N{NO-BREAK SPACE}", " ") for row in first.find_elements(By.CSS_SELECTOR, "tbody tr")
        ]
        assert rows[0].split("\n") == [
            "base",
            "90.0 %",
            "50.0 %",
            "20.0 %",
            "misleading_text on pictures",
            "50.0 %",
            "–",
        ]
        assert rows[2].split("\n")[1] == "90.0 %"
        assert "5.0 %\nblack_image on sums" in rows[2]

    def test_filters_all_tables_and_sorts_one(self, chromium, page: Path) -> None:
        open_page(chromium, page)
        assert texts(chromium, "output") == ["Showing 4 of 4 conditions"]

        chromium.find_element(By.NAME, "text").send_keys("sums")

        assert texts(chromium, "[data-items] tbody th") == ["clean", "black_image", "black_image"]
        assert texts(chromium, "output") == ["Showing 2 of 4 conditions"]
        chromium.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
        header = shown(chromium, "[data-sort] thead th")[2]
        header.find_element(By.TAG_NAME, "button").click()
        assert header.get_attribute("aria-sort") == "ascending"
        first_table = shown(chromium, "[data-sort]")[0]
        values = [cell.text.split(" ")[0] for cell in first_table.find_elements(By.CSS_SELECTOR, "td:nth-child(3)")]
        assert values == ["20.0", "80.0", "90.0", "90.0"]

    def test_never_scrolls_sideways_with_eight_runs(self, chromium, tmp_path: Path) -> None:
        rows = scored(correct=[True] * 4)
        folders = [run(tmp_path / f"a_run_with_a_long_name_for_an_ablation_{index}", rows) for index in range(8)]
        page = compare_runs(folders, tmp_path / "out")

        for width in (360, 1280):
            open_page(chromium, page, width=width, height=740)

            assert overflow(chromium) <= 0
            region = shown(chromium, ".scroll:has([data-sort])")[0]
            wider = chromium.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", region)
            assert wider == (width == 1280)  # a table scrolls in itself; on a phone its rows are cards
