"""A folder of clips: names, labels, links; reruns, interruptions, and runs that get in each other's way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.clip_files import (
    heard_class,
    read_audio,
    read_frames,
    shown_class,
    write_clip,
    write_corrupt,
    write_labelled,
)

from modality_interference.clips.folder import Outcome, prepare_folder
from modality_interference.clips.manifest import ClipRecord, append, open_journal, read_journal
from modality_interference.clips.prepare import Settings
from modality_interference.errors import ModalityInterferenceError


SCRIPT = Path(sys.executable).with_name("modality-interference")
SMALL = Settings(size=48)
CLIPS = 60  # of a run that is interrupted


def prepare(folder: Path, settings: Settings = SMALL, **more: object) -> Outcome:
    return prepare_folder(folder / "in", folder / "out", settings, 2, **more)  # type: ignore[arg-type]


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out" / "clips.jsonl").read_text().splitlines()]


def stamps(folder: Path) -> dict[str, int]:
    """When each prepared file was written."""
    files = sorted((folder / "out").rglob("*-*.*"))
    return {file.name.split("-")[0] + file.suffix: file.stat().st_mtime_ns for file in files}


def test_a_line_per_input(tmp_path):
    write_labelled(tmp_path / "in", ["bell", "horn"], 1)
    write_clip(tmp_path / "in" / "bell" / "mute.mp4", audio=None)
    write_corrupt(tmp_path / "in" / "horn" / "torn.mp4")
    write_clip(tmp_path / "in" / "alone.mp4", "rain", "rain")
    write_clip(tmp_path / "in" / "horn" / "deep" / "deep.mp4")
    (tmp_path / "in" / "notes.txt").write_text("none of ours")
    (tmp_path / "in" / "._alone.mp4").write_bytes(b"of a Mac")
    outcome = prepare(tmp_path)
    found = {line["source"]: line for line in lines(tmp_path)}
    assert list(found) == ["alone.mp4", "bell/bell 0.mp4", "bell/mute.mp4", "horn/deep/deep.mp4", *list(found)[4:]]
    assert list(found)[4:] == ["horn/horn 0.mp4", "horn/torn.mp4"] and outcome.found.others == 1
    good = found["horn/horn 0.mp4"]
    assert (good["status"], good["seconds"], good["frames"]) == ("ok", 2.0, 16)
    assert (good["visual_label"], good["audio_label"]) == ("horn", "horn")
    assert shown_class(read_frames(tmp_path / "out" / good["video"])[0][0]) == "horn"
    assert heard_class(*read_audio(tmp_path / "out" / good["audio"])) == "horn"
    assert "visual_label" not in found["alone.mp4"] and "visual_label" not in found["horn/deep/deep.mp4"]
    for source, reason in {"bell/mute.mp4": "no audio: ", "horn/torn.mp4": "unreadable: "}.items():
        assert found[source]["status"] == "skipped" and found[source]["reason"].startswith(reason)
        assert "video" not in found[source] and "audio" not in found[source]


def test_odd_names_do_not_collide(tmp_path):
    names = {
        "a b.mp4": "bell",
        "a-b.mp4": "drum",
        "a b.mkv": "horn",
        "sub/a b.mp4": "rain",
        "Grüße 猫 '\"$(x)*.mp4": "siren",
        "猫.mp4": "voice",
        unicodedata.normalize("NFC", "é.mp4"): "bell",
        unicodedata.normalize("NFD", "é.mp4"): "drum",
        "-rf.mp4": "horn",
    }
    for name, clip_class in names.items():
        write_clip(tmp_path / "in" / name, clip_class, clip_class, seconds=1)

    prepare(tmp_path)
    found = lines(tmp_path)
    assert {line["source"] for line in found} == set(names)
    assert len({line["video"] for line in found}) == len({line["audio"] for line in found}) == len(names)
    for line in found:
        assert line["video"].isascii() and not set(line["video"]) & set(" '\"$*()[]")
        assert shown_class(read_frames(tmp_path / "out" / line["video"])[0][0]) == names[line["source"]]
        assert heard_class(*read_audio(tmp_path / "out" / line["audio"])) == names[line["source"]]


def test_a_name_that_is_not_utf_8_is_skipped(tmp_path):
    write_clip(tmp_path / "in" / "good.mp4")
    good = os.fsencode(tmp_path / "in" / "good.mp4")
    os.rename(good, os.path.join(os.path.dirname(good), b"b\xff.mp4"))
    prepare(tmp_path)
    (line,) = lines(tmp_path)
    assert line == {
        "source": "b\\xff.mp4",
        "status": "skipped",
        "reason": "unreadable: the name is not UTF-8; rename the file",
        "fingerprint": "",
    }


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    write_clip(tmp_path / "in" / "good.mp4")
    write_clip(tmp_path / "secret" / "secret.mp4")
    (tmp_path / "in" / "link.mp4").symlink_to(tmp_path / "secret" / "secret.mp4")
    (tmp_path / "in" / "inside.mp4").symlink_to("good.mp4")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "dangling.mp4").symlink_to("absent.mp4")
    os.mkfifo(tmp_path / "in" / "pipe.mp4")
    outcome = prepare(tmp_path)
    reasons = {line["source"]: line.get("reason") for line in lines(tmp_path)}
    assert reasons == {
        "dangling.mp4": "unreadable: No such file or directory",
        "good.mp4": None,
        "inside.mp4": None,
        "link.mp4": "link: a symbolic link out of the input folder; copy the file there",
        "pipe.mp4": "unreadable: not a regular file",
    }
    assert outcome.found.links == ["folder"]


def test_a_rerun_does_what_is_missing_or_has_changed(tmp_path):
    for name in ("one", "two", "three", "four"):
        write_clip(tmp_path / "in" / f"{name}.mp4", "bell", "bell")

    write_clip(tmp_path / "in" / "mute.mp4", audio=None)
    assert prepare(tmp_path).done_before == 0
    first, written = stamps(tmp_path), lines(tmp_path)
    assert len(first) == 8

    assert prepare(tmp_path).done_before == 5
    assert stamps(tmp_path) == first and lines(tmp_path) == written

    write_clip(tmp_path / "in" / "one.mp4", "drum", "drum")
    write_clip(tmp_path / "in" / "five.mp4", "rain", "rain")
    next((tmp_path / "out").rglob("two-*.wav")).unlink()
    write_clip(tmp_path / "in" / "three.mp4", audio=None)
    (tmp_path / "in" / "mute.mp4").unlink()
    assert prepare(tmp_path).done_before == 1
    second = stamps(tmp_path)
    assert second["four.mp4"] == first["four.mp4"] and second["four.wav"] == first["four.wav"]
    assert {name for name in second if second[name] != first.get(name)} == {
        f"{name}.{suffix}" for name in ("one", "two", "five") for suffix in ("mp4", "wav")
    }
    assert not any(name.startswith("three") for name in second)  # nothing is left of the clip that it was
    found = {line["source"]: line for line in lines(tmp_path)}
    assert list(found) == ["five.mp4", "four.mp4", "one.mp4", "three.mp4", "two.mp4"]
    assert shown_class(read_frames(tmp_path / "out" / found["one.mp4"]["video"])[0][0]) == "drum"

    assert prepare(tmp_path, Settings(size=64)).done_before == 0
    assert read_frames(tmp_path / "out" / found["four.mp4"]["video"])[0].shape == (16, 64, 64, 3)


def test_what_could_not_be_read_is_tried_again(tmp_path):
    write_clip(tmp_path / "in" / "mute.mp4", amplitude=0)
    write_corrupt(tmp_path / "in" / "torn.mp4")
    assert [record.reason.split(":")[0] for record in prepare(tmp_path).records] == ["silent", "unreadable"]
    assert prepare(tmp_path).done_before == 1  # the file system may have been at fault for the other one


def test_labels_can_change_without_new_clips(tmp_path):
    write_labelled(tmp_path / "in", ["bell"], 2)
    prepare(tmp_path)
    first = stamps(tmp_path)
    table = tmp_path / "labels.csv"
    table.write_text("file,visual_label,audio_label\nbell/bell 1.mp4,gong,choir\nbell/bell 0.mp4,bell,bell\n")
    assert prepare(tmp_path, labels_file=table).done_before == 2
    assert [(line["visual_label"], line["audio_label"]) for line in lines(tmp_path)] == [
        ("bell", "bell"),
        ("gong", "choir"),
    ]
    assert stamps(tmp_path) == first


def test_the_output_folder_may_lie_in_the_input_folder(tmp_path):
    write_clip(tmp_path / "in" / "clip.mp4")
    for _ in range(2):
        outcome = prepare_folder(tmp_path / "in", tmp_path / "in" / "out", SMALL, 1)
        assert [record.source for record in outcome.records] == ["clip.mp4"]


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(ModalityInterferenceError, match="is not a folder. Name the folder that holds the video files"):
        prepare(tmp_path)

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "song.wav").touch()
    with pytest.raises(ModalityInterferenceError, match=r"holds no video file \(looked at 1 others\)"):
        prepare(tmp_path)

    write_clip(tmp_path / "in" / "clip.mp4")
    with pytest.raises(ModalityInterferenceError, match="would be written among their sources"):
        prepare_folder(tmp_path / "in", tmp_path / "in", SMALL, 1)

    (tmp_path / "out").write_text("a file")
    with pytest.raises(ModalityInterferenceError, match="cannot write to .*out"):
        prepare(tmp_path)


def test_a_damaged_list_is_not_guessed_at(tmp_path):
    write_clip(tmp_path / "in" / "clip.mp4")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clips.jsonl").write_text('{"source": "clip.mp4", "status": "fine"}\n')
    with pytest.raises(ModalityInterferenceError, match="clips.jsonl, line 1 is not what .*`status`: .*found 'fine'"):
        prepare(tmp_path)


def test_a_folder_that_cannot_be_written_loses_nothing(tmp_path):
    write_clip(tmp_path / "in" / "mute.mp4", audio=None)
    prepare(tmp_path)
    write_clip(tmp_path / "in" / "clip.mp4")
    (tmp_path / "out" / "videos").write_text("a file")
    with pytest.raises(ModalityInterferenceError, match="cannot write .*out/videos/clip-.*mp4"):
        prepare(tmp_path)

    assert [line["source"] for line in lines(tmp_path)] == ["mute.mp4"]
    (tmp_path / "out" / "videos").unlink()
    assert prepare(tmp_path).done_before == 1 and len(lines(tmp_path)) == 2


def test_two_runs_do_not_share_a_folder(tmp_path):
    write_clip(tmp_path / "in" / "clip.mp4")
    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out" / ".clips.lock"),
        pytest.raises(ModalityInterferenceError, match="another `clips prepare` is writing to"),
    ):
        prepare(tmp_path)


def test_hidden_files_of_others_in_the_output_folder_stay(tmp_path):
    write_clip(tmp_path / "in" / "bell" / "0.mp4", seconds=1)
    others = {"videos/.keep": b"", "sounds/.gitignore": b"*.wav", "videos/.git/config": b"[core]", ".gitignore": b"x"}
    for name, content in others.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)

    before = os.umask(0o002)
    try:
        prepare(tmp_path)
        prepare(tmp_path)
    finally:
        os.umask(before)

    assert {name: (tmp_path / "out" / name).read_bytes() for name in others} == others
    written = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".mp4", ".wav", ".jsonl")]
    assert len(written) == 3 and {path.stat().st_mode & 0o777 for path in written} == {0o664}


# interruptions


@pytest.fixture
def long_clips(tmp_path: Path) -> Path:
    first = write_clip(tmp_path / "in" / "bell" / "0.mp4", seconds=6, fps=12)
    for number in range(1, CLIPS):
        shutil.copyfile(first, first.with_name(f"{number}.mp4"))

    return tmp_path


def start(folder: Path) -> subprocess.Popen:
    """Prepare in a process, and return once the first clips are done."""
    command = [SCRIPT, "clips", "prepare", "in", "out", "--workers", "1", "--size", "96"]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, cwd=folder, start_new_session=True, **pipes)  # type: ignore[call-overload]
    journal, deadline = folder / "out" / "clips.partial.jsonl", time.monotonic() + 60
    while not journal.exists() or journal.read_text().count("\n") < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)

    return process


def finish(folder: Path) -> str:
    command = [SCRIPT, "clips", "prepare", "in", "out", "--workers", "1", "--size", "96"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    return found.stdout


def check_complete(folder: Path, undisturbed: Path) -> None:
    assert [path.name for path in (folder / "out").glob("*.partial.*")] == []
    assert [path.name for path in (folder / "out").rglob(".*")] == [".clips.lock"]
    prepare_folder(folder / "in", undisturbed, Settings(size=96), 2)
    assert (folder / "out" / "clips.jsonl").read_bytes() == (undisturbed / "clips.jsonl").read_bytes()
    files = [file for kind in ("*.wav", "*.mp4") for file in undisturbed.rglob(kind)]
    assert len(files) == 2 * CLIPS
    for file in files:
        assert (folder / "out" / file.relative_to(undisturbed)).read_bytes() == file.read_bytes()


def test_a_killed_run_is_continued(long_clips):
    process = start(long_clips)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = (long_clips / "out" / "clips.partial.jsonl").read_text().count("\n")
    assert 2 <= done < CLIPS and not (long_clips / "out" / "clips.jsonl").exists()
    with (long_clips / "out" / "clips.partial.jsonl").open("a") as journal:
        journal.write('{"source": "bell/7.mp4", "status": "o')  # a line that was being written

    with open_journal(long_clips / "out" / "clips.partial.jsonl") as journal:  # by a run that was killed, too
        append(journal, ClipRecord(source="gone.mp4", status="skipped", reason="silent: x"))

    found = read_journal(long_clips / "out" / "clips.partial.jsonl")
    assert [record.source for record in found][done:] == ["gone.mp4"]

    partial = f".clip.mp4.{'0' * 16}.modality-interference.partial"
    (long_clips / "out" / "videos" / partial).write_bytes(b"half a clip")
    assert f"{done} of them were done by an earlier run" in finish(long_clips)
    check_complete(long_clips, long_clips / "undisturbed")


def test_workers_do_not_outlive_a_killed_run(long_clips):
    process = start(long_clips)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while _group_lives(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False

    return True


def test_ctrl_c_leaves_a_list_and_can_be_continued(long_clips):
    process = start(long_clips)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to the workers, too
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in error
    done = len(lines(long_clips))
    assert 2 <= done < CLIPS
    assert f"Interrupted: {CLIPS - done} are left to do. Run the same command again to continue." in out
    assert f"{done} of them were done by an earlier run" in finish(long_clips)
    check_complete(long_clips, long_clips / "undisturbed")
