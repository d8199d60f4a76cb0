"""Open doors on drawn inputs in forked processes, so that a crash or a hang is found with the input that made it."""

import faulthandler
import gc
import json
import os
import select
import shutil
import signal
import sys
import tarfile
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from helpers.fuzz.doors import DOORS, Models
from helpers.fuzz.traps import Traps


HANG = 60.0  # seconds asleep, or of computing, without progress; waiting for a processor is no hang
MEMORY = 4 << 30  # bytes that a door may take beside what the process has at the beginning
KINDS = ("crash", "escape", "hang", "process", "connection")


@dataclass(frozen=True)
class Finding:
    """What must not happen.

    Attributes:
        door: a name of `DOORS`.
        kind: one of `KINDS`.
        text: what happened, at most some lines.
        seed: of the batch.
        number: of the input in it.
        kept: the archive with the input's files.
    """

    door: str
    kind: str
    text: str
    seed: int
    number: int
    kept: str

    @property
    def place(self) -> str:
        """The same for findings that are most likely of one cause."""
        return f"{self.door}: {self.kind}: {self.text.splitlines()[0][:120] if self.text else ''}"


@dataclass
class Batch:
    """A forked process that opens one door on `count` inputs, which `seed` decides.

    Attributes:
        done: inputs so far.
        used: how many of them the door did not refuse: where it refuses all, what lies behind was not tried.
        folder: for the process.
    """

    door: str
    seed: int
    count: int
    folder: Path
    done: int = 0
    used: int = 0
    findings: list[Finding] = field(default_factory=list)
    ended: bool = False
    _looked: float = 0.0
    _asleep: float = 0.0
    _computed: float = 0.0
    _rest: bytes = b""

    def start(self, models: Models) -> None:
        """Fork."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        reader, writer = os.pipe()
        gc.collect()  # a fork that collects PyAV's containers hangs
        self._process = os.fork()
        if not self._process:
            os.close(reader)
            _child(self, models, os.fdopen(writer, "w", buffering=1))

        os.close(writer)
        self.pipe, self._looked = reader, time.monotonic()

    def hear(self) -> bool:
        """Take in what the process says; whether it is still running. Call it when `pipe` is readable, and now and then."""
        if select.select([self.pipe], [], [], 0)[0]:
            data = os.read(self.pipe, 1 << 16)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in map(json.loads, lines):
                self._asleep, self._computed = 0.0, self._state()[1]
                self.done, self.used = line.get("done", self.done), line.get("used", self.used)
                if "kind" in line:
                    self._note(**line)

            if data:
                return True

            status = os.waitpid(self._process, 0)[1]
            os.close(self.pipe)
            if status:
                code = os.waitstatus_to_exitcode(status)
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                self._note("crash", f"{how}\n{self._log()}", self.done)
                self.done += 1

            return False

        is_asleep, computed = self._state()
        now = time.monotonic()
        self._asleep += (now - self._looked) * is_asleep
        self._looked = now
        if max(self._asleep, computed - self._computed) < HANG:
            return True

        os.kill(self._process, signal.SIGABRT)  # faulthandler writes where it is
        time.sleep(0.5)
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self.pipe)
        self._note("hang", f"{HANG:.0f} s\n{self._log()}", self.done)
        self.done += 1
        return False

    def _state(self) -> tuple[bool, float]:
        """Whether the process sleeps, rather than waits for a processor, and how many seconds it has computed."""
        fields = Path(f"/proc/{self._process}/stat").read_text().rpartition(") ")[2].split()
        return fields[0] == "S", (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _note(self, kind: str, text: str, number: int, **_: object) -> None:
        kept = self.folder / f"{number}.tar"
        if kind in ("crash", "hang") and not kept.exists():  # of the other kinds, the process itself has kept it
            _keep(self.folder, number)

        self.findings.append(Finding(self.door, kind, text, self.seed, number, str(kept)))

    def _log(self) -> str:
        text = (self.folder / "log.txt").read_text(errors="replace")
        return text[max(text.rfind("Fatal Python error"), len(text) - 20_000, 0) :][:2500]


def _keep(folder: Path, number: int) -> None:
    """Store an input's files; a tar holds pipes and links without opening them."""
    with tarfile.open(folder / f"{number}.tar", "w") as archive:
        archive.add(folder / "traps" / "inside", "inside")


def _child(batch: Batch, models: Models, said: IO[str]) -> None:
    """The forked process; never returns."""
    status = 1
    try:
        gc.freeze()
        log = os.open(batch.folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False, errors="backslashreplace") for number in (1, 2))
        faulthandler.enable(log)
        _open_door(batch, models, said)
        status = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(status)


def _open_door(batch: Batch, models: Models, said: IO[str]) -> None:
    traps = Traps(batch.folder / "traps")
    os.chdir(traps.folder)
    draw = DOORS[batch.door].make(models, traps)
    number = used = 0

    def tell(**line: object) -> None:
        said.write(json.dumps(line) + "\n")

    @seed(batch.seed)
    @settings(
        max_examples=batch.count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one(data: st.DataObject) -> None:
        nonlocal number, used
        if number >= batch.count:
            return

        traps.empty()
        enter = draw(data, traps)
        tell(done=number, used=used)
        raised = ""
        with traps.armed():
            try:
                used += enter()
            except Exception as error:
                raised = f"{type(error).__name__}: {str(error)[:300]}\n{''.join(traceback.format_tb(error.__traceback__)[-6:])}"

        found = [*traps.found, *([("crash", raised)] if raised else [])]
        if found:
            _keep(batch.folder, number)

        for kind, text in dict(found).items():
            tell(kind=kind, text=text[:3000], number=number)

        number += 1

    _limit_memory()
    one()
    tell(done=number, used=used)


def _limit_memory() -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def run_batches(batches: Iterable[Batch], models: Models, processes: int) -> Iterator[Batch]:
    """Run batches, some at a time.

    Args:
        batches: not started.
        models: what doors need.
        processes: how many at a time.

    Yields:
        Those that have just ended, and, at least every half second, one that is running.
    """
    waiting, running = deque(batches), []
    while waiting or running:
        while waiting and len(running) < processes:
            running.append(waiting.popleft())
            running[-1].start(models)

        select.select([batch.pipe for batch in running], [], [], 0.5)
        for batch in list(running):
            if not batch.hear():
                running.remove(batch)
                batch.ended = True

            yield batch
