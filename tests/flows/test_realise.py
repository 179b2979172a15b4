"""From a spec to a running stack, and what must not happen on the way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from threading import Barrier

import pytest

from scripts.testing.world import VERSION, World
from vstore.api import stores
from vstore.api.realising import Request, realise
from vstore.reporter import NullReporter, Unit
from vstore.target import Target


def app(root: Path, *arguments: str) -> str:
    return subprocess.check_output([root / "profiles/project/bin/hello", *arguments], text=True, cwd="/")


def test_the_application_runs_from_the_profile(realised: World) -> None:
    assert app(realised.root, "a", "b c") == "low 1.0 midlib 1.0 side app a b c\n"
    out, _ = realised.run("run", "project", "hello", "--", "--json", "x")
    assert out == "low 1.0 midlib 1.0 side app --json x\n"


def test_realised_again_is_a_no_op(world: World) -> None:
    before = snapshot(world.root / "store")
    result = world.realise()
    assert not result["changed"] and result["generation"] == 1
    assert {layer["origin"] for layer in result["layers"]} == {"present"}
    assert snapshot(world.root / "store") == before


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_ctime_ns)
        for path in sorted(folder.rglob("*"))
        if path.exists()
    }


@pytest.mark.slow
def test_two_roots_give_the_same_digests(realised: World, tmp_path: Path) -> None:
    other = World(realised.folder, tmp_path / "elsewhere é")
    old = os.umask(0o077)
    try:
        result = other.realise("-j", "1", PYTHONHASHSEED="7", LC_ALL="C", TZ="Asia/Tokyo")
    finally:
        os.umask(old)
    assert other.paths(result) == realised.paths(realised.realise())


class Meeting(NullReporter):
    """Lets neither of two layers be installed before the other one is about to be."""

    def __init__(self, *names: str) -> None:
        self._waiting = set(names)
        self._barrier = Barrier(len(names), timeout=60)

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        if activity.startswith("installing ") and subject in self._waiting:
            self._waiting.discard(subject)
            self._barrier.wait()


@pytest.mark.slow
def test_layers_beside_each_other_are_built_at_the_same_time(realised: World, tmp_path: Path) -> None:
    with stores.open_store(tmp_path / "root") as store:
        request = Request(
            spec=realised.spec, locked=True, offline=True, jobs=2, environment=realised.environment(), generation=False
        )
        result = realise(store, request, reporter=Meeting("framework-mid", "framework-side"))
    assert {layer.origin for layer in result.layers if layer.name.startswith("framework-")} == {"built"}


def test_a_moved_root_still_runs(world: World, tmp_path: Path) -> None:
    moved = tmp_path / "moved away \N{SNOWMAN}"
    world.root.rename(moved)
    assert app(moved) == "low 1.0 midlib 1.0 side app\n"
    there = World(world.folder, moved)
    assert not there.realise()["changed"]
    assert there.json("verify", "--contents")["problems"] == []


def test_scripts_run_in_the_layer_they_are_called_from(realised: World) -> None:
    paths = realised.paths(realised.realise())
    for layer in ("framework-mid", "app-hello"):
        folder = realised.root / "store" / paths[layer]
        out = subprocess.check_output([folder / "bin/midtool"], text=True)
        assert out == f"midtool 1.0 {folder}\n"


def test_an_upgrade_a_rollback_and_a_collection(world: World) -> None:
    old = world.paths(world.realise())
    world.write_spec("==2.0")
    new = world.realise()
    assert new["generation"] == 2 and app(world.root) == "low 1.0 midlib 2.0 side app\n"
    assert world.paths(new)["framework-side"] == old["framework-side"]
    changes = world.json("diff", "project")["changes"]
    assert {"layer": "framework-mid", "package": "midlib", "old": "1.0", "new": "2.0"} in changes
    assert world.json("rollback", "project")["generation"] == 1
    assert app(world.root) == "low 1.0 midlib 1.0 side app\n"
    world.json("switch", "project", "2")
    planned = world.json("gc", "--keep", "1", "--dry-run")
    assert planned["forgotten"] == [{"profile": "project", "generation": 1}] and planned["deleted"] == []
    done = world.json("gc", "--keep", "1")
    assert done["deleted"] == planned["deletable"] and old["framework-mid"] in done["deleted"]
    assert app(world.root) == "low 1.0 midlib 2.0 side app\n"
    assert world.json("verify", "--contents")["problems"] == []
    assert not (world.root / "store" / old["framework-mid"]).exists()
    assert [row["generation"] for row in world.json("history", "project")] == [2]


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.write_spec("==2.0")
    before = snapshot(world.root / "store"), snapshot(world.root / "profiles"), snapshot(world.spec.parent)
    result = world.realise("--dry-run")
    assert result["dry_run"] and "to lock" in {layer["origin"] for layer in result["layers"]}
    assert (snapshot(world.root / "store"), snapshot(world.root / "profiles"), snapshot(world.spec.parent)) == before


def test_a_changed_application_rebuilds_only_itself(world: World) -> None:
    (world.spec.parent / "hello.py").write_text("print('edited')\n")
    origins = {layer["name"]: layer["origin"] for layer in world.realise()["layers"]}
    assert origins.pop("app-hello") == "built"
    assert set(origins.values()) == {"present"}
    assert app(world.root) == "edited\n"


def test_check_finds_equal_bytes(world: World) -> None:
    assert {layer["origin"] for layer in world.realise("--check")["layers"]} <= {"checked", "present"}


def test_locked_refuses_a_stale_lock(world: World) -> None:
    world.write_spec("==2.0")
    error = world.realise("--locked", code=4)["error"]
    assert "stale" in error["message"] and "framework-mid" in " ".join(error["details"])


def test_queries_answer(realised: World) -> None:
    paths = realised.paths(realised.realise())
    listed = {row["path"]: row for row in realised.json("list")}
    assert set(paths.values()) <= set(listed)
    info = realised.json("info", "app-hello")
    assert info["path"] == paths["app-hello"] and paths["framework-mid"] in info["references"]
    chain = realised.json("why-depends", "app-hello", paths["python"])["chain"]
    assert chain[0] == paths["app-hello"] and chain[-1] == paths["python"]
    assert "installing" in realised.json("log", "framework-mid")["log"]
    assert any(root["kind"] == "profile" for root in realised.json("roots")["roots"])


def test_uv_and_importlib_see_an_ordinary_environment(realised: World) -> None:
    folder = realised.root / "store" / realised.paths(realised.realise())["app-hello"]
    code = "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))"
    out = subprocess.check_output([folder / "bin/python", "-c", code], text=True)
    assert out == "['low', 'midlib', 'ns-app', 'ns-side']\n"


def test_a_cleaned_cache_gives_the_bytes_back(world: World) -> None:
    before = world.paths(world.realise())
    world.run("gc", "--clean-cache")
    assert not any((world.root / "cache" / "uv").rglob("*.py"))
    assert app(world.root) == "low 1.0 midlib 1.0 side app\n"
    assert world.json("verify", "--contents")["problems"] == []
    assert world.paths(world.realise()) == before


def test_a_runtime_for_another_machine_is_locked_and_left_out(world: World) -> None:
    other = next(target for target in Target if target != Target.host())
    table = f'[[runtimes]]\nname = "far"\npython_implementation = "cpython@{VERSION}"\n'
    text = f'{table}requirements = ["low"]\nplatforms = ["{other}"]\n\n{world.spec.read_text()}'
    world.spec.write_text(text + '\n[tool.uv]\nfind-links = ["../wheels"]\nno-index = true\n')
    result = world.json("realise", str(world.spec))
    assert (world.spec.parent / "requirements/far/pylock.far.toml").is_file()
    assert "far" not in world.paths(result)


def test_arguments_of_an_application_need_no_separator(realised: World) -> None:
    said = "low 1.0 midlib 1.0 side app"
    for given, passed in (
        (("project", "hello", "--json", "-x", "y"), " --json -x y"),
        (("project", "hello", "a", "--", "b"), " a -- b"),
        (("project", "hello", "--", "--", "b"), " -- b"),
        (("project@1", "hello", "-v"), " -v"),
        (("project",), ""),
        (("project", "--json", "x"), " --json x"),
        (("project", "--", "x"), " x"),
    ):
        assert realised.run("run", *given)[0] == f"{said}{passed}\n", given
    error = realised.json("run", "project", "x", code=13)["error"]
    assert error["hint"] == "`vstore run project -- x` passes it to hello; applications: hello"
    assert realised.run("run", "project", "x", "--json", code=13)[0] == "", "an option of the application"
    assert "not a stack" in realised.run("run", "project/app-hello", code=2)[1]
