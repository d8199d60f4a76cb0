"""Untrusted text on its way to terminals and logs: escapes in place of what could confuse them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import recipe

from modality_interference.errors import ModalityInterferenceError, Unusable
from modality_interference.printable import printable


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


def test_errors_are_printable_whatever_they_quote():
    assert str(ModalityInterferenceError("no column `a\x1b[2J`")) == "no column `a\\x1b[2J`"
    bad = Unusable("missing image", "`\u202e.png`", "\u202e.png")
    assert str(bad) == "missing image: `\\u202e.png`" and bad.source == "\u202e.png"


def run(code: str, *words: str) -> tuple[int, str]:
    """Run Python; all that it writes."""
    command = [sys.executable, "-c", code, *words]
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=Path(__file__).parent)
    return found.returncode, found.stdout.decode()


def test_an_error_that_nobody_catches():
    code = (
        "import sys; from modality_interference.printable import printable_traceback\n"
        "sys.excepthook = printable_traceback(sys.excepthook)\n"
        "try:\n    {}['a']\nexcept KeyError as error:\n    raise RuntimeError('\\x1b[2J') from error"
    )
    status, written = run(code)
    assert status == 1 and "\x1b" not in written
    assert written.startswith("Traceback") and "KeyError: 'a'" in written
    assert written.rstrip().endswith("RuntimeError: \\x1b[2J")
    hook = "import sys; from modality_interference.printable import printable_traceback as hook; print(hook(print) is print)"
    assert run(hook) == (0, "True\n")


LOAD = """
import json, sys
from helpers.loading import load_data

keys = json.loads(sys.argv[1])
assert len(load_data(keys).train) == 2
load_data(keys | {"dataset": "bad"})
"""


def test_nothing_that_data_can_name_reaches_a_runs_terminal(checkpoint, tmp_path: Path):
    """File names, paths, cells and columns, in what LLaMA-Factory logs, prints and raises, too."""
    folder, escape = tmp_path / "data", "\x1bc\x07"  # resets a terminal, and rings
    folder.mkdir()
    rows = [{"instruction": f"Say {index}{escape}.", "input": "", "output": f"{index}{escape}"} for index in range(2)]
    rows += [rows[0] | {"instruction": "<image>?", "images": [f"lost{escape}.png"]}]
    (folder / f"rows{escape}.json").write_text(json.dumps([{"images": []} | row for row in rows]))
    entry = {"file_name": f"rows{escape}.json", "formatting": "alpaca_twins"}
    entry["columns"] = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    entry["twins"] = {"relevant": ["text"], "perturbations": ["black_image"]}
    bad = entry | {"columns": entry["columns"] | {"prompt": f"absent{escape}"}}
    (folder / "dataset_info.json").write_text(json.dumps({"rows": entry, "bad": bad}))
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset="rows")
    status, written = run(LOAD, json.dumps(keys, default=str))
    assert status == 1 and "\x1b" not in written and "\x07" not in written, written[-3000:]
    for name in ("Loading dataset rows{}.json", "image `lost{}.png`", "Say 0{}.", "names the column `absent{}`"):
        assert name.format("\\x1bc\\x07") in written, (name, written[-6000:])
