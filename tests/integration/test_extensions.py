"""Installed extensions: what they register is known, and a broken one is named, with its package and version."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp

from modality_interference.cli.app import main
from modality_interference.data.registry import perturbations, undone_on_error
from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration.extensions import load_extensions


HEAD = """
from modality_interference.data.registry import Parameters, register_format, register_perturbation
from modality_interference.modality import Modality
"""
GOOD = (
    HEAD
    + """
@register_perturbation("shouting", changes=Modality.TEXT)
def shouting(sample, rng, context, parameters):
    return sample.before_question("LISTEN!")
"""
)
BROKEN = {
    "ImportError": (
        "import no_such_package_of_all\n",
        "ModuleNotFoundError: No module named 'no_such_package_of_all'",
    ),
    "SyntaxError": ("def f(:\n", "SyntaxError: invalid syntax"),
    "own error": (GOOD + "1 / 0\n", "ZeroDivisionError: division by zero"),
    "exit": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "taken name": (
        GOOD.replace('"shouting"', '"unrelated_text"'),
        "perturbation `unrelated_text` is registered already; choose another name.",
    ),
    "signature": (
        GOOD.replace("(sample, rng, context, parameters)", "(sample, rng)"),
        "perturbation `shouting`: its function is called with (sample, rng, context, parameters), and <function shouting",
    ),
    "format": (
        HEAD + "@register_format('mine', columns=('a',))\ndef mine(row):\n    return None\n",
        "format `mine`: its function is called with (row, dataset, rng), and <function mine",
    ),
    "modality": (
        GOOD.replace("Modality.TEXT", "'text'"),
        "perturbation `shouting`: `changes` must be a Modality and `parameters` a subclass of Parameters, found 'text'",
    ),
    "parameters": (GOOD.replace("TEXT", "TEXT, parameters=dict"), "and <class 'dict'>."),
}


@pytest.fixture
def install(tmp_path, monkeypatch) -> Any:
    """Put a package with an extension where Python finds it."""
    site = tmp_path / "site"

    def place(code: str, name: str = "twins_of_mine") -> None:
        info = site / f"{name}-1.2.3.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n")
        (info / "entry_points.txt").write_text(f"[modality_interference.extensions]\nmine = {name}\n")

    monkeypatch.syspath_prepend(site)
    return place


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    """What a test registers is forgotten."""
    try:
        with undone_on_error():
            yield
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass


def test_a_good_one(install):
    install(GOOD, "twins_that_work")
    load_extensions()
    load_extensions()  # again, as in every run of a process
    assert "shouting" in perturbations()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one(install, name):
    code, cause = BROKEN[name]
    install(code, f"twins_{name.replace(' ', '_').lower()}")
    for _ in range(2):  # the second time it is the same cause, not a name that is taken
        with pytest.raises(ModalityInterferenceError) as error:
            load_extensions()

        package = f"twins_{name.replace(' ', '_').lower()}"
        assert str(error.value).startswith(
            f"The extension `mine = {package}` of the package `{package}` 1.2.3 cannot be loaded: "
        )
        assert cause in str(error.value)
        assert "update that package or report this to its authors, or uninstall it" in str(error.value)
        assert "shouting" not in perturbations()


def test_a_run_and_check_say_it(install, tmp_path, capsys):
    install("import no_such_package_of_all\n", "twins_for_a_run")
    message = "The extension `mine = twins_for_a_run` of the package `twins_for_a_run` 1.2.3 cannot be loaded: "
    with pytest.raises(ModalityInterferenceError, match=message):
        run_exp(recipe(Path("/no/such/model"), "qwen2_vl", Path("/no/such/data"), tmp_path / "out"))

    (tmp_path / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    assert main(["check", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
