"""Processes that build layers: killed, stopped, and left alone by the process that started them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.small_layers import Listening, SmallLayers, object_builder
from scripts.testing.world import World
from vstore.build.recipe import LayerRecipe
from vstore.realise.execute.executor import Executed, ThreadExecutor
from vstore.realise.execute.nodes import NodeRealiser
from vstore.realise.execute.processes import BuildProcesses, ProcessBuilder, ProcessEndedError
from vstore.realise.model import Origin

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in /proc")
PATIENCE_SECONDS = 60


def build_processes(parent: int) -> list[int]:
    """Return the processes below this one that build layers."""
    children = [child for task in Path(f"/proc/{parent}/task").glob("*/children") for child in task.read_text().split()]
    return [int(child) for child in children if b"build_process" in Path(f"/proc/{child}/cmdline").read_bytes()]


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def layers(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLayers]:
    with SmallLayers.opened(realised.copy(tmp_path_factory.mktemp("processes") / "w")) as found:
        yield found


def run(layers: SmallLayers, reporter: Listening, *recipes: LayerRecipe) -> Executed:
    session = layers.session(reporter)
    with BuildProcesses(layers.store.layout.root) as processes, closing(object_builder(session)) as here:
        realiser = NodeRealiser(session, ProcessBuilder(here, processes))
        return ThreadExecutor(realiser.realise, 2, session.cancel).run(layers.nodes(*recipes))


def killing(reporter: Listening, times: int) -> list[int]:
    """Kill the process that builds, so many times, as soon as it reports. Return the killed ones, as they are."""
    killed: list[int] = []

    def kill(subject: str, activity: str) -> None:
        if len(killed) < times and (found := set(build_processes(os.getpid())).difference(killed)):
            killed.append(found.pop())
            os.kill(killed[-1], signal.SIGKILL)

    reporter.on_progress = kill
    return killed


def test_what_a_killed_process_built_is_built_by_another(layers: SmallLayers) -> None:
    killed = killing(reporter := Listening(), 1)
    node = layers.layer("once")
    executed = run(layers, reporter, node)
    assert executed.done[node.key].origin == Origin.BUILT and len(killed) == 1
    expected = f"process {killed[0]}, which built once, was killed by signal 9: another process tries again"
    assert reporter.warnings == [expected]
    assert build_processes(os.getpid()) == []


def test_two_killed_processes_are_an_error_that_names_the_last(layers: SmallLayers) -> None:
    killed = killing(reporter := Listening(), 2)
    node = layers.layer("twice")
    (error,) = run(layers, reporter, node).failures.values()
    assert isinstance(error, ProcessEndedError) and len(killed) == 2
    assert error.message == f"process {killed[1]}, which built twice, was killed by signal 9"
    assert error.hint and "--on 'local[1]'" in error.hint


def local(world: World, *arguments: str) -> tuple[str, ...]:
    wheels = ("--local-wheels", str(world.wheels), "--no-index")
    return ("realise", str(world.spec), *wheels, "--on", "local[2]", *arguments)


@pytest.fixture
def stopping(world: World) -> World:
    """A world with a layer to build, which `VSTORE_FAULT=staged:1:stop` stops when it is begun."""
    world.write_spec("==2.0")
    world.run("lock", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    return world


@pytest.mark.slow
def test_a_process_does_not_survive_the_one_that_started_it(stopping: World) -> None:
    before = set(os.listdir(stopping.root / "tmp"))  # of other tests: they share what this world is a copy of
    process = stopping.start(*local(stopping), VSTORE_FAULT="staged:1:stop")
    (child,) = wait_for(lambda: [one for one in build_processes(process.pid) if is_stopped(one)])
    process.kill()
    process.communicate()
    os.kill(child, signal.SIGCONT)
    wait_for(lambda: not Path(f"/proc/{child}").exists())
    assert set(os.listdir(stopping.root / "tmp")) == before | {"trash"}, "it undid its build"
    assert stopping.json(*local(stopping))["changed"]
    assert stopping.json("verify", "--contents")["problems"] == []


@pytest.mark.slow
def test_an_interruption_ends_a_process_that_does_nothing(stopping: World) -> None:
    process = stopping.start(*local(stopping), VSTORE_FAULT="staged:1:stop")
    (child,) = wait_for(lambda: [one for one in build_processes(process.pid) if is_stopped(one)])
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130 and "Traceback" not in said
    wait_for(lambda: not Path(f"/proc/{child}").exists())
