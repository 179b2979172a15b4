"""Every command ends when it is asked to, also where one step of it would take for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from scripts.testing.world import World
from tests.spec.test_limits import frameworks

pytestmark = pytest.mark.slow

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"
_GUARD_SECONDS = 20
LOADING = """
import os, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name in ("vstore.api.workers", "vstore.api.caches"):
            os.write(1, b"loading\\n")
            time.sleep(60)

sys.meta_path.insert(0, Slow())
from vstore.cli import main
main(sys.argv[1:])
"""


def ended(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to a process that is busy, and see it end by that within moments."""
    time.sleep(2)  # it has begun
    assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=_GUARD_SECONDS)
    assert process.returncode == 128 + number, said
    assert said.count("interrupted; complete objects are kept") == 1 and "Traceback" not in said


@pytest.mark.fast
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("query", [f"{ENDLESS} count(*) FROM n", f"{ENDLESS} max(i) FROM n WHERE i < 0"])
def test_an_endless_query(world: World, query: str, number: signal.Signals) -> None:
    """SQLite's one step hears no signal."""
    ended(world.start("sql", query), number)
    assert world.json("verify")["problems"] == []


@pytest.mark.parametrize("command", ["show", "lock", "realise"])
def test_an_enormous_spec(world: World, command: str) -> None:
    world.spec.write_text(frameworks(2_400, chained=True) + "x = [" + "1.0, " * 600_000 + "]\n")
    ended(world.start(command, str(world.spec)), signal.SIGTERM)


def test_a_long_hash(world: World) -> None:
    with open(world.spec.parent / "hello.py", "wb") as file:
        file.truncate(1 << 40)
    ended(world.start("realise", str(world.spec)), signal.SIGTERM)


def test_a_signal_that_was_ignored_stays_so(world: World) -> None:
    """As in a shell's background, or below nohup."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vstore", "--root", str(world.root), "sql", f"{ENDLESS} count(*) FROM n"],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    process.terminate()
    assert process.wait(timeout=_GUARD_SECONDS) == 128 + signal.SIGTERM


@pytest.mark.fast
@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (signal.SIGTERM, ["scheduler", "--port", "0"]),
        (signal.SIGINT, ["worker", "tcp://127.0.0.1:9"]),
        (signal.SIGTERM, ["serve", "--port", "0"]),
    ],
)
def test_a_server_that_still_loads_ends_without_a_text(number: signal.Signals, arguments: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOADING, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "loading\n"
    process.send_signal(number)
    assert process.communicate(timeout=_GUARD_SECONDS)[0] == ""
    assert process.returncode == 0
