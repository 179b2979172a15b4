"""What another process holds is waited for, with a word about who it is, for a time, and never beyond Ctrl-C."""

from __future__ import annotations

import signal
import sqlite3

import pytest

from scripts.testing.world import World
from tests.fs.locking.test_filelock import held

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["gc", "realise", "optimise", "roots add mine app-hello"])
def test_each_wait_for_the_collectors_lock_is_told_and_ends(world: World, name: str) -> None:
    options = (str(world.spec), "--local-wheels", str(world.wheels), "--no-index") if name == "realise" else ()
    with held(world.root / "locks" / "gc") as holder:
        said = world.run(*name.split(), *options, "--wait", "1.5", code=7)[1]
        assert f"waiting for locks/gc, held by process {holder.pid} of " in said
        assert "error: in use by another process: locks/gc\n  process" in said
        assert "hint: `--wait SECONDS` waits longer" in said


def test_how_long_can_be_configured(world: World) -> None:
    (world.root / "config.toml").write_text('[locks]\nwait = "1s"\n')
    with held(world.root / "locks" / "gc"):
        assert world.json("gc", code=7)["error"]["exit_code"] == 7
        said = world.run("gc", "--wait", "0", code=7)[1]
        assert "waiting for" not in said, "an option goes before the file"


def test_a_stopped_process_that_holds_a_profile_does_not_stop_a_collection(world: World) -> None:
    world.write_spec("==2.0")
    world.realise()
    (world.root / "profiles" / "project-9-link").symlink_to("nowhere")  # never made: stray
    with held(world.root / "locks" / "profile-project") as holder:
        holder.send_signal(signal.SIGSTOP)
        said = world.run("gc", "--keep", "1")[1]
        assert (
            "profile project is in use and was left alone: in use by another process: locks/profile-project; process "
            in said
        )
        said = world.run("rollback", "project", "--wait", "1.2", code=7)[1]
        assert f"waiting for locks/profile-project, held by process {holder.pid} of root, stopped" in said
    assert world.json("gc", "--keep", "1")["forgotten"] == [{"profile": "project", "generation": 1}]


def test_an_index_that_is_written_to_is_waited_for_too(world: World) -> None:
    with sqlite3.connect(world.root / "index.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        error = world.run("forget", "project", "--all", "--wait", "1", code=7)[1]
        assert "error: in use by another process: the index" in error
        waiting = world.start("forget", "project", "--all")
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("waiting for the index, held by process ")
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=60)
        assert waiting.returncode == 130, "the index is still locked"
    other.close()


def test_lock_files_are_for_those_alone_who_may_lock(world: World) -> None:
    files = list((world.root / "locks").iterdir())
    assert files and {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_each_wait_at_once(world: World, number: signal.Signals) -> None:
    with held(world.root / "locks" / "gc"):
        waiting = world.start("gc")
        assert waiting.stderr is not None
        while "waiting for locks/gc" not in waiting.stderr.readline():
            assert waiting.poll() is None
        waiting.send_signal(number)
        waiting.communicate(timeout=60)
        assert waiting.returncode == 128 + number, "the lock is still held"


def test_only_numbers_of_seconds_are_a_limit(world: World) -> None:
    for limit in ("nan", "inf", "1e400", "-1", "x"):
        assert "--wait" in world.run("--wait", limit, "list", code=2)[1]
