"""Commands that only take objects out of a store take them from one on a read-only file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.machine import folder_cache, machine
from scripts.testing.world import World
from tests.mounts import remount_read_only, tmpfs


@pytest.mark.root
def test_pack_and_push_read_a_read_only_root(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "mount", 16 << 20) as root:
        world = World(tmp_path, root / "store")
        with machine(world.root) as builder:
            path = builder.add("one")
        world.run("key", "generate", "builder")
        remount_read_only(root)
        world.run("pack", str(path), "-o", str(tmp_path / "bundle"))
        world.run("push", f"file://{tmp_path}/cache", str(path))
    with machine(tmp_path / "other") as other:
        assert folder_cache(tmp_path / "cache").object(path) is not None
        World(tmp_path, other.store.layout.root).run("unpack", str(tmp_path / "bundle"))
        assert other.store.is_valid(path)
