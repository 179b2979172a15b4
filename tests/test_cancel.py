"""Ending work early, as those see it who ask."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vstore.cancel import Stop, Stoppable, Stopped
from vstore.reporter import Silent


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def test_nothing_ends_before_it_is_set() -> None:
    stop = Stop()
    stop.check()
    stop.wait(0)
    Stoppable(Silent(), stop).stage("layer", "compiling")


def test_whoever_asks_and_whoever_tells_of_a_stage_is_ended() -> None:
    stop = Stop()
    stop.set()
    for ask in (stop.check, lambda: stop.wait(600), lambda: Stoppable(Silent(), stop).stage("layer", "compiling")):
        with pytest.raises(Stopped):
            ask()
    assert not issubclass(Stopped, Exception), "or it would be handled as a failure"
    Stoppable(Silent(), stop).warn("what is said last is said")


@pytest.mark.parametrize("already", [False, True])
def test_processes_are_killed_also_those_that_start_too_late(already: bool) -> None:
    stop = Stop()
    if already:
        stop.set()
    with sleeper() as process, stop.calling(process.kill):
        stop.set()
        assert process.wait(30) != 0
    with sleeper() as after:
        stop.set()
        assert after.poll() is None, "it was not given to be killed"
        after.kill()
