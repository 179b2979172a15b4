"""Choosing layers on the command line, and seeing what will happen before it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.testing.world import World, make_world

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def lock(world: World, *arguments: str, code: int = 0) -> Any:
    offline = ("--local-wheels", str(world.wheels), "--no-index")
    if code:
        return world.run("lock", str(world.spec), *offline, *arguments, code=code)[1]
    return world.json("lock", str(world.spec), *offline, *arguments)


def names(document: Any) -> list[str]:
    return [layer["name"] for layer in document["layers"]]


def locks(world: World) -> set[str]:
    return {path.parent.name for path in (world.spec.parent / "requirements").glob("*/pylock.*.toml")}


def test_locking_some_layers(world: World) -> None:
    shown = lock(world, "--include", "framework-side", "--dry-run")
    assert {one["name"]: one["selected_operations"] for one in shown["frameworks"]} == {
        "framework-mid": ["lock-if-needed"],
        "framework-side": ["lock-if-needed"],
    }
    assert locks(world) == set()
    error = lock(world, "--include", "framework-side", "--no-dependencies", code=4)
    assert "framework-side cannot be locked over a layer without a valid lock" in error
    assert "layer python: not locked yet" in error
    assert names(lock(world, "--include", "python", "--include", "framework-mid", "--no-dependencies"))[:2] == [
        "python",
        "framework-mid",
    ]


def test_realising_some_layers_locks_only_these(world: World) -> None:
    first = world.realise("--include", "framework-mid")
    assert names(first)[1:] == ["python", "framework-mid"]
    assert first["generation"] is None
    assert locks(world) == {"python", "framework-mid"}
    dependents = world.realise("--include", "framework-mid", "--dependents")
    assert names(dependents)[1:] == ["python", "framework-mid", "framework-side", "app-hello"]
    assert locks(world) == {"python", "framework-mid", "framework-side", "app-hello"}
    assert world.realise("--include", "nothing*", "--allow-missing")["layers"] == []
    world.realise("--include", "nothing*", code=2)


def test_show_and_dry_runs_tell_the_same_plan(world: World) -> None:
    shown = world.json("show", str(world.spec), "--include", "app-*")
    assert set(shown) >= {"spec_name", "runtimes", "frameworks", "applications", "profile", "layers"}
    [application] = shown["applications"]
    assert application == {
        "name": "app-hello",
        "install_target": "app-hello",
        "has_valid_lock": False,
        "selected_operations": ["lock-if-needed", "build"],
        "dependencies": [
            {"name": name, "install_target": name, "has_valid_lock": False, "selected_operations": None}
            for name in ("framework-mid", "framework-side", "python")
        ],
    }
    assert shown["runtimes"][0]["selected_operations"] == ["lock-if-needed", "build-if-needed"]
    dry = world.realise("--dry-run", "--include", "app-*")
    for key in ("spec_name", "runtimes", "frameworks", "applications"):
        assert dry[key] == shown[key]
    assert locks(world) == set()


def test_the_tree(world: World) -> None:
    text = world.spec.read_text().replace('name = "mid"', 'name = "mid"\nversioned = true')
    world.spec.write_text(text)
    lock(world, "--include", "framework-mid", "--dependencies")
    (world.spec.parent / "requirements" / "framework-side" / "pylock.framework-side.toml").unlink(missing_ok=True)
    out, _ = world.run("show", str(world.spec))
    assert out.splitlines() == [
        "spec.toml (profile project); * means: no valid lock",
        "runtimes",
        "  python (build unless present)",
        "frameworks",
        "  framework-mid -> framework-mid@1 (build unless present)",
        "      python",
        "  *framework-side (lock, build unless present): not locked yet",
        "      python",
        "applications",
        "  *app-hello (lock, build unless present): the lock of framework-side below is stale",
        "      framework-mid -> framework-mid@1",
        "      *framework-side",
        "      python",
    ]
    world.spec.write_text(text.replace("midlib==1.0", "midlib==2.0"))
    assert "  *framework-mid -> framework-mid@??? (" in world.run("show", str(world.spec))[0]


def test_what_lies_below_is_left_alone_when_asked(world: World) -> None:
    """It must be there then; nothing is locked, built or listed of it."""
    only = ("--include", "app-hello", "--no-dependencies")
    error = world.realise("--include", "app-hello", "--no-dependencies", code=4)["error"]
    assert "without a valid lock" in error["message"] and "--no-dependencies" in error["hint"]
    world.json("lock", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    error = world.realise(*only, code=5)["error"]
    assert "is not in the store, and with --no-dependencies it is not built" in error["message"]
    world.realise()
    (world.spec.parent / "hello.py").write_text("print('changed')\n")
    done = {
        layer["name"]: layer["origin"] for layer in world.realise(*only)["layers"] if layer["kind"] != "interpreter"
    }
    assert done == {"app-hello": "built"}
    output = world.folder / "out"
    published = world.json("publish", str(world.spec), "--output-dir", str(output), *only)
    assert [name for name in published["written"] if not name.startswith("cpython")] == ["app-hello.tar.zst"]
