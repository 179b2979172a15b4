"""Killing real commands of a busy store at random instants, several at a time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

from scripts.reliability.crashes.promises import check_intact, check_nothing_left
from scripts.reliability.crashes.sweep import SOURCE, reindex_if_missing
from scripts.testing.world import World
from vstore.store import Store

_COMMANDS = ("realise", "realise", "realise", "gc", "rollback", "forget", "reindex")


def random_kills(world: World, *, kills: int, seed: int) -> dict[str, int]:
    """Kill until so many commands were killed; returns how many of each were killed, and how many got through."""
    chance, counts = random.Random(seed), Counter[str]()
    while counts["killed"] < kills:
        for name, code, said in _round(world, chance):
            told = code in (0, -signal.SIGKILL, 7, 8)  # 7: in use, 8: no rollback
            told = told or (code == 6 and "the index is missing" in said)  # a `reindex` was killed just before
            assert told, f"{name} ended with {code}: {said}"
            counts["killed" if code < 0 else "finished"] += 1
            counts[f"killed {name}" if code < 0 else f"finished {name}"] += 1
        counts["rounds"] += 1
        reindex_if_missing(world.root)
        check_intact(world.root)
        if counts["rounds"] % 4 == 0:
            _goes_on(world, str(counts["rounds"]))
    _goes_on(world, "end")
    return dict(counts)


def _round(world: World, chance: random.Random) -> Iterator[tuple[str, int, str]]:
    """Three commands at once, each killed at an instant of its own unless it ends before."""
    world.write_spec(chance.choice(("==1.0", "==2.0")))
    (world.spec.parent / "hello.py").write_text(f"import midlib\nprint({chance.randrange(10**6)})\n")
    started, running = time.monotonic(), []
    for name in chance.choices(_COMMANDS, k=3):
        running.append((name, started + chance.uniform(0.15, 1.3), _start(world, name)))
    for name, until, process in sorted(running, key=lambda one: one[1]):
        try:
            _, said = process.communicate(timeout=max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, said = process.communicate()
        yield name, process.returncode, said


def _start(world: World, name: str) -> subprocess.Popen[str]:
    arguments = {
        "realise": ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index"),
        "gc": ("gc", "--keep", "2"),
        "rollback": ("rollback", "project"),
        "forget": ("forget", "project", "--keep", "3"),
        "reindex": ("reindex",),
    }
    command = [sys.executable, "-m", "vstore", "--root", str(world.root), "--no-progress", *arguments[name]]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=world.environment(),
        cwd=SOURCE,
        start_new_session=True,  # so that uv and the compiling workers die with it
    )


def _goes_on(world: World, said: str) -> None:
    (world.spec.parent / "hello.py").write_text(f"import midlib\nprint({said!r})\n")
    world.realise()
    program = world.root / "profiles" / "project" / "bin" / "hello"
    assert subprocess.check_output([program], text=True) == f"{said}\n"
    with Store.open(world.root) as store:
        assert store.generations.of("project")
    check_nothing_left(world.root)
