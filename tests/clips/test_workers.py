"""The pool of workers: real processes, one of which dies. Ctrl-C sets an event once and raises the second time."""

import os
import signal
import threading
import time

import pytest

from modality_interference.clips.workers import deferred_ctrl_c, run_all
from modality_interference.errors import ModalityInterferenceError


def square(number: int) -> int:
    return number**2


def square_or_die(number: int) -> int:
    if number in (3, 8):
        os.kill(os.getpid(), signal.SIGSEGV)

    return number**2


def refuse(number: int) -> int:
    if number == 1:
        raise ModalityInterferenceError("no")

    time.sleep(0.2)
    return number


def own_process(_: int) -> int:
    time.sleep(0.1)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_all_tasks_are_done_once(workers):
    assert sorted(run_all(square, range(20), workers)) == [(number, number**2) for number in range(20)]
    assert list(run_all(square, [], workers)) == []


def test_they_run_in_several_processes():
    processes = {process for _, process in run_all(own_process, range(8), 2)}
    assert len(processes) == 2 and os.getpid() not in processes


def test_only_the_task_that_kills_its_process_is_lost():
    found = dict(run_all(square_or_die, range(12), 2))
    assert found == {number: None if number in (3, 8) else number**2 for number in range(12)}


def test_an_error_ends_it():
    begun = time.monotonic()
    with pytest.raises(ModalityInterferenceError, match="no"):
        list(run_all(refuse, range(200), 2))

    assert time.monotonic() - begun < 20  # all of them would take 20 seconds, and more


# Ctrl-C


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def listens_to_ctrl_c():
    """A shell that starts the tests in the background lets them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listens_to_ctrl_c")
def test_the_first_ctrl_c_sets_the_event_and_the_second_raises():
    before = signal.getsignal(signal.SIGINT)
    with deferred_ctrl_c() as asked:
        assert not asked.is_set()
        press()
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            press()

    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("listens_to_ctrl_c")
def test_a_ctrl_c_that_comes_while_an_object_dies_is_not_lost():
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
