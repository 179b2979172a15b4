"""What users of layered environments reported to LM Studio's bug tracker; each report's number is in the name."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World
from tests.acceptance.projects import clean_environment, layer, make_project, site, start, write_spec

pytestmark = pytest.mark.slow

SPEC = """\
[[runtimes]]
name = "cpython3.11-shared"
python_implementation = "cpython@{version}"
requirements = ["numeric"]
platforms = ["{target}"]

[[frameworks]]
name = "engine-libs"
runtime = "cpython3.11-shared"
requirements = ["engine=={engine}"]

[[applications]]
name = "engine"
launch_module = "engine_main.py"
frameworks = ["engine-libs"]
requirements = []

[tool.vstore]
profile = "engine-{engine}"
"""
MAIN = """\
import json, os, sys, sysconfig, numeric, engine
print(json.dumps({"engine": engine.VERSION, "numeric": numeric.VERSION, "prefix": sys.prefix, "base": sys.base_prefix,
    "executable": sys.executable, "path": sys.path, "stdlib": os.__file__, "include": sysconfig.get_path("include")}))
"""


def spec(engine: str) -> str:
    return SPEC.replace("{engine}", engine)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two versions of an engine, each a profile of its own, over one runtime with a package."""
    world = make_project(tmp_path_factory.mktemp("engines"), spec("1.0"), {"engine_main.py": MAIN})
    make_wheel(world.wheels, "numeric", "1.0", {"numeric/__init__.py": "VERSION = '1.0'\n"})
    for version in ("1.0", "2.0"):
        make_wheel(world.wheels, "engine", version, {"engine/__init__.py": f"VERSION = {version!r}\n"})
    world.realise()
    write_spec(world, spec("2.0"))
    world.realise()
    return world


@pytest.fixture
def world(engines: World, tmp_path: Path) -> World:
    return engines.copy(tmp_path / "w")


def engine(world: World, version: str) -> dict[str, str]:
    told: dict[str, str] = json.loads(start(world, "engine", profile=f"engine-{version}"))
    assert told["engine"] == version
    return told


def test_1645_2072_1521_741_removing_an_old_engine_leaves_the_shared_python(world: World) -> None:
    """Removing old engine versions removed the Python layer that the others ran on."""
    runtime = world.paths(world.realise())["cpython3.11-shared"]
    (old,) = world.json("history", "engine-1.0")
    assert world.json("gc", "--dry-run")["deletable"] == []
    for path in (world.root / "profiles").glob("engine-1.0*"):  # the rudest way to remove a version
        path.unlink()
    world.run("forget", "engine-1.0", str(old["generation"]))
    deleted = world.json("gc")["deleted"]
    assert old["path"] in deleted and runtime not in deleted
    assert engine(world, "2.0")["numeric"] == "1.0"
    assert world.json("verify", "--contents")["problems"] == []


def test_1645_who_needs_the_shared_python_is_told(world: World) -> None:
    runtime = world.paths(world.realise())["cpython3.11-shared"]
    chain = world.json("why-depends", world.json("history", "engine-1.0")[0]["path"], runtime)["chain"]
    assert chain[-1] == runtime and len(chain) > 1
    assert not (world.root / "store" / runtime / "pyvenv.cfg").stat().st_mode & 0o222


def test_589_what_was_interrupted_is_not_installed(tmp_path: Path) -> None:
    """Installing came to 100 % and the engine was not there, or half of it was."""
    world = make_project(tmp_path, spec("1.0"), {"engine_main.py": MAIN})
    make_wheel(world.wheels, "numeric", "1.0", {"numeric/__init__.py": "VERSION = '1.0'\n"})
    many = {f"engine/m{number}.py": f"N = {number}\n" * 200 for number in range(300)}
    make_wheel(world.wheels, "engine", "1.0", {"engine/__init__.py": "VERSION = '1.0'\n", **many})
    arguments = ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index", "-j", "1")
    process = world.start(*arguments)
    while process.poll() is None and not any((world.root / "tmp").glob("*/lib/*/site-packages/engine")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (world.root / "profiles" / "engine-1.0").exists()
    listed = {row["path"] for row in world.json("list")}
    assert not any(path.endswith("-engine-libs") for path in listed)
    assert listed == {path.name for path in (world.root / "store").iterdir()}
    assert world.json("verify", "--contents")["problems"] == []
    _, err = world.run("run", "engine-1.0", "engine", code=13)
    assert "no profile, object" in err and "`vstore profiles`" in err
    world.realise()
    assert engine(world, "1.0")


def test_741_a_damaged_layer_is_found_and_mended(world: World) -> None:
    """A button called "Fix" went round in circles."""
    result = world.realise()
    damaged = site(layer(world, result, "framework-engine-libs")) / "engine/__init__.py"
    damaged.parent.chmod(0o755)
    damaged.chmod(0o644)
    damaged.write_text("VERSION = 'dama'\n")
    problems = world.json("verify", "--contents", code=6)["problems"]
    assert {problem["path"] for problem in problems} == {world.paths(result)["framework-engine-libs"]}
    damaged_path = world.paths(result)["framework-engine-libs"]
    world.run("verify", "--contents", "--repair")
    assert world.json("verify", "--contents")["problems"] == []
    assert world.paths(world.realise())["framework-engine-libs"] == damaged_path
    assert engine(world, "2.0")


@pytest.mark.parametrize("way", ["moved", "through a link", "in a strange working directory", "without variables"])
def test_1189_608_the_interpreter_knows_where_it_is(world: World, tmp_path: Path, way: str) -> None:
    """The interpreter fell back to the prefix that it was compiled with, ``/install``."""
    root, folder, environment = world.root, Path("/"), clean_environment()
    if way == "moved":
        root = tmp_path / "Programme – neu"
        world.root.rename(root)
    elif way == "through a link":
        root = tmp_path / "link"
        root.symlink_to(world.root)
    elif way == "in a strange working directory":
        folder = tmp_path / "cwd"
        (folder / "lib").mkdir(parents=True)
        (folder / "json.py").write_text("raise SystemExit('shadowed')")
    else:
        environment = {"PATH": "/usr/bin:/bin"}
    program = root / "profiles/engine-2.0/bin/engine"
    done = subprocess.run([program], capture_output=True, text=True, cwd=folder, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    store = str(root.resolve() / "store")
    for key in ("prefix", "base", "executable", "stdlib", "include"):
        assert told[key].startswith(store), (key, told[key])
    assert all(path.startswith(store) for path in told["path"]) and "/install" not in done.stdout
