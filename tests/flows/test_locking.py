"""What locking says, to people and to programs: platforms left out, packages held back, misfits, uv's warnings."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World, make_world
from vstore.target import Target

pytestmark = pytest.mark.slow

TAG = {
    Target.LINUX_X86_64: "manylinux_2_17_x86_64",
    Target.LINUX_AARCH64: "manylinux_2_17_aarch64",
    Target.MACOSX_ARM64: "macosx_11_0_arm64",
    Target.MACOSX_X86_64: "macosx_11_0_x86_64",
}.get(Target.host(), str(Target.host()))
OTHER = next(target for target in Target if target != Target.host())


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A spec that names no platforms; its application needs a package with a wheel for this machine only."""
    made = make_world(tmp_path)
    abi = "cp" + VERSION.replace(".", "")
    make_wheel(made.wheels, "native", "1.0", {"native.py": ""}, tag=f"{abi}-{abi}-{TAG}")
    text = made.spec.read_text().replace(f'platforms = ["{Target.host()}"]\n', "")
    made.spec.write_text(text.replace('["ns-app"]', '["ns-app", "native"]'))
    return made


def lock(world: World, *arguments: str) -> str:
    return world.run("lock", str(world.spec), "--local-wheels", str(world.wheels), "--no-index", *arguments)[0]


def test_the_last_lines_say_where_each_layer_can_be_realised(world: World) -> None:
    lines = lock(world).splitlines()
    every = ", ".join(Target)
    lost = "; ".join(f"{target}: no wheel of native" for target in Target if target != Target.host())
    assert lines[-2:] == [
        f"python, framework-mid, framework-side can be realised on {every}",
        f"app-hello can be realised on {Target.host()} (left out: {lost})",
    ]
    rows = world.json("lock", str(world.spec))["layers"]
    assert [len(row["platforms"]) for row in rows] == [6, 6, 6, 1]
    assert set(rows[-1]["left_out"].values()) == {"no wheel of native"}


def test_a_platform_that_is_left_out_is_not_realised_and_says_why(world: World) -> None:
    said = world.run(
        *("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index"),
        "--platform",
        str(Target.host()),
    )[1]
    assert f"layer app-hello: not locked for {OTHER}: no wheel of native" in said
    said = world.run("realise", str(world.spec), "--platform", str(OTHER), code=4)[1]
    assert f"error: layer app-hello is not locked for {OTHER}: no wheel of native" in said
    assert "platforms" in said.partition("hint:")[2]


def test_all_platforms_are_those_that_the_lock_covers(world: World) -> None:
    done = world.realise("--platform", "all")
    assert [one["target"] for one in (done if isinstance(done, list) else [done])] == [str(Target.host())]
    assert world.realise("--platform", "all")["changed"] is False


def test_what_is_held_back_and_what_uv_warns_of_is_one_line_each(world: World) -> None:
    make_wheel(world.wheels, "low", "2.0", {"low/__init__.py": "VERSION = '2.0'\n"})
    make_wheel(world.wheels, "midlib", "3.0", {"midlib/__init__.py": "VERSION = '3.0'\n"}, requires=["low<2"])
    world.spec.write_text(world.spec.read_text().replace("midlib==1.0", "midlib[none]"))
    line = "midlib 2.0 (3.0 without low==2.0 of layer python): require low==1.0 in layer python, or lock with --joint"
    warning = "The package `midlib==2.0` does not have an extra named `none`"
    summary = lock(world).splitlines()
    assert f"held back in layer framework-mid: {line}" in summary
    assert summary.count(f"warning: layer framework-mid: {warning}") == 1
    rows = {row["name"]: row for row in world.json("lock", str(world.spec))["layers"]}
    assert rows["framework-mid"]["held_back"] == [
        {
            "name": "midlib",
            "version": "2.0",
            "without": "3.0",
            "by": ["low==2.0 of layer python"],
            "ways": ["require low==1.0 in layer python", "lock with --joint"],
        }
    ]
    assert rows["python"]["held_back"] == []
    assert [rows[name]["warnings"] for name in ("framework-mid", "python")] == [[warning], []]


def test_a_stack_that_does_not_fit_is_a_warning_when_realise_locks_it(world: World) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(world.wheels, "attrs", version, {"attrs.py": ""})
    text = world.spec.read_text().replace("midlib==1.0", 'midlib==1.0", "attrs[none]<2')
    make_wheel(world.wheels, "classes", "1.0", {"classes.py": ""}, requires=["attrs>=2"])
    world.spec.write_text(text.replace('"ns-side"', '"ns-side", "classes"'))
    extra = ("--local-wheels", str(world.wheels), "--no-index")
    said = world.run("realise", str(world.spec), *extra)[1]
    assert "warning: conflict: classes 1.0 of layer framework-side needs attrs>=2, and gets attrs 1.0" in said
    assert "warning: layer framework-mid: The package `attrs==1.0` does not have an extra named `none`" in said
