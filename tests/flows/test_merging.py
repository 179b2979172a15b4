"""Distributions of several layers are merged as one environment would hold them, and clashes are told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World, make_world
from vstore.target import Target

SPEC = f"""\
[[runtimes]]
name = "python"
python_implementation = "cpython@{VERSION}"
requirements = ["docs-tool", "bricks-sql"]
platforms = ["{Target.host()}"]

[[frameworks]]
name = "tests"
runtime = "python"
requirements = ["checker", "bricks-labs"]

[[applications]]
name = "hello"
launch_module = "hello.py"
frameworks = ["tests"]
requirements = ["bricks-app"]
"""
EXTEND = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
HELLO = """\
import bricks.app, bricks.labs, bricks.sql, py.io, tests.checker, tests.docs_tool
print(py.__file__.endswith("py/__init__.py"))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A package and a module named `py`, two folders of tests, a namespace whose parts differ in a comment."""
    world = make_world(tmp_path_factory.mktemp("merging"))
    for name, files in {
        "docs-tool": {"py/__init__.py": "", "py/io.py": "", "tests/docs_tool.py": "", "tests/__init__.py": ""},
        "checker": {"py.py": "raise ImportError\n", "tests/checker.py": "", "tests/__init__.py": ""},
        "bricks-sql": {"bricks/__init__.py": EXTEND, "bricks/sql.py": ""},
        "bricks-labs": {"bricks/__init__.py": f"# labs\n{EXTEND}", "bricks/labs.py": ""},
        "bricks-app": {"bricks/__init__.py": EXTEND, "bricks/app.py": ""},
    }.items():
        entry_points = {"both": f"{name.replace('-', '_')}:main"} if name in ("checker", "docs-tool") else None
        data = {"scripts/activate": "exit 1\n", "data/pyvenv.cfg": "home = /nowhere\n"} if name == "bricks-app" else {}
        make_wheel(world.wheels, name, "1", files, entry_points=entry_points, data=data)
    world.spec.write_text(SPEC)
    (world.spec.parent / "hello.py").write_text(HELLO)
    return world


@pytest.mark.slow
def test_all_of_them_can_be_imported_and_clashes_are_told(world: World, tmp_path: Path) -> None:
    arguments = (str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    summary = World(world.folder, tmp_path / "root").run("realise", *arguments)[0]
    site = f"lib/python{VERSION}/site-packages"
    assert (
        f"1 file of bricks-sql (python) hidden by bricks-labs (framework-tests): {site}/bricks/__init__.py" in summary
    )
    assert "1 file of docs-tool (python) hidden by checker (framework-tests): bin/both" in summary
    assert f"1 file of bricks-labs (framework-tests) hidden by bricks-app (app-hello): {site}/bricks" in summary
    assert "2 files of bricks-app (app-hello) hidden by app-hello itself: bin/activate" in summary
    assert summary.count("clash:") == 4, summary
    layers = tmp_path / "root/profiles/project/layers"
    assert subprocess.check_output([layers / "app-hello/libexec/launch"], text=True) == "True\n"


@pytest.mark.slow
def test_info_and_the_build_log_tell_the_clashes_of_a_layer(world: World) -> None:
    world.realise("--profile", "first")
    document = world.realise("--profile", "again")
    assert not any(layer["clashes"] for layer in document["layers"])  # told when they were made
    path = world.paths(document)["framework-tests"]
    told = world.json("info", path)["clashes"]
    assert {
        "path": "bin/both", "kept": "checker", "kept_layer": "framework-tests", "hidden": "docs-tool",
        "hidden_layer": "python",
    } in told  # fmt: skip
    assert len(told) == 2 and "hidden by checker (framework-tests)" in world.run("info", path)[0]
    assert "clash: 1 file of docs-tool (python) hidden by checker" in world.json("log", path)["log"]
    path = world.paths(document)["app-hello"]
    own = {"kept": "", "kept_layer": "app-hello", "hidden": "bricks-app", "hidden_layer": "app-hello"}
    assert {"path": "bin/activate", **own} in world.json("info", path)["clashes"]
    assert "clash: 2 files of bricks-app (app-hello) hidden by app-hello itself" in world.json("log", path)["log"]


def test_a_substituted_layer_tells_its_clashes(world: World, tmp_path: Path) -> None:
    world.realise()
    cache = (tmp_path / "cache").as_uri()
    key = world.json("key", "generate", "builder")["public"]
    world.run("push", cache, "project")
    other = World(world.folder, tmp_path / "other")
    other.root.mkdir()
    (other.root / "config.toml").write_text(f"trusted_keys = [{key!r}]\n")
    document = other.realise("--cache", cache)
    assert {layer["origin"] for layer in document["layers"]} == {"substituted"}
    assert sum(len(layer["clashes"]) for layer in document["layers"]) == 5
