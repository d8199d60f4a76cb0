"""Text for a terminal: wrapped, coloured where that is wanted."""

import sys

import pytest

from modality_interference.cli.terminal import say, wrapped


def test_markup_of_data_stays_text(capsys):
    text = "[red]not red[/red] [link=https://a.b]x[/link] :cat: [/] 42"
    say(text, "good")
    say(wrapped(text, "- "))
    assert capsys.readouterr().out == f"{text}\n- {text}\n"


def test_lines_for_programs_are_not_wrapped(capsys):
    say("word " * 100)
    assert capsys.readouterr().out == "word " * 100 + "\n"


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
