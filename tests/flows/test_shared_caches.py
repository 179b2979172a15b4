"""Caches beside which others work: one uv cache of two roots, folders without locks, a cache that changes meanwhile."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.without_locks import without_locks
from scripts.testing.world import World
from tests.mounts import bind_mount

pytestmark = pytest.mark.slow


def ended(world: World, *arguments: str, **changes: str) -> tuple[int, str]:
    process = world.start(*arguments, **changes)
    out, error = process.communicate(timeout=300)
    return process.returncode, out + error


def upgraded(world: World) -> tuple[int, str]:
    options = (str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    code, text = ended(world, "lock", "--upgrade", *options)
    return (code, text) if code else ended(world, "realise", "--locked", *options)


def test_two_roots_on_one_uv_cache_at_once(realised: World, tmp_path: Path) -> None:
    """Builds in both, while each collects and one empties the cache: all end well, and nothing is damaged."""
    worlds = [realised.copy(tmp_path / name) for name in ("a", "b")]
    with bind_mount(worlds[0].root / "cache/uv", worlds[1].root / "cache/uv"), ThreadPoolExecutor(5) as pool:
        for number in range(2, 5):
            for world in worlds:
                make_wheel(world.wheels, "low", f"1.{number}", {"low/__init__.py": f"VERSION = '1.{number}'\n"})
            runs = [pool.submit(upgraded, world) for world in worlds]
            runs += [pool.submit(ended, world, "gc", "--cache-unshared-for", "0s") for world in worlds]
            runs.append(pool.submit(ended, worlds[number % 2], "gc", "--clean-cache"))
            for run in runs:
                code, text = run.result()
                assert code == 0, text
        for world in worlds:
            assert world.run("run", "project", "hello")[0].startswith("low 1.4 ")
            assert world.json("verify", "--contents")["problems"] == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_cache_in_a_folder_without_locks(realised: World, tmp_path: Path, number: int) -> None:
    variables = without_locks(tmp_path / "shim", tmp_path / "cache", number)
    cache = f"file://{tmp_path}/cache"
    world = realised.copy(tmp_path / "world")
    world.run("key", "generate", "builder")
    for command in (["push", cache, "project"], ["cache", "verify", "--contents", cache], ["cache", "gc", cache]):
        assert ended(world, *command, **variables)[0] == 0
    path = next(one["path"] for one in world.json("list") if one["kind"] == "stack")
    other = World(tmp_path / "other", tmp_path / "other/root")
    assert ended(other, "pull", cache, path, **variables)[0] == 0
    assert other.json("verify", "--contents")["problems"] == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_root_in_a_folder_without_locks_is_told(realised: World, tmp_path: Path, number: int) -> None:
    world = realised.copy(tmp_path / "world")
    variables = without_locks(tmp_path / "shim", world.root, number)
    code, text = ended(world, "gc", **variables)
    assert code == 6 and text.startswith("error: the file system has no file locks: "), text
    assert "hint: put the store on a local disk: --root DIR" in text


@pytest.mark.fast
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_uv_cache_in_a_folder_without_locks_is_left_alone(realised: World, tmp_path: Path, number: int) -> None:
    """A collection cannot know whether a uv uses it."""
    world = realised.copy(tmp_path / "world")
    cache = world.root / "cache/uv"
    variables = without_locks(tmp_path / "shim", cache, number)
    before = sorted(cache.rglob("*"))
    assert ended(world, "gc", "--cache-unshared-for", "0s", **variables)[0] == 0
    assert sorted(cache.rglob("*")) == before
    code, text = ended(world, "gc", "--clean-cache", **variables)
    assert code == 6 and "the file system has no file locks" in text, text
    assert sorted(cache.rglob("*")) == before
    code, text = ended(world, "realise", "--check", str(world.spec), **variables)
    assert code in (0, 11) and "Traceback" not in text, text  # uv itself wants locks
