"""A store in the lower layer of an overlay, whose folders cannot be moved (EXDEV), goes on above it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.reliability.crashes.overlay import overlaid, why_no_overlay
from scripts.reliability.crashes.promises import check_intact, check_nothing_left
from scripts.reliability.crashes.sweep import journey, kill_at, vstore
from scripts.testing.world import World, make_world
from tests.mounts import bind_mount
from vstore.fs.faults import Point

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def mountable(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    if (reason := why_no_overlay(tmp_path_factory.mktemp("tried"))) is not None:
        pytest.skip(reason)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A store above one in which a journey ended, and with a leftover in its trash."""
    low = tmp_path / "low"
    assert journey(low / "root", "low").code == 0
    deep = low / "root" / "tmp" / "trash" / "left" / "/".join("d" * 150)
    deep.mkdir(parents=True)
    with overlaid(low, tmp_path / "over") as merged:
        (merged / "p-link").unlink()  # a root outside of the store, made for its place in the lower layer
        yield merged / "root"


_POINTS = [point for point in Point if point.startswith(("gc-", "add-")) and point != Point.ADD_CLEARED]


@pytest.mark.parametrize("point", _POINTS)
def test_killed_at_each_step(root: Path, point: Point) -> None:
    """The second life forgets what the lower layer has, and collects it."""
    assert kill_at(root, point, 1, f"kill-{point}"), "the step was never reached"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two generations in the lower layer."""
    low = make_world(tmp_path / "low")
    low.realise()
    low.write_spec("==2.0")
    low.realise()
    with overlaid(tmp_path / "low", tmp_path / "over") as merged:
        yield World(merged, merged / low.root.relative_to(low.folder))


def test_everything_works_above_a_store_in_an_image(world: World) -> None:
    before = {line["path"] for line in world.json("list")}
    world.json("optimise")
    assert world.json("verify", "--contents")["problems"] == []
    world.run("rollback", "project")
    world.run("forget", "project", "2")
    planned, done = world.json("gc", "--dry-run"), world.json("gc")
    assert done["deleted"] == planned["deletable"] and done["deleted"]
    assert not set(os.listdir(world.root / "store")) & set(done["deleted"])
    assert "midlib 1.0" in world.run("run", "project", "hello")[0]
    world.write_spec("==2.0")
    made = world.realise()
    assert {line["path"] for line in world.json("list")} == before, "what was collected is made again"
    assert "midlib 2.0" in world.run("run", "project", "hello")[0]
    world.run("forget", "project", "--all")
    world.json("delete", made["stack"])
    world.json("reindex")
    check_intact(world.root)
    world.json("gc")
    check_nothing_left(world.root)
    assert os.listdir(world.root / "store") == []


def test_a_damaged_object_of_the_lower_layer_is_repaired(world: World) -> None:
    layer = (world.root / "profiles/project/layers/framework-mid").resolve()
    (bad,) = layer.glob("lib/python*/site-packages/midlib/__init__.py")
    bad.chmod(0o644)
    bad.write_bytes(b"bad")
    bad.chmod(0o444)
    assert world.json("verify", "--contents", code=6)["problems"]
    world.json("verify", "--repair")
    assert world.json("verify", "--contents")["problems"] == []


def test_a_leftover_of_the_lower_layer_is_added_over(tmp_path: Path) -> None:
    """Killed between the move and the row, below; and killed again while the leftover is cleared, above."""
    low, root = tmp_path / "low", tmp_path / "over" / "merged" / "root"
    assert journey(low / "root", "low", fault="add-frozen").code == -9
    with overlaid(low, tmp_path / "over"):
        assert journey(root, "low", fault=f"{Point.ADD_CLEARED}").code == -9
        again = journey(root, "low")
        assert again.code == 0, again.error
        check_intact(root)
        check_nothing_left(root)


@pytest.mark.parametrize("name", ["tmp", "cache", "manifests", "logs", "store"])
def test_a_folder_that_is_a_mount_of_its_own(tmp_path: Path, name: str) -> None:
    """Objects cannot move to the trash, nor from the staging area: collecting works, adding is refused in one line."""
    root = tmp_path / "root"
    assert journey(root, "one").code == 0
    with bind_mount(root / name):
        again = journey(root, "two")
        if name in ("tmp", "store"):
            assert again.code == 1 and "on different mounts" in again.error and "Traceback" not in again.error
            assert vstore(root, "forget", "p", "--all").code == 0
            assert vstore(root, "gc").code == 0
            assert os.listdir(root / "store") == []
        else:
            assert again.code == 0, again.error
        check_intact(root)
        check_nothing_left(root)
        assert vstore(root, "reindex").code == 0
