"""Ctrl-C sets an event once, whatever runs at that moment, and raises the second time."""

import os
import signal
import threading

import pytest

from modality_interference.clips.workers import deferred_ctrl_c


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_sets_the_event_and_the_second_raises():
    before = signal.getsignal(signal.SIGINT)
    with deferred_ctrl_c() as asked:
        assert not asked.is_set()
        press()
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            press()

    assert signal.getsignal(signal.SIGINT) is before


def test_one_that_comes_while_an_object_dies_is_not_lost():
    class Dying:
        def __del__(self) -> None:
            press()

    with deferred_ctrl_c() as asked:
        dying = Dying()
        del dying
        assert asked.is_set()


def test_another_thread_is_left_alone():
    found = []

    def run() -> None:
        with deferred_ctrl_c() as asked:
            found.append(asked.is_set())

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False] and signal.getsignal(signal.SIGINT) is before
