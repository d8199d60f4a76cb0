"""The demos' steps run in order or side by side, and a failure ends what runs beside it and says why."""

import sys
import time
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from shared.steps import Step, run_all  # noqa: E402


def python(name, code):
    return Step(f"Running {name}", name, (sys.executable, "-c", code))


def test_steps_of_a_tuple_run_side_by_side_on_a_thread_each(tmp_path, capsys):
    def meet(own, other):
        """Ends only where the other one runs at the same time."""
        return python(
            own,
            "import os, pathlib, time\n"
            f"own, other = pathlib.Path({str(tmp_path / own)!r}), pathlib.Path({str(tmp_path / other)!r})\n"
            "own.touch()\n"
            "while not other.exists(): time.sleep(0.01)\n"
            "print('threads', os.environ['OMP_NUM_THREADS'])",
        )

    last = python("last", f"import pathlib; assert pathlib.Path({str(tmp_path / 'one')!r}).exists()")
    run_all([(meet("one", "two"), meet("two", "one")), last], tmp_path / "work")
    assert "[1/2] Running one | Running two: " in capsys.readouterr().out
    assert {(tmp_path / "work" / f"{name}.log").read_text() for name in ("one", "two")} == {"threads 1\n"}


def test_a_failure_ends_what_runs_beside_it(tmp_path):
    bad = python("bad", "raise SystemExit('no such clip')")
    late = python("late", f"import time, pathlib; time.sleep(60); pathlib.Path({str(tmp_path / 'late')!r}).touch()")
    never = python("never", "print('reached')")
    start = time.monotonic()
    with pytest.raises(SystemExit, match=r"no such clip\n\nRunning bad failed; the whole output is in .*bad\.log"):
        run_all([(late, bad), never], tmp_path / "work")

    assert time.monotonic() - start < 30
    assert not (tmp_path / "late").exists() and not (tmp_path / "work" / "never.log").exists()
