"""The command itself: console script, help, exit codes, and what its start imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import modality_interference
from modality_interference.cli import main
from modality_interference.cli.terminal import printable, say, wrapped
from modality_interference.results import Diagnosis, ScoredRow, write_results


SCRIPT = Path(sys.executable).with_name("modality-interference")
SUBCOMMANDS = ("report", "preview", "check", "clips")


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


# report


def write_run(folder: Path, flips: int) -> Path:
    rows = []
    for index in range(20):
        common = dict(dataset="pets", row=index, key=index, kind="image")
        rows.append(ScoredRow(**common, perturbation="clean", answer="cat", correct=True))
        flipped = index < flips
        twin = dict(perturbation="misleading_text", answer="dog" if flipped else "cat", correct=not flipped)
        rows.append(ScoredRow(**common, **twin, flipped=flipped, causal_effect=float(flipped), misled=flipped))

    rate = {"value": 1 - flips / 20, "low": 0.0, "high": 1.0}
    results = {"clean": {"rows": 20, "rates": {"accuracy": {"value": 1.0, "low": 1.0, "high": 1.0}}}}
    results["misleading_text"] = {"rows": 20, "rates": {"accuracy": rate}}
    about = dict(created="2025-01-01T00:00:00Z", model={"name_or_path": folder.name}, data={}, run={}, versions={})
    datasets = {"pets": {"examples": 20, "kind": "image", "perturbations": results}}
    write_results(folder, Diagnosis(**about, seed=1, scoring="likelihood", resamples=1000, datasets=datasets), rows)
    return folder


def test_report_of_one_run(tmp_path, capsys):
    run = write_run(tmp_path / "saves" / "tuned", 3)
    assert main(["report", str(run), "-o", str(tmp_path / "page")]) == 0
    page = Path(capsys.readouterr().out.removeprefix("The page: ").strip())
    assert page.parent == tmp_path / "page" and page.suffix == ".html"
    text = page.read_text()
    assert "misleading_text" in text and "pets" in text
    assert sorted(file.name for file in run.iterdir()) == ["interference.json", "interference_rows.jsonl"]


def test_report_of_several_runs(tmp_path, capsys):
    runs = [str(write_run(tmp_path / name, flips)) for name, flips in (("one", 16), ("two", 2))]
    assert main(["report", *runs, "-o", str(tmp_path / "page"), "--names", "before,after"]) == 0
    page = Path(capsys.readouterr().out.removeprefix("The page: ").strip())
    text = page.read_text()
    assert page.parent == tmp_path / "page" and "before" in text and "after" in text


@pytest.mark.parametrize(
    ("names", "runs", "message"),
    [
        ("base", 1, "`--names` is for several runs"),
        ("base", 2, "must give each of the 2 runs a name"),
        ("base,base", 2, "must give each of the 2 runs a name"),
        ("base,", 2, "must give each of the 2 runs a name"),
    ],
)
def test_wrong_names(names, runs, message, tmp_path, capsys):
    folders = [str(write_run(tmp_path / str(index), 1)) for index in range(runs)]
    assert main(["report", *folders, "-o", str(tmp_path / "page"), "--names", names]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "page").exists()


def test_report_of_something_else(tmp_path, capsys):
    (tmp_path / "interference.json").write_text(json.dumps({"seed": "x"}))
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "page")]) == 1
    assert "is not what a diagnosis writes" in capsys.readouterr().err


def test_a_closed_pipe_is_no_crash(tmp_path):
    command = [SCRIPT, "report", write_run(tmp_path / "run", 3), "-o", tmp_path / "page"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(timeout=60) == 1


# terminal


def test_printable_escapes_what_moves_the_cursor():
    assert printable("a\x1b[2Jb\rc\u202ed\ud800e\x9bf") == "a\\x1b[2Jb\\rc\\u202ed\\ud800e\\x9bf"
    assert printable("Grüße\n\t<image> 猫 🐈") == "Grüße\n\t<image> 猫 🐈"


@pytest.mark.parametrize(
    "codes",
    [(0x61C,), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060,), (0x2066, 0x206F), (0xFEFF,), (0x00, 0x08), (0x80, 0x9F)],
    ids=lambda codes: f"{codes[0]:04X}",
)
def test_printable_escapes_what_a_reader_cannot_see(codes):
    for code in range(codes[0], codes[-1] + 1):
        assert printable(f"a{chr(code)}b") == (f"a\\u{code:04x}b" if code > 0xFF else f"a\\x{code:02x}b")


def test_markup_of_data_stays_text(capsys):
    text = "[red]not red[/red] [link=https://a.b]x[/link] :cat: [/] 42"
    say(text, "good")
    say(wrapped(text, "- "))
    assert capsys.readouterr().out == f"{text}\n- {text}\n"


def test_lines_for_programs_are_not_wrapped(capsys):
    say("word " * 100)
    assert capsys.readouterr().out == "word " * 100 + "\n"


def test_what_the_encoding_has_not_is_escaped(tmp_path):
    found = run_script("check", tmp_path / "猫", PYTHONIOENCODING="ascii")
    assert found.returncode == 1 and "\\u732b" in found.stderr and "Traceback" not in found.stderr


def test_wrapped_keeps_breaks_and_indents(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert wrapped("one\n\ntwo", "- ").plain == "- one\n\n  two"
    lines = wrapped("word " * 30, "- ").plain.split("\n")
    assert len(lines) == 5 and all(len(line) <= 40 for line in lines)
    assert lines[0].startswith("- word") and lines[1].startswith("  word")
    assert max(map(len, wrapped("x" * 100, "  ").plain.split("\n"))) == 40
    assert max(map(len, wrapped("猫" * 100, "  ").plain.split("\n"))) == 21  # 2 and 19 of two columns each


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours(terminal, environment, coloured, monkeypatch, capsys):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    say("x", "good")
    assert capsys.readouterr().out == ("\x1b[32mx\x1b[0m\n" if coloured else "x\n")
