"""Groups of runs that differ by their seed: means and tests over runs against scipy's, bad groups, and the page."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.diagnoses import diagnosis, result, scored
from helpers.pages import open_page, overflow
from scipy import stats

from modality_interference.cli.app import main
from modality_interference.errors import ModalityInterferenceError
from modality_interference.report.seeds import compare_groups
from modality_interference.results import write_results


PLAIN = {"clean": [0.95, 0.93, 0.96, 0.94], "misleading_text": [0.20, 0.35, 0.22, 0.31]}
TUNED = {"clean": [0.95, 0.95, 0.95, 0.96], "misleading_text": [0.90, 0.97, 0.88, 0.99]}


def write_group(folder: Path, name: str, values: dict[str, list[float]], runs: int) -> list[Path]:
    """Run folders of a group, as diagnoses leave them."""
    folders = [folder / f"{name}_{seed}" for seed in range(runs)]
    for seed, run in enumerate(folders):
        figures = {label: result(accuracy=own[seed]) for label, own in values.items()}
        write_results(run, diagnosis({"pictures": figures}, seed=7), scored(correct=[True, False]))

    return folders


@pytest.mark.parametrize("plain_runs", [4, 3])
def test_means_spreads_and_tests_are_those_of_scipy(tmp_path, plain_runs):
    folders = [*write_group(tmp_path, "plain", PLAIN, plain_runs), *write_group(tmp_path, "tuned", TUNED, 4)]
    page = compare_groups(folders, tmp_path / "out", [run.name.split("_")[0] for run in folders])
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    (misleading,) = [one for one in found["conditions"] if one["perturbation"] == "misleading_text"]
    before, after = PLAIN["misleading_text"][:plain_runs], TUNED["misleading_text"]
    tuned = misleading["figures"]["tuned"]
    low, high = stats.t.interval(0.95, 3, np.mean(after), stats.sem(after))
    assert tuned["rates"]["accuracy"] == pytest.approx({"value": np.mean(after), "low": low, "high": min(1, high)})
    assert tuned["runs"]["accuracy"] == after

    paired = plain_runs == 4
    test = stats.ttest_rel(after, before) if paired else stats.ttest_ind(after, before, equal_var=False)
    difference = tuned["differences"]["accuracy"]
    assert difference["value"] == pytest.approx(np.mean(after) - np.mean(before))
    assert (difference["low"], difference["high"]) == pytest.approx(test.confidence_interval(0.95))
    assert difference["p"] == pytest.approx(test.pvalue)
    assert difference["p_holm"] == pytest.approx(2 * test.pvalue)  # two conditions, this one the smaller p
    assert difference["verdict"] == "better"
    assert ("they are not paired" in page.read_text()) is not paired
    headline = found["headlines"][1]
    assert headline["perturbed_accuracy"] == pytest.approx(np.mean(after))
    assert headline["worst"] == ["pictures", "misleading_text"]


def test_equal_differences_claim_nothing(tmp_path):
    """Three seeds that all gain the same have no spread, and t would be infinite."""
    folders = write_group(tmp_path, "a", {"clean": [0.5, 0.5, 0.5]}, 3)
    folders += write_group(tmp_path, "b", {"clean": [0.75, 0.75, 0.75]}, 3)
    compare_groups(folders, tmp_path / "out", list("aaabbb"))
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    difference = found["conditions"][0]["figures"]["b"]["differences"]["accuracy"]
    assert (difference["value"], difference["p"], difference["verdict"]) == (0.25, 1, "unclear")


@pytest.mark.parametrize(
    ("groups", "said"),
    [("a,a,b", "3 groups for 4 run folders"), ("a,a,a,b", "found a: 3, b: 1"), ("a,a,a,a", "found a: 4")],
)
def test_groups_that_cannot_be_compared(tmp_path, groups, said):
    folders = write_group(tmp_path, "plain", PLAIN, 4)
    with pytest.raises(ModalityInterferenceError, match=said):
        compare_groups(folders, tmp_path / "out", groups.split(","))

    assert not (tmp_path / "out").exists()


def test_groups_with_nothing_in_common_are_refused(tmp_path):
    """Their page would be empty."""
    folders = write_group(tmp_path, "plain", {"misleading_text": PLAIN["misleading_text"]}, 2)
    folders += write_group(tmp_path, "tuned", {"unrelated_text": PLAIN["misleading_text"]}, 2)
    with pytest.raises(ModalityInterferenceError, match="no dataset and perturbation .* of plain and of tuned"):
        compare_groups(folders, tmp_path / "out", ["plain", "plain", "tuned", "tuned"])


def test_the_page_shows_every_run_and_fits_a_phone(tmp_path, chromium):
    folders = [*write_group(tmp_path, "plain", PLAIN, 3), *write_group(tmp_path, "tuned", TUNED, 3)]
    words = [
        "report",
        *map(str, folders),
        "-o",
        str(tmp_path / "out"),
        "--groups",
        "plain,plain,plain,tuned,tuned,tuned",
    ]
    assert main(words) == 0
    page = tmp_path / "out" / "comparison.html"
    text = page.read_text()
    assert "sd 4.7; 90.0, 97.0, 88.0" in text  # numpy.std([90, 97, 88], ddof=1) = 4.73
    assert "over seeds" in text
    assert "shared example" not in text
    open_page(chromium, page, width=390)
    assert not overflow(chromium)


def test_names_are_of_runs_and_groups_of_groups(tmp_path, capsys):
    folders = write_group(tmp_path, "plain", PLAIN, 4)
    assert (
        main(["report", *map(str, folders), "-o", str(tmp_path / "out"), "--groups", "a,a,b,b", "--names", "a,b,c,d"])
        == 1
    )
    assert "remove `--names`" in capsys.readouterr().err
