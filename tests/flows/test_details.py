"""`-v` tells decisions with their reasons, `-vv` calls with their times, and a log file has them always."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.world import World

pytestmark = pytest.mark.slow


def test_each_decision_has_its_reason(world: World) -> None:
    again = ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    _, told = world.run(*again, "-v")
    assert f"spec: {world.spec}, profile project" in told
    assert "which is present" in told
    (world.spec.parent / "hello.py").write_text("print('new')\n")
    log = world.folder / "log"
    _, told = world.run(*again, "-v", "--log-file", str(log))
    assert "no stack in the store was made from these inputs" in told
    assert "app-hello: its lock is valid" in told
    assert "as the lock says" in told
    assert "framework-mid: present, as the store has the object of its recipe" in told
    assert "app-hello: built, as the store has no object of its recipe; unlike " in told
    assert "-app-hello: its modules changed\n" in told
    assert "uv pip install" not in told
    text = log.read_text()
    assert " call     uv pip install" in text
    assert " decision app-hello: built" in text
    world.write_spec("==2.0")
    _, told = world.run(*again, "-vv")
    assert "framework-mid: resolved, because requirements changed since it was locked" in told
    assert "framework-mid: its lock is stale: requirements changed since it was locked" in told
    assert "uv pip compile" in told
    _, told = world.run(*again)
    assert told == ""


def test_requests_to_a_cache_are_told_with_their_times_and_without_logins(world: World, tmp_path: Path) -> None:
    cache = (tmp_path / "cache").as_uri()
    _, told = world.run("push", cache, "project", "-vv")
    assert f"{cache}: put " in told
    _, told = world.run("cache", "ls", cache, "-vv")
    assert "done in 0." in told
    address = "http://user:secret@127.0.0.1:9/cache"
    _, told = world.run("push", address, "project", "-vv", "--log-file", str(tmp_path / "log"), code=10)
    assert "http://127.0.0.1:9/cache: " in told
    assert "failed: " in told
    assert "secret" not in told + (tmp_path / "log").read_text()


def test_caches_that_are_asked_are_named(world: World, tmp_path: Path) -> None:
    cache = (tmp_path / "cache").as_uri()
    world.run("key", "generate", "test-1")
    world.run("push", cache, "project")
    [trusted] = world.json("key", "list")
    other = World(world.folder, tmp_path / "other")
    other.root.mkdir()
    (other.root / "config.toml").write_text(f'trusted_keys = ["{trusted}"]\n[caches]\nnear = "{cache}"\n')
    again = ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    _, told = other.run(*again, "-v")
    assert "near: asked for recipe " in told
    assert "-framework-mid" in told
    assert "framework-mid: substituted in " in told
