"""Ctrl-C that lets work end where it can be continued."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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
