"""FIFOs, sockets, devices and folders where a file is expected: refused in one line, and never waited for."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.testing.world import World

pytestmark = pytest.mark.slow

KINDS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


def put(kind: str, path: Path) -> None:
    """Replace a file by something else; sockets have short names, so they are made from their folder."""
    path.unlink(missing_ok=True)
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        KINDS[kind](path)
    finally:
        os.chdir(here)


def refused(world: World, kind: str, *arguments: str, code: int) -> None:
    err = world.run(*arguments, code=code)[1]
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and f"it is {kind}, not a regular file" in err and "Traceback" not in err, err


@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a device"])
def test_each_file_that_is_named(world: World, kind: str, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    put(kind, odd)
    refused(world, kind, "show", str(odd), code=3)
    refused(world, kind, "realise", str(odd), code=3)
    refused(world, kind, "unpack", str(odd), code=6)
    refused(world, kind, "pack", "project", "-o", str(tmp_path / "b"), "--key", str(odd), code=2)


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_beside_a_spec(world: World, kind: str) -> None:
    spec, project = str(world.spec), world.spec.parent
    put(kind, project / "venvstacks.uv.toml")
    refused(world, kind, "show", spec, code=3)
    shutil.rmtree(project / "venvstacks.uv.toml") if kind == "a folder" else (project / "venvstacks.uv.toml").unlink()
    lock = project / "requirements" / "framework-mid" / "pylock.framework-mid.toml"
    put(kind, lock)
    for command in ("show", "realise"):
        refused(world, kind, command, spec, code=4)
    said = world.run("lock", spec, code=2)[1]  # which looks first whether it may write
    assert f"that vstore did not make: {lock}" in said


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_of_a_root(world: World, kind: str) -> None:
    put(kind, world.root / "config.toml")
    refused(world, kind, "gc", code=2)


@pytest.mark.parametrize("kind", ["a FIFO", "a device"])
def test_a_wheel_is_not_waited_for(world: World, kind: str) -> None:
    """uv would wait for it, or read it without end."""
    put(kind, world.wheels / "odd-1.0-py3-none-any.whl")
    where = ("--local-wheels", str(world.wheels), "--no-index")
    refused(world, kind, "lock", str(world.spec), "--upgrade", *where, code=4)


@pytest.mark.parametrize("kind", ["a FIFO", "a device"])
def test_files_of_a_cache(world: World, kind: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    world.run("key", "generate", "builder")
    world.run("push", str(cache), "project")
    for file in [path for path in cache.rglob("*") if path.is_file()]:
        put(kind, file)
    other = World(world.folder, tmp_path / "other")
    app = next(row["path"] for row in world.json("list") if row["name"] == "app-hello")
    refused(other, kind, "pull", str(cache), app, code=10)


def test_a_plain_file_where_locks_are_kept(world: World) -> None:
    shutil.rmtree(world.spec.parent / "requirements")
    (world.spec.parent / "requirements").write_text("low\n")
    for command in ("show", "realise"):
        err = world.run(command, str(world.spec), code=4)[1]
        assert "error: lock file cannot be read: " in err and "Not a directory" in err
    assert "error: not a folder: " in world.run("lock", str(world.spec), code=2)[1]
    assert (world.spec.parent / "requirements").read_text() == "low\n"
