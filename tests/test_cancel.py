"""Ending work early, as those see it who ask."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vstore.cancel import Cancelled, CancelToken
from vstore.reporter import CancellableReporter, NullReporter


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def test_nothing_ends_before_it_is_set() -> None:
    cancel = CancelToken()
    cancel.check()
    cancel.wait(0)
    CancellableReporter(NullReporter(), cancel).progress("layer", "compiling")


def test_whoever_asks_and_whoever_tells_of_a_stage_is_ended() -> None:
    cancel = CancelToken()
    cancel.set()
    for ask in (
        cancel.check,
        lambda: cancel.wait(600),
        lambda: CancellableReporter(NullReporter(), cancel).progress("layer", "compiling"),
    ):
        with pytest.raises(Cancelled):
            ask()
    assert not issubclass(Cancelled, Exception), "or it would be handled as a failure"
    CancellableReporter(NullReporter(), cancel).warn("what is said last is said")


@pytest.mark.parametrize("already", [False, True])
def test_processes_are_killed_also_those_that_start_too_late(already: bool) -> None:
    cancel = CancelToken()
    if already:
        cancel.set()
    with sleeper() as process, cancel.calling(process.kill):
        cancel.set()
        assert process.wait(30) != 0
    with sleeper() as after:
        cancel.set()
        assert after.poll() is None, "it was not given to be killed"
        after.kill()
