"""The comparison of two runs of LLaMA-Factory's suite, on real runs of pytest and a real environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.llamafactory_suite import Outcomes, compare, complain, make_environment, markdown, read_outcomes


TESTS = """\
import os
import pytest

SECOND = os.environ["RUN"] == "second"

def test_same(): pass
def test_breaks(): assert not SECOND
def test_same_failure(): assert object() is None
def test_other_failure(): raise ValueError(f"run {SECOND}")
@pytest.mark.skip(reason="no device")
def test_skipped(): pass
@pytest.mark.xfail(reason="known")
def test_xfailed(): assert False
@pytest.fixture
def broken(): raise OSError("no file")
def test_error(broken): pass
if SECOND:
    def test_new(): pass
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcomes, Outcomes]:
    """Outcomes of `TESTS` in the two runs."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "test_it.py").write_text(TESTS)
    (folder / "test_no.py").write_text("import pytest\npytest.skip('no such module', allow_module_level=True)\n")

    def run(name: str) -> Outcomes:
        report = folder / f"{name}.xml"
        command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), f"--junit-xml={report}", str(folder)]
        subprocess.run([*command, "-p", "no:cacheprovider"], env=os.environ | {"RUN": name}, capture_output=True)
        return read_outcomes(report, folder)

    return run("first"), run("second")


def test_verdicts_are_read(runs: tuple[Outcomes, Outcomes]):
    verdicts = {test.partition("::")[2]: outcome.verdict for test, outcome in runs[0].items()}
    assert verdicts == {
        "test_no": "skipped",
        "test_same": "passed",
        "test_breaks": "passed",
        "test_same_failure": "failed",
        "test_other_failure": "failed",
        "test_skipped": "skipped",
        "test_xfailed": "xfailed",
        "test_error": "error",
    }


def test_only_differences_are_listed(runs: tuple[Outcomes, Outcomes]):
    differences = compare(*runs)
    assert [line.partition("::")[2].partition("`")[0] for line in differences] == [
        "test_breaks",
        "test_new",
        "test_other_failure",
    ]
    assert differences[1].endswith("not there / passed")
    assert "run False" in differences[2] and "run True" in differences[2]
    assert compare(runs[0], runs[0]) == []


def test_counts_are_tabled(runs: tuple[Outcomes, Outcomes]):
    table = markdown({"first": runs[0], "second": runs[1]})
    assert "| first | 2 | 2 | 1 | 2 | 1 |" in table
    assert "| second | 2 | 3 | 1 | 2 | 1 |" in table
    assert "- skipped (no device): 1 first, 1 second" in table
    assert "- failed (ValueError: run True): 0 first, 1 second" in table
    assert "- skipped (no such module): 1 first, 1 second" in table


@pytest.mark.parametrize("installed", [False, True])
def test_an_environment_has_the_package_or_not_at_all(tmp_path: Path, installed: bool):
    python = make_environment(tmp_path, installed)
    look = (
        "from importlib.metadata import entry_points\n"
        "from importlib.util import find_spec\n"
        "names = {entry.name for entry in entry_points(group='torch.backends')}\n"
        "print('modality_interference' in names, find_spec('modality_interference') is not None,"
        " find_spec('llamafactory') is not None)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    seen = subprocess.run([python, "-P", "-c", look], env=environment, capture_output=True, text=True, check=True)
    assert seen.stdout.split() == [str(installed), str(installed), "True"]


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path):
    assert "not a checkout" in str(complain(tmp_path))


def test_a_checkout_of_another_release_is_refused(tmp_path: Path):
    for folder in ("src/llamafactory/extras", "tests", "tests_v1"):
        (tmp_path / folder).mkdir(parents=True)

    (tmp_path / "src/llamafactory/extras/env.py").write_text('VERSION = "0.0.1"\n')
    assert "0.0.1" in str(complain(tmp_path))
