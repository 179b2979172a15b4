"""A disk that fills: garbage goes by itself while building, and nothing that a build needs."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from scripts.testing.trees import add
from scripts.testing.world import World, make_world
from tests.mounts import tmpfs
from vstore.fs.disk import free_bytes
from vstore.store import Store

pytestmark = pytest.mark.slow

ALWAYS = '[gc]\nmin_free = "1000T"\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def garbage(world: World) -> str:
    with Store.open(world.root) as store:
        return str(add(store, "garbage", {"a": b"x" * 1000}))


def present(world: World) -> set[str]:
    return {row["path"] for row in world.json("list")}


def test_a_build_collects_when_space_is_short_and_says_so_once(world: World) -> None:
    path = garbage(world)
    (world.root / "config.toml").write_text('[gc]\nmin_free = "1"\n')
    world.realise("--include", "python*")
    assert path in present(world), "enough is free"
    (world.root / "config.toml").write_text(ALWAYS)
    _, err = world.run("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    assert path not in present(world)
    assert err.count("warning: less than 1024000.00 GiB were free: collected 1 object,") == 1
    assert world.run("run", "project", "hello")[0].startswith("low 1.0 midlib 1.0")
    assert world.json("verify", "--contents")["problems"] == []


@pytest.mark.root
def test_between_the_two_limits_only_what_was_made_first_goes(world: World, tmp_path: Path) -> None:
    """On a disk that does fill: below `min_free` a build collects until `max_free` is free, and no more."""
    world.realise("--include", "python*")
    size = 20 << 20
    with tmpfs(tmp_path / "small", 400 << 20) as disk:
        small = World(world.folder, disk / "root")
        subprocess.run(["cp", "-a", world.root, small.root], check=True)
        with Store.open(small.root) as store:
            names = ("first", "second", "third", "fourth")
            garbage = [str(add(store, name, {"a": os.urandom(size)})) for name in names]
        with sqlite3.connect(small.root / "index.sqlite") as index:
            for day, path in enumerate(garbage, 1):
                moment = f"2024-01-{day:02}T00:00:00+00:00"
                index.execute("UPDATE objects SET registered_at = ? WHERE path = ?", (moment, path))
        free = free_bytes(small.root)
        (small.root / "config.toml").write_text(f'[gc]\nmin_free = "{free}"\nmax_free = "{free + size + size // 2}"\n')
        said = small.run("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")[1]
        assert "collected 2 objects" in said
        assert [path in present(small) for path in garbage] == [False, False, True, True]
        assert small.run("run", "project", "hello")[0].startswith("low 1.0 midlib 1.0")
        assert small.json("verify", "--contents")["problems"] == []


def test_what_is_fresh_stays_even_then(world: World) -> None:
    path = garbage(world)
    (world.root / "config.toml").write_text(ALWAYS + 'grace = "1h"\n')
    world.realise()
    assert path in present(world)


def test_two_builds_that_both_find_the_disk_full_finish(world: World, tmp_path: Path) -> None:
    world.realise()
    (world.root / "config.toml").write_text(ALWAYS)
    world.write_spec("==2.0")
    extra = ("--local-wheels", str(world.wheels), "--no-index", "--profile")
    world.json("lock", str(world.spec), *extra[:-1])
    both = [world.start("realise", str(world.spec), *extra, name) for name in ("one", "two")]
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err
    for name in ("one", "two"):
        assert world.run("run", name, "hello")[0].startswith("low 1.0 midlib 2.0")
    assert world.json("verify", "--contents")["problems"] == []


@pytest.mark.fast
def test_what_a_build_may_need_stays_in_uvs_cache(world: World) -> None:
    """It is stopped while it installs the second layer: others collect, and leave the cache alone until it ends."""
    paths = world.paths(world.realise())
    world.run("forget", "project", "--all")
    world.run("delete", "--referrers", paths["framework-mid"])
    arguments = ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index", "--offline")
    builder = world.start(*arguments, VSTORE_FAULT="add-scanned:1:stop")
    _, status = os.waitpid(builder.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert world.json("gc", "--cache-unshared-for", "0s")["cached_wheels"] == []
    builder.send_signal(signal.SIGCONT)
    out, err = builder.communicate(timeout=120)
    assert builder.returncode == 0, out + err
    world.run("forget", "project", "--all")
    world.run("gc")
    assert len(world.json("gc", "--cache-unshared-for", "0s")["cached_wheels"]) == 4


def test_a_mistake_in_the_policy_stops_before_anything_is_deleted(world: World) -> None:
    path = garbage(world)
    (world.root / "config.toml").write_text('[gc]\nminfree = "1G"\n')
    error = world.json("gc", code=2)["error"]
    assert "gc.minfree: no such key" in error["message"]
    assert path in present(world)
