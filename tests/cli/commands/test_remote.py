from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.world import World
from vstore.objects import Kind
from vstore.store import Store


@pytest.fixture
def machine(tmp_path: Path) -> World:
    """A machine whose store has one small stack."""
    world = World(tmp_path, tmp_path / "root")
    with Store.open(world.root, create=True) as store, store.staging("small") as staged:
        (staged / "data").write_bytes(b"1")
        store.add(staged, name="small-stack", kind=Kind.STACK)
    return world


def stack_of(world: World) -> str:
    return str(world.json("list", "--kind", "stack")[0]["path"])


def test_a_channel_without_a_key_is_refused_before_anything_is_sent(machine: World, tmp_path: Path) -> None:
    cache, stack = tmp_path / "cache", stack_of(machine)
    err = machine.run("push", str(cache), stack, "--channel", "stable", code=2)[1]
    assert "a channel must be signed" in err and "`vstore key generate NAME`" in err and "pushed" not in err
    assert not cache.exists()
    out, err = machine.run("push", str(cache), stack)
    assert "pushed 1 object, " in out and f" to {cache.as_uri()}; 0 already in the cache" in out
    assert "pushed unsigned" in err


def test_an_sbom_that_the_cache_has_is_not_told_as_attached(machine: World, tmp_path: Path) -> None:
    machine.run("key", "generate", "builder")
    words = ("push", str(tmp_path / "cache"), stack_of(machine), "--sbom", "spdx")
    assert "\nattached the SBOM of " in machine.run(*words)[0]
    assert "\nalready attached: the SBOM of " in machine.run(*words)[0]
    assert [one["changed"] for one in machine.json(*words)["sboms"]] == [False]
