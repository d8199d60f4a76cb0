"""What an input must not do: open files outside its folder, start a program, connect, run code. Linux only.

Python's own doings raise audit events. Libraries in C raise none: inotify sees every opening of the files outside, a listening
socket every connection to an address that inputs know, and fake programs first on PATH leave a mark when they are started.
"""

import ctypes
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image


SYSTEM_FILES = (
    "/etc/passwd",
    "/etc/hosts",
    "/dev/zero",
    "/proc/self/environ",
)  # what inputs name beside our own files
PROGRAMS = ("gs", "gswin64c", "ffmpeg", "ffprobe", "sox", "convert", "rsvg-convert", "sh")
_STARTS = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
}
_CONNECTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
_CONNECTS |= {"urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"}
_CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
_LISTS = {"os.listdir", "os.scandir"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ALL_EVENTS = 0x00000FFF  # inotify's: access, open, close, change, move, create, delete
ROWS = [{"instruction": "What is the secret?", "input": "", "output": "swordfish"}] * 2


class Traps:
    """The folders of one process and the traps around them.

    Attributes:
        folder: holds all others; `inside` is the input's, which it may read and not change; what is in `outside` must stay shut;
            a door writes to `output` and to temporary files.
        address: of the listening socket.
        found: kind and text of what happened while the traps were armed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.inside, self.outside, self.output, self.temporary, self._marks, binaries = (
            self.folder / name for name in ("inside", "outside", "output", "tmp", "marks", "bin")
        )
        for path in (self.inside, self.outside, self.output, self.temporary, self._marks, binaries):
            path.mkdir(parents=True, exist_ok=True)

        _write_sentinels(self.outside)
        for name in PROGRAMS:
            (binaries / name).write_text(f"#!/bin/bash\n: > '{self._marks / name}'\n")
            (binaries / name).chmod(0o755)

        os.environ["PATH"] = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        tempfile.tempdir = os.environ["TMPDIR"] = str(self.temporary)
        self.found: list[tuple[str, str]] = []
        self._armed = self._busy = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._events = _watch(self.outside)
        sys.addaudithook(self._hear)  # which stays until the process ends

    def empty(self) -> None:
        """Remove what the input before has left."""
        for folder in (self.inside, self.output, self.temporary):
            for entry in os.scandir(folder):
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Hear what happens, into `found`."""
        self.found.clear()
        self._drain()
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
            self.found += [("escape", f"{name} outside the folder was opened or changed") for name in self._drain()]
            for mark in list(self._marks.iterdir()):
                mark.unlink()
                self.found.append(("process", f"`{mark.name}` was started"))

            while (connection := self._accepted()) is not None:
                connection.close()
                self.found.append(("connection", "to the address in the input"))

    def _accepted(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except BlockingIOError:
            return None

    def _drain(self) -> list[str]:
        """Names of the files outside that were touched since the last call, by any means."""
        names: dict[str, None] = {}
        while True:
            try:
                data = os.read(self._events, 1 << 16)
            except BlockingIOError:
                return list(names)

            while data:
                length = struct.unpack_from("iIII", data)[3]
                names[data[16 : 16 + length].rstrip(b"\0").decode() or "the folder"] = None
                data = data[16 + length :]

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed or self._busy:
            return

        self._busy = True
        try:
            judge = self._judge(event, arguments)
        finally:
            self._busy = False

        if judge is not None:
            self.found.append(judge)
            if judge[0] in ("process", "connection"):
                raise PermissionError(f"trap: {judge[1]}")

    def _judge(self, event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        said = f"{event}{arguments!r}"[:300]
        if event in _STARTS:
            return "process", said

        if event in _CONNECTS:
            return "connection", said

        if event == "open":
            path, _, flags = arguments
            if self._is_shut(path) or (isinstance(flags, int) and flags & _WRITING and not self._may_write(path)):
                return "escape", said
        elif event in _LISTS and self._is_shut(arguments[0]):
            return "escape", said
        elif event in _CHANGES and not all(map(self._may_write, _paths(arguments))):
            return "escape", said
        elif event == "exec" and self._is_in(getattr(arguments[0], "co_filename", ""), self.inside):
            return "escape", f"code of the folder was executed: {said}"
        elif event == "pickle.find_class":
            return "escape", f"something was unpickled: {said}"

        return None

    def _is_shut(self, path: Any) -> bool:
        return self._is_in(path, self.outside) or (_is_path(path) and os.path.realpath(path) in SYSTEM_FILES)

    def _may_write(self, path: Any) -> bool:
        if not _is_path(path) or os.fsdecode(path) == os.devnull:
            return True

        return any(self._is_in(path, folder) for folder in (self.output, self.temporary, Path("/dev/shm")))  # locks

    def _is_in(self, path: Any, folder: Path) -> bool:
        if not _is_path(path):
            return False

        try:
            real = os.path.realpath(os.fsdecode(path))
        except (OSError, ValueError):
            return False

        return real == str(folder) or real.startswith(f"{folder}{os.sep}")


def _paths(arguments: tuple[Any, ...]) -> Iterator[Any]:
    """The paths among the arguments of an event; those of one path may be relative to an open folder, the last argument."""
    folder = arguments[-1] if isinstance(arguments[-1], int) and arguments[-1] >= 0 else None
    for path in filter(_is_path, arguments):
        yield path if folder is None else os.path.join(f"/proc/self/fd/{folder}", os.fsdecode(path))


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, bytes, os.PathLike))


def _write_sentinels(folder: Path) -> None:
    """Good files of many kinds, in `folder` and its sub-folder: what opens one would make use of it."""
    (folder / "secret.json").write_text(json.dumps(ROWS))
    (folder / "secret.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "secret.csv").write_text("instruction,input,output\nWhat?,,swordfish\n")
    (folder / "secret.txt").write_text("swordfish\n")
    Image.new("RGB", (28, 28), "red").save(folder / "secret.png")
    with wave.open(str(folder / "secret.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))

    (folder / "notes").mkdir(exist_ok=True)  # as a hub's name has it: outside/notes
    (folder / "notes" / "secret.json").write_text(json.dumps(ROWS))
    if not (folder / "pipe").exists():
        os.mkfifo(folder / "pipe")


def _watch(folder: Path) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.inotify_init1(os.O_NONBLOCK)
    watched = [
        library.inotify_add_watch(descriptor, os.fsencode(path), _ALL_EVENTS) for path in (folder, folder / "notes")
    ]
    if descriptor < 0 or min(watched) < 0:
        raise OSError(ctypes.get_errno(), "inotify cannot watch the folder")

    return descriptor
