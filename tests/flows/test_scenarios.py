"""What stores of this kind are tested with elsewhere, one journey each, where no other test here makes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World

pytestmark = pytest.mark.slow


def realising(world: World) -> tuple[str, ...]:
    return ("--json", "realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")


def edit(world: World, text: str) -> None:
    (world.spec.parent / "hello.py").write_text(f"print({text!r})\n")


def stored(world: World) -> set[str]:
    return set(os.listdir(world.root / "store"))


@pytest.fixture
def stopped(world: World, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A collector stopped at a step, with something to collect."""
    edit(world, "old")
    world.realise()
    edit(world, "new")
    world.realise()
    collector = world.start("--json", "gc", "--keep", "1", VSTORE_FAULT=f"{request.param}:stop")
    _, status = os.waitpid(collector.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    yield collector
    collector.kill()
    collector.communicate()


@pytest.mark.parametrize("stopped", ["gc-decided"], indirect=True)
def test_a_collector_that_has_read_the_roots_spares_what_is_made_then(
    world: World, stopped: subprocess.Popen[str]
) -> None:
    edit(world, "newest")
    made = world.realise()
    stopped.send_signal(signal.SIGCONT)
    out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 0, err
    assert made["stack"] not in out
    assert world.run("run", "project", "hello")[0] == "newest\n"
    assert world.json("verify", "--contents")["problems"] == []


@pytest.mark.parametrize("stopped", ["gc-locked"], indirect=True)
def test_a_build_waits_for_a_collector_that_holds_its_lock(world: World, stopped: subprocess.Popen[str]) -> None:
    edit(world, "newest")
    builder = world.start(*realising(world))
    with pytest.raises(subprocess.TimeoutExpired):
        builder.wait(timeout=4)
    stopped.send_signal(signal.SIGCONT)
    assert stopped.communicate(timeout=60)[0]
    out, err = builder.communicate(timeout=60)
    assert (stopped.returncode, builder.returncode) == (0, 0), out + err
    assert world.run("run", "project", "hello")[0] == "newest\n"


@pytest.mark.fast
@pytest.mark.parametrize("stopped", ["gc-released", "gc-unlinking"], indirect=True)
def test_a_build_does_not_wait_while_a_collector_unlinks(world: World, stopped: subprocess.Popen[str]) -> None:
    edit(world, "newest")
    assert world.realise("--wait", "30")["changed"], "with the collector stopped all the time"
    assert world.run("run", "project", "hello")[0] == "newest\n"


def test_with_the_last_root_gone_a_collection_leaves_an_empty_store(world: World) -> None:
    world.run("forget", "project", "--all")
    world.run("gc")
    assert stored(world) == set(os.listdir(world.root / "manifests")) == set()
    assert world.json("list") == []


def test_garbage_at_the_final_place_is_replaced(world: World, tmp_path: Path) -> None:
    path = world.paths(world.realise())["app-hello"]
    fresh = World(world.folder, tmp_path / "fresh")
    fresh.run("list", code=6)
    fresh.run("key", "generate", "builder")
    (fresh.root / "store" / path).write_text("garbage")
    assert fresh.paths(fresh.realise())["app-hello"] == path
    assert fresh.json("verify", "--contents")["problems"] == []


def test_a_collection_takes_nothing_from_a_build_that_has_not_used_it_yet(world: World, tmp_path: Path) -> None:
    """The lower layers are made, no root keeps them, and the build is stopped before it makes the next one."""
    fresh = World(world.folder, tmp_path / "fresh")
    builder = fresh.start(*realising(fresh), "-j", "1", VSTORE_FAULT="staged:4:stop")
    _, status = os.waitpid(builder.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    made = stored(fresh)
    assert len(made) == 3, made
    assert fresh.json("gc")["deleted"] == [] and stored(fresh) == made
    builder.send_signal(signal.SIGCONT)
    out, err = builder.communicate(timeout=120)
    assert builder.returncode == 0, out + err
    assert fresh.run("run", "project", "hello")[0].startswith("low 1.0")
    assert fresh.json("verify", "--contents")["problems"] == []


def test_what_refers_to_an_object_follows_what_is_deleted(world: World) -> None:
    paths = world.paths(world.realise())
    assert world.json("info", paths["framework-side"])["referrers"]
    world.run("forget", "project", "--all")
    world.run("gc", "--dry-run")
    world.run("delete", "--referrers", paths["app-hello"])
    left = world.json("info", paths["framework-side"])
    assert left["referrers"] == [] and paths["python"] in left["references"]
    objects = {one["path"]: one["kind"] for one in world.json("list")}
    assert {path for path, kind in objects.items() if kind != "source"} == set(paths.values()) - {paths["app-hello"]}


def test_a_check_that_finds_other_bytes_leaves_them_when_asked(world: World) -> None:
    world.realise("--check")  # uv's cache has them now
    for cached in list(world.root.glob("cache/uv/archive-v0/*/midlib/late.py")):
        cached.unlink()
        cached.write_text("LATE = 'changed'\n")
    error = world.realise("--check", "--keep-failed", code=12)["error"]
    kept = [Path(line.removeprefix("kept: ")) for line in error["details"] if line.startswith("kept: ")]
    assert [next(folder.rglob("midlib/late.py")).read_text() for folder in kept] == ["LATE = 'changed'\n"]
    assert world.json("verify", "--contents")["problems"] == []


def bad_wheels(world: World) -> None:
    """Wheels that can be locked and not be built into a layer, for two frameworks of which no lock exists yet."""
    shutil.rmtree(world.spec.parent / "requirements")
    for name, module in (("midlib", "midlib/__init__.py"), ("ns-side", "ns/side.py")):
        make_wheel(world.wheels, name, "9.0", {module: ""}, entry_points={"../../evil": "os:getcwd"})
    world.write_spec(">=9")


@pytest.mark.parametrize("options", [[], ["--keep-going"]])
def test_failing_builds(world: World, tmp_path: Path, options: list[str]) -> None:
    """What can be made is made, each failure is told once, what needs it is told as that."""
    bad_wheels(world)
    fresh = World(world.folder, tmp_path / "fresh")
    process = fresh.start(*realising(world), "-j", "1", *options)
    out, err = process.communicate(timeout=120)
    assert process.returncode in (5, 11), out + err
    assert {row["name"] for row in fresh.json("list")} >= {"python"}, "the good one stays"
    failed = {name for name in ("framework-mid", "framework-side") if f"  {name}: uv failed" in err}
    assert len(failed) == 2 or not options
    assert "Traceback" not in err and "evil" in err, "why"
    assert err.count("app-hello: not built") == (len(failed) == 2)
    assert os.listdir(fresh.root / "tmp") == ["trash"]
    assert not list(fresh.folder.rglob("evil"))
    assert fresh.json("verify", "--contents")["problems"] == []


def test_a_failed_build_is_left_and_named_when_asked(world: World, tmp_path: Path) -> None:
    bad_wheels(world)
    fresh = World(world.folder, tmp_path / "fresh")
    said = fresh.run(*realising(world)[1:], "--keep-failed", "--keep-going", code=5)[1]
    kept = os.listdir(fresh.root / "failed")
    assert kept and all(f"kept: {fresh.root / 'failed' / name}" in said for name in kept)


def test_a_store_behind_a_link(world: World, tmp_path: Path) -> None:
    """The same store, whichever way it is reached; the link stays a link."""
    link = tmp_path / "link"
    link.symlink_to(world.root)
    there = World(world.folder, link)
    assert not there.realise()["changed"]
    there.realise("--out-link", str(tmp_path / "result"))
    assert there.json("gc")["deleted"] == world.json("gc")["deleted"] == []
    there.run("forget", "project", "--all")
    assert world.json("gc")["deleted"] == [], "the link outside keeps all"
    (tmp_path / "result").unlink()
    assert len(there.json("gc")["deleted"]) >= 5
    assert link.is_symlink() and stored(world) == set()


def root_of(folder: Path, length: int) -> Path:
    """A root below the folder whose path has so many bytes."""
    while (left := length - len(os.fsencode(folder))) > 210:
        folder /= "a" * 200
    folder /= "b" * (left - 1)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_root_with_a_very_long_path(world: World, tmp_path: Path) -> None:
    far = World(world.folder, root_of(tmp_path, 480))
    assert far.realise()["changed"]
    assert "midlib 1.0" in far.run("run", "project", "hello")[0]
    assert far.json("gc", "--dry-run")["deletable"] == []


def test_a_root_with_a_path_longer_than_the_index_can_have(world: World, tmp_path: Path) -> None:
    too_far = World(world.folder, root_of(tmp_path, 700))
    error = too_far.realise(code=6)["error"]
    assert "the path is too long for the index" in error["message"] and "--root" in error["hint"]


def test_questions_about_what_is_not_so(world: World) -> None:
    paths = world.paths(world.realise())
    assert "does not depend on" in world.run("why-depends", "framework-mid", "app-hello")[0]
    said = world.run("why-depends", "app-hello", "midlib", code=13)[1]
    assert "midlib is a package of framework-mid: packages are not objects" in said
    assert "no profile, object" in world.run("info", "a" * 32, code=13)[1]
    assert "no profile, object" in world.run("delete", "nothing", code=13)[1]
    drawn = world.run("tree", "app-hello")[0]
    assert all(path in drawn for path in paths.values())


def test_old_generations_go_in_every_profile_and_links_elsewhere_stay(world: World, tmp_path: Path) -> None:
    pinned = world.realise("--out-link", str(tmp_path / "result"))["stack"]
    for text in ("one", "two"):
        edit(world, text)
        for profile in ("project", "other"):
            last = world.realise("--profile", profile)["stack"]
    done = world.json("gc", "--keep", "1")
    assert {one["profile"] for one in done["forgotten"]} == {"project", "other"}
    assert [len(world.json("history", profile)) for profile in ("project", "other")] == [1, 1]
    assert {pinned, last} <= stored(world) and done["deleted"]
