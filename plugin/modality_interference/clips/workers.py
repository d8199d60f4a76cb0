"""Worker processes that survive a crash, and Ctrl-C that lets their work end where it can be continued."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar


Task = TypeVar("Task")
Result = TypeVar("Result")


def run_all(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Generator[tuple[Task, Result | None], None, None]:
    """Work on tasks in several processes.

    Args:
        work: can be pickled, as its tasks and results can.
        tasks: in the order in which they are begun.
        workers: how many processes.

    Yields:
        The tasks in the order in which they end, with their results; None where the process died over one.
    """
    waiting = deque(tasks)
    while waiting:
        # Which of those that ran together brought the pool down is only seen when each has a process of its own.
        suspects = yield from _until_crash(work, waiting, workers)
        for task in suspects:
            if (yield from _until_crash(work, deque([task]), 1)):
                yield task, None


def _until_crash(
    work: Callable[[Task], Result], waiting: deque[Task], workers: int
) -> Generator[tuple[Task, Result], None, list[Task]]:
    """Take tasks from `waiting`; returns those that were running when a process died."""
    with _executor(workers) as executor:
        running: dict[Future[Result], Task] = {}
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                task = waiting.popleft()
                try:
                    running[executor.submit(work, task)] = task
                except BrokenProcessPool:
                    return [task, *running.values()]

            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = {future for future in done if isinstance(future.exception(), BrokenProcessPool)}
            for future in done - broken:
                yield running.pop(future), future.result()

            if broken:
                return list(running.values())

    return []


@contextmanager
def _executor(workers: int) -> Iterator[ProcessPoolExecutor]:
    # spawn: a fork of a process with threads (the progress bar has one) may hang
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


@contextmanager
def deferred_ctrl_c() -> Iterator[threading.Event]:
    """Let the first Ctrl-C set the event that this yields; the second one raises KeyboardInterrupt.

    An exception at any moment is not enough: Python drops the one that comes while a destructor or a callback runs.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there can Python be told what to do
        yield asked
        return

    before = signal.getsignal(signal.SIGINT)

    def ask(*_: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
