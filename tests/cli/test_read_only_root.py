"""Commands that only take objects out of a store take them from one on a read-only file system."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.flows.world import World
from tests.remote.small import folder_cache, machine


def test_pack_and_push_read_a_read_only_root(tmp_path: Path) -> None:
    root = tmp_path / "mount"
    root.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(root)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        world = World(tmp_path, root / "store")
        with machine(world.root) as builder:
            path = builder.add("one")
        world.run("key", "generate", "builder")
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        world.run("pack", str(path), "-o", str(tmp_path / "bundle"))
        world.run("push", f"file://{tmp_path}/cache", str(path))
    finally:
        subprocess.run(["umount", str(root)], check=True)
    with machine(tmp_path / "other") as other:
        assert folder_cache(tmp_path / "cache").object(path) is not None
        World(tmp_path, other.store.layout.root).run("unpack", str(tmp_path / "bundle"))
        assert other.store.is_valid(path)
