"""Text for a terminal: escaped, wrapped, coloured where that is wanted."""

import sys

import pytest

from modality_interference.cli.terminal import printable, say, wrapped


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
