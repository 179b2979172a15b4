"""A layer that takes long, and what ends it before it is done: a failure beside it, Ctrl-C, SIGTERM, another wish."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World

pytestmark = pytest.mark.slow

SLOW = "".join(f"def f{n}(a, b=[{n}, 'x{n}']):\n    return {{a: b, 'k{n}': (a, b, {n})}}\n" for n in range(20_000))


@pytest.fixture
def world(realised: World, tmp_path: Path) -> World:
    """A new version of what `side` wants takes seconds to compile, and nothing is locked."""
    world = realised.copy(tmp_path / "w")
    shutil.rmtree(world.spec.parent / "requirements")
    files = {
        "ns/side.py": "NAME = 'slow'\n",
        **{f"ns/slow{number}.py": SLOW + f"N = {number}\n" for number in range(6)},
    }
    make_wheel(world.wheels, "ns-side", "9.0", files)
    return world


def realising(world: World, *options: str) -> tuple[str, ...]:
    return ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index", *options)


def breaks(world: World) -> None:
    """What `mid` wants can be locked and not be installed."""
    module = {"midlib/__init__.py": ""}
    make_wheel(world.wheels, "midlib", "9.0", module, requires=["low"], entry_points={"../../evil": "os:getcwd"})
    world.write_spec(">=9")


def distributions(world: World) -> set[str]:
    """Names of the layers here, `side` only as what it now is to be."""
    rows = world.json("list")
    return {row["name"] for row in rows} - {"framework-side"} | {
        row["name"] for row in rows if row["name"] == "framework-side" and row["size_bytes"] > len(SLOW)
    }


def clean(world: World) -> None:
    """Nothing is left of what was begun: no folder, no lock, no process; and the store is whole."""
    assert os.listdir(world.root / "tmp") == ["trash"]
    assert not [name for name in os.listdir(world.root / "locks") if name.startswith("recipe-")]
    assert not list(working_in(world.root))
    assert world.json("verify", "--contents")["problems"] == []


def working_in(folder: Path) -> Iterator[int]:
    """The processes whose working folder is below this one."""
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = os.readlink(place)
        except OSError:
            continue
        if where.startswith(f"{folder}/"):
            yield int(place.parent.name)


@pytest.mark.parametrize("options", [("-j", "2"), ("--on", "local[2]")])
def test_a_failure_ends_a_slow_build_beside_it(world: World, options: tuple[str, ...]) -> None:
    """The slow one is not told as a failure, and leaves nothing."""
    breaks(world)
    log = world.folder / "log"
    for _ in range(5):  # on a busy machine the failure may come before the slow one has begun
        said = world.run(*realising(world, *options, "--log-file", str(log)), code=11)[1]
        if "framework-side: " in log.read_text():
            break
    else:
        pytest.fail("it never began")
    told = said[said.index("\nerror: ") :]
    assert "evil" in told and told.count("\nerror: ") == 1
    assert "framework-side" not in told and "app-hello" not in told
    assert "framework-side" not in distributions(world)
    clean(world)


def test_going_on_after_a_failure_makes_the_slow_one(world: World) -> None:
    breaks(world)
    assert "evil" in world.run(*realising(world, "-j", "2", "--keep-going"), code=11)[1]
    assert "framework-side" in distributions(world)
    clean(world)


def begun(process: subprocess.Popen[str]) -> None:
    """Wait until the slow layer compiles; what is said later is read too, so that nobody waits to say it."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("framework-side: compiling"):
            break
    else:
        pytest.fail("it never compiled")


@pytest.mark.parametrize(
    ("what", "group", "options"),
    [
        (signal.SIGINT, False, ("-j", "2")),
        (signal.SIGINT, True, ("-j", "2")),
        (signal.SIGTERM, False, ("-j", "2")),
        (signal.SIGINT, True, ("--on", "local[2]")),
        (signal.SIGTERM, False, ("--on", "local[2]")),
    ],
)
def test_a_signal_ends_a_build_at_once(
    world: World, what: signal.Signals, group: bool, options: tuple[str, ...]
) -> None:
    """Ctrl-C, which a terminal sends to the workers too, and what `kill` and systemd send."""
    process = world.start(*realising(world, *options, "--keep-failed"))
    begun(process)
    for pid in (*(working_in(world.root) if group else ()), process.pid):
        os.kill(pid, what)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + what, said
    assert "interrupted; complete objects are kept" in said and "Traceback" not in said and "error" not in said
    assert "framework-side" not in distributions(world)
    assert not (world.root / "failed").exists(), "it did not fail"
    clean(world)


def test_a_signal_ends_waiting_for_another_build(world: World) -> None:
    first = world.start(*realising(world))
    begun(first)
    first.send_signal(signal.SIGSTOP)  # however fast the machine, it does not end meanwhile
    second = world.start(*realising(world))
    with pytest.raises(subprocess.TimeoutExpired):
        second.communicate(timeout=3)
    second.send_signal(signal.SIGINT)
    assert second.communicate(timeout=60) and second.returncode == 130
    assert first.poll() is None, "it did not wait for the other to end"
    first.send_signal(signal.SIGCONT)
    reader = threading.Thread(target=first.communicate)
    reader.start()
    reader.join(120)
    assert first.returncode == 0
    clean(world)
