from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts.testing.world import World
from vstore.api import stores, usage
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.usage import used_bytes


@pytest.fixture
def world(realised: World, tmp_path: Path) -> World:
    return realised.copy(tmp_path / "world")


def test_the_packages_of_a_layer_are_all_of_it(world: World) -> None:
    with stores.open_store(world.root, read_only=True) as store:
        sizes = {info.path: info.size_bytes for info in store.objects.all()}
        paths = list(sizes)
        found = usage.disk_usage(store, paths).objects
        packages = [part for one in found for part in one.packages]
        assert [one.whole.path for one in found] == paths
        for one, parts in ((each.whole, each.packages or (each.whole,)) for each in found):
            assert sum(part.files for part in parts) == one.files
            assert sum(part.size_bytes for part in parts) == one.size_bytes == sizes[one.path]
            assert sum(part.disk_bytes for part in parts) >= one.disk_bytes
            assert sum(part.exclusive_bytes for part in parts) <= one.exclusive_bytes
    assert {"low", "midlib", "ns-side", usage.MODULES, usage.OTHER} <= {one.package for one in packages}


def test_a_total_is_that_of_du(world: World) -> None:
    with stores.open_store(world.root, read_only=True) as store:
        paths = [info.path for info in store.objects.all()]
        whole = usage.disk_usage(store, paths, by_package=False)
        places = [store.layout.object(path) for path in paths]
    told = subprocess.check_output(["du", "-s", "-c", "-B1", *map(os.fspath, places)], text=True)
    assert whole.disk_bytes == int(told.splitlines()[-1].split()[0])


def test_exclusive_bytes_become_free_when_the_object_goes(world: World) -> None:
    """A file with a second name stays, so it is shared."""
    path = next(one["path"] for one in world.json("du")["items"] if one["path"].endswith("-framework-mid"))
    (file,) = (world.root / "store" / path).glob("lib/python*/site-packages/midlib/__init__.py")
    os.link(file, world.root / "another-name")
    layer = next(one for one in world.json("du")["items"] if one["path"] == path)
    parts = [one for one in world.json("du", "framework-mid")["items"] if one["path"] == path]
    assert {part["package"]: part["shared_bytes"] for part in parts} == {"midlib": used_bytes(file), "other": 0}
    assert layer["shared_bytes"] == used_bytes(file)
    before = used_bytes(world.root)
    remove_tree(world.root / "store" / path)
    assert before - used_bytes(world.root) == layer["exclusive_bytes"]


def test_the_largest_come_first_and_other_orders_are_chosen(world: World) -> None:
    sizes = [one["disk_bytes"] for one in world.json("du")["items"]]
    assert sizes == sorted(sizes, reverse=True)
    files = [one["files"] for one in world.json("du", "--sort", "files")["items"]]
    assert files == sorted(files)
    assert {one["package"] for one in world.json("du", "project", "--by", "object")["items"]} == {None}
    text = world.run("du", "project")[0]
    assert "midlib" in text and text.splitlines()[-1].startswith("together "), text
