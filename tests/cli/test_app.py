"""The command itself: console script, help, exit codes, and what its start imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import modality_interference
from modality_interference.cli import main


SCRIPT = Path(sys.executable).with_name("modality-interference")
SUBCOMMANDS = ("pairs", "report", "preview", "check", "list", "schema", "clips")


def run_script(*arguments, **environment):
    return subprocess.run(
        [SCRIPT, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment}, timeout=300
    )


def test_version():
    found = run_script("--version")
    assert (found.returncode, found.stdout) == (0, f"modality-interference {modality_interference.__version__}\n")


@pytest.mark.parametrize("arguments", [(), ("report",), ("preview", "x"), ("check", "x", "--rows", "0"), ("sing",)])
def test_wrong_usage_exits_with_2(arguments):
    found = run_script(*arguments)
    assert found.returncode == 2 and found.stderr.startswith("Usage: modality-interference")
    assert found.stdout == ""


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_help_has_examples(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    examples = "COMMAND --help" if command == "clips" else f"Examples:\n    modality-interference {command} "
    assert examples in text


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in SUBCOMMANDS)])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import json, sys\nfrom modality_interference.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        "print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    modules = json.loads(found.stdout.splitlines()[-1])
    assert "typer" in modules
    assert not {"torch", "transformers", "llamafactory", "datasets", "matplotlib", "PIL", "numpy"} & set(modules)


@pytest.mark.parametrize("arguments", [("check",), ("preview",), ("report", "-o")])
def test_an_absent_folder_is_an_error_without_a_traceback(arguments, tmp_path):
    more = {"preview": ["pictures"], "report": [tmp_path / "page"]}.get(arguments[0], [])
    command, *rest = arguments
    found = run_script(command, tmp_path / "absent", *rest, *more)
    assert found.returncode == 1 and found.stdout == ""
    assert found.stderr.startswith("error: ") and "absent" in found.stderr and "Traceback" not in found.stderr


def test_an_error_is_harmless_for_the_terminal(tmp_path, capsys):
    assert main(["check", str(tmp_path / "a\x1b]0;title\x07b")]) == 1
    error = capsys.readouterr().err
    assert "\x1b" not in error and "\x07" not in error and "a\\x1b]0;title\\x07b" in error


def test_what_the_encoding_has_not_is_escaped(tmp_path):
    found = run_script("check", tmp_path / "猫", PYTHONIOENCODING="ascii")
    assert found.returncode == 1 and "\\u732b" in found.stderr and "Traceback" not in found.stderr
