"""`modality-interference clips`: help, usage, and what `prepare` prints."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from helpers.clip_files import read_audio, read_frames, write_clip, write_corrupt, write_labelled

from modality_interference.cli import main


@pytest.mark.parametrize("command", ["prepare", "pair"])
def test_help_has_examples(command, capsys):
    assert main(["clips", command, "--help"]) == 0
    assert f"Examples:\n    modality-interference clips {command} " in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    code = (
        "import json, sys\nfrom modality_interference.cli import main\n"
        "assert main(['clips', 'prepare', '--help']) == 0\n"
        "print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    modules = json.loads(found.stdout.splitlines()[-1])
    assert not {"torch", "av", "numpy", "scipy", "datasets", "llamafactory", "PIL"} & set(modules)


def test_preparing_imports_no_torch():
    """Every worker would pay for it."""
    code = "import sys, modality_interference.clips.folder\nprint({'torch', 'transformers'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "set()\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["clips"],
        ["clips", "prepare", "in"],
        ["clips", "prepare", "in", "out", "--size", "505"],
        ["clips", "prepare", "in", "out", "--size", "0"],
        ["clips", "prepare", "in", "out", "--fps", "0"],
        ["clips", "prepare", "in", "out", "--seconds", "-1"],
        ["clips", "prepare", "in", "out", "--seconds", "nan"],
        ["clips", "prepare", "in", "out", "--silent-below", "3"],
        ["clips", "prepare", "in", "out", "--workers", "0"],
        ["clips", "pair", "clips.jsonl", "--options", "1"],
        ["clips", "pair", "clips.jsonl", "--answer", "number"],
        ["clips", "pair", "clips.jsonl", "--split", "train=0.8"],
        ["clips", "pair", "clips.jsonl", "--split", "train=0.5,train=0.5"],
        ["clips", "pair", "clips.jsonl", "--split", "train"],
        ["clips", "pair", "clips.jsonl", "--split", "a b=0.5,c=0.5"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("Usage: modality-interference clips")


def test_prepare_says_what_became_of_the_videos(tmp_path, capsys):
    write_labelled(tmp_path / "in", ["bell"], 2)
    write_clip(tmp_path / "in" / "bell" / "mute.mp4", amplitude=0)
    write_clip(tmp_path / "in" / "bell" / "mute too.mp4", amplitude=0)
    write_corrupt(tmp_path / "in" / "bell" / "torn\x1b[2J.mp4")
    write_clip(tmp_path / "in" / "top.mp4")
    (tmp_path / "in" / "notes.txt").touch()
    arguments = ["clips", "prepare", str(tmp_path / "in"), str(tmp_path / "out"), "--size", "32", "--workers", "1"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 of 6 videos are clips now, 3 were skipped.",
        "  skipped, silent: bell/mute too.mp4 (RMS -inf dB where it is loudest, below -60 dB), and 1 more",
        "  skipped, unreadable: bell/torn\\x1b[2J.mp4 (Invalid data found when processing input)",
        "  Files that are no videos by their suffix, and were not looked at: 1",
        "  Clips without a label, as they are not in IN_DIR/<class>/: 1 (top.mp4). `--labels` can name them.",
        f"The list: {tmp_path / 'out' / 'clips.jsonl'}",
    ]
    assert main(arguments) == 0
    assert "  5 of them were done by an earlier run and left as they are." in capsys.readouterr().out.splitlines()


def test_options_reach_the_clips(tmp_path, capsys):
    write_clip(tmp_path / "in" / "clip.mp4", seconds=3)
    table = tmp_path / "labels.csv"
    table.write_text("file,visual_label,audio_label\nclip.mp4,bell,choir\n")
    options = ["--seconds", "2", "--size", "40", "--fps", "5", "--keep-audio", "--labels", str(table)]
    assert main(["clips", "prepare", str(tmp_path / "in"), str(tmp_path / "out"), *options]) == 0
    line = json.loads((tmp_path / "out" / "clips.jsonl").read_text())
    assert (line["visual_label"], line["audio_label"], line["seconds"], line["frames"]) == ("bell", "choir", 2.0, 10)
    assert read_frames(tmp_path / "out" / line["video"])[0].shape == (10, 40, 40, 3)
    assert read_audio(tmp_path / "out" / line["video"])[1] == 16000
    assert len(read_audio(tmp_path / "out" / line["audio"])[0]) == 32_000


def test_no_good_clip_is_a_failure(tmp_path, capsys):
    write_clip(tmp_path / "in" / "clip.mp4", seconds=1.5)
    arguments = ["clips", "prepare", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1"]
    assert main([*arguments, "--min-seconds", "2"]) == 1
    assert "too short: clip.mp4 (1.5 s of video with audio, less than 2 s)" in capsys.readouterr().out
    assert main([*arguments, "--min-seconds", "11"]) == 1
    assert "`--min-seconds 11` is more than `--seconds 10`" in capsys.readouterr().err


def test_a_terminal_gets_a_progress_bar(tmp_path):
    write_clip(tmp_path / "in" / "clip.mp4", seconds=1)
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 100))
    script = Path(sys.executable).with_name("modality-interference")
    command = [script, "clips", "prepare", "in", "out", "--workers", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    output = b""
    try:
        while chunk := os.read(reader, 4096):
            output += chunk
    except OSError:  # Linux says so at the end
        pass
    finally:
        os.close(reader)

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode())
    assert process.wait(timeout=60) == 0 and re.search(r"Preparing clips \S+ 100% 1/1 ", text)
