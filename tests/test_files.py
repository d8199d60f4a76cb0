"""What is written: by the umask, at once or not at all; and what a killed writer leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modality_interference.errors import ModalityInterferenceError
from modality_interference.files import remove_partial_files, write_text


@pytest.fixture
def with_umask():
    before = os.umask(0)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)], ids=oct)
def test_files_have_the_permissions_that_the_umask_leaves(umask: int, mode: int, tmp_path: Path, with_umask):
    with_umask(umask)
    for text in ("new", "replaced"):
        write_text(tmp_path / "deep" / "report.html", text)
        assert (tmp_path / "deep" / "report.html").read_text() == text
        assert (tmp_path / "deep" / "report.html").stat().st_mode & 0o777 == mode

    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o777 & ~umask


def kill_while_writing(path: Path) -> None:
    """Write in a process that dies when all is written but the name."""
    code = (
        "import os, sys; from pathlib import Path; from modality_interference.files import write_text\n"
        "os.replace = lambda *paths: os._exit(9)\n"
        "write_text(Path(sys.argv[1]), 'half')"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 9


def test_what_a_killed_writer_leaves_is_told_from_hidden_files_of_others(tmp_path: Path):
    others = [".keep", ".gitignore", ".clip.mp4.abc", ".x.modality-interference.partial", "report.html"]
    for name in others:
        (tmp_path / name).write_text("not ours")

    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("not ours")
    kill_while_writing(tmp_path / "report.html")
    kill_while_writing(tmp_path / ("猫" * 80))
    assert len(list(tmp_path.iterdir())) == len(others) + 1 + 2
    remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".git"])
    assert (tmp_path / ".git" / "config").read_text() == "not ours"


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_text(tmp_path / "report.html", "old")
    monkeypatch.setattr(os, "replace", lambda *paths: os.stat(tmp_path / "absent"))
    with pytest.raises(ModalityInterferenceError, match="an earlier file at this path is unchanged"):
        write_text(tmp_path / "report.html", "new")

    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"
